# ruff: noqa: E402 -- kernels are fixed before NumPy is loaded
"""Digests of each step of `thud pretrain` on inputs made here, to be compared between processors.

    python -m benchmarks.quality.processors [FP32]

FP32 is the folder `fp32` that `thud pretrain` leaves in its folder of features; its picture tower is quantised
again. An emulated processor does, too: `qemu-x86_64 -cpu EPYC-Rome PYTHON -m benchmarks.quality.processors FP32`.
"""

from training.pretraining.kernels import fix_kernels

FIXED = fix_kernels()

import hashlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
import onnxruntime
import torch
from torch.nn.functional import normalize

from benchmarks.machine import machine
from model.bundle import IMAGE_TOWER, PictureSpec
from model.materials import MATERIALS
from training.pretraining.calibrate import calibrate_heads
from training.pretraining.features import PictureFeatures, pretrained_network
from training.pretraining.fit_heads import Recordings, fit_pictures, fit_sounds
from training.pretraining.no_material import nothing_pictures
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.quantise import quantise_tower
from training.pretraining.sound_features import SoundNetworks
from training.pretraining.space import SoundProjection
from training.pretraining.teacher.audioset_materials import teacher_clip
from training.pretraining.varied_sounds import vary

_ROWS, _PICTURES, _SOUNDS = 400, 4, 4
_GROUPS = 4

Arrays = list[npt.NDArray[np.generic]]


def steps(fp32: Path | None) -> Iterator[tuple[str, Arrays]]:
    """Each step's name and what it computes."""
    recipe, rng = PretrainingRecipe(), np.random.default_rng(0)
    drawn = nothing_pictures(_PICTURES, recipe.picture.size, recipe.seed)
    yield "drawn pictures", [drawn]
    network = pretrained_network(recipe.image_network)
    see = PictureFeatures(network, recipe.centre).eval()
    with torch.inference_mode():
        yield "features of pictures", [see(torch.from_numpy(drawn)).numpy()]
        clip = teacher_clip(recipe.clip)
        seconds = np.arange(2 * clip.sample_rate) / clip.sample_rate
        struck = (rng.normal(size=len(seconds)) * np.exp(-9.0 * seconds)).astype(np.float32)
        clips = np.stack([vary(struck, clip, rng) for _ in range(_SOUNDS)])
        yield "variants of sounds", [clips]
        yield (
            "features of sounds and the teacher's words",
            [SoundNetworks(recipe.clip).eval()(torch.from_numpy(clips)).numpy()],
        )
    yield from _fits(recipe, network.projection.weight.detach(), rng)
    if fp32 is not None:
        yield from _tower(fp32 / IMAGE_TOWER, recipe.picture)


def _fits(recipe: PretrainingRecipe, rows: torch.Tensor, rng: np.random.Generator) -> Iterator[tuple[str, Arrays]]:
    count = len(MATERIALS)
    material = rng.integers(0, count, _ROWS)
    group = np.array([f"group {number % _GROUPS}" for number in range(_ROWS)])
    centres = rng.normal(size=(count, rows.shape[1]))
    seen = torch.from_numpy(np.abs(centres[material] + rng.normal(size=(_ROWS, rows.shape[1]))).astype(np.float32))
    pictures = fit_pictures(seen, material, group, rows, recipe)
    yield (
        "the classifier of pictures",
        [part.numpy() for one in (pictures.material, pictures.touchable) for part in (one.weight, one.bias)],
    )
    heard = seen[:, None, : rows.shape[1] // 2].repeat(1, 2, 1)
    teacher = torch.from_numpy(rng.normal(size=(_ROWS, 2, count)).astype(np.float32))
    recordings = Recordings(heard, teacher, material, group, group, np.ones(_ROWS, np.bool_))
    sounds = fit_sounds(recordings, recipe)
    yield "the classifier of sounds", [sounds.weight.numpy(), sounds.bias.numpy()]
    with torch.no_grad():
        vectors = SoundProjection(sounds, heard[:, 0])(heard[:, 0])
    yield "vectors of sounds", [vectors.numpy()]
    like = normalize(seen[:, : vectors.shape[1]], dim=1)
    share = np.full(_ROWS, 1.0 / _ROWS)
    heads = calibrate_heads(like, material, share, vectors, material, share, recipe.bias_decay)
    yield (
        "calibrated heads",
        [heads.picture_weights, heads.picture_bias, heads.sound_weights, heads.sound_bias],
    )


def _tower(file: Path, picture: PictureSpec) -> Iterator[tuple[str, Arrays]]:
    inputs = nothing_pictures(2 * _PICTURES, picture.size, 1)
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / IMAGE_TOWER
        quantise_tower(file, target, inputs)
        yield "the picture tower in INT8", [np.frombuffer(target.read_bytes(), np.uint8)]
        session = onnxruntime.InferenceSession(target, providers=["CPUExecutionProvider"])
        (embeddings,) = session.run(["embedding"], {session.get_inputs()[0].name: inputs})
        yield "its embeddings, as float16", [embeddings.astype(np.float16)]


@click.command()
@click.argument("fp32", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path))
def main(fp32: Path | None) -> None:
    """Print a digest for each step."""
    if not FIXED:
        raise click.ClickException("kernels cannot be fixed here: that takes Linux on x86-64 with AVX2")
    torch.set_num_threads(1)
    click.echo(machine())
    for name, arrays in steps(fp32):
        digest = hashlib.sha256()
        for array in arrays:
            digest.update(np.ascontiguousarray(array).tobytes())
        click.echo(f"{digest.hexdigest()[:16]}  {name}")


if __name__ == "__main__":
    main()
