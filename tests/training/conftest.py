"""A small recorded dataset in the Greatest Hits layout: real WAV and MP4 files with made-up labels."""

from collections.abc import Iterator
from pathlib import Path

import av
import numpy as np
import pytest
import soundfile
import torch

from model.bundle import ClipSpec, PictureSpec
from tests.training.tiny import LEARNED, train
from training.data.dataset import Dataset
from training.data.greatest_hits import GreatestHits
from training.data.prepare import PrepareOptions, prepare

RATE = 22_050
MATERIALS = {"wood": 400.0, "metal": 2500.0, "glass": 6000.0, "dirt": 120.0}
COLOURS = {"wood": (150, 100, 50), "metal": (190, 190, 200), "glass": (60, 160, 160), "dirt": (70, 50, 30)}


def write_video(path: Path, colour: tuple[int, int, int], random: np.random.Generator) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 64, "yuv420p"
        for _ in range(12):
            noise = random.normal(0, 12, (64, 96, 3)) + np.array(colour)
            frame = av.VideoFrame.from_ndarray(np.clip(noise, 0, 255).astype(np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


def write_take(path: Path, events: list[tuple[float, str]], random: np.random.Generator) -> None:
    samples = random.normal(0, 1e-3, int(RATE * (events[-1][0] + 1.0 if events else 1.0)))
    for time, material in events:
        t = np.arange(RATE // 3) / RATE
        hertz = MATERIALS[material] * random.uniform(0.9, 1.1)
        hit = 0.6 * np.sin(2 * np.pi * hertz * t) * np.exp(-t * 30)
        start = int(time * RATE)
        samples[start : start + len(hit)] += hit[: len(samples) - start]
    soundfile.write(path, samples, RATE)


def write_greatest_hits(folder: Path, videos: int = 24, hits: int = 6) -> None:
    folder.mkdir()
    names = list(MATERIALS)
    ids = []
    for index in range(videos):
        random = np.random.default_rng(index)
        # Two videos in a row are cut from one recording.
        name = f"2015-01-01-10-{index // 2:02}-00-{index % 2 + 1}"
        ids.append(name)
        material = names[index % len(names)]
        events = [(0.4 + 0.7 * hit, material) for hit in range(hits)]
        lines = [f"{time:.3f} {what} hit static" for time, what in events]
        lines.insert(2, "1.500 None None None")
        (folder / f"{name}_times.txt").write_text("\n".join(lines) + "\n")
        write_take(folder / f"{name}_denoised.wav", events, random)
        write_video(folder / f"{name}_denoised.mp4", COLOURS[material], random)
    test = ids[-videos // 3 :]
    (folder / "test.txt").write_text("\n".join(test) + "\n")
    (folder / "train.txt").write_text("\n".join(name for name in ids if name not in test) + "\n")


@pytest.fixture(scope="session")
def greatest_hits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("media") / "vis-data"
    write_greatest_hits(folder)
    return folder


@pytest.fixture(scope="session")
def dataset(greatest_hits: Path, tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    options = PrepareOptions(PictureSpec(size=32), ClipSpec(sample_rate=16_000, before=0.1, after=0.3))
    return prepare(GreatestHits(greatest_hits), tmp_path_factory.mktemp("prepared") / "d", options)


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Runs in this process and in others are compared bit by bit: they must add in the same order."""
    torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _one_thread_again() -> Iterator[None]:
    """A command that was run in this process may have set another number."""
    yield
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def run(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """TT_AGG, trained on a grid of pictures and sounds until it knows the materials."""
    run = tmp_path_factory.mktemp("runs") / "run"
    train(dataset, LEARNED, run)
    return run
