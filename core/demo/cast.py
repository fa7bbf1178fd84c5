"""The daemons of the demonstration: started in order, signed in, given their faults, stopped again."""

from __future__ import annotations

import asyncio

from telecine.core import config_file
from telecine.core.api import Api
from telecine.core.clock import Clock
from telecine.core.config import OperatorSettings
from telecine.core.demo import stage
from telecine.core.demo.processes import Process, run_once, write_pids
from telecine.core.demo.stage import BOT_USERNAME, VIEWER, WORKERS, Actor, Stage
from telecine.core.emulator.control.client import EmulatorControl
from telecine.core.errors import TelecineError, UnavailableError

START_TIMEOUT_S = 30.0
OPERATOR = "demonstration"


class Cast:
    """Every process of a run, by name."""

    def __init__(self, place: Stage, clock: Clock) -> None:
        self._stage = place
        self._clock = clock
        self._processes: dict[str, Process] = {}

    def __getitem__(self, name: str) -> Process:
        return self._processes[name]

    async def start_emulator(self, control: EmulatorControl) -> None:
        """Telegram, CM and the source host, with everyone's accounts."""
        place = self._stage
        arguments = ["emulator", "--mtproto-port", str(place.mtproto_port), "--http-port", str(place.http_port)]
        arguments += ["--data", str(place.run / "emulator"), "--media", str(place.media)]
        emulator = self._start("emulator", arguments)

        async def answers() -> bool:
            try:
                await control.state()
            except UnavailableError:
                return False
            return True

        await emulator.until(answers, clock=self._clock, timeout_s=START_TIMEOUT_S)
        for actor in (*WORKERS, VIEWER):
            await control.add_account(actor.phone, actor.name, premium=actor in WORKERS, password=actor.password)
        await control.add_bot(place.bot_token, BOT_USERNAME)

    async def prepare_main(self) -> OperatorSettings:
        """Write the main machine's settings and issue everyone's token."""
        place = self._stage
        stage.write_main_settings(place)
        names = [worker.name for worker in WORKERS]
        issued = await asyncio.gather(
            self._issue("--operator", OPERATOR), *(self._issue("--worker", name) for name in names)
        )
        stage.write_main_settings(place, operator_token=issued[0])
        for worker, token in zip(WORKERS, issued[1:], strict=True):
            stage.write_worker_settings(place, worker, token)
        return (await asyncio.to_thread(config_file.load, place.main_settings)).operator

    async def start_coordinator(self, api: Api) -> None:
        """`telecine serve`, until it answers."""
        coordinator = self._start("coordinator", ["--config", str(self._stage.main_settings), "serve"])

        async def answers() -> bool:
            try:
                await api.get("/v1/status", dict)
            except UnavailableError:
                return False
            return True

        await coordinator.until(answers, clock=self._clock, timeout_s=START_TIMEOUT_S)

    async def sign_in(self, control: EmulatorControl) -> None:
        """`telecine login` for each worker, with the code that Telegram sends it."""
        await asyncio.gather(*(self._login(worker, control) for worker in WORKERS))

    def start_worker(self, name: str) -> None:
        """`telecine work`."""
        place = self._stage
        worker = next(worker for worker in WORKERS if worker.name == name)
        self._start(name, ["--config", str(place.worker_settings(worker)), "work"])

    async def import_catalogue(self) -> str:
        """`telecine import`. What it prints."""
        arguments = ["--config", str(self._stage.main_settings), "import"]
        return (await run_once("import", arguments, folder=self._stage.run)).strip()

    def check(self) -> None:
        """Raises UnavailableError with the end of its log if a process has died by itself."""
        for process in self._processes.values():
            if not process.is_running:
                raise UnavailableError(f"{process.name} ended by itself:\n{process.tail()}")

    async def stop(self) -> None:
        """Workers first, the emulator last."""
        for process in reversed(self._processes.values()):
            await process.stop()

    def leave(self) -> None:
        """Keep everything running and note what it is."""
        write_pids(self._stage.pids, list(self._processes.values()))

    def _start(self, name: str, arguments: list[str]) -> Process:
        process = self._processes.setdefault(name, Process(name, arguments, folder=self._stage.run))
        process.start()
        return process

    async def _issue(self, kind: str, name: str) -> str:
        arguments = ["--config", str(self._stage.main_settings), "token", "issue", kind, name, "--days", "1"]
        return (await run_once(f"token for {name}", arguments, folder=self._stage.run)).strip()

    async def _login(self, worker: Actor, control: EmulatorControl) -> None:
        """Type what a person would: the code as soon as it has been sent, then the password."""
        arguments = ["--config", str(self._stage.worker_settings(worker)), "login"]

        async def answers() -> bytes:
            code = await self.login_code(worker, control)
            return f"{code}\n{worker.password or ''}\n".encode()

        await run_once(f"login of {worker.name}", arguments, folder=self._stage.run, answers=answers)

    async def login_code(self, actor: Actor, control: EmulatorControl) -> str:
        """The code that was sent to an account. Raises UnavailableError where none was within a while."""
        deadline_s = self._clock.monotonic_s() + START_TIMEOUT_S
        while self._clock.monotonic_s() < deadline_s:
            try:
                return await control.login_code(actor.phone)
            except TelecineError:
                await self._clock.sleep(0.1)
        raise UnavailableError(f"no login code was sent to {actor.name}")
