"""What 8 bits cost and save: the image tower in float, and in INT8 by several ways, from one run.

    python benchmarks/int8.py DATA WORK [--pictures 300]

WORK is what `thud pretrain DATA OUT --work WORK` has left. Ranges of activations are taken from open pictures of
DATA, the numbers from others, never fitted on where there are such. A line a way: cosine to the float tower's
embedding (median, and where the 5 % that are lowest end), the least cosine to what the same tower gives by exact
kernels, the share of the float tower's first ten sounds among its own, and the milliseconds of CPU time a picture
on one thread (median of several rounds, the ways in turn). `any pair`: as if all kernels added in 32 bits, which
those of x86 without VNNI do not (`weight_ranges` in training/pretraining/quantise.py).
"""

import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import onnxruntime
from tqdm import tqdm

from model.bundle import IMAGE_TOWER, load_bundle
from model.runtime import TowerRuntime, session_options
from training.pretraining.features import read_clips, read_pictures
from training.pretraining.material_files import read_material_files
from training.pretraining.quantise import FIRST_IN_FLOAT, quantise_tower

Vectors = npt.NDArray[np.float32]

SHIPPED = f"INT8, first {FIRST_IN_FLOAT} in float, biases corrected"
FIRST = (0, 1, FIRST_IN_FLOAT, 6)
CALIBRATION, SOUNDS, ROUNDS, K = 256, 400, 30, 10


@click.command(help=__doc__)
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--pictures", default=300, show_default=True, type=click.IntRange(1))
def main(data: Path, work: Path, pictures: int) -> None:
    """Print the table."""
    bundle = load_bundle(work / "fp32-heads")
    rng = np.random.default_rng(0)
    files, heard = read_material_files(data, "image"), read_material_files(data, "sound")
    shuffled = rng.permutation(len(files))
    ranges = [files.paths[row] for row in shuffled if files.open_licence[row]][:CALIBRATION]
    unseen = [files.paths[row] for row in shuffled if not files.open_licence[row]]
    asked = (unseen or [files.paths[row] for row in shuffled])[:pictures]
    inputs, seen = (np.stack(list(read_pictures(tuple(paths), bundle.spec.picture))) for paths in (ranges, asked))
    paths = tuple(heard.paths[row] for row in rng.permutation(len(heard))[:SOUNDS])
    towers = TowerRuntime(bundle)
    clips = read_clips(paths, bundle.spec.clip)
    sounds = np.concatenate(
        [towers.embed_clips(clip[None]) for clip in tqdm(clips, "sounds", len(paths), leave=False)]
    )
    with tempfile.TemporaryDirectory() as scratch:
        ways = {"float": bundle.file(IMAGE_TOWER)}
        for first in FIRST:
            for corrected in (False, True):
                name = f"INT8, first {first} in float{', biases corrected' if corrected else ''}"
                ways[name] = Path(scratch) / f"{len(ways)}.onnx"
                quantise_tower(
                    bundle.file(IMAGE_TOWER), ways[name], inputs, first_in_float=first, corrected=corrected
                )
        ways[f"{SHIPPED}, any pair"] = Path(scratch) / "any-pair.onnx"
        quantise_tower(bundle.file(IMAGE_TOWER), ways[f"{SHIPPED}, any pair"], inputs, any_pair=True)
        sessions = {name: _session(path) for name, path in ways.items()}
        exact = {name: _session(path, exact=True) for name, path in ways.items()}
        vectors = {name: _embed(session, seen) for name, session in sessions.items()}
        least = {name: (_embed(session, seen) * vectors[name]).sum(axis=1).min() for name, session in exact.items()}
        for name in (SHIPPED, f"{SHIPPED}, any pair"):
            sessions[f"{name}, exact"] = exact[name]
            vectors[f"{name}, exact"], least[f"{name}, exact"] = _embed(exact[name], seen), 1.0
        milliseconds = _timed(sessions, seen)
    wanted = _first_sounds(vectors["float"], sounds)
    print(f"{len(seen)} pictures, {len(sounds)} sounds; {SHIPPED} is shipped\n")
    print(f"{'':57} {'cosine':>8} {'5 %':>8} {'exact':>8} {'first 10':>9} {'ms':>7} {'float/it':>9}")
    for name, found in vectors.items():
        cosines = (found * vectors["float"]).sum(axis=1)
        rows = _first_sounds(found, sounds)
        same = np.mean([len(set(a) & set(b)) / K for a, b in zip(wanted.tolist(), rows.tolist(), strict=True)])
        print(
            f"{name:57} {np.median(cosines):8.4f} {np.percentile(cosines, 5):8.4f} {least[name]:8.4f} {same:9.3f} "
            f"{milliseconds[name]:7.2f} {milliseconds['float'] / milliseconds[name]:9.2f}"
        )


def _session(path: Path, *, exact: bool = False) -> onnxruntime.InferenceSession:
    options = session_options(1, exact=exact)
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _run(session: onnxruntime.InferenceSession, picture: npt.NDArray[Any]) -> Vectors:
    embedding: Vectors = session.run(None, {session.get_inputs()[0].name: picture[None]})[0][0]
    return embedding


def _embed(session: onnxruntime.InferenceSession, pictures: npt.NDArray[Any]) -> Vectors:
    return np.stack([_run(session, picture) for picture in pictures])


def _timed(sessions: dict[str, onnxruntime.InferenceSession], pictures: npt.NDArray[Any]) -> dict[str, float]:
    took: dict[str, list[float]] = {name: [] for name in sessions}
    for number in range(ROUNDS):
        for name, session in sessions.items():
            began = time.thread_time()
            _run(session, pictures[number % len(pictures)])
            took[name].append(1000 * (time.thread_time() - began))
    return {name: float(np.median(one)) for name, one in took.items()}


def _first_sounds(pictures: Vectors, sounds: Vectors) -> npt.NDArray[np.int64]:
    return np.argsort(-(pictures @ sounds.T), axis=1, kind="stable")[:, :K]


if __name__ == "__main__":
    main()
