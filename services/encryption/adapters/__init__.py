"""The keeper's store and its gRPC surface."""
