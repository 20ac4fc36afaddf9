"""What a picture costs in towers of other networks and sizes, beside what ships: INT8, one thread.

    python -m benchmarks.quality.tower_time [--rounds N]

How much better they tell materials: `benchmarks.quality.picture_recipes`. Each tower is the network with its
pooling, without heads, quantised as `thud pretrain` does. Rounds of all towers follow each other; ratios are within
a round.
"""

import tempfile
import time
from pathlib import Path
from statistics import median

import click
import numpy as np
import onnxruntime

from benchmarks.machine import machine
from training.pretraining.features import PictureFeatures, pretrained_network
from training.pretraining.no_material import nothing_pictures
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.quantise import quantise_tower
from training.systems.export import export_module

SHIPPED = ("efficientnet_lite0", 192)
TOWERS = (
    SHIPPED,
    ("efficientnet_lite0", 160),
    ("efficientnet_lite0", 224),
    ("efficientnet_lite0", 256),
    ("efficientnet_lite1", 224),
    ("efficientnet_lite2", 224),
)
_CALIBRATION, _RUNS = 16, 20


def session_of(network: str, size: int, folder: Path) -> onnxruntime.InferenceSession:
    """The tower in INT8, with one thread."""
    pictures = nothing_pictures(_CALIBRATION, size)
    floats, tower = folder / f"{network}-{size}.onnx", folder / f"{network}-{size}-int8.onnx"
    see = PictureFeatures(pretrained_network(network), PretrainingRecipe().centre).eval()
    export_module(see, pictures, "pictures", ["features"], floats)
    quantise_tower(floats, tower, pictures)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(tower, options, providers=["CPUExecutionProvider"])


def milliseconds(session: onnxruntime.InferenceSession, size: int) -> float:
    """The CPU time of a picture: the median of some runs."""
    picture = np.zeros((1, size, size, 3), np.uint8)
    times = []
    for _ in range(_RUNS):
        start = time.process_time()
        session.run(None, {"pictures": picture})
        times.append(time.process_time() - start)
    return 1e3 * median(times)


@click.command()
@click.option("--rounds", type=click.IntRange(1), default=9, show_default=True)
def main(rounds: int) -> None:
    """Print a table."""
    with tempfile.TemporaryDirectory() as folder:
        sessions = {tower: session_of(*tower, Path(folder)) for tower in TOWERS}
    taken = [{tower: milliseconds(sessions[tower], tower[1]) for tower in TOWERS} for _ in range(rounds)]
    click.echo(f"{machine()}\n\n| network | px | ms | times what ships |\n|---|---:|---:|---:|")
    for tower in TOWERS:
        ratio = median(one[tower] / one[SHIPPED] for one in taken)
        network, size = tower
        click.echo(f"| {network} | {size} | {median(one[tower] for one in taken):.2f} | {ratio:.2f} |")


if __name__ == "__main__":
    main()
