"""The sample pictures of the page.

`python -m training.synthesis.sample_pictures service/page/picture` draws them again.
"""

import sys
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from training.synthesis.scenes import draw_scene

_HEIGHT, _WIDTH = 240, 320
_DRAWN = 1.5
"""Drawn so many times larger: the textures have finer detail than a small picture shows."""
_QUALITY = 55


@dataclass(frozen=True)
class Sample:
    """What is drawn: the materials, the seed of their layout, and that of textures and camera."""

    name: str
    materials: tuple[str, ...]
    layout: int
    look: int


SAMPLES = (
    Sample("wood-on-metal", ("wood", "metal"), 101, 1074),
    Sample("cloth-on-tiles", ("tile", "cloth"), 302, 3137),
    Sample("rock-in-water", ("water", "rock"), 504, 5211),
    Sample("wood-among-leaves", ("gravel", "wood", "leaf"), 2, 138),
)
"""Chosen by looking at dozens: the pretrained bundle sees something in each that is there."""


def draw(sample: Sample) -> Image.Image:
    """Draw it; the same each time."""
    rng = np.random.default_rng(sample.layout)
    height, width = round(_DRAWN * _HEIGHT), round(_DRAWN * _WIDTH)
    scene = draw_scene(sample.materials, rng, height, width, sample.look)
    return Image.fromarray(scene.frame(rng)).resize((_WIDTH, _HEIGHT), Image.Resampling.LANCZOS)


if __name__ == "__main__":
    for one in SAMPLES:
        draw(one).save(Path(sys.argv[1]) / f"sample-{one.name}.webp", quality=_QUALITY, method=6)
