"""How well the hits of a recording are found: sequences with known hits, and sounds without any.

    python -m benchmarks.hits [--gaps FOLDER] [--json FILE]

FOLDER holds label files of Greatest Hits (`…_times.txt`), whose gaps between hits the sequences then have; without
it they are drawn evenly from 0.35 to 1.2 s.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.high_pass import HighPass
from model.hits import find_hits
from model.sound import Samples

RATE = 22_050
_SEQUENCES = 20
_HITS = 12
_TOLERANCE = 0.02
_SETTINGS = {
    "hits up to 6 dB softer than others, noise 40 dB below": {},
    "noise 25 dB below": {"snr": 25.0},
    "hits up to 12 dB softer": {"softer": 12.0},
    "dry: it decays by 60 dB in 0.1 s": {"ring": 0.1},
    "it rings for 1 s": {"ring": 1.0},
    "it rings for 3 s": {"ring": 3.0},
}


def struck(rng: np.random.Generator, ring: float = 0.3) -> npt.NDArray[np.float64]:
    """A struck object: twelve modes that fall by 60 dB in about `ring` seconds, and the tick of the contact."""
    time = np.arange(2 * RATE) / RATE
    hertz = np.exp(rng.uniform(np.log(100), np.log(8000), (12, 1)))
    modes = np.sin(2 * np.pi * hertz * time + rng.uniform(0, 6, (12, 1)))
    decay = np.exp(-6.9 * time / (ring * (500 / hertz) ** 0.3))
    tick = 2 * rng.standard_normal(len(time)) * np.exp(-time / 0.004)
    sound = (rng.uniform(0.2, 1, (12, 1)) * modes * decay).sum(axis=0) + tick
    found: npt.NDArray[np.float64] = sound / np.abs(sound).max()
    return found


def session(
    seed: int,
    hits: int,
    *,
    ring: float = 0.3,
    snr: float = 40.0,
    softer: float = 6.0,
    gaps: npt.NDArray[np.float64] | None = None,
) -> tuple[Samples, list[float]]:
    """A recording of hits and their times in seconds: up to `softer` dB softer than the loudest.

    The gaps between them are drawn from `gaps`, or evenly from 0.35 to 1.2 s. Noise is `snr` dB below the loudest.
    """
    rng = np.random.default_rng(seed)
    between = rng.uniform(0.35, 1.2, hits - 1) if gaps is None else rng.choice(gaps, hits - 1)
    times = (rng.uniform(0.05, 0.5) + np.cumsum([0, *between])).tolist()
    samples = np.zeros(round((times[-1] + 2.5) * RATE))
    for time in times:
        hit = struck(rng, ring)
        start = round(time * RATE)
        samples[start : start + len(hit)] += hit * 10 ** (-rng.uniform(0, softer) / 20)
    samples += rng.standard_normal(len(samples)) * 0.2 * 10 ** (-snr / 20)
    return (0.5 * samples / np.abs(samples).max()).astype(np.float32), times


def steady() -> dict[str, Samples]:
    """Sounds of twenty seconds, by name, that have no hit."""
    rng, time = np.random.default_rng(1), np.arange(20 * RATE) / RATE
    noise = rng.standard_normal(len(time))
    spectrum, hertz = np.fft.rfft(noise), np.fft.rfftfreq(len(time), 1 / RATE)
    voice = sum(np.sin(2 * np.pi * 120 * h * time) / h for h in range(1, 20))
    beats = {
        f"two tones that beat at {beat} Hz": np.sin(3142 * time) + np.sin((3142 + 2 * np.pi * beat) * time)
        for beat in (1, 5, 12)
    }
    made = {
        "noise": noise,
        "noise of 400 to 600 Hz": np.fft.irfft(np.where(np.abs(hertz - 500) < 100, spectrum, 0), len(time)),
        "hum of 50 Hz": np.sin(2 * np.pi * 50 * time),
        "tremolo of 6 Hz": (0.6 + 0.4 * np.sin(2 * np.pi * 6 * time)) * np.sin(2500 * time),
        "noise that swells every 2 s": (0.5 - 0.5 * np.cos(np.pi * time)) * noise,
        "syllables that rise for 62 ms": np.interp(time * 4 % 1, [0, 0.25, 0.7, 0.85, 1], [0, 1, 1, 0, 0]) * voice,
        "a bell that beats while it rings": np.exp(-time / 4) * (np.sin(3142 * time) + np.sin(3161 * time)),
        **beats,
    }
    return {name: HighPass(RATE)((0.2 * one).astype(np.float32)) for name, one in made.items()}


def echoes() -> Samples:
    """A hit that comes back every 0.4 s, each time half as loud."""
    samples = np.zeros(8 * RATE)
    hit = struck(np.random.default_rng(3), ring=0.2)
    for number in range(15):
        start = round(0.1 * RATE) + number * round(0.4 * RATE)
        samples[start : start + len(hit)] += 0.5**number * hit[: len(samples) - start]
    return (0.5 * samples).astype(np.float32)


def measured(gaps: npt.NDArray[np.float64] | None, **setting: float) -> tuple[float, float]:
    """Precision and recall of the hits' times over twenty sequences."""
    right = found_all = wanted = 0
    for seed in range(_SEQUENCES):
        samples, times = session(seed, _HITS, gaps=gaps, **setting)
        found = np.array(find_hits(samples, RATE).times)
        right += sum(bool(np.abs(found - time).min() <= _TOLERANCE) for time in times)
        found_all += len(found)
        wanted += len(times)
    return right / found_all, right / wanted


def gaps_of(folder: Path) -> npt.NDArray[np.float64]:
    """The gaps in seconds between the labelled events of Greatest Hits, between 0.05 and 5 s."""
    gaps: list[float] = []
    for file in sorted(folder.glob("*_times.txt")):
        times = [float(line.split()[0]) for line in file.read_text().splitlines() if line.strip()]
        gaps += np.diff(times).tolist()
    return np.array([gap for gap in gaps if 0.05 < gap < 5])


def main() -> None:
    """Print both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gaps", type=Path)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    gaps = None if options.gaps is None else gaps_of(options.gaps)
    sequences = {name: measured(gaps, **setting) for name, setting in _SETTINGS.items()}
    others = {**steady(), "echoes, each half as loud": echoes()}
    counts = {name: len(find_hits(samples, RATE).times) for name, samples in others.items()}
    print("| sequences of twelve hits | precision | recall |\n|---|---|---|")
    for name, (precision, recall) in sequences.items():
        print(f"| {name} | {precision:.3f} | {recall:.3f} |")
    print("\n| twenty seconds of | hits found |\n|---|---|")
    for name, count in counts.items():
        print(f"| {name} | {count} |")
    if options.json is not None:
        options.json.write_text(json.dumps({"sequences": sequences, "without_hits": counts}, indent=1))


if __name__ == "__main__":
    main()
