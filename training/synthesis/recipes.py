"""From what ranges the objects of each of the 17 materials are drawn.

The ranges start from measured figures (tdw's modes, STK's Shakers) and were then moved until spectral centroid,
decay and rise lay among those of recorded sounds (benchmarks/plausibility.py).
"""

from training.synthesis.ground_recipes import GROUND
from training.synthesis.recipe import Recipe
from training.synthesis.soft_recipes import SOFT
from training.synthesis.solid_recipes import SOLIDS

RECIPES: dict[str, Recipe] = SOLIDS | SOFT | GROUND
