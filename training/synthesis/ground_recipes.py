"""Recipes of ground, plants and water: no body rings, grains and bubbles sound."""

from training.synthesis.recipe import GrainRecipe, Recipe

# After STK's Sekere and Sticks (leaves), Cabasa (grass), Big and Little Rocks (gravel), Crunch (dirt).
_RUSTLE = GrainRecipe((700, 2000), (0.0008, 0.0016), (0.1, 0.3), (5500, 9000), (3000, 6000))
_TWIGS = GrainRecipe((30, 120), (0.0008, 0.0015), (0.08, 0.25), (4500, 8000), (2500, 5000), (-2, 6))
_BLADES = GrainRecipe((3000, 12000), (0.0006, 0.0012), (0.03, 0.09), (3000, 6500), (2500, 5000), rise=0.006)
_STONES = GrainRecipe((250, 700), (0.0015, 0.003), (0.045, 0.09), (2000, 6000), (400, 1200), rise=0.004)
_SAND = GrainRecipe((1200, 3000), (0.001, 0.0025), (0.04, 0.08), (4000, 9000), (1000, 2500), (-8, 0), 0.004)
_CRUNCH = GrainRecipe((200, 700), (0.001, 0.0025), (0.03, 0.09), (900, 2800), (600, 1600), rise=0.003)
_CRUMBS = GrainRecipe((600, 2000), (0.001, 0.002), (0.025, 0.07), (2500, 6000), (1500, 3000), (-10, -2), 0.003)

GROUND: dict[str, Recipe] = {
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
            GrainRecipe((8000, 16000), (0.001, 0.002), (0.12, 0.3), (1000, 4000), (1500, 4000), (-2, 4), 0.003),
        ),
        bubbles=(10, 50),
        rub_level=(-24, -16),
        rub_hertz=(1000, 3000),
        peak=(-20, -8),
    ),
}
