"""The tables: the paper's values beside ours, validation minus test, and what the paper should have measured."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from model.materials import MATERIALS
from training.data.dataset import Validation
from training.measures.records import MaterialMeasures, Measured, RetrievalMeasures, Truth, Way
from training.reproduction.report.cells import (
    FIRM,
    NOT_MEASURED,
    SPLITS,
    Read,
    by_seed,
    cell,
    coverage_at,
    hubness_skew,
    mean_average_precision,
    ndcg,
    precision_at,
    rate,
    retrieved,
    share,
    signed_share,
    span,
    spread,
    values,
)
from training.reproduction.report.groups import KINDS, NOT_RUN, Group, of_paper, or_none
from training.reproduction.report.page import code, table
from training.reproduction.report.paper import TABLES, Row, Table

TITLES: dict[Truth, str] = {
    "own_clips": "By the materials of the picture's own clips",
    "all_events": "By all materials known to be in the picture",
}
_NAMES = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}
_K = ("1", "5", "10", "25", "50")
_WAYS: tuple[Way, ...] = ("micro", "macro")


@dataclass(frozen=True)
class Shown:
    """A table in Markdown, and the groups of runs behind it."""

    table: str
    groups: Sequence[Group]


@dataclass(frozen=True)
class PaperTable(Shown):
    """One of Tables 2 to 5."""

    paper: Table


@dataclass(frozen=True)
class Judged:
    """The recommended sounds by one truth: three tables."""

    truth: Truth
    ranking: str
    coverage: str
    by_material: str


@dataclass(frozen=True)
class Recommended:
    """What the paper should have shown: recommendations over all test pictures, and fair measures of the rest."""

    truths: Sequence[Judged]
    groups: Sequence[Group]
    sound: Shown
    visual: Shown


def paper_tables(groups: Sequence[Group]) -> list[PaperTable]:
    """Tables 2 to 5."""
    return [_paper_table(each, groups) for each in TABLES]


def _paper_table(of: Table, groups: Sequence[Group]) -> PaperTable:
    """The paper's line and below it ours, one for each recipe and way of validating that was run."""
    visual = of.system == "visual"
    ran: list[Validation] = [
        kind for kind in KINDS if any(group.validation == kind for group in groups if group.role == "paper")
    ]
    rows, used = [], []
    for theirs in of.rows:
        first = [theirs.network, *([_loss(theirs)] if visual else [])]
        printed = [f"{of_split[name]:.4f}" for of_split in (theirs.val, theirs.test) for name in of.measures]
        rows.append([*first, "**paper**", "not said", *printed])
        kinds: list[Validation | None] = [*ran] or [None]
        for kind in kinds:
            ours = of_paper(groups, of.system, theirs.network, theirs.weighted, kind)
            for group in or_none(ours):
                who = "Thud" if group is None else f"Thud, {code(group.name)}"
                val = [cell(group, "val", rate(name)) for name in of.measures]
                test = [cell(group, "test", rate(name)) for name in of.measures]
                rows.append([*first, who, KINDS[kind] if kind else NOT_RUN, *val, *test])
            used += ours
    measures = [f"{split} {_NAMES[name]}" for split in ("Validation", "Test") for name in of.measures]
    header = ["Network", *(["Loss"] if visual else []), "Result", "Validation drawn", *measures]
    return PaperTable(table(header, rows, words=len(header) - len(measures)), used, of)


def flattery(groups: Sequence[Group]) -> Shown:
    """Validation minus test, the paper's and ours."""
    rows, used = [], []
    for of in TABLES:
        for name in (name for name in ("accuracy", "f1") if name in of.measures):
            for theirs in of.rows:
                cells = [_apart([theirs.val[name]], [theirs.test[name]])]
                for kind in KINDS:
                    ours = of_paper(groups, of.system, theirs.network, theirs.weighted, kind)
                    cells.append("; ".join(_gap(group, rate(name)) for group in ours) or NOT_RUN)
                    used += ours
                system = f"{of.label}, {_loss(theirs)}" if of.system == "visual" else of.label
                rows.append([system, theirs.network, _NAMES[name], *cells])
    header = ["System", "Network", "Measure", "Paper", *(kind.capitalize() for kind in KINDS.values())]
    return Shown(table(header, rows, words=3), used)


