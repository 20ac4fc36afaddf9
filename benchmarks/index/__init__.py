"""What indexing costs: `python -m benchmarks.index`."""
