"""The addresses, one file a group."""
