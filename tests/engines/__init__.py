"""Real engines on loopback: a Milvus server, a store that speaks S3, two nodes of Ray (make test-engines)."""
