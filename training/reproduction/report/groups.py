"""Runs put together that differ in nothing but the seed, and which of the paper's systems they are."""

import json
import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, Literal

from matplotlib.figure import Figure

from model.errors import TrainingError
from training.data.dataset import Validation
from training.measures.results import RunResult
from training.reproduction.report.paper import NETWORKS, Network

KINDS: dict[Validation, str] = {"sample": "sample-level", "video": "by video", "recording": "by recording"}
"""How validation data were drawn, the paper's way first."""

Role = Literal["paper", "ours", "ablation"]
_ROLES: tuple[Role, ...] = ("paper", "ours", "ablation")
_SYSTEMS = ("sound", "visual", "fc_agg", "tt_agg")


@dataclass(frozen=True)
class Group:
    """Runs of one recipe on one dataset with one way of validating, by seed. `numbers` are theirs in the report."""

    runs: tuple[RunResult, ...]
    numbers: tuple[int, ...]

    @property
    def recipe(self) -> dict[str, Any]:
        """The recipe of all its runs."""
        return self.runs[0].recipe

    @property
    def name(self) -> str:
        """The recipe's name."""
        return self.runs[0].name

    @property
    def system(self) -> str:
        """The system that the recipe trains."""
        return self.runs[0].system

    @property
    def validation(self) -> Validation:
        """How the validation data were drawn."""
        return self.runs[0].validation

    @property
    def kind(self) -> str:
        """How the validation data were drawn, in words."""
        return KINDS[self.validation]

    @property
    def seeds(self) -> tuple[int, ...]:
        """The runs' seeds."""
        return tuple(run.seed for run in self.runs)

    @property
    def role(self) -> Role:
        """What the recipe is for, by how its name starts."""
        return _role(self.runs[0])

    @property
    def weighted(self) -> bool:
        """Whether positive labels weigh more (paper, 3.3.2)."""
        return bool(self.recipe.get("weighted", False))

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks that the system has: of the picture, of the sound."""
        keys = {"sound": ["sound_network"], "visual": ["image_network"]}.get(
            self.system, ["image_network", "sound_network"]
        )
        return tuple(str(self.recipe.get(key, "")) for key in keys)

    @property
    def network(self) -> Network | None:
        """Which of the paper's networks all of them are, if any."""
        for network in NETWORKS:
            if all(name.lower().startswith(network.lower()) for name in self.networks):
                return network
        return None

    def same_data(self, other: "Group") -> bool:
        """Whether the other's runs saw the same data and split."""
        return (self.runs[0].dataset, self.validation) == (other.runs[0].dataset, other.validation)


def group_runs(results: Sequence[RunResult]) -> list[Group]:
    """All runs in groups; their order does not depend on that of `results`.

    Raises TrainingError if two results are of the same run: a mean over them would count it twice.
    """
    ordered = sorted(results, key=_order)
    together: dict[str, list[tuple[int, RunResult]]] = {}
    for number, run in enumerate(ordered, start=1):
        key = json.dumps([run.recipe, run.dataset, run.validation], sort_keys=True)
        together.setdefault(key, []).append((number, run))
    groups = []
    for members in together.values():
        runs = tuple(run for _, run in members)
        for seed, count in Counter(run.seed for run in runs).items():
            if count > 1:
                raise TrainingError(
                    f"there are {count} results of the recipe {runs[0].name}, seed {seed}, "
                    f"validated {KINDS[runs[0].validation]}; a report takes one"
                )
        groups.append(Group(runs, tuple(number for number, _ in members)))
    return groups


def of_paper(
    groups: Iterable[Group],
    system: str,
    network: Network | None = None,
    weighted: bool = False,
    validation: Validation | None = None,
) -> list[Group]:
    """The groups of the paper's recipes for a system, of those on a network and validated in a way if given."""
    return [
        group
        for group in groups
        if group.role == "paper"
        and group.system == system
        and group.weighted == weighted
        and (group.network == network if network else group.network is not None)
        and validation in {None, group.validation}
    ]


def or_none(groups: Sequence[Group]) -> Sequence[Group | None]:
    """The groups, or None once where there are none: what a table has lines for."""
    return groups or [None]


def commonest_kind(groups: Iterable[Group]) -> Validation | None:
    """The way of validating that most of the groups have, of equals the one nearer to the paper's."""
    counts = Counter(group.validation for group in groups)
    if not counts:
        return None
    kinds: list[Validation] = list(KINDS)
    return max(kinds, key=counts.__getitem__)


