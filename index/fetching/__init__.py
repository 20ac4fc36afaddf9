"""Sounds from where people keep them."""
