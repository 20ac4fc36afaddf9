"""In what the data and the paper's recipes, as they were run, differ from what the paper says it did."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from training.dataset import SPLITS, UNPAIRED, Dataset
from training.report import paper
from training.report.groups import Group, flat
from training.report.markdown import code


def differences(dataset: Dataset, groups: Sequence[Group]) -> list[str]:
    """One sentence a difference, found by comparing; empty if there is none to be found."""
    ours = [group for group in groups if group.role == "paper"]
    return [*_of_data(dataset), *_of_clips(dataset, ours), *_of_recipes(ours)]


def clips_per_picture(dataset: Dataset) -> np.ndarray[Any, np.dtype[np.intp]]:
    """How many clips of its own each picture has, `[N]`; empty where no clip has a picture."""
    own = dataset.labels.clip_picture
    paired = own[own != UNPAIRED]
    return np.bincount(paired, minlength=len(dataset.labels.picture_id)) if len(paired) else np.empty(0, np.intp)


def _of_data(dataset: Dataset) -> list[str]:
    found = []
    source, picture = dataset.info.source, dataset.info.picture
    kind = source.get("kind", "unknown")
    if kind != "greatest-hits":
        found.append(f"The data are not Greatest Hits: their source is {code(kind)}.")
    if source.get("synthesis"):
        found.append("Pictures and sounds are synthesized on the labels of Greatest Hits, not its recordings.")
    if picture.size != paper.PICTURE_SIZE:
        found.append(f"Pictures are {picture.size} px square, not {paper.PICTURE_SIZE} px.")
    if picture.resize != "squash":
        found.append(f"Pictures are made square by {code(picture.resize)}, not by squashing.")
    counts = np.bincount(dataset.labels.picture_split, minlength=len(SPLITS)).tolist()
    if counts != list(paper.VIDEOS.values()):
        theirs = " / ".join(map(str, paper.VIDEOS.values()))
        found.append(
            f"There are {' / '.join(f'{count:,}' for count in counts)} pictures to train, validate and test on "
            f"(as prepared), not {theirs}."
        )
    clips = clips_per_picture(dataset)
    if not len(clips):
        found.append("No clip comes with a picture of its own.")
    elif other := int((clips != paper.CLIPS_PER_VIDEO).sum()):
        found.append(
            f"{other:,} of {len(clips):,} pictures have another number of clips than {paper.CLIPS_PER_VIDEO}."
        )
    return found


def _of_clips(dataset: Dataset, groups: Sequence[Group]) -> list[str]:
    """A recipe may take less sound around the hit than was prepared."""
    prepared = dataset.info.clip
    windows: dict[tuple[float, float], list[str]] = {}
    for recipe, name in [(group.recipe, group.name) for group in groups] or [({}, "")]:
        before, after = recipe.get("before"), recipe.get("after")
        window = (
            prepared.before if before is None else float(before),
            prepared.after if after is None else float(after),
        )
        windows.setdefault(window, []).append(name)
    return [
        f"Clips run from {before:g} s before the hit to {after:g} s after it, not from {paper.CLIP_BEFORE:g} s to "
        f"{paper.CLIP_AFTER:g} s{_recipes(names)}."
        for (before, after), names in windows.items()
        if (before, after) != (paper.CLIP_BEFORE, paper.CLIP_AFTER)
    ]


def _of_recipes(groups: Sequence[Group]) -> list[str]:
    found: dict[str, list[str]] = {}
    for group in groups:
        settings = flat(group.recipe)
        for epochs in sorted({run.epochs for run in group.runs} - {paper.EPOCHS}):
            plural = "epoch" if epochs == 1 else "epochs"
            found.setdefault(f"Trained for {epochs} {plural}, not {paper.EPOCHS}", []).append(group.name)
        for key, value in paper.SETTINGS.items():
            if key in settings and settings[key] != value:
                what = f"Trained with {code(f'{key} = {settings[key]}')}, not {code(value)}"
                found.setdefault(what, []).append(group.name)
        for network in group.networks:
            if network.startswith("resnet") and network != "resnet18":
                found.setdefault(f"The ResNet is {code(network)}, not ResNet-18", []).append(group.name)
            elif group.network is None:
                found.setdefault(f"{code(network)} is neither ResNet nor VGG", []).append(group.name)
    return [f"{what}{_recipes(names)}." for what, names in found.items()]


def _recipes(names: Iterable[str]) -> str:
    """The recipes that a sentence is about, each once."""
    listed = ", ".join(code(name) for name in dict.fromkeys(names) if name)
    return f" ({listed})" if listed else ""
