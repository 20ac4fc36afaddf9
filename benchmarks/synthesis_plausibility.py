"""Synthetic hits beside recorded ones: centroid, decay and rise by material, and how well the materials part.

    thud synthesize library /tmp/library
    python benchmarks/synthesis_plausibility.py /tmp/library RECORDED/manifest.csv

Both libraries are folders with a `manifest.csv` (columns kind, path, material, source, note). Recorded sounds are
weighted so that every source counts the same, for sources differ more than materials do. Quartiles are printed
as lower/median/upper; a decay of `-` is one that the background noise hides.
"""

import csv
import sys
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import soundfile
from tqdm import tqdm

from model.materials import MATERIALS
from model.mel import mel_filterbank

Values = npt.NDArray[np.float64]

RATE = 44_100
FFT, BANDS = 1024, 40
SEGMENTS = 4  # of the first 0.4 s after the hit


@dataclass(frozen=True)
class Measured:
    """One sound: its figures (centroid Hz, decay s, rise ms) and its log-mel means `[SEGMENTS * BANDS]`."""

    material: str
    source: str
    group: str
    scratched: bool
    figures: tuple[float, float, float]
    mel: Values


def smooth_level(samples: Values, seconds: float) -> Values:
    """RMS level in a sliding window."""
    width = max(1, round(seconds * RATE))
    return np.asarray(np.sqrt(np.convolve(samples * samples, np.ones(width) / width, "same") + 1e-20))


