"""A server from outside: how it is started, what is sent to it, and what is read of it."""
