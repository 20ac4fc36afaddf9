"""What is measured again and again. Run from the repository's root: `python -m benchmarks.serve --help`."""
