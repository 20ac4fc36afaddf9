"""A library of sounds made searchable, and the recommender, which finds the sounds that fit a picture."""

from pathlib import Path

DEFAULT_INDEX = Path("demo/index")
"""The index that is opened unless another is named: `make demo` makes it, in the working folder."""
OBJECT_WEIGHT = 0.1
"""What a sound's score gains where it names an object that is certainly in the picture; by `benchmarks.objects`."""
DIVERSITY = 0.2
"""How much the sounds of an answer differ, 0 to 1; by `benchmarks.diversity`."""
