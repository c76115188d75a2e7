"""Decides what becomes of each recipient of a mail, and says why. Read `decide.py` first."""
