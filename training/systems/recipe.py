"""Recipes: what is trained and how, as small TOML files. Code knows none of them by name."""

import tomllib
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from model.bundle import ClipSpec
from model.errors import TrainingError
from training.systems.augment_pictures import PictureAugment
from training.systems.augment_sounds import SoundAugment
from training.systems.losses import LOSSES

SystemName = Literal["sound", "visual", "fc_agg", "tt_agg"]

SHORTEST_WINDOW = 0.01
"""Seconds of a clip that are something to hear at all."""


_OF_GRIDS = ("pictures_per_batch", "balance", "positives", "uncertain")
_OF_TOWERS = ("sampling", "loss", "log_q", "heads")


class Recipe(BaseModel):
    """One way of training one of the paper's systems. The defaults are the paper's (3.2 to 3.4), its gaps filled.

    Momentum, weight decay and batch size are not stated in the paper: torch's defaults for the first two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    name: str = Field(min_length=1)
    system: SystemName = "tt_agg"

    image_network: str = "resnet18"
    sound_network: str = "resnet18"
    image_weights: Literal["none", "imagenet"] = "none"
    sound_weights: Literal["none", "imagenet"] = "none"
    dropout: float | None = Field(
        None, ge=0.0, lt=1.0, description="of every dropout layer; the network's own if unset"
    )
    before: float | None = Field(
        None, ge=0.0, description="seconds of sound before the hit; all there are if unset"
    )
    after: float | None = Field(None, gt=0.0, description="seconds of sound after the hit; all there are if unset")
    highest_hertz: float | None = Field(None, ge=1000.0, description="of the log-mel; else half the sample rate")

    epochs: int = Field(30, ge=1)
    patience: int = Field(0, ge=0, description="epochs without a better validation before stopping; 0 = never stop")
    batch_size: int = Field(32, ge=2, description="samples a step: clips, pairs, or pictures of the visual network")
    sampling: Literal["pairs", "grid"] = Field(
        "pairs", description="tt_agg: the paper's drawn pairs, or every picture of a batch with each of its sounds"
    )
    pictures_per_batch: int = Field(64, ge=2, description="of a grid")
    balance: bool = Field(False, description="grid: every material equally often")
    positives: Literal["across", "own"] = Field(
        "across", description="grid: clips of any video, or of its own alone"
    )
    uncertain: Literal["negative", "masked"] = Field(
        "negative",
        description="grid: what a material counts as that other events of the video have, not the picture's clips",
    )
    clips_per_picture: int = Field(10, ge=1, description="clips drawn for a picture that has none of its own")

    loss: str = Field("pair", description="of tt_agg, one of training.systems.losses.LOSSES")
    log_q: float = Field(0.0, ge=0.0, le=1.0, description="softmax: share of the sampling-bias correction")
    log_q_by: Literal["sound", "material"] = "sound"
    heads: float = Field(0.0, ge=0.0, description="weight of auxiliary material heads on both towers")
    weighted: bool = Field(False, description="visual: weigh positive labels by how rare they are (pos_weight)")

    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(0.01, gt=0.0)
    backbone_rate: float = Field(1.0, gt=0.0, le=1.0, description="factor on the rate of pretrained layers")
    momentum: float = Field(0.0, ge=0.0, lt=1.0, description="of sgd")
    weight_decay: float = Field(0.0, ge=0.0)
    schedule: Literal["constant", "cosine"] = "constant"
    warm_up: float = Field(0.0, ge=0.0, lt=1.0, description="share of all steps over which the rate rises")
    average: float = Field(
        0.0, ge=0.0, lt=1.0, description="decay of an exponential average of the weights; 0 = none"
    )

    pictures: PictureAugment = PictureAugment()
    sounds: SoundAugment = SoundAugment()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.loss not in LOSSES:
            raise ValueError(f"no loss named {self.loss!r}; there are {', '.join(LOSSES)}")
        if self.log_q and self.loss != "softmax":
            raise ValueError("log_q corrects the softmax loss alone")
        if self.log_q_by != "sound" and not self.log_q:
            raise ValueError("log_q_by says nothing here: log_q is 0")
        for keys, read, where in (
            (_OF_GRIDS, self.system == "tt_agg" and self.sampling == "grid", "a grid of tt_agg"),
            (_OF_TOWERS, self.system == "tt_agg", "tt_agg"),
            (("weighted",), self.system == "visual", "the visual network"),
            (("momentum",), self.optimizer == "sgd", "sgd"),
            (("uncertain",), self.positives == "across", "positives across videos"),
        ):
            set_ = [key for key in keys if getattr(self, key) != type(self).model_fields[key].default]
            if set_ and not read:
                raise ValueError(f"{set_[0]} says nothing here: only {where} reads it")
        return self

    @property
    def hears(self) -> bool:
        """Whether the system has a sound network."""
        return self.system != "visual"

    @property
    def sees(self) -> bool:
        """Whether the system has an image network."""
        return self.system != "sound"


def recipe_names() -> list[str]:
    """Names of the recipes that ship with Thud."""
    return sorted(
        entry.name.removesuffix(".toml") for entry in _shipped().iterdir() if entry.name.endswith(".toml")
    )


def load_recipe(name_or_file: str) -> Recipe:
    """A recipe by the name it ships under, or from a TOML file. Raises TrainingError naming the wrong key.

    A recipe may name another as its `base`: it takes that one's keys but for those that it gives itself. A base
    that is a file is looked for from the folder of the recipe that names it.
    """
    try:
        return Recipe.model_validate(_read(name_or_file, ()))
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        message = first["msg"].removeprefix("Value error, ")
        raise TrainingError(f"the recipe {name_or_file}: {key + ': ' if key else ''}{message}") from error


def _read(name_or_file: str, above: tuple[str, ...]) -> dict[str, Any]:
    """The keys of a recipe, with those of its base; `above` are the recipes that it is the base of."""
    if name_or_file in above:
        raise TrainingError(f"the recipe {name_or_file} is its own base")
    try:
        if name_or_file.endswith(".toml"):
            text = Path(name_or_file).read_text(encoding="utf-8")
        elif name_or_file in recipe_names():
            text = (_shipped() / f"{name_or_file}.toml").read_text(encoding="utf-8")
        else:
            raise TrainingError(
                f"no recipe {name_or_file!r}; there are {', '.join(recipe_names())}, or a .toml file"
            )
        keys = tomllib.loads(text)
    except OSError as error:
        raise TrainingError(f"the recipe {name_or_file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"the recipe {name_or_file} is not TOML: {error}") from error
    if "base" not in keys:
        return keys
    base = str(keys.pop("base"))
    if base.endswith(".toml"):  # beside the recipe that names it
        base = str((Path(name_or_file).parent / base).resolve())
    return _over(_read(base, (*above, name_or_file)), keys)


def _over(base: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in changes.items():
        within = merged.get(key)
        merged[key] = _over(within, value) if isinstance(within, dict) and isinstance(value, dict) else value
    return merged


def _shipped() -> Traversable:
    return files("training.systems") / "recipes"


def clip_window(recipe: Recipe, stored: ClipSpec) -> ClipSpec:
    """The part of the stored clips that the recipe's networks hear. Raises TrainingError if they do not hold it."""
    before = stored.before if recipe.before is None else recipe.before
    after = stored.after if recipe.after is None else recipe.after
    if before > stored.before or after > stored.after:
        wider = f"--before {max(before, stored.before):g} --after {max(after, stored.after):g}"
        raise TrainingError(
            f"the recipe {recipe.name} hears {before:g} s before and {after:g} s after a hit, the dataset holds "
            f"{stored.before:g} and {stored.after:g}; prepare it with {wider}"
        )
    if recipe.highest_hertz is not None and recipe.highest_hertz > stored.sample_rate / 2:
        raise TrainingError(
            f"the recipe {recipe.name} hears up to {recipe.highest_hertz:g} Hz, the dataset's clips hold "
            f"{stored.sample_rate / 2:g} Hz at most; prepare it with --sample-rate {2 * recipe.highest_hertz:g}"
        )
    if before + after < SHORTEST_WINDOW:
        raise TrainingError(
            f"the recipe {recipe.name} hears {before + after:g} s of a clip; {SHORTEST_WINDOW:g} s are the least"
        )
    return ClipSpec(sample_rate=stored.sample_rate, before=before, after=after)
