"""`python -m telecine.cmd`: the same as `telecine`."""

from telecine.cmd.main import main

main()
