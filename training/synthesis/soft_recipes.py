"""Recipes of sheets and fabrics: they give way under the stick, and rustle."""

from training.synthesis.recipe import GrainRecipe, Recipe, sizes

_PUFF = GrainRecipe((10000, 20000), (0.001, 0.002), (0.015, 0.04), (500, 1500), (600, 1500), (-12, -3), 0.004)


SOFT: dict[str, Recipe] = {
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
        bodies=sizes("paper"),
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
        bodies=sizes("fabric"),
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
        contact=(0.002, 0.005),
        brightness=(1500, 3500),
        bodies=sizes("fabric", 2, 3, 4, 5),
        pitch=(0.4, 0.8),
        low_hertz=(80, 200),
        low_rt60=(0.15, 0.35),
        low_level=(-6, 2),
        low_chance=1.0,
        stick=(-30, -20),
        chatter=(0.1, 0.5),
        rub_hertz=(2000, 4000),
        roughness=(2e-6, 6e-6),
        peak=(-22, -10),
        grains=(_PUFF,),
    ),
}
