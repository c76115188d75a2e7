"""What the archive decides: pure."""
