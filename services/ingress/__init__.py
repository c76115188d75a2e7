"""Receives mail by SMTP, makes it durable and answers. Read `receive.py` first."""
