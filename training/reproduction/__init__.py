"""The paper's experiments, run and reported."""
