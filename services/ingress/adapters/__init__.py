"""The sides of `ingress` that touch the world: SMTP, the spool, passwords."""
