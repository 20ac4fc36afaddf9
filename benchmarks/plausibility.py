"""Synthesized hits beside recorded ones, by material: centroid, decay and onset, and how well the materials part.

    thud synthesize library /tmp/library
    python benchmarks/plausibility.py /tmp/library RECORDED/manifest.csv

Both sides are manifests of sounds (columns kind, path, material, and where known source, action and group). All
sounds are brought to 44.1 kHz mono and measured in one window, from 0.05 s before the hit to 0.6 s after it;
scratches are left out. Recorded sounds are weighted so that every source counts the same, for sources differ more
than materials do. Not every recording is of a struck object: `--leave-out '*walk*'` leaves out footsteps.

  centroid   power-weighted mean frequency in Hz, above 60 Hz, of the 0.25 s from the hit on
  decay      ms from the loudest 10 ms after the hit until the level is first 20 dB lower; `>600` where it never is
  rise       ms from 10 % to 90 % of the loudest millisecond within 50 ms of the hit: how sharp the onset is

A ratio of medians of more than 2, either way, is bold where at least ten recordings stand behind it.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from model.errors import SoundError, ThudError
from model.hit import cut_clip, find_hit
from model.manifest import read_rows
from model.materials import MATERIALS
from model.progress import progress
from model.sound import decode_sound
from model.torch_towers.spectrogram import mel_filterbank

Values = npt.NDArray[np.float64]

RATE = 44_100
BEFORE, AFTER = 0.05, 0.6
HEARD = 0.25
ONSET = 0.05
LOWEST = 60.0
FALL = 20.0
FIGURES = (("centroid, Hz", 1.0), ("decay to -20 dB, ms", 1000.0), ("rise 10-90 %, ms", 1000.0))
FEWEST, FAR = 10, 2.0
FFT, BANDS, SEGMENTS = 1024, 40, 4
HELD_OUT = 3
"""Every third synthesized object is never heard by the classifier before it is asked about it."""


@dataclass(frozen=True)
class Measured:
    """One sound: its `figures` (centroid Hz, decay s, rise s) and its log-mel means `[SEGMENTS * BANDS]`."""

    material: str
    source: str
    group: str
    figures: tuple[float, float, float]
    mel: Values


@click.command()
@click.argument("library", type=click.Path(file_okay=False, path_type=Path))
@click.argument("recorded", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--leave-out", "patterns", multiple=True, help="Leave out recordings whose path or origin matches.")
@click.option("--material", "only", multiple=True, help="Only these materials; the classifier is left out.")
def main(library: Path, recorded: Path, patterns: tuple[str, ...], only: tuple[str, ...]) -> None:
    """Print a table for each material: LIBRARY, a folder of `thud synthesize library`, beside RECORDED."""
    if unknown := set(only) - {material.name for material in MATERIALS}:
        raise click.BadParameter(f"not one of the 17 materials: {', '.join(sorted(unknown))}")
    names = [material.name for material in MATERIALS if not only or material.name in only]
    try:
        ours, notes = measure(library / "manifest.csv", names)
        theirs, more = measure(recorded, names, patterns)
    except ThudError as error:
        raise click.ClickException(str(error)) from error
    for name in names:
        click.echo(table(name, of_material(ours, name), of_material(theirs, name)))
    click.echo(summary(names, ours, theirs))
    if not only:
        click.echo(separability(ours, theirs))
    for note in notes + more:
        click.echo(f"- {note}")


def measure(manifest: Path, names: Sequence[str], patterns: Sequence[str] = ()) -> tuple[list[Measured], list[str]]:
    """Measure the sounds of the materials `names`; what was left out is told in the notes.

    Raises ManifestError for a manifest that cannot be read, ThudError for one without sounds of these materials.
    """
    rows = [row for row in read_rows(manifest) if row.kind in ("", "sound")]
    listed = [row for row in rows if len(row.materials) == 1 and row.materials[0].name in names]
    if not listed:
        raise ThudError(f"{manifest} lists no sounds of these materials")
    notes = []
    kept = [
        row
        for row in listed
        if row.get("action") != "scratch"
        and not any(fnmatch(text, pattern) for pattern in patterns for text in (row.path, row.get("origin")))
    ]
    if len(kept) < len(listed):
        notes.append(f"{manifest}: {len(listed) - len(kept)} of {len(listed)} left out as scratches or by pattern")
    out = []
    with progress(manifest.parent.name, len(kept), "sound") as bar:
        for row in kept:
            try:
                sound = decode_sound(manifest.parent / row.path, RATE).samples
            except SoundError as error:
                notes.append(f"{row.path} left out: {error}")
            else:
                window = cut_clip(sound, RATE, find_hit(sound, RATE), BEFORE, AFTER).astype(np.float64)
                source = row.get("source") or manifest.parent.name
                group = row.get("group") or row.path
                out.append(Measured(row.materials[0].name, source, group, figures(window), mel_means(window)))
            bar.update()
    return out, notes


def figures(window: Values) -> tuple[float, float, float]:
    """Centroid (Hz), decay (s, infinite where it outlasts the window) and rise (s) of a window around a hit."""
    hit = round(BEFORE * RATE)
    near = hit - round(0.01 * RATE)
    level = smooth_level(window, 0.01)
    peak = near + int(level[near : hit + round(HEARD * RATE)].argmax())
    below = np.flatnonzero(level[peak:] < level[peak] * 10.0 ** (-FALL / 20.0))
    decay = below[0] / RATE if len(below) else np.inf
    fine = smooth_level(window, 0.001)[near : hit + round(ONSET * RATE)]
    top = int(fine.argmax())
    low = np.flatnonzero(fine[: top + 1] < 0.1 * fine[top])
    start = int(low[-1]) if len(low) else 0
    rise = int(np.flatnonzero(fine[start : top + 1] >= 0.9 * fine[top])[0])
    part = window[near : hit + round(HEARD * RATE)]
    power = np.abs(np.fft.rfft(part)) ** 2
    hertz = np.fft.rfftfreq(len(part), 1 / RATE)
    heard = hertz >= LOWEST
    return float(np.average(hertz[heard], weights=power[heard] + 1e-20)), float(decay), rise / RATE


def smooth_level(samples: Values, seconds: float) -> Values:
    """RMS level in a sliding window, `[n]` as `samples`."""
    width = max(1, round(seconds * RATE))
    return np.asarray(np.sqrt(np.convolve(samples * samples, np.ones(width) / width, "same") + 1e-20))


def mel_means(window: Values) -> Values:
    """Log-mel means of four stretches of 0.1 s from the hit on, relative to the loudest, at most 60 dB below it."""
    filters = mel_filterbank(RATE, FFT, BANDS, LOWEST, 16_000.0)
    start, length = round((BEFORE - 0.005) * RATE), RATE // 10
    rows = []
    for segment in window[start : start + SEGMENTS * length].reshape(SEGMENTS, length):
        frames = np.lib.stride_tricks.sliding_window_view(segment, FFT)[:: FFT // 2]
        power = np.abs(np.fft.rfft(frames * np.hanning(FFT))) ** 2
        rows.append(np.log10((power @ filters.T).mean(axis=0) + 1e-12))
    mel = np.concatenate(rows)
    return np.asarray(np.maximum(mel - mel.max(), -6.0))


def of_material(sounds: Sequence[Measured], name: str) -> list[Measured]:
    """Those of `sounds` that are of one material."""
    return [sound for sound in sounds if sound.material == name]


def quartiles(sounds: Sequence[Measured], which: int) -> tuple[float, float, float]:
    """Lower quartile, median, upper quartile of one figure, every source weighing the same; NaN without sounds."""
    if not sounds:
        return (np.nan, np.nan, np.nan)
    count = Counter(sound.source for sound in sounds)
    values = np.array([sound.figures[which] for sound in sounds])
    weights = np.array([1.0 / count[sound.source] for sound in sounds])
    order = np.argsort(values)
    reached = np.cumsum(weights[order]) / weights.sum()
    lower, median, upper = (
        float(values[order][int(np.searchsorted(reached, q - 1e-9))]) for q in (0.25, 0.5, 0.75)
    )
    return lower, median, upper


def ratio(ours: Sequence[Measured], theirs: Sequence[Measured], which: int) -> str:
    """Median of `ours` over that of `theirs`, bold where it is far from 1 and enough recordings say so."""
    value = quartiles(ours, which)[1] / quartiles(theirs, which)[1]
    if not np.isfinite(value) or value <= 0.0:
        return "-"
    return f"**{value:.2f}**" if max(value, 1.0 / value) > FAR and len(theirs) >= FEWEST else f"{value:.2f}"


def table(name: str, ours: Sequence[Measured], theirs: Sequence[Measured]) -> str:
    """One material: a row a figure, lower quartile / median / upper quartile on both sides, ratio of medians."""
    sources = Counter(sound.source for sound in theirs)
    named = f" ({', '.join(f'{source} {count}' for source, count in sorted(sources.items()))})" if sources else ""
    lines = [
        f"### {name}",
        "",
        f"{len(ours)} synthesized hits, {len(theirs)} recorded{named}",
        "",
        "| | synthesized | recorded | ratio of medians |",
        "|---|---:|---:|---:|",
    ]
    for which, (title, scale) in enumerate(FIGURES):
        cells = [spread(quartiles(sounds, which), scale) for sounds in (ours, theirs)]
        lines.append(f"| {title} | {cells[0]} | {cells[1]} | {ratio(ours, theirs, which)} |")
    return "\n".join(lines) + "\n"


def spread(values: tuple[float, float, float], scale: float) -> str:
    """Three figures in three digits."""
    if np.isnan(values[1]):
        return "-"
    shown = (f"{value * scale:.3g}" if value * scale < 100 else f"{value * scale:.0f}" for value in values)
    return " / ".join(f">{AFTER * scale:.0f}" if text == "inf" else text for text in shown)


def summary(names: Sequence[str], ours: Sequence[Measured], theirs: Sequence[Measured]) -> str:
    """The ratios of medians of all materials in one table."""
    lines = [
        "### Synthesized over recorded, medians",
        "",
        "| material | synthesized | recorded | " + " | ".join(title.split(",")[0] for title, _ in FIGURES) + " |",
        "|---|---:|---:|" + "---:|" * len(FIGURES),
    ]
    for name in names:
        mine, real = of_material(ours, name), of_material(theirs, name)
        cells = " | ".join(ratio(mine, real, which) for which in range(len(FIGURES)))
        lines.append(f"| {name} | {len(mine)} | {len(real)} | {cells} |")
    return "\n".join(lines) + "\n"


def separability(ours: Sequence[Measured], theirs: Sequence[Measured]) -> str:
    """How often a linear classifier on log-mel means tells the material of objects that it never heard."""
    groups = sorted({sound.group for sound in ours})
    held = set(groups[::HELD_OUT])
    train, test = [s for s in ours if s.group not in held], [s for s in ours if s.group in held]
    lines = ["### Can the materials be told apart?", ""]
    if {s.material for s in train} >= {s.material for s in test}:
        found, chance = told(train, test), 1 / len({s.material for s in train})
        share = np.mean([name == sound.material for name, sound in zip(found, test, strict=True)])
        pairs = [(sound.material, name) for name, sound in zip(found, test, strict=True) if name != sound.material]
        mistakes = [f"{a} as {b} {count}" for (a, b), count in Counter(pairs).most_common(8)]
        lines.append(
            f"Synthesized, other objects: {share:.0%} of {len(test)}, chance {chance:.0%}; "
            f"most often confused: {', '.join(mistakes) or 'none'}."
        )
    else:
        lines.append("Synthesized: too few objects to hold some back.")
    real = [of_material(theirs, name) for name in sorted({sound.material for sound in theirs})]
    if real:
        shares = [
            np.mean([name == s.material for name, s in zip(told(ours, some), some, strict=True)]) for some in real
        ]
        mean = f"{np.mean(shares):.0%}, mean over {len(real)} materials"
        lines.append(f"Fitted on synthesized, asked about recorded: {mean}.")
    return "\n".join(lines) + "\n"


def told(train: Sequence[Measured], test: Sequence[Measured]) -> list[str]:
    """Material of each of `test` by nearest mean in the metric of the spread within materials (shrunken LDA)."""
    names = sorted({sound.material for sound in train})
    heard = [np.stack([sound.mel for sound in of_material(train, name)]) for name in names]
    means = np.stack([mel.mean(axis=0) for mel in heard])
    within = np.concatenate([mel - mean for mel, mean in zip(heard, means, strict=True)])
    covariance = within.T @ within / len(within)
    size = len(covariance)
    covariance = 0.7 * covariance + (0.3 * np.trace(covariance) / size + 1e-9) * np.eye(size)
    away = np.stack([sound.mel for sound in test])[:, None, :] - means[None]
    distance = np.einsum("nci,ij,ncj->nc", away, np.linalg.inv(covariance), away, optimize=True)
    return [names[int(place)] for place in distance.argmin(axis=1)]


if __name__ == "__main__":
    main()
