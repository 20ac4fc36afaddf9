"""HTTP: requests, limits, errors and the web page, around a bundle and an index."""
