"""A library of short struck sounds, made for speed alone, and the changes that are made to it."""

from pathlib import Path

import numpy as np
import soundfile

RATE = 44_100
IN_A_FOLDER = 500


def write_sounds(folder: Path, count: int, extension: str, seconds: float, first: int = 0) -> list[Path]:
    """Write `count` sounds, 16 bits, mono, 44.1 kHz, no two of them alike; their paths."""
    time = np.arange(round(RATE * seconds)) / RATE - 0.05
    noise = 1e-3 * np.random.default_rng(0).standard_normal(len(time))
    files = []
    for number in range(first, first + count):
        file = folder / f"{number // IN_A_FOLDER:04}" / f"{number}.{extension}"
        write_sound(file, number, time, noise)
        files.append(file)
    return files


def write_sound(file: Path, number: int, time: np.ndarray, noise: np.ndarray) -> None:
    """Write one sound: a decaying tone with noise under it."""
    file.parent.mkdir(parents=True, exist_ok=True)
    tone = np.sin(2 * np.pi * (100 + 0.37 * number) * time) * np.exp(-np.maximum(time, 0) * (8 + number % 20))
    soundfile.write(file, np.where(time > 0, 0.5 * tone, 0.0) + np.roll(noise, number), RATE)


def change(files: list[Path], share: float, seconds: float) -> int:
    """Write other sounds into a `share` of the files, spread over them; their number."""
    chosen = files[:: max(1, round(1 / share))]
    time = np.arange(round(RATE * seconds)) / RATE - 0.05
    noise = 1e-3 * np.random.default_rng(1).standard_normal(len(time))
    for number, file in enumerate(chosen):
        write_sound(file, number, time, noise)
    return len(chosen)


def rename(folder: Path) -> None:
    """Give all folders of a library other names."""
    for inner in sorted(folder.iterdir()):
        if inner.is_dir():
            inner.rename(inner.with_name(f"renamed {inner.name}"))


def label(folder: Path) -> int:
    """Write a manifest that labels every sound; their number."""
    names = ("wood", "metal", "glass", "water")
    paths = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*.*") if file.suffix != ".csv")
    rows = [f"{path},{names[number % len(names)]}" for number, path in enumerate(paths)]
    (folder / "manifest.csv").write_text("\n".join(["path,material", *rows]) + "\n")
    return len(paths)
