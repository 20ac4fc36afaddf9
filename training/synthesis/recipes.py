"""From what ranges the objects of each material are drawn: one table for the 17.

Every pair is a range. Frequencies, times, rates and sizes are drawn evenly in their logarithm, levels evenly in
decibels. The ranges start from measured figures (tdw's modes, STK's Shakers) and were then moved until
spectral centroid, decay and rise lay among those of recorded sounds (benchmarks/synthesis_plausibility.py).
"""

from dataclasses import dataclass

Range = tuple[float, float]


@dataclass(frozen=True)
class GrainRecipe:
    """Ranges for `granular.Grains`; `level` is the peak (in a scratch: the RMS) in dB against the body's."""

    rate: Range
    grain: Range
    settle: Range
    hertz: Range
    bandwidth: Range
    level: Range = (0.0, 0.0)
    rise: float = 0.0


@dataclass(frozen=True)
class Recipe:
    """Ranges for `sounds.SoundObject`.

    `bodies`: measured mode sets to draw from, none for loose matter; `pitch` and `ring` multiply their
    frequencies and decay times. `low_*`: low modes of a box, floor or ground, with `low_chance` (always where
    there is no measured body), level in dB against the body. `stick`: level of the drumstick's own modes,
    `click`: of the contact noise; `build_up`: seconds in which the body takes up the blow.
    `bubbles`: how many after a hit. `ridged`, `squeaky`: chance that a surface has ridges, or squeaks.
    """

    contact: Range
    brightness: Range
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
    build_up: Range = (0.0008, 0.002)
    grains: tuple[GrainRecipe, ...] = ()
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


def _sizes(material: str, *sizes: int) -> tuple[str, ...]:
    return tuple(f"{material}_{size}" for size in sizes)


_ALL = (0, 1, 2, 3, 4, 5)

# Loose matter, after STK's Sekere and Sticks (leaves), Cabasa (grass), Big and Little Rocks (gravel), Crunch.
_RUSTLE = GrainRecipe((700, 2000), (0.0008, 0.0016), (0.1, 0.3), (5500, 9000), (3000, 6000))
_TWIGS = GrainRecipe((30, 120), (0.0008, 0.0015), (0.08, 0.25), (4500, 8000), (2500, 5000), (-2, 6))
_BLADES = GrainRecipe((3000, 12000), (0.0006, 0.0012), (0.03, 0.09), (3000, 6500), (2500, 5000), rise=0.006)
_STONES = GrainRecipe((250, 700), (0.0015, 0.003), (0.045, 0.09), (2000, 6000), (400, 1200), rise=0.004)
_SAND = GrainRecipe((1200, 3000), (0.001, 0.0025), (0.04, 0.08), (4000, 9000), (1000, 2500), (-8, 0), 0.004)
_CRUNCH = GrainRecipe((200, 700), (0.001, 0.0025), (0.03, 0.09), (900, 2800), (600, 1600), rise=0.003)
_CRUMBS = GrainRecipe((600, 2000), (0.001, 0.002), (0.025, 0.07), (2500, 6000), (1500, 3000), (-10, -2), 0.003)
_PUFF = GrainRecipe((10000, 20000), (0.001, 0.002), (0.015, 0.04), (500, 1500), (600, 1500), (-12, -3), 0.004)

