"""A suite: which recipes are run with which seeds and ways of validation, as a small TOML file."""

import tomllib
from collections.abc import Sequence
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import TrainingError
from training.data.dataset import Validation
from training.loop.fit_options import Precision
from training.systems.recipe import Recipe, load_recipe


class Trial(NamedTuple):
    """One run of a suite."""

    recipe: str
    seed: int
    validation: Validation
    epochs: int | None = None
    precision: Precision = "auto"

    def load(self) -> Recipe:
        """The recipe with the epochs asked for."""
        recipe = load_recipe(self.recipe)
        return recipe if self.epochs is None else recipe.model_copy(update={"epochs": self.epochs})

    @property
    def name(self) -> str:
        """The name of its folder."""
        return f"{Path(self.recipe).stem}.{self.validation}.{self.seed}"


class _Runs(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    recipe: str
    seeds: list[int] = Field([0], min_length=1)
    validation: list[Validation] = Field(["recording"], min_length=1)


class Suite(BaseModel):
    """A suite's file: tables `[[runs]]` with `recipe`, `seeds` (one, 0) and `validation` (by recording)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    runs: list[_Runs] = Field(min_length=1)

    def trials(
        self,
        only: tuple[str, ...] = (),
        epochs: tuple[tuple[str, int], ...] = (),
        precisions: tuple[tuple[str, Precision], ...] = (),
    ) -> list[Trial]:
        """All runs in order; of the recipes that match a pattern of `only`, if there are any.

        `epochs` are patterns of recipes with what to train them for instead of what they say, `precisions` with
        that of their networks; the last pattern that matches counts. Raises TrainingError for a recipe that is not
        there, or a pattern that matches none.
        """
        for pattern in (*only, *(pattern for pattern, _ in (*epochs, *precisions))):
            if not any(fnmatch(run.recipe, pattern) for run in self.runs):
                there = ", ".join(dict.fromkeys(run.recipe for run in self.runs))
                raise TrainingError(f"no recipe of the suite matches {pattern!r}; it has {there}")
        trials: list[Trial] = []
        for run in self.runs:
            if only and not any(fnmatch(run.recipe, pattern) for pattern in only):
                continue
            load_recipe(run.recipe)  # an error now rather than hours later
            counts = [count for pattern, count in epochs if fnmatch(run.recipe, pattern)]
            asked: list[Precision] = [asked for pattern, asked in precisions if fnmatch(run.recipe, pattern)]
            trials += [
                Trial(
                    run.recipe,
                    seed,
                    validation,
                    counts[-1] if counts else None,
                    asked[-1] if asked else "auto",
                )
                for validation in run.validation
                for seed in run.seeds
            ]
        names = [trial.name for trial in trials]
        if twice := next((name for name in names if names.count(name) > 1), None):
            raise TrainingError(f"the suite holds the run {twice} twice")
        return trials


def joined(suites: Sequence[Suite]) -> Suite:
    """All runs of the suites; what several of them ask for stands once."""
    runs: list[_Runs] = []
    for run in (run for suite in suites for run in suite.runs):
        same = [other for other in runs if other.recipe == run.recipe]
        for validation in run.validation:
            held = {seed for other in same if validation in other.validation for seed in other.seeds}
            if seeds := [seed for seed in run.seeds if seed not in held]:
                runs.append(_Runs(recipe=run.recipe, seeds=seeds, validation=[validation]))
    return Suite(runs=runs)


def suite_names() -> list[str]:
    """Names of the suites that ship with Thud."""
    folder = files("training.reproduction") / "suites"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_suite(name_or_file: str) -> Suite:
    """A suite by the name it ships under, or from a TOML file. Raises TrainingError naming what is wrong."""
    try:
        if name_or_file.endswith(".toml"):
            text = Path(name_or_file).read_text(encoding="utf-8")
        elif name_or_file in suite_names():
            text = (files("training.reproduction") / "suites" / f"{name_or_file}.toml").read_text(encoding="utf-8")
        else:
            raise TrainingError(f"no suite {name_or_file!r}; there are {', '.join(suite_names())}, or a .toml file")
        return Suite.model_validate(tomllib.loads(text))
    except OSError as error:
        raise TrainingError(f"the suite {name_or_file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"the suite {name_or_file} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise TrainingError(
            f"the suite {name_or_file}: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error
