"""Small runs for the tests: a recipe that small networks finish in seconds, and commands as users start them."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import torch
from click.testing import CliRunner, Result

from thud import cli
from training.data.dataset import Dataset
from training.loop.checkpoint import Checkpoint
from training.loop.fit import fit
from training.loop.fit_options import FitOptions
from training.systems.recipe import Recipe

CPU = torch.device("cpu")
SHUFFLENET = {"image_network": "shufflenet_v2_x0_5", "sound_network": "shufflenet_v2_x0_5"}
SQUEEZENET = {"image_network": "squeezenet1_1", "sound_network": "squeezenet1_1", "dropout": 0.0}
"""Without batch normalisation and without chance: one process or several, the outputs are the same."""

PAIRS: dict[str, Any] = {
    "name": "tiny",
    **SHUFFLENET,
    "epochs": 3,
    "batch_size": 16,
    "learning_rate": 0.05,
    "momentum": 0.9,
}
GRID: dict[str, Any] = {
    **PAIRS,
    "name": "tiny-grid",
    "sampling": "grid",
    "pictures_per_batch": 12,
    "loss": "sigmoid",
    "optimizer": "adamw",
    "learning_rate": 0.003,
    "momentum": 0.0,
}
EVERYTHING: dict[str, Any] = GRID | {
    "name": "everything",
    "balance": True,
    "heads": 0.5,
    "schedule": "cosine",
    "warm_up": 0.2,
    "average": 0.9,
    "weight_decay": 0.05,
    "pictures": {"flip": 0.5, "crop": 0.5, "jitter": 0.2, "blur": 0.3},
    "sounds": {"shift": 0.02, "speed": 0.1, "least_tail": 0.1, "noise": 0.5, "time_mask": 0.2, "band_mask": 0.2},
}
STEPS: dict[str, Any] = {
    "name": "tiny-steps",
    **SHUFFLENET,
    "epochs": 3,
    "batch_size": 16,
    "optimizer": "adamw",
    "learning_rate": 0.003,
}
"""For the systems that are no two towers, which read nothing of a grid."""


def recipe(keys: dict[str, Any], **changes: Any) -> Recipe:
    return Recipe.model_validate(keys | changes)


def write_recipe(file: Path, keys: dict[str, Any], **changes: Any) -> Path:
    """The keys as TOML; JSON's numbers, strings, truths and lists are TOML's too."""
    plain = {key: value for key, value in (keys | changes).items() if not isinstance(value, dict)}
    tables = {key: value for key, value in (keys | changes).items() if isinstance(value, dict)}
    lines = [f"{key} = {json.dumps(value)}" for key, value in plain.items()]
    for name, table in tables.items():
        lines += [f"[{name}]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())]
    file.write_text("\n".join(lines) + "\n")
    return file


def train(dataset: Dataset, chosen: Recipe, run: Path, say: Any = lambda _: None, **options: Any) -> Checkpoint:
    return fit(dataset, chosen, run, FitOptions(CPU, **options), say)


def command(dataset: Dataset, run: Path, *options: object) -> Result:
    """`thud train` in this process, on the CPU."""
    arguments = ["train", dataset.folder, run, "--device", "cpu", *options]
    return CliRunner().invoke(cli, [str(argument) for argument in arguments])


def weights(checkpoint: Checkpoint) -> dict[str, bytes]:
    """Every weight and statistic, trained and averaged ones, bit by bit."""
    both = {"trained": checkpoint.system, "used": checkpoint.weights}
    return {
        f"{kind} {name}": value.numpy().tobytes() for kind, state in both.items() for name, value in state.items()
    }


def start(*command: object, **environment: str) -> "subprocess.Popen[str]":
    """A Python process on one thread, its output to be read in one piece.

    It can be interrupted even where the tests themselves were started in the background, which turns that off.
    """
    return subprocess.Popen(
        [sys.executable, *map(str, command)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
    )


LEARNED = recipe(GRID, epochs=12, batch_size=8)