def flat(recipe: dict[str, Any], above: str = "") -> dict[str, Any]:
    """A recipe's settings by key, those of its tables as `table.key`."""
    settings: dict[str, Any] = {}
    for key, value in recipe.items():
        settings |= flat(value, f"{above}{key}.") if isinstance(value, dict) else {f"{above}{key}": value}
    return settings


def _role(run: RunResult) -> Role:
    name = run.name
    return "paper" if name.startswith("paper") else "ablation" if name.startswith("ablation") else "ours"


def _order(run: RunResult) -> tuple[Any, ...]:
    content = json.dumps(run.recipe, sort_keys=True)
    system = _SYSTEMS.index(run.system) if run.system in _SYSTEMS else len(_SYSTEMS)
    kind = list(KINDS).index(run.validation)
    return (_ROLES.index(_role(run)), system, run.name, content, run.dataset, kind, run.seed, run.checkpoint)


NOT_RUN = "not run"
NOT_MEASURED = "not measured"

Measured = Literal["val", "test"]

FIRM = "\u00a0"  # a space at which no line breaks


def lookup(measures: Any, keys: Sequence[str]) -> Any:
    """What lies at `keys` in nested measures, None if there is nothing."""
    for key in keys:
        if not isinstance(measures, dict) or key not in measures:
            return None
        measures = measures[key]
    return measures


def number(measures: Any, *keys: str) -> float | None:
    """The finite number at `keys` in nested measures, None if there is none."""
    found = lookup(measures, keys)
    if isinstance(found, bool) or not isinstance(found, int | float) or not math.isfinite(found):
        return None
    return float(found)


def bounds(measures: Any, *keys: str) -> tuple[float, float] | None:
    """The interval at `keys` in nested measures, None if there is none."""
    found = lookup(measures, keys)
    if not isinstance(found, list) or len(found) != 2:
        return None
    low, high = (number({"end": end}, "end") for end in found)
    return None if low is None or high is None else (low, high)


def measured(run: RunResult, split: Measured) -> dict[str, Any]:
    """What the run measured on a split."""
    return run.val if split == "val" else run.test


def by_seed(group: Group, split: Measured, *keys: str) -> dict[int, float]:
    """The number at `keys` of each run that has it, by seed."""
    found = {run.seed: number(measured(run, split), *keys) for run in group.runs}
    return {seed: value for seed, value in found.items() if value is not None}


def cell(group: Group | None, split: Measured, *keys: str, interval: str | None = None) -> str:
    """The measure at `keys` of a group, in words.

    One run: the value and its interval, kept beside it as `<last key>_interval` or under the key `interval`.
    Several: mean ± standard deviation over the seeds, their number, and the mean of their intervals.
    """
    if group is None:
        return NOT_RUN
    values = spread(list(by_seed(group, split, *keys).values()))
    where = (*keys[:-1], interval or f"{keys[-1]}_interval")
    ends = [found for run in group.runs if (found := bounds(measured(run, split), *where))]
    return f"{values} {between(*map(fmean, zip(*ends, strict=True)))}" if ends else values


def spread(values: Sequence[float], *, signed: bool = False) -> str:
    """Mean ± standard deviation of several seeds' values, and their number."""
    if not values:
        return NOT_MEASURED
    mean = signed_share(fmean(values)) if signed else share(fmean(values))
    if len(values) == 1:
        return mean
    return f"{mean} ±{FIRM}{share(stdev(values))}{FIRM}(n={len(values)})"


def difference(ours: dict[int, float], theirs: dict[int, float]) -> str:
    """Mean difference over the seeds that both have."""
    common = sorted(ours.keys() & theirs.keys())
    return spread([ours[seed] - theirs[seed] for seed in common], signed=True)


def share(value: float) -> str:
    """Three decimals."""
    return f"{_rounded(value):.3f}".replace("-", "−")


def signed_share(value: float) -> str:
    """Three decimals, with its sign."""
    return f"{_rounded(value):+.3f}".replace("-", "−")


def between(low: float, high: float) -> str:
    """An interval."""
    return f"[{share(low)},{FIRM}{share(high)}]"


def _rounded(value: float) -> float:
    return round(value, 3) + 0.0  # no minus sign before a zero


@dataclass(frozen=True)
class Plate:
    """Figure `number` of the paper, redrawn. `figure` is None where nothing can be drawn; the caption says why."""

    number: int
    title: str
    caption: str
    alt: str = ""
    figure: Figure | None = None
    groups: Sequence[Group] = ()

    @property
    def file(self) -> str:
        """The figure's file, relative to the report."""
        return f"figures/figure-{self.number}.png"
