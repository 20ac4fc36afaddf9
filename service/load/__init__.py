"""How much the service takes on at once. What does not fit waits or is refused, and the slowest gives way."""
