"""Where policy meets the bus, the control documents and gRPC."""
