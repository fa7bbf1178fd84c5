# Two commands matter on a fresh machine: `make demo` and `make test`. Each sets everything up by itself.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
PEERS  := $(VENV)/.installed-bench
# Tests wait for sockets and processes as much as for the processor.
JOBS   ?= $(shell echo $$(( $$(nproc) * 3 / 2 )))

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench lock clean

help: ## list what can be made
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) ## create .venv with the locked dependencies

$(STAMP): requirements-dev.lock pyproject.toml
	@command -v $(PYTHON) >/dev/null || { echo "Telecine needs Python 3.11 or later; set PYTHON=python3.x"; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Telecine needs Python 3.11 or later; set PYTHON=python3.x")'
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing locked dependencies into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-dev.lock
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

$(PEERS): requirements-bench.lock $(STAMP)
	@echo "installing the queues that ours is measured beside into $(VENV)"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --no-deps -r requirements-bench.lock
	@touch $@

demo: $(STAMP) ## the whole system, end to end, on the embedded CM and Telegram (KEEP=1 leaves it running)
	@$(BIN)/telecine demo $(if $(KEEP),--keep)

test: $(STAMP) ## every test that is not slow, in parallel
	$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: $(STAMP) ## lint, format, types and the direction of imports
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pyright
	PYTHONPATH=typings $(BIN)/lint-imports --no-cache

bench: $(if $(NAME),$(PEERS),$(STAMP)) ## list the benchmarks, or run one: make bench NAME=queue (NAME=all, ARGS=--quick)
	@$(BIN)/python -m tests.bench $(NAME) $(ARGS)

format: $(STAMP) ## rewrite the code in the house format
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: ## renew the locked dependencies from pyproject.toml
	$(BIN)/python -m pip install --quiet uv
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links $(UPGRADE) pyproject.toml -o requirements.lock
	$(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links $(UPGRADE) --extra dev pyproject.toml -o requirements-dev.lock
	$(BIN)/python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['optional-dependencies']['bench'])" \
	  | tr ' ' '\n' \
	  | $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header --no-annotate \
	  --no-emit-index-url --no-emit-find-links $(UPGRADE) -c requirements-dev.lock - -o requirements-bench.lock

clean: ## remove what was built
	rm -rf build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
