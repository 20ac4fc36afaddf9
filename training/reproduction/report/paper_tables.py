"""Tables 2 to 5, the paper's values beside ours, and how far validation and test lie apart."""

from collections.abc import Iterator, Sequence
from statistics import fmean

from training.data.dataset import Validation
from training.reproduction.report.groups import (
    FIRM,
    KINDS,
    NOT_MEASURED,
    NOT_RUN,
    Group,
    by_seed,
    cell,
    of_paper,
    or_none,
    share,
    signed_share,
    spread,
)
from training.reproduction.report.page import code, rests_on, table
from training.reproduction.report.paper import TABLES, Row, Table

_TITLES = {"accuracy": "accuracy", "precision": "precision", "recall": "recall", "f1": "F1"}


def paper_tables(groups: Sequence[Group]) -> list[str]:
    """The section with Tables 2 to 5, as blocks of Markdown."""
    return [block for each in TABLES for block in _table(each, groups)]


def _table(of: Table, groups: Sequence[Group]) -> Iterator[str]:
    """The paper's line and below it ours, one for each recipe and way of validating that was run."""
    visual = of.system == "visual"
    yield f"### Table {of.number}. {of.title}"
    ran: list[Validation] = [
        kind for kind in KINDS if any(group.validation == kind for group in groups if group.role == "paper")
    ]
    rows, used = [], []
    for theirs in of.rows:
        first = [theirs.network, *([_loss(theirs)] if visual else [])]
        printed = [f"{values[name]:.4f}" for values in (theirs.val, theirs.test) for name in of.measures]
        rows.append([*first, "**paper**", "not said", *printed])
        kinds: list[Validation | None] = [*ran] or [None]
        for kind in kinds:
            ours = of_paper(groups, of.system, theirs.network, theirs.weighted, kind)
            for group in or_none(ours):
                who = "Thud" if group is None else f"Thud, {code(group.name)}"
                values = [cell(group, split, *of.within, name) for split in ("val", "test") for name in of.measures]
                rows.append([*first, who, KINDS[kind] if kind else NOT_RUN, *values])
            used += ours
    measures = [f"{split} {_TITLES[name]}" for split in ("Validation", "Test") for name in of.measures]
    header = ["Network", *(["Loss"] if visual else []), "Result", "Validation drawn", *measures]
    yield table(header, rows, words=len(header) - len(measures))
    yield from rests_on(used)


def flattery(groups: Sequence[Group]) -> list[str]:
    """The section on validation minus test, as blocks of Markdown."""
    rows, used = [], []
    for of in TABLES:
        for name in ("accuracy", "f1"):
            if name not in of.measures:
                continue
            for theirs in of.rows:
                cells = [_apart([theirs.val[name]], [theirs.test[name]])]
                for kind in KINDS:
                    ours = of_paper(groups, of.system, theirs.network, theirs.weighted, kind)
                    cells.append("; ".join(_gap(group, *of.within, name) for group in ours) or NOT_RUN)
                    used += ours
                system = f"{of.label}, {_loss(theirs)}" if of.system == "visual" else of.label
                rows.append([system, theirs.network, _TITLES[name], *cells])
    header = ["System", "Network", "Measure", "Paper", *(kind.capitalize() for kind in KINDS.values())]
    return [
        "Validation minus test, and in parentheses both. Drawn sample by sample, validation data share their "
        "videos and pictures with the training data, and a model that has learned those by heart looks good. Drawn "
        "by video, they share recordings that several videos were cut from; drawn by recording, not even those. "
        "Where test data share recordings with training data (section 1), validation by recording is the stricter "
        "of the two, and a gap of 0 is no proof that nothing flatters.",
        table(header, rows, words=3),
        *rests_on(used),
    ]


def _gap(group: Group, *keys: str) -> str:
    val, test = by_seed(group, "val", *keys), by_seed(group, "test", *keys)
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
