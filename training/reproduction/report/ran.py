"""What was run: the data, the machine, and every run with the command that repeats it."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np

from model.materials import MATERIALS
from training.data.dataset import SPLITS, UNPAIRED, Dataset
from training.measures.results import RunResult
from training.reproduction.report import paper
from training.reproduction.report.groups import Group, flat
from training.reproduction.report.page import bullets, code, rests_on, table
from training.reproduction.report.paper import CLIPS_PER_VIDEO


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


def what_was_run(dataset: Dataset, groups: Sequence[Group]) -> list[str]:
    """The section, as blocks of Markdown."""
    different = differences(dataset, groups) or ["Nothing that can be read from the data and the recipes."]
    return [
        "### The data",
        *_data(dataset),
        "### What differs from the paper",
        "Found by comparing the data and the paper's recipes, as they were run, with what the paper says.",
        bullets(different),
        "### The runs",
        *_runs(dataset, groups),
        *_not_measured(groups),
    ]


def _data(dataset: Dataset) -> list[str]:
    info, labels = dataset.info, dataset.labels
    source = ", ".join(f"{code(key)} {code(value)}" for key, value in info.source.items())
    clip = info.clip
    facts = [
        f"Dataset {code(info.id)}. Source: {source or 'not said'}.",
        f"Pictures: {info.picture.size} × {info.picture.size} px, made square by {code(info.picture.resize)}.",
        f"Clips: {clip.sample_rate:,} Hz, from {clip.before:g} s before the hit to {clip.after:g} s after it.",
    ]
    clips = clips_per_picture(dataset)
    if len(clips):
        fewer = int((clips < CLIPS_PER_VIDEO).sum())
        facts.append(
            f"Clips of a picture's own: {clips.min()} to {clips.max()}, median {np.median(clips):g}; "
            f"{fewer:,} of {len(clips):,} pictures have fewer than {CLIPS_PER_VIDEO}."
        )
    skipped = sum(info.skipped.values())
    facts.append(f"Skipped or short while preparing: {skipped:,}." if skipped else "Nothing was skipped.")
    test = labels.picture_split == SPLITS.index("test")
    heard_of = np.isin(labels.picture_group[test], labels.picture_group[~test])
    if heard_of.any():
        facts.append(
            f"{int(heard_of.sum()):,} of {len(heard_of):,} test pictures are of a recording that training or "
            "validation data are cut from, too: so the data are split."
        )
    rows = []
    for index, split in enumerate(SPLITS):
        inside, heard = labels.picture_split == index, labels.clip_split == index
        counts = np.bincount(labels.clip_material[heard], minlength=len(MATERIALS))
        missing = [material.name for material in MATERIALS if not counts[material.id]]
        groups = len(set(labels.picture_group[inside]) | set(labels.clip_group[heard]))
        sizes = (f"{int(inside.sum()):,}", f"{int(heard.sum()):,}", f"{groups:,}")
        rows.append((split, ", ".join(missing) or "none", *sizes))
    blocks = [
        bullets(facts),
        "Counts as prepared; runs validated in another way draw their validation data anew from all but test data.",
        table(("Split", "Materials without a clip", "Pictures", "Clips", "Recordings"), rows, words=2),
    ]
    if skipped:
        reasons = ((code(reason), f"{count:,}") for reason, count in info.skipped.items())
        blocks.append(table(("Skipped or short because", "Count"), reasons))
    return blocks


def _runs(dataset: Dataset, groups: Sequence[Group]) -> list[str]:
    runs = [(at, group, run) for group in groups for at, run in zip(group.numbers, group.runs, strict=True)]
    if not runs:
        return ["Nothing was run."]
    runs.sort(key=lambda entry: entry[0])
    rows = (
        (
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
        for at, group, run in runs
    )
    header = (
        "Run",
        "Recipe",
        "System",
        "Networks",
        "Validation",
        "Checkpoint",
        "Seed",
        "Epochs",
        "Seconds",
        "Samples/s",
    )
    seconds = sum(run.seconds for _, _, run in runs)
    blocks = [
        table(header, rows, words=6),
        f"{len(runs):,} runs took {seconds:,.0f} s in all.",
        bullets(
            [
                *_shared("Device", runs, lambda run: code(run.device)),
                *_shared("Precision", runs, lambda run: code(run.precision)),
                *_shared(
                    "Versions", runs, lambda run: ", ".join(f"{k} {code(v)}" for k, v in run.versions.items())
                ),
            ]
        ),
    ]
    foreign = [(at, run) for at, _, run in runs if run.dataset != dataset.info.id]
    if foreign:
        told = ", ".join(f"run {at} on {code(run.dataset)}" for at, run in foreign)
        blocks.append(f"Trained on other data than the dataset above: {told}.")
    return [*blocks, *rests_on(groups)]


def _shared(
    title: str, runs: Sequence[tuple[int, Group, RunResult]], told: Callable[[RunResult], str]
) -> list[str]:
    """What all runs have in common in a line, or a line for each different thing with the runs that have it."""
    having: dict[str, list[int]] = {}
    for at, _, run in runs:
        having.setdefault(told(run), []).append(at)
    if len(having) == 1:
        return [f"{title}: {next(iter(having))}."]
    return [f"{title}: {what} (runs {', '.join(map(str, numbers))})." for what, numbers in having.items()]


def _not_measured(groups: Sequence[Group]) -> list[str]:
    """The reasons that runs give for what they could not measure."""
    reasons = []
    for group in groups:
        for at, run in zip(group.numbers, group.runs, strict=True):
            for split, measures in (("validation", run.val), ("test", run.test)):
                parts = [measures, *(part for part in measures.values() if isinstance(part, dict))]
                reasons += [f"run {at}, {split} data: {code(part['none'])}" for part in parts if "none" in part]
    return ["Not measured:", bullets(reasons)] if reasons else []
