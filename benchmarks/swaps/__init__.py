"""A large index in the service: until it is ready, its memory, and what taking over another costs requests."""
