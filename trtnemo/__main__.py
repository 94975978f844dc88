"""`python -m trtnemo`."""

from trtnemo.cli import main

main()
