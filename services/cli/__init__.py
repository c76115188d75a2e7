"""The command line: a thin client of the API. One row of `table.py` is one command."""
