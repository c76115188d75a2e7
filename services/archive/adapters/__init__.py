"""The archive's ways to OpenSearch, gRPC and the broker."""
