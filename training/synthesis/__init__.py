"""Synthetic sounds and pictures of the 17 materials: for tests, demos and stand-ins for media that cannot ship."""
