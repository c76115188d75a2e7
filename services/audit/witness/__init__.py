"""`letterlock witness`: a small program that whoever does not trust the log's operator runs elsewhere."""
