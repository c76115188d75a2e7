"""Decisions about keys, without I/O."""
