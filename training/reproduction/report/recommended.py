"""What the paper should have shown: recommended sounds over all test pictures, and fair measures of the rest."""

from collections.abc import Iterator, Sequence

from model.materials import MATERIALS
from training.reproduction.report.groups import (
    NOT_MEASURED,
    NOT_RUN,
    Group,
    by_seed,
    cell,
    lookup,
    number,
    or_none,
    share,
)
from training.reproduction.report.page import code, rests_on, table

TRUTHS = {
    "own_clips": "By the materials of the picture's own clips",
    "all_events": "By all materials known to be in the picture",
}
_EXPLAINED = {
    "own_clips": "A sound is good if its material is that of one of the picture's own clips: the paper's label of "
    "a picture (3.3.2). Materials that were struck but not drawn count as wrong.",
    "all_events": "A sound is good if its material occurs in any labelled event of the picture's video, drawn or "
    "not: nearer to what the picture shows.",
}
K = ("1", "5", "10", "25", "50")
_MEANS = ("micro", "macro")


def recommendations(groups: Sequence[Group]) -> list[str]:
    """The section, as blocks of Markdown. Ablation runs are left to their own section."""
    shown = [group for group in groups if group.system == "tt_agg" and group.role != "ablation"]
    blocks = [
        "All test pictures are asked for sounds among the training sounds (paper, 3.5). *Micro* is the mean over "
        "pictures; *macro* the mean over materials of the mean over the pictures with the material, so that rare "
        "materials count as much as wood; a picture of several materials counts for each of them, whichever its "
        "good sounds are of. *P@K* is the share of good sounds among the K nearest, *coverage@K* the share of the "
        "picture's materials that occur among them, and *chance* the precision of sounds drawn at random. "
        "*Hubness skew* is the skewness of how often each sound is among the 10 nearest: 0 if all are "
        "recommended equally often. Ablation runs are not in these tables: they are judged on validation data.",
    ]
    for truth, title in TRUTHS.items():
        blocks += [f"### {title}", _EXPLAINED[truth]]
        blocks += [
            "Precision and ranking, test pictures:",
            _ranking(shown, truth),
            "Coverage and hubness, test pictures:",
            _coverage(shown, truth),
            "P@10 by material, test pictures:",
            _by_material(shown, truth),
            *rests_on(shown),
        ]
    return [*blocks, *_other_systems(groups)]


def _ranking(groups: Sequence[Group], truth: str) -> str:
    rows = []
    for group, at in _each(groups):
        where = ("recommend", truth)
        keys = [*(("p_at", k) for k in K), ("map",), ("ndcg_at_10",)]
        values = [cell(group, "test", *where, *key, at) for key in keys]
        chance = [] if group is None else list(by_seed(group, "test", *where, "chance", at).values())
        rows.append([*_who(group), at, *values, NOT_RUN if group is None else _range(chance)])
    header = ["Recipe", "Validation", "Mean", *(f"P@{k}" for k in K), "mAP", "nDCG@10", "Chance"]
    return table(header, rows, words=3)


def _coverage(groups: Sequence[Group], truth: str) -> str:
    rows = []
    for group, at in _each(groups):
        values = [cell(group, "test", "recommend", truth, "coverage_at", k, at) for k in K]
        rows.append([*_who(group), at, *values, cell(group, "test", "recommend", "hubness_skew")])
    return table(["Recipe", "Validation", "Mean", *(f"Coverage@{k}" for k in K), "Hubness skew"], rows, words=3)


def _by_material(groups: Sequence[Group], truth: str) -> str:
    where = ("recommend", truth, "by_material")
    rows = []
    for material in MATERIALS:
        having = [group for group in groups if _first(group, *where, material.name, "pictures")]
        if not having:
            continue
        counts = sorted({int(_first(group, *where, material.name, "pictures")) for group in having})
        chance = [number(run.test, *where, material.name, "chance") for group in having for run in group.runs]
        known = [value for value in chance if value is not None]
        keys = (*where, material.name, "p_at_10")
        cells = [cell(group, "test", *keys, interval="interval") for group in groups]
        rows.append([material.name, " or ".join(map(str, counts)), _range(known), *cells])
    if not rows:
        rows = [[NOT_RUN] * 3]
    header = ["Material", "Test pictures", "Chance", *(f"{code(group.name)}, {group.kind}" for group in groups)]
    return table(header, (row[: len(header)] + [""] * (len(header) - len(row)) for row in rows))


def _range(values: Sequence[float]) -> str:
    """Chance depends on which clips are left to train on, so it may differ between the ways of validating."""
    if not values:
        return NOT_MEASURED
    low, high = share(min(values)), share(max(values))
    return low if low == high else f"{low} to {high}"


def _other_systems(groups: Sequence[Group]) -> Iterator[str]:
    yield "### The other systems, fairly measured"
    yield (
        "Accuracy favours common materials; *macro accuracy* is the mean over materials. Of the visual network, "
        "accuracy says little, because most labels are 0 and answering 0 throughout is right most of the time; "
        "*mAP* is the mean over materials of the average precision over pictures."
    )
    heard = [group for group in groups if group.system in {"sound", "fc_agg"} and group.role != "ablation"]
    keys = [(split, name) for split in ("val", "test") for name in ("accuracy", "macro_accuracy")]
    rows = [
        [*_who(group), *(cell(group, "val" if split == "val" else "test", name) for split, name in keys)]
        for group in or_none(heard)
    ]
    measures = [f"{split} {name}" for split in ("Validation", "Test") for name in ("accuracy", "macro accuracy")]
    yield table(["Recipe", "Validation", *measures], rows, words=2)
    yield from rests_on(heard)
    seen = [group for group in groups if group.system == "visual" and group.role != "ablation"]
    rows = [
        [*_who(group), cell(group, "val", "map"), cell(group, "test", "accuracy"), cell(group, "test", "map")]
        for group in or_none(seen)
    ]
    yield table(["Recipe", "Validation", "Validation mAP", "Test accuracy", "Test mAP"], rows, words=2)
    yield from rests_on(seen)


def _each(groups: Sequence[Group]) -> Iterator[tuple[Group | None, str]]:
    for group in or_none(groups):
        for mean in _MEANS:
            yield group, mean


def _who(group: Group | None) -> list[str]:
    return [NOT_RUN, NOT_RUN] if group is None else [code(group.name), group.kind]


def _first(group: Group, *keys: str) -> float:
    """The first run's number that is there, 0 if none is."""
    return next((float(found) for run in group.runs if (found := lookup(run.test, keys)) is not None), 0.0)
