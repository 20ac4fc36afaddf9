"""The ranges from which an object of one material is drawn; `material_sounds` has them for each material.

Every pair is a range. Frequencies, times, rates and sizes are drawn uniformly in their logarithm, levels uniformly
in decibels.
"""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class GrainRanges:
    """Ranges for `granular.Grains`; `level` is the peak (in a scratch: the RMS) in dB against the body's."""

    rate: Range
    grain: Range
    settle: Range
    hertz: Range
    bandwidth: Range
    level: Range = (0.0, 0.0)
    rise: float = 0.0


@dataclass(frozen=True)
class SoundRanges:
    """Ranges for `sounds.SoundObject`.

    `colour`: median energy of each octave from 63 Hz to 16 kHz of the dense part, in dB; `tilt`: standard deviation
    of objects at its ends, in dB; `fade`: median seconds in which each octave falls by 20 dB. `shape`, `wander`,
    `tail`, `grit`, `grain`, `uneven`: see `dense.Dense`; `grit` None is smooth; `attack`: its `rise`. `bounces`,
    `gap`: see `sounds.SoundObject`.
    `bodies`: measured mode sets to draw from, none for loose matter; `pitch` and `ring` multiply their frequencies
    and decay times; `beating`: probability that each mode is a pair, slightly apart. `low_*`: low modes of a box,
    floor or ground, present with the probability `low_chance` (always where there is no measured body), level in dB
    against the body. `stick`: level in dB of the drumstick's own modes, `click`: of the contact noise; `build_up`:
    seconds until the whole body sounds. `bubbles`: their number after a hit. `ridged`, `squeaky`: probability that
    a surface has ridges, or squeaks. `rub_hertz`, `rub_level`: low-pass and level of the friction. `peak`: level
    of a middling blow in dBFS.
    """

    colour: tuple[float, ...]
    fade: tuple[float, ...]
    contact: Range
    brightness: Range
    tilt: float = 6.0
    shape: Range = (1.0, 1.0)
    wander: Range = (1.0, 4.0)
    attack: Range = (0.0005, 0.002)
    tail: Range = (-22.0, -12.0)
    grit: Range | None = None
    grain: Range = (0.0005, 0.002)
    uneven: Range = (0.6, 1.2)
    bounces: Range = (0.0, 0.5)
    gap: Range = (0.04, 0.12)
    bodies: tuple[str, ...] = ()
    pitch: Range = (1.0, 1.0)
    ring: Range = (1.0, 1.0)
    body_level: Range = (0.0, 0.0)
    low_hertz: Range = (100.0, 200.0)
    low_rt60: Range = (0.05, 0.1)
    low_level: Range = (-6.0, 0.0)
    low_chance: float = 0.0
    stick: Range = (-15.0, -6.0)
    click: Range = (-10.0, -2.0)
    beating: float = 0.0
    build_up: Range = (0.0008, 0.002)
    grains: tuple[GrainRanges, ...] = ()
    bubbles: Range | None = None
    roughness: Range = (3e-6, 8e-6)
    slope: Range = (1.6, 2.2)
    chatter: Range = (0.2, 0.6)
    ridges: Range = (0.5e-3, 3e-3)
    ridged: float = 0.0
    squeaky: float = 0.0
    rub_hertz: Range = (3000.0, 8000.0)
    rub_level: Range = (0.0, 0.0)
    peak: Range = (-18.0, -8.0)


def sizes(material: str, *which: int) -> tuple[str, ...]:
    """Names of the measured mode sets of a material, for sizes 0 (up to 0.1 m) to 5, or for all six."""
    return tuple(f"{material}_{size}" for size in which or range(6))
