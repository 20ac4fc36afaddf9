"""What was run: the data, the machine, and every run with the command that repeats it."""

from collections.abc import Callable, Sequence

import numpy as np

from model.materials import MATERIALS
from training.dataset import SPLITS, Dataset
from training.report.differences import clips_per_picture, differences
from training.report.groups import Group
from training.report.markdown import bullets, code, rests_on, table
from training.report.paper import CLIPS_PER_VIDEO
from training.results import RunResult


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
