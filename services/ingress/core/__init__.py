"""Decisions of the SMTP dialogue as plain functions: no sockets, no clocks, no protobuf."""
