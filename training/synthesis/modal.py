"""Sounds of solids by modal synthesis: a struck body rings in its modes, excited by a short contact.

Measured modes of table-top objects come from `data/impact_modes.json` (tdw 1.13.0.0, BSD-2-Clause; recorded for
Traer, Cusimano and McDermott, "A perceptually inspired generative model of rigid-body contact sounds", DAFx-19).
The variation between objects, and between hits on one object, is that of tdw.
"""

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources

import numpy as np
import numpy.typing as npt
from scipy.signal import oaconvolve

Signal = npt.NDArray[np.float64]

# ln(1000): an amplitude that falls as exp(-t ln(1000) / RT60) is 60 dB down after RT60 seconds.
_LN_60_DB = float(np.log(1000.0))
_BLOCK = 256
_AUDIBLE_RT60 = 1.3
_CLICK_SECONDS = 0.0012
_WEAK_MODES = 30
_WEAK_LEVEL = -18.0
_HIGHEST = 16_000.0
_GOLDEN = 0.6180339887498949


@dataclass(frozen=True)
class Modes:
    """The modes of one body: of each its frequency in Hz, level in dB and decay time RT60 in seconds."""

    hertz: tuple[float, ...]
    level: tuple[float, ...]
    rt60: tuple[float, ...]

    def __add__(self, other: "Modes") -> "Modes":
        """The modes of both bodies together."""
        return Modes(self.hertz + other.hertz, self.level + other.level, self.rt60 + other.rt60)


@cache
def measured_modes(name: str) -> Modes:
    """Measured modes by tdw's name, `<material>_<size 0..5>`, with the loudest mode at 0 dB."""
    table = json.loads((resources.files("training.synthesis") / "data/impact_modes.json").read_text("utf-8"))
    entry = table["modes"][name]
    loudest = max(entry["level"])
    return Modes(tuple(entry["hertz"]), tuple(p - loudest for p in entry["level"]), tuple(entry["rt60"]))


def draw_body(modes: Modes, rng: np.random.Generator, pitch: float = 1.0, ring: float = 1.0) -> Modes:
    """Draw another object of the same kind: frequencies vary by 10 %, levels by 10 dB, decay times by 10 %.

    `pitch` and `ring` multiply all frequencies and all decay times. 30 weak modes are added to the few measured
    ones: without them solids sound like chimes.
    """
    count = len(modes.hertz)
    hertz = np.maximum(np.array(modes.hertz) * pitch * (1.0 + 0.1 * rng.standard_normal(count)), 20.0)
    level = np.array(modes.level) + 10.0 * rng.standard_normal(count)
    rt60 = np.maximum(np.array(modes.rt60) * ring * (1.0 + 0.1 * rng.standard_normal(count)), 0.001)
    level -= level.max()
    lowest, highest = np.log(0.7 * hertz.min()), np.log(min(2.0 * hertz.max(), _HIGHEST))
    more = np.exp(rng.uniform(lowest, max(lowest, highest), _WEAK_MODES))
    octaves = np.log2(more / np.median(hertz))
    weak = _WEAK_LEVEL - 2.0 * np.abs(octaves) + 5.0 * rng.standard_normal(_WEAK_MODES)
    fading = np.median(rt60) * 2.0 ** (-0.4 * octaves) * np.exp(0.2 * rng.standard_normal(_WEAK_MODES))
    return _modes(np.concatenate([hertz, more]), np.concatenate([level, weak]), np.concatenate([rt60, fading]))


def draw_low_body(hertz: float, rt60: float, level: float, rng: np.random.Generator) -> Modes:
    """A box, a floor or packed earth: four low modes from `hertz` on, too short to be heard as a pitch."""
    ratio = np.array([1.0, 1.45, 2.0, 2.7]) * (1.0 + 0.08 * rng.standard_normal(4))
    fall = np.array([0.0, -3.0, -7.0, -11.0]) + 2.0 * rng.standard_normal(4)
    return _modes(hertz * ratio, level + fall, rt60 / np.sqrt(ratio))


