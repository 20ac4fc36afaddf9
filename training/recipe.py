"""Recipes: how a two-tower network is fitted, as small TOML files. Code knows none of them by name."""

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from model.errors import TrainingError


class Recipe(BaseModel):
    """One way of fitting TT_AGG. The defaults are the paper's (3.2 to 3.4), its gaps filled as noted.

    Momentum, weight decay and batch size are not stated in the paper: torch's defaults for the first two.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(min_length=1)
    image_network: str = "resnet18"
    sound_network: str = "resnet18"
    epochs: int = Field(30, ge=1)
    batch_size: int = Field(32, ge=2)
    loss: str = Field("pair", description="one of training.losses.LOSSES")
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(0.01, gt=0.0, allow_inf_nan=False)
    momentum: float = Field(0.0, ge=0.0, lt=1.0, description="of sgd")
    weight_decay: float = Field(0.0, ge=0.0)
    clips_per_picture: int = Field(10, ge=1, description="clips drawn for a picture that has none of its own")
    flip: float = Field(0.5, ge=0.0, le=1.0, description="probability of a horizontal flip of the picture")


def recipe_names() -> list[str]:
    """Names of the recipes that ship with Thud."""
    folder = files("training") / "recipes"
    return sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))


def load_recipe(name_or_file: str) -> Recipe:
    """A recipe by the name it ships under, or from a TOML file. Raises TrainingError naming the wrong key."""
    try:
        if name_or_file.endswith(".toml"):
            text = Path(name_or_file).read_text(encoding="utf-8")
        elif name_or_file in recipe_names():
            text = (files("training") / "recipes" / f"{name_or_file}.toml").read_text(encoding="utf-8")
        else:
            raise TrainingError(
                f"no recipe {name_or_file!r}; there are {', '.join(recipe_names())}, or a .toml file"
            )
        return Recipe.model_validate(tomllib.loads(text))
    except OSError as error:
        raise TrainingError(f"the recipe {name_or_file} cannot be read: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise TrainingError(f"the recipe {name_or_file} is not TOML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        key = ".".join(map(str, first["loc"]))
        raise TrainingError(f"the recipe {name_or_file}: {key}: {first['msg']}") from error
