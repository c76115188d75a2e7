"""Delivery's ways out: DNS, SMTP, the queue in the broker, RPC."""
