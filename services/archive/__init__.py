"""Keeps a record of what became of every mail, and an index in which it can be found."""
