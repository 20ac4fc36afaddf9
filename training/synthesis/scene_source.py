"""Synthetic scenes with synthetic sounds as a source, for demos and tests: it does not transfer to photographs."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from PIL import Image

from model.bundle import ClipSpec, PictureSpec
from model.hit import cut_clip
from model.materials import MATERIALS, material_named
from model.picture import fit_picture
from training.data.items import ClipItem, Item, PictureItem
from training.synthesis.recording import OUTDOORS, draw_acoustics, record
from training.synthesis.scenes import draw_scene
from training.synthesis.sounds import draw_object, scratch, strike
from training.synthesis.videos import draw_material_sets, occurrence

_HEIGHT, _WIDTH = 144, 256
_SECONDS = 1.5


@dataclass(frozen=True)
class SceneTask:
    """One scene to make: its number, its materials, its number of clips, and the seed of them all."""

    number: int
    materials: tuple[str, ...]
    clips: int
    seed: int

    @property
    def id(self) -> str:
        """The scene's name in the dataset."""
        return f"scene-{self.number:05}"


@dataclass(frozen=True)
class SyntheticScenes:
    """`scenes` pictures with `clips` sounds each.

    Every second scene shows one material, each of the 17 in turn; the others show materials that share a
    video of Greatest Hits, as often as they do there. Objects, textures and rooms are drawn anew for each.
    """

    scenes: int
    clips: int = 10
    seed: int = 0

    @property
    def description(self) -> dict[str, Any]:
        """Provenance."""
        return {"kind": "synthetic", "scenes": self.scenes, "clips_per_scene": self.clips, "scenes_seed": self.seed}

    @cached_property
    def tasks(self) -> list[SceneTask]:
        """A task a scene."""
        drawn = draw_material_sets(np.random.default_rng([self.seed, 0]), self.scenes)
        tasks = []
        for number, together in enumerate(drawn):
            alone = (MATERIALS[number // 2 % len(MATERIALS)].name,)
            tasks.append(SceneTask(number, together if number % 2 else alone, self.clips, self.seed))
        return tasks

    @property
    def read(self) -> Callable[[SceneTask, PictureSpec, ClipSpec], Item]:
        """Makes one scene."""
        return make_scene


def make_scene(task: SceneTask, picture: PictureSpec, clip: ClipSpec) -> Item:
    """The scene's picture and its clips, the materials taking turns; scratches as often as in Greatest Hits."""
    random = np.random.default_rng([task.seed, 1, task.number])
    scene = draw_scene(task.materials, random, _HEIGHT, _WIDTH)
    pixels = fit_picture(Image.fromarray(scene.frame(random)), picture.size, picture.resize)
    room = draw_acoustics(random, any(name in OUTDOORS for name in task.materials))
    objects = {name: draw_object(name, random) for name in task.materials}
    clips = []
    for number in range(task.clips):
        name = task.materials[number % len(task.materials)]
        scratched = random.random() < occurrence().scratch_share.get(name, 0.0)
        touch = scratch if scratched else strike
        dry = touch(objects[name], random, clip.sample_rate, _SECONDS)
        samples = cut_clip(
            record(dry, room, random, clip.sample_rate), clip.sample_rate, 0.0, clip.before, clip.after
        )
        action = "scratch" if scratched else "hit"
        clips.append(ClipItem(f"{task.id}@{number}", samples, _id(name), action))
    return Item(
        id=task.id,
        group=task.id,
        source="synthetic",
        split="",
        picture=PictureItem(task.id, pixels, tuple(sorted(_id(name) for name in task.materials))),
        clips=tuple(clips),
    )


def _id(name: str) -> int:
    material = material_named(name)
    assert material is not None
    return material.id
