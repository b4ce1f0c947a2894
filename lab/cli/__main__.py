"""`python -m lab.cli`: the command `lab`, where it is not on PATH."""

from lab.cli import main

main()