def what_the_paper_should_have(groups: Sequence[Group]) -> Recommended:
    """The recommended sounds, and the other systems fairly measured. Ablation runs have a section of their own."""
    whole = [group for group in groups if group.role != "ablation"]
    towers = [group for group in whole if group.system == "tt_agg"]
    truths = [
        Judged(truth, _ranking(towers, truth), _coverage(towers, truth), _by_material(towers, truth))
        for truth in TITLES
    ]
    heard = [group for group in whole if group.system in {"sound", "fc_agg"}]
    fair = [
        [
            *_who(group),
            *(cell(group, "val", rate(name)) for name in ("accuracy", "macro_accuracy")),
            *(cell(group, "test", rate(name)) for name in ("accuracy", "macro_accuracy")),
        ]
        for group in or_none(heard)
    ]
    measures = [f"{split} {name}" for split in ("Validation", "Test") for name in ("accuracy", "macro accuracy")]
    sound = Shown(table(["Recipe", "Validation", *measures], fair, words=2), heard)
    seen = [group for group in whole if group.system == "visual"]
    rows = [
        [
            *_who(group),
            cell(group, "val", rate("map")),
            cell(group, "test", rate("accuracy")),
            cell(group, "test", rate("map")),
        ]
        for group in or_none(seen)
    ]
    header = ["Recipe", "Validation", "Validation mAP", "Test accuracy", "Test mAP"]
    return Recommended(truths, towers, sound, Shown(table(header, rows, words=2), seen))


def _ranking(groups: Sequence[Group], truth: Truth) -> str:
    rows = []
    for group, way in _each(groups):
        reads = [*(precision_at(truth, k, way) for k in _K), mean_average_precision(truth, way), ndcg(truth, way)]
        chance = [] if group is None else by_seed(group, "test", retrieved(truth, _chance(way))).values()
        drawn = NOT_RUN if group is None else span([one.value for one in chance])
        rows.append([*_who(group), way, *(cell(group, "test", read) for read in reads), drawn])
    header = ["Recipe", "Validation", "Mean", *(f"P@{k}" for k in _K), "mAP", "nDCG@10", "Chance"]
    return table(header, rows, words=3)


def _coverage(groups: Sequence[Group], truth: Truth) -> str:
    rows = []
    for group, way in _each(groups):
        reads = [*(coverage_at(truth, k, way) for k in _K), hubness_skew]
        rows.append([*_who(group), way, *(cell(group, "test", read) for read in reads)])
    return table(["Recipe", "Validation", "Mean", *(f"Coverage@{k}" for k in _K), "Hubness skew"], rows, words=3)


def _by_material(groups: Sequence[Group], truth: Truth) -> str:
    """A column a group. Chance depends on which clips are left to train on, and so on the way of validating."""
    rows = []
    for material in MATERIALS:
        found = [one for group in groups for one in _of_material(group, truth, material.name)]
        if not found:
            continue
        counts = sorted({one.pictures for one in found})

        def at_ten(measures: RetrievalMeasures, name: str = material.name) -> Measured | None:
            one = measures.by_material.get(name)
            return None if one is None or one.p_at_10 is None else Measured(one.p_at_10, one.interval)

        cells = [cell(group, "test", retrieved(truth, at_ten)) for group in groups]
        rows.append([material.name, " or ".join(map(str, counts)), span([one.chance for one in found]), *cells])
    if not rows:
        rows = [[NOT_RUN] * 3 + [""] * len(groups)]
    header = ["Material", "Test pictures", "Chance", *(f"{code(group.name)}, {group.kind}" for group in groups)]
    return table(header, rows)


def _of_material(group: Group, truth: Truth, name: str) -> list[MaterialMeasures]:
    """What each run gave for the pictures of one material."""
    found = [run.test.recommended for run in group.runs]
    return [each.by(truth).by_material[name] for each in found if each and name in each.by(truth).by_material]


def _chance(way: Way) -> Callable[[RetrievalMeasures], Measured]:
    return lambda found: found.chance.by(way)


def _gap(group: Group, read: Read) -> str:
    val, test = (values(by_seed(group, split, read)) for split in SPLITS)
    common = sorted(val.keys() & test.keys())
    return _apart([val[seed] for seed in common], [test[seed] for seed in common])


def _apart(val: Sequence[float], test: Sequence[float]) -> str:
    """Mean of validation minus test, and the means of both."""
    if not val:
        return NOT_MEASURED
    apart = [one - other for one, other in zip(val, test, strict=True)]
    gap = signed_share(apart[0]) if len(apart) == 1 else spread(apart, signed=True)
    return f"{gap} ({share(fmean(val))}{FIRM}−{FIRM}{share(fmean(test))})"


def _loss(row: Row) -> str:
    return "weighted" if row.weighted else "unweighted"


def _each(groups: Sequence[Group]) -> Iterator[tuple[Group | None, Way]]:
    for group in or_none(groups):
        for way in _WAYS:
            yield group, way


def _who(group: Group | None) -> list[str]:
    return [NOT_RUN, NOT_RUN] if group is None else [code(group.name), group.kind]
