"""The key keeper; later the sealer of mail."""
