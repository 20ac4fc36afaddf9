"""Runs put together that differ in nothing but the seed, and which of the paper's systems they are."""

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from model.errors import TrainingError
from training.data.dataset import Validation
from training.measures.results import RunResult
from training.reproduction.report.paper import NETWORKS, Network

KINDS: dict[Validation, str] = {"sample": "sample-level", "video": "by video", "recording": "by recording"}
"""How validation data were drawn, the paper's way first."""

NOT_RUN = "not run"

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
    def weights(self) -> str:
        """What the networks start from, in words."""
        kinds = [str(self.recipe.get(f"{tower}_weights", "none")) for tower in ("image", "sound")]
        named = ["random weights" if kind == "none" else "ImageNet's weights" for kind in kinds]
        return named[0] if named[0] == named[1] else f"{named[0]} for pictures and {named[1]} for sounds"

    @property
    def numbered(self) -> list[tuple[int, RunResult]]:
        """The runs, each with its number in the report."""
        return list(zip(self.numbers, self.runs, strict=True))

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