def figures(samples: Values) -> tuple[float, float, float]:
    """Power-weighted spectral centroid (Hz), time from the peak to -30 dB (s), 10-90 % rise (ms)."""
    level = smooth_level(samples, 0.005)
    peak = int(level.argmax())
    below = np.flatnonzero(level[peak:] < level[peak] * 10 ** (-30 / 20))
    decay = below[0] / RATE if len(below) else np.inf
    fine = smooth_level(samples, 0.001)
    top = int(fine.argmax())
    low = np.flatnonzero(fine[: top + 1] < 0.1 * fine[top])
    start = int(low[-1]) if len(low) else 0
    rise = int(np.flatnonzero(fine[start : top + 1] >= 0.9 * fine[top])[0])
    part = samples[max(0, peak - RATE // 50) : peak + RATE]
    power = np.abs(np.fft.rfft(part)) ** 2
    hertz = np.fft.rfftfreq(len(part), 1 / RATE)
    heard = hertz > 40.0
    return float(np.average(hertz[heard], weights=power[heard] + 1e-20)), float(decay), 1000.0 * rise / RATE


def mel_means(samples: Values) -> Values:
    """Log-mel means of four stretches of 0.1 s from the hit on, without their common level."""
    filters = mel_filterbank(RATE, FFT, BANDS, 60.0, 16_000.0)
    level = smooth_level(samples, 0.005)
    hit = int(np.flatnonzero(level >= 0.3 * level.max())[0])
    length = RATE // 10
    part = np.zeros(SEGMENTS * length)
    taken = samples[max(0, hit - 200) : hit - 200 + len(part)] if hit > 200 else samples[: len(part)]
    part[: len(taken)] = taken
    rows = []
    for segment in part.reshape(SEGMENTS, length):
        frames = np.lib.stride_tricks.sliding_window_view(segment, FFT)[:: FFT // 2]
        power = np.abs(np.fft.rfft(frames * np.hanning(FFT))) ** 2
        rows.append(np.log10((power @ filters.T).mean(axis=0) + 1e-7))
    mel = np.concatenate(rows)
    return np.asarray(np.maximum(mel, mel.max() - 6.0) - mel.max())


def measure(manifest: Path) -> list[Measured]:
    """Measure all sounds that a manifest lists; sounds of another rate than 44.1 kHz end the script."""
    with manifest.open(encoding="utf-8", newline="") as handle:
        rows = [row for row in csv.DictReader(handle) if row["kind"] == "sound"]
    out = []
    for row in tqdm(rows, desc=str(manifest.parent.name), unit="sound"):
        samples, rate = soundfile.read(manifest.parent / row["path"], always_2d=True)
        if rate != RATE:
            sys.exit(f"{row['path']} has {rate} Hz; both libraries must have {RATE}")
        mono = samples.mean(axis=1)
        note = row["note"].split(", ")
        out.append(
            Measured(row["material"], row["source"], note[-1], note[0] == "scratch", figures(mono), mel_means(mono))
        )
    return out


def quartiles(sounds: list[Measured], which: int, scale: float) -> str:
    """Lower quartile, median and upper quartile of one figure, every source weighing the same."""
    if not sounds:
        return "no recordings"
    count = Counter(sound.source for sound in sounds)
    values = np.array([sound.figures[which] for sound in sounds])
    weights = np.array([1.0 / count[sound.source] for sound in sounds])
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    found = [values[order][int(np.searchsorted(reached, q - 1e-9))] * scale for q in (0.25, 0.5, 0.75)]
    return "/".join(f"{value:.4g}" if np.isfinite(value) else "-" for value in found)


def discriminant(train: list[Measured], test: list[Measured]) -> list[str]:
    """Material of each of `test` by nearest mean in the metric of the spread within materials (shrunken LDA)."""
    by_material: dict[str, list[Values]] = defaultdict(list)
    for sound in train:
        by_material[sound.material].append(sound.mel)
    names = sorted(by_material)
    means = np.stack([np.mean(by_material[name], axis=0) for name in names])
    spread = np.concatenate([np.stack(by_material[name]) - mean for name, mean in zip(names, means, strict=True)])
    covariance = spread.T @ spread / len(spread)
    covariance = 0.7 * covariance + 0.3 * np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    metric = np.linalg.inv(covariance)
    away = np.stack([sound.mel for sound in test])[:, None, :] - means[None]
    return [names[int(i)] for i in np.einsum("nci,ij,ncj->nc", away, metric, away, optimize=True).argmin(axis=1)]


def accuracy(train: list[Measured], test: list[Measured]) -> float:
    """Share of `test` whose material is told right."""
    told = discriminant(train, test)
    return float(np.mean([name == sound.material for name, sound in zip(told, test, strict=True)]))


def print_table(ours: list[Measured], theirs: list[Measured]) -> None:
    """One row a material: number, then the three figures of ours and theirs."""
    print(f"{'material':12s} {'n':>7s} | {'centroid Hz':^35s} | {'to -30 dB, ms':^29s} | {'rise 10-90 %, ms':^29s}")
    print(f"{'':12s} {'':>7s} | {'synthetic':17s} {'recorded':17s} | {'synthetic':14s} {'recorded':14s} |")
    for material in MATERIALS:
        mine = [s for s in ours if s.material == material.name and not s.scratched]
        real = [s for s in theirs if s.material == material.name]
        cells = [
            f"{quartiles(mine, which, scale):{width}s} {quartiles(real, which, scale):{width}s}"
            for which, scale, width in ((0, 1.0, 17), (1, 1000.0, 14), (2, 1.0, 14))
        ]
        print(f"{material.name:12s} {len(mine):3d} {len(real):3d} | {' | '.join(cells)}")


def print_separability(ours: list[Measured], theirs: list[Measured]) -> None:
    """Share of sounds whose material a linear classifier on log-mel means tells, on objects it never heard."""
    groups = sorted({s.group for s in ours}, key=lambda group: (len(group), group))
    held = {group for place, group in enumerate(groups) if place % 3 == 0}
    train, test = [s for s in ours if s.group not in held], [s for s in ours if s.group in held]
    print(
        f"\nsynthetic, other objects: {accuracy(train, test):.0%} of {len(test)} (chance {1 / len(MATERIALS):.0%})"
    )
    mistakes = Counter(
        (sound.material, told)
        for sound, told in zip(test, discriminant(train, test), strict=True)
        if told != sound.material
    )
    print("most confused:", ", ".join(f"{a} as {b} {n}" for (a, b), n in mistakes.most_common(8)))
    per_material = [
        accuracy(ours, [s for s in theirs if s.material == m]) for m in sorted({s.material for s in theirs})
    ]
    print(f"fitted on synthetic, tried on recorded sounds: {np.mean(per_material):.0%}, mean over materials")


def main() -> None:
    """Measure both libraries and print the tables."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    ours, theirs = measure(Path(sys.argv[1]) / "manifest.csv"), measure(Path(sys.argv[2]))
    print_table(ours, theirs)
    print_separability(ours, theirs)


if __name__ == "__main__":
    main()