def twins(modes: Modes, rng: np.random.Generator) -> Modes:
    """A second mode near each: what is nearly round has its modes in pairs that beat."""
    hertz = np.array(modes.hertz)
    apart = np.exp(rng.uniform(np.log(0.5), np.log(12.0), len(hertz)))  # beats a second
    level = np.array(modes.level) - 3.0 + 3.0 * rng.standard_normal(len(hertz))
    return _modes(hertz + apart, level, np.array(modes.rt60))


def vary_hit(modes: Modes, rng: np.random.Generator) -> Modes:
    """The same object struck at a slightly different place: each mode's level varies by 2 dB."""
    level = np.array(modes.level) + 2.0 * rng.standard_normal(len(modes.level))
    return Modes(modes.hertz, tuple(map(float, level)), modes.rt60)


def louder(modes: Modes, decibels: float) -> Modes:
    """The same modes with all levels raised by `decibels`."""
    return Modes(modes.hertz, tuple(level + decibels for level in modes.level), modes.rt60)


def ring(modes: Modes, sample_rate: int, samples: int) -> Signal:
    """Impulse response of the modes, `sum 10^(level/20) cos(2 pi f t + phase) 10^(-3 t / RT60)`, float64 `[n]`.

    `n` is at most `samples`, less where the longest mode has decayed before. Modes above 0.45 of the sample rate
    are left out.
    """
    hertz, rt60 = np.array(modes.hertz), np.array(modes.rt60)
    keep = hertz < 0.45 * sample_rate
    if not keep.any():
        return np.zeros(1)
    hertz, rt60 = hertz[keep], rt60[keep]
    amplitude = 10.0 ** (np.array(modes.level)[keep] / 20.0)
    samples = min(samples, int(_AUDIBLE_RT60 * rt60.max() * sample_rate) + 1)
    # Modes do not reach the ear in phase; steps by the golden ratio spread the phases evenly for any number of
    # modes.
    start = amplitude * np.exp(2j * np.pi * _GOLDEN * np.flatnonzero(keep))
    rate = (2j * np.pi * hertz - _LN_60_DB / rt60) / sample_rate
    # z^(a B + b) = z^(a B) z^b turns the sum over modes into one small matrix product. einsum, because BLAS would
    # start threads for it, too many where several processes run.
    rows = np.arange(0, samples, _BLOCK)
    left = start * np.exp(np.outer(rows, rate))
    right = np.exp(np.outer(rate, np.arange(_BLOCK)))
    left_parts, right_parts = np.hstack([left.real, -left.imag]), np.vstack([right.real, right.imag])
    response: Signal = np.einsum("am,mb->ab", left_parts, right_parts).reshape(-1)
    return response[:samples]


def contact(seconds: float, sample_rate: int) -> Signal:
    """The force of a blow during the contact: half a sine of `seconds`, of area 1."""
    taps = max(1, round(seconds * sample_rate))
    pulse = np.sin(np.pi * (np.arange(taps) + 0.5) / taps)
    force: Signal = pulse / pulse.sum()
    return force


def impact(modes: Modes, contact_seconds: float, sample_rate: int, samples: int) -> Signal:
    """The modes excited by one blow, float64 `[samples]`."""
    response = oaconvolve(ring(modes, sample_rate, samples), contact(contact_seconds, sample_rate))
    sound = np.zeros(samples)
    length = min(samples, len(response))
    sound[:length] = response[:length]
    return sound


def click(contact_seconds: float, rng: np.random.Generator, sample_rate: int, samples: int) -> Signal:
    """The noise of the contact itself, a few milliseconds long, float64 `[samples]`."""
    length = min(samples, round(8.0 * _CLICK_SECONDS * sample_rate))
    fade = np.exp(np.arange(length) / (-_CLICK_SECONDS * sample_rate))
    burst = oaconvolve(rng.standard_normal(length) * fade, contact(contact_seconds, sample_rate))
    sound = np.zeros(samples)
    sound[: len(burst)] = burst[:samples]
    return sound


def _modes(hertz: Signal, level: Signal, rt60: Signal) -> Modes:
    return Modes(tuple(map(float, hertz)), tuple(map(float, level)), tuple(map(float, rt60)))
