"""A library of sounds made searchable, and the recommender, which finds the sounds that fit a picture."""

from pathlib import Path

DEFAULT_INDEX = Path("demo/index")
"""The index that is opened unless another is named: `make demo` makes it, in the working folder."""
