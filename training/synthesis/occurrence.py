"""Which materials occur together and how often they are scratched, as counted on the Greatest Hits labels."""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np


@dataclass(frozen=True)
class Occurrence:
    """`sets`: materials that share a video, with the number of such videos in `videos`; `scratch_share`: 0..1."""

    sets: tuple[tuple[str, ...], ...]
    videos: tuple[int, ...]
    scratch_share: dict[str, float]


@cache
def occurrence() -> Occurrence:
    """The counts in `data/cooccurrence.json` (Greatest Hits, CC BY 4.0; 975 videos with a material)."""
    text = (resources.files("training.synthesis") / "data/cooccurrence.json").read_text("utf-8")
    counts = json.loads(text)
    sets = tuple(tuple(names) for _, names in counts["video_sets"])
    return Occurrence(sets, tuple(videos for videos, _ in counts["video_sets"]), counts["scratch_share"])


def draw_material_sets(rng: np.random.Generator, n: int) -> list[tuple[str, ...]]:
    """Draw `n` sets of one to five materials as often as they share a video of Greatest Hits."""
    counted = occurrence()
    chance = np.array(counted.videos, np.float64)
    drawn = rng.choice(len(chance), size=n, p=chance / chance.sum())
    return [counted.sets[int(i)] for i in drawn]
