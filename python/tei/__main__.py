"""`python -m tei` is the command `tei`."""

from tei.cli import main

main()
