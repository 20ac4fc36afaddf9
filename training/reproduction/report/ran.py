"""What was run: the data, what differs from the paper, and every run with the command that repeats it."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from model.materials import MATERIALS
from training.data.dataset import SPLITS, UNPAIRED, Dataset
from training.measures.results import RunResult
from training.reproduction.report import paper
from training.reproduction.report.groups import Group, flat
from training.reproduction.report.page import code, table

Numbered = tuple[int, RunResult]
"""A run with its number in the report."""


@dataclass(frozen=True)
class OwnClips:
    """How many clips of their own the `pictures` have; `fewer` have not as many as the paper's."""

    pictures: int
    least: int
    most: int
    median: float
    fewer: int


@dataclass(frozen=True)
class Ran:
    """The section's facts and tables.

    `heard_of` of the `test_pictures` are of a recording that other data are cut from, too; `shared` says what runs
    have in common; `foreign` runs are of another dataset; `not_measured` has run, split and reason.
    """

    source: str
    clips: OwnClips | None
    skipped: int
    heard_of: int
    test_pictures: int
    splits: str
    reasons: str
    differences: Sequence[str]
    runs: Sequence[Numbered]
    table: str
    seconds: float
    shared: Sequence[str]
    foreign: Sequence[Numbered]
    not_measured: Sequence[tuple[int, str, str]]


def what_was_run(dataset: Dataset, groups: Sequence[Group]) -> Ran:
    """Look through the data and the runs."""
    labels, skipped = dataset.labels, dataset.info.skipped
    test = labels.picture_split == SPLITS.index("test")
    runs = sorted((entry for group in groups for entry in group.numbered), key=lambda entry: entry[0])
    return Ran(
        source=", ".join(f"{code(key)} {code(value)}" for key, value in dataset.info.source.items()),
        clips=_own_clips(dataset),
        skipped=sum(skipped.values()),
        heard_of=int(np.isin(labels.picture_group[test], labels.picture_group[~test]).sum()),
        test_pictures=int(test.sum()),
        splits=_splits(dataset),
        reasons=table(
            ("Skipped or short because", "Count"),
            ((code(reason), f"{count:,}") for reason, count in skipped.items()),
        ),
        differences=_differences(dataset, groups),
        runs=runs,
        table=_runs(groups),
        seconds=sum(run.seconds for _, run in runs),
        shared=[
            *_shared("Device", runs, lambda run: code(run.device)),
            *_shared("Precision", runs, lambda run: code(run.precision)),
            *_shared("Versions", runs, lambda run: ", ".join(f"{k} {code(v)}" for k, v in run.versions.items())),
        ],
        foreign=[(at, run) for at, run in runs if run.dataset != dataset.info.id],
        not_measured=[
            (at, split, reason)
            for group in groups
            for at, run in group.numbered
            for split, measures in (("validation", run.val), ("test", run.test))
            for reason in measures.reasons
        ],
    )


def _own_clips(dataset: Dataset) -> OwnClips | None:
    clips = _clips_per_picture(dataset)
    if not len(clips):
        return None
    fewer = int((clips < paper.CLIPS_PER_VIDEO).sum())
    return OwnClips(len(clips), int(clips.min()), int(clips.max()), float(np.median(clips)), fewer)


def _splits(dataset: Dataset) -> str:
    labels, rows = dataset.labels, []
    for index, split in enumerate(SPLITS):
        inside, heard = labels.picture_split == index, labels.clip_split == index
        counts = np.bincount(labels.clip_material[heard], minlength=len(MATERIALS))
        missing = [material.name for material in MATERIALS if not counts[material.id]]
        recordings = len(set(labels.picture_group[inside]) | set(labels.clip_group[heard]))
        sizes = (f"{int(inside.sum()):,}", f"{int(heard.sum()):,}", f"{recordings:,}")
        rows.append((split, ", ".join(missing) or "none", *sizes))
    return table(("Split", "Materials without a clip", "Pictures", "Clips", "Recordings"), rows, words=2)


def _differences(dataset: Dataset, groups: Sequence[Group]) -> list[str]:
    """What differs from the paper, one sentence each, found by comparing."""
    ours = [group for group in groups if group.role == "paper"]
    return [*_of_data(dataset), *_of_clips(dataset, ours), *_of_recipes(ours)]


def _clips_per_picture(dataset: Dataset) -> np.ndarray[Any, np.dtype[np.intp]]:
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
    clips = _clips_per_picture(dataset)
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


def _runs(groups: Sequence[Group]) -> str:
    rows = {
        at: (
            str(at),
            code(run.name),
            run.system,
            ", ".join(code(network) for network in dict.fromkeys(group.networks)),
            group.kind,
            code(run.checkpoint),
            str(run.seed),
            str(run.epochs),
            f"{run.seconds:,.0f}",
            f"{run.samples_per_second:,.0f}",
        )
        for group in groups
        for at, run in group.numbered
    }
    header = ("Run", "Recipe", "System", "Networks", "Validation", "Checkpoint", "Seed", "Epochs", "Seconds")
    return table((*header, "Samples/s"), (rows[at] for at in sorted(rows)), words=6)


def _shared(title: str, runs: Sequence[Numbered], words: Callable[[RunResult], str]) -> list[str]:
    """What all runs have in common in a line, or a line for each different thing with the runs that have it."""
    having: dict[str, list[int]] = {}
    for at, run in runs:
        having.setdefault(words(run), []).append(at)
    if len(having) == 1:
        return [f"{title}: {next(iter(having))}."]
    return [f"{title}: {what} (runs {', '.join(map(str, numbers))})." for what, numbers in having.items()]