RECIPES: dict[str, Recipe] = {
    "ceramic": Recipe(
        contact=(0.0001, 0.0003),
        brightness=(7000, 14000),
        bodies=_sizes("ceramic", 0, 1, 2, 3),
        pitch=(0.45, 0.9),
        ring=(2.5, 6.0),
        stick=(-24, -12),
        roughness=(5e-6, 7e-6),
        rub_hertz=(4000, 9000),
    ),
    "tile": Recipe(
        contact=(0.0001, 0.0003),
        brightness=(6000, 12000),
        bodies=_sizes("ceramic", 3, 4, 5) + _sizes("stone", 2, 3, 4),
        pitch=(0.5, 0.9),
        ring=(1.2, 2.5),
        stick=(-12, -4),
        low_hertz=(80, 200),
        low_rt60=(0.08, 0.15),
        low_level=(-20, -10),
        low_chance=1.0,
        ridges=(0.02, 0.05),
        ridged=0.4,
        roughness=(5e-6, 8e-6),
        rub_hertz=(4000, 9000),
        build_up=(0.0003, 0.001),
    ),
    "glass": Recipe(
        contact=(0.00008, 0.00025),
        brightness=(10000, 18000),
        bodies=_sizes("glass", *_ALL),
        pitch=(0.9, 1.6),
        ring=(1.2, 4.0),
        stick=(-30, -18),
        roughness=(1e-6, 2e-6),
        slope=(1.8, 2.4),
        chatter=(0.0, 0.3),
        squeaky=0.25,
        rub_hertz=(5000, 10000),
        build_up=(0.0003, 0.001),
    ),
    "metal": Recipe(
        contact=(0.00008, 0.0003),
        brightness=(9000, 18000),
        bodies=_sizes("metal", *_ALL),
        pitch=(1.2, 4.0),
        ring=(1.8, 10.0),
        stick=(-24, -12),
        low_hertz=(150, 400),
        low_rt60=(0.08, 0.3),
        low_level=(-14, -4),
        low_chance=0.3,
        roughness=(2e-6, 6e-6),
        ridged=0.2,
        rub_hertz=(4000, 10000),
        peak=(-14, -5),
    ),
    "rock": Recipe(
        contact=(0.00006, 0.00025),
        brightness=(6000, 14000),
        bodies=_sizes("stone", *_ALL),
        pitch=(0.5, 1.0),
        ring=(0.8, 1.8),
        stick=(-6, 3),
        low_hertz=(120, 300),
        low_rt60=(0.03, 0.07),
        low_level=(-24, -12),
        low_chance=0.5,
        roughness=(7e-6, 20e-6),
        chatter=(0.5, 0.9),
        rub_hertz=(3000, 7000),
        click=(-6, 2),
        build_up=(0.0003, 0.001),
    ),
    "wood": Recipe(
        contact=(0.0002, 0.0008),
        brightness=(2500, 7000),
        bodies=_sizes("wood_soft", *_ALL) + _sizes("wood_medium", *_ALL) + _sizes("wood_hard", *_ALL),
        pitch=(0.5, 1.0),
        ring=(1.0, 2.0),
        stick=(-12, -2),
        low_hertz=(120, 400),
        low_rt60=(0.1, 0.22),
        low_level=(-14, -2),
        low_chance=0.5,
        roughness=(3e-6, 10e-6),
        ridges=(0.8e-3, 3e-3),
        ridged=0.4,
        rub_hertz=(2000, 5000),
    ),
    "drywall": Recipe(
        contact=(0.0003, 0.0009),
        brightness=(1800, 3500),
        bodies=_sizes("cardboard", *_ALL),
        pitch=(0.4, 0.8),
        ring=(2.0, 4.0),
        stick=(-18, -10),
        low_hertz=(120, 300),
        low_rt60=(0.2, 0.4),
        low_level=(-14, -4),
        low_chance=1.0,
        roughness=(3e-6, 6e-6),
        rub_hertz=(2500, 5000),
    ),
    "plastic": Recipe(
        contact=(0.0003, 0.001),
        brightness=(2500, 7000),
        bodies=_sizes("plastic_hard", *_ALL) + _sizes("plastic_soft_foam", 1, 3, 4),
        pitch=(0.4, 1.0),
        ring=(2.5, 5.0),
        low_hertz=(200, 600),
        low_rt60=(0.1, 0.3),
        low_level=(-18, -3),
        low_chance=0.7,
        stick=(-18, -8),
        roughness=(4e-6, 15e-6),
        ridges=(0.6e-3, 2e-3),
        ridged=0.4,
        rub_hertz=(2500, 6000),
        click=(-6, 0),
    ),
    "plastic-bag": Recipe(
        contact=(0.001, 0.003),
        brightness=(9000, 16000),
        body_level=(-20, -10),
        low_hertz=(120, 300),
        low_rt60=(0.05, 0.1),
        stick=(-20, -12),
        grains=(
            GrainRecipe((150, 500), (0.0005, 0.001), (0.04, 0.1), (3500, 8000), (1500, 4000)),
            GrainRecipe((1500, 4000), (0.0005, 0.001), (0.03, 0.08), (4000, 9000), (3000, 6000), (-12, -4)),
        ),
        rub_level=(-18, -10),
        rub_hertz=(4000, 8000),
        peak=(-20, -10),
    ),
    "paper": Recipe(
        contact=(0.0003, 0.001),
        brightness=(4000, 9000),
        bodies=_sizes("paper", *_ALL),
        pitch=(0.6, 1.1),
        ring=(3.0, 6.0),
        stick=(-18, -8),
        low_hertz=(150, 350),
        low_rt60=(0.12, 0.25),
        low_level=(-16, -6),
        low_chance=0.8,
        grains=(GrainRecipe((300, 1200), (0.0006, 0.0012), (0.03, 0.08), (2000, 7000), (1500, 4000), (-10, 0)),),
        rub_hertz=(4000, 8000),
        peak=(-20, -10),
    ),
    "cloth": Recipe(
        contact=(0.0025, 0.006),
        brightness=(1500, 3000),
        bodies=_sizes("fabric", *_ALL),
        pitch=(0.6, 1.1),
        ring=(1.0, 2.0),
        low_hertz=(100, 260),
        low_rt60=(0.12, 0.25),
        low_level=(-6, 2),
        low_chance=1.0,
        stick=(-30, -20),
        slope=(1.8, 2.2),
        chatter=(0.0, 0.2),
        rub_hertz=(1500, 4000),
        roughness=(1e-6, 3e-6),
        peak=(-24, -12),
        grains=(_PUFF,),
    ),
    "carpet": Recipe(
        contact=(0.003, 0.007),
        brightness=(1200, 2500),
        bodies=_sizes("fabric", 2, 3, 4, 5),
        pitch=(0.4, 0.8),
        low_hertz=(80, 200),
        low_rt60=(0.15, 0.35),
        low_level=(-3, 4),
        low_chance=1.0,
        stick=(-30, -20),
        chatter=(0.1, 0.5),
        rub_hertz=(2000, 4000),
        roughness=(2e-6, 6e-6),
        peak=(-22, -10),
        grains=(_PUFF,),
    ),
    "dirt": Recipe(
        contact=(0.003, 0.007),
        brightness=(3000, 8000),
        low_hertz=(60, 200),
        low_rt60=(0.05, 0.12),
        stick=(-30, -20),
        body_level=(-10, -3),
        grains=(_CRUNCH, _CRUMBS),
        rub_level=(-12, -4),
        rub_hertz=(1500, 4000),
        roughness=(6e-6, 15e-6),
        peak=(-20, -9),
    ),
    "gravel": Recipe(
        contact=(0.001, 0.003),
        brightness=(7000, 14000),
        body_level=(-14, -6),
        low_hertz=(80, 220),
        low_rt60=(0.04, 0.08),
        stick=(-20, -10),
        grains=(_STONES, _SAND),
        rub_level=(-18, -10),
        roughness=(8e-6, 20e-6),
        peak=(-18, -7),
    ),
    "leaf": Recipe(
        contact=(0.001, 0.003),
        brightness=(12000, 18000),
        body_level=(-22, -12),
        low_hertz=(100, 250),
        low_rt60=(0.03, 0.07),
        stick=(-20, -10),
        grains=(_RUSTLE, _TWIGS),
        rub_level=(-20, -12),
        rub_hertz=(4000, 8000),
        peak=(-22, -10),
    ),
    "grass": Recipe(
        contact=(0.003, 0.008),
        brightness=(5000, 12000),
        body_level=(-14, -3),
        low_hertz=(70, 180),
        low_rt60=(0.05, 0.12),
        stick=(-30, -20),
        grains=(_BLADES,),
        rub_level=(-16, -8),
        rub_hertz=(3000, 6000),
        roughness=(2e-6, 5e-6),
        peak=(-26, -14),
    ),
    "water": Recipe(
        contact=(0.002, 0.006),
        brightness=(6000, 12000),
        body_level=(-20, -10),
        low_hertz=(120, 350),
        low_rt60=(0.04, 0.09),
        stick=(-30, -20),
        grains=(
            GrainRecipe((8000, 16000), (0.001, 0.002), (0.08, 0.18), (1500, 5000), (1500, 4000), (-2, 4), 0.003),
        ),
        bubbles=(10, 50),
        rub_level=(-24, -16),
        rub_hertz=(1000, 3000),
        peak=(-20, -8),
    ),
}
