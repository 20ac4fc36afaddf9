"""A texture of each of the 17 materials, in daylight."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from training.synthesis import ground_textures, soft_textures, solid_textures
from training.synthesis.fields import Colours, grid

Picture = npt.NDArray[np.uint8]

_TEXTURES: dict[str, Callable[[np.random.Generator, int, int], Colours]] = {
    "carpet": soft_textures.carpet,
    "ceramic": solid_textures.ceramic,
    "cloth": soft_textures.cloth,
    "dirt": ground_textures.dirt,
    "drywall": solid_textures.drywall,
    "glass": solid_textures.glass,
    "grass": ground_textures.grass,
    "gravel": ground_textures.gravel,
    "leaf": ground_textures.leaf,
    "metal": solid_textures.metal,
    "paper": soft_textures.paper,
    "plastic": solid_textures.plastic,
    "plastic-bag": soft_textures.plastic_bag,
    "rock": ground_textures.rock,
    "tile": solid_textures.tile,
    "water": ground_textures.water,
    "wood": solid_textures.wood,
}


def texture(material: str, rng: np.random.Generator, height: int, width: int) -> Picture:
    """Fill a picture with `material`, uint8 `[height, width, 3]`.

    Colour, scale, pattern and light are drawn from `rng`. Raises KeyError for a name not in model.materials.
    """
    colours = _TEXTURES[material](rng, height, width)
    return to_bytes(colours * _daylight(rng, height, width))


def to_bytes(colours: Colours) -> Picture:
    """Colours from 0 to 1 as uint8 from 0 to 255, clipped."""
    return (np.clip(colours, 0.0, 1.0) * 255.0 + 0.5).astype(np.uint8)


def _daylight(rng: np.random.Generator, height: int, width: int) -> Colours:
    """Factors `[h, w, 3]` of about 1: exposure, a gradient of light across the picture, the colour of the light."""
    rows, columns = grid(height, width)
    way = rng.uniform(0, 2 * np.pi)
    fall = (rows - 0.5) * np.sin(way) + (columns - 0.5 * width / height) * np.cos(way)
    light = rng.uniform(0.85, 1.1) * (1.0 + rng.uniform(0.0, 0.25) * fall)
    warmth = 0.05 * rng.standard_normal()
    return np.asarray(light[..., None] * np.array([1.0 + warmth, 1.0, 1.0 - warmth]), np.float32)
