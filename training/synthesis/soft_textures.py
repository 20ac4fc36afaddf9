"""Textures of thin and soft materials: carpet, cloth, paper and plastic bags. Each returns `[h, w, 3]`, 0 to 1."""

import numpy as np

from training.synthesis.fields import (
    Colours,
    Field,
    bend,
    cells,
    colour,
    fractal,
    glints,
    grid,
    relief,
    soften,
)

Rng = np.random.Generator


def carpet(rng: Rng, height: int, width: int) -> Colours:
    """Short pile: tufts in every direction in a few similar colours, sometimes with a woven pattern."""
    rows, columns = grid(height, width)
    hue, saturation, value = rng.uniform(0, 360), rng.uniform(0.1, 0.6), rng.uniform(0.25, 0.6)
    size = rng.uniform(0.014, 0.03)
    number, near, _ = cells(rng, rows, columns, size)
    tuft = 1.0 + rng.uniform(0.12, 0.25) * rng.standard_normal(int(number.max()) + 1)[number]
    pile = fractal(rng, height, width, 0.8, coarsest=0.06)
    trodden = fractal(rng, height, width, 3.0, coarsest=1.2)
    base = colour(hue, saturation, value)
    picture = np.ones((height, width, 3)) * base
    if rng.random() < 0.4:
        apart = rng.uniform(0.15, 0.4)
        motif = np.cos(2 * np.pi * rows / apart) * np.cos(2 * np.pi * columns / apart)
        other = colour(hue + rng.uniform(30, 180), saturation, value * rng.uniform(0.6, 1.6))
        picture = np.where((motif > rng.uniform(0.2, 0.5))[..., None], other, picture)
    light = tuft * (1.1 - 0.5 * near) * (1.0 + 0.12 * pile + 0.06 * trodden)
    return np.asarray(picture * light[..., None], np.float32)


def cloth(rng: Rng, height: int, width: int) -> Colours:
    """Woven cloth in folds: plain, striped or checked."""
    rows, columns = grid(height, width)
    folds = fractal(rng, height, width, 5.5, coarsest=1.2, stretch=(rng.uniform(0.5, 2.0), 1.0))
    folds = soften(np.abs(folds), 0.015)
    y, x = rows + 0.02 * folds, columns + 0.03 * folds
    hue, saturation, value = rng.uniform(0, 360), rng.uniform(0.1, 0.75), rng.uniform(0.4, 0.85)
    base = colour(hue, saturation, value)
    other = colour(hue + rng.uniform(60, 200), saturation, rng.uniform(0.3, 0.95))
    kind, apart = rng.random(), rng.uniform(0.1, 0.3)
    stripes = ((x / apart) % 1.0 < 0.5).astype(np.float32)
    if kind < 0.45:
        mix = 0.0 * stripes
    elif kind < 0.7:
        mix = stripes
    else:
        mix = 0.5 * stripes + 0.5 * ((y / apart) % 1.0 < 0.5)
    picture = base * (1.0 - mix[..., None]) + other * mix[..., None]
    thread = max(rng.uniform(0.014, 0.035), 2.2 / height)
    over = np.sin(2 * np.pi * x / thread) * np.sin(2 * np.pi * y / thread)
    weave = 1.0 + 0.13 * over + 0.05 * fractal(rng, height, width, 0.3, coarsest=0.03)
    light = relief(folds, rng.uniform(0, 2 * np.pi), rng.uniform(0.09, 0.16))
    return np.asarray(picture * (weave * (0.4 + 0.6 * light))[..., None], np.float32)


def paper(rng: Rng, height: int, width: int) -> Colours:
    """Paper: crumpled, printed, or corrugated board."""
    rows, columns = grid(height, width)
    kind = rng.random()
    fibre = fractal(rng, height, width, 0.8, coarsest=0.05)
    if kind < 0.25:
        board = colour(rng.uniform(26, 36), rng.uniform(0.35, 0.5), rng.uniform(0.6, 0.8))
        flutes = 1.0 + 0.035 * np.sin(2 * np.pi * rows / rng.uniform(0.03, 0.05))
        dent = relief(fractal(rng, height, width, 5.0, coarsest=0.8), rng.uniform(0, 6.28), 0.008)
        fold = 1.0 - 0.4 * np.exp(-(((columns - rng.uniform(0.3, 1.4)) / 0.008) ** 2))
        return np.asarray(board * (flutes * dent * fold * (1.0 + 0.03 * fibre))[..., None], np.float32)
    sheet = colour(rng.uniform(35, 60), rng.uniform(0.0, 0.1), rng.uniform(0.88, 0.98))
    picture = np.ones((height, width, 3)) * sheet * (1.0 + 0.012 * fibre)[..., None]
    if kind < 0.65:
        picture *= 1.0 - _print(rng, height, width)[..., None]
    depth = rng.uniform(0.06, 0.12) if kind > 0.45 else 0.03
    picture *= _crumple(rng, rows, columns, depth)[..., None]
    return np.asarray(picture, np.float32)


def plastic_bag(rng: Rng, height: int, width: int) -> Colours:
    """A thin bag: sharp crossing folds, milky and shiny, white or coloured."""
    warp = 0.08 * fractal(rng, height, width, 4.5, coarsest=0.8)
    film = fractal(rng, height, width, 4.5, coarsest=0.9, stretch=(rng.uniform(1.0, 2.5), 1.0))
    ridges = 1.0 - np.minimum(np.abs(bend(film, warp, -warp)), 1.5) / 1.5
    fine = 1.0 - np.minimum(np.abs(fractal(rng, height, width, 4.0, coarsest=0.45)), 1.5) / 1.5
    surface = soften((ridges**2 + 0.4 * fine**2).astype(np.float32), 0.004)
    angle = rng.uniform(0, 2 * np.pi)
    light = relief(surface, angle, 0.09)
    shine = glints(surface, angle, 0.07, rng.uniform(7, 14))
    kind = rng.random()
    if kind < 0.6:
        film_colour = colour(rng.uniform(180, 240), rng.uniform(0.0, 0.08), rng.uniform(0.75, 0.92))
    elif kind < 0.85:
        film_colour = colour(rng.uniform(0, 360), rng.uniform(0.3, 0.7), rng.uniform(0.6, 0.9))
    else:
        film_colour = colour(220, 0.1, 0.16)
    through = soften(fractal(rng, height, width, 3.0), 0.03)
    picture = np.array(film_colour) * (0.5 + 0.5 * light + 0.06 * through)[..., None]
    return np.asarray(picture + rng.uniform(0.4, 0.7) * shine[..., None], np.float32)


def _print(rng: Rng, height: int, width: int) -> Field:
    """Lines of letters too small to read, as ink `[h, w]` from 0 to 1; sometimes with a picture among them."""
    rows, columns = grid(height, width)
    line = rng.uniform(0.04, 0.07)
    row = np.floor(rows / line).astype(np.int64)
    letters = rng.random((int(row.max()) + 1, 400))
    words = np.repeat(rng.random((int(row.max()) + 1, 80)) > 0.15, 5, axis=1)
    at = np.minimum((columns / (line * 0.32)).astype(np.int64), 399)
    upright = (rows / line) % 1.0
    stroke = (
        (letters[row, at] * 0.9 > np.abs(upright - 0.5) * 2.2)
        & words[row, at]
        & (upright > 0.25)
        & (upright < 0.75)
    )
    ink = 0.6 * stroke.astype(np.float32)
    if rng.random() < 0.3:
        top, left = rng.uniform(0.1, 0.5), rng.uniform(0.1, 1.0)
        inside = (rows > top) & (rows < top + 0.4) & (columns > left) & (columns < left + 0.5)
        ink = np.where(inside, 0.4 + 0.15 * fractal(rng, height, width, 3.0), ink)
    margin = (columns > 0.06) & (rows > 0.05)
    return np.clip(soften((ink * margin).astype(np.float32), 0.002), 0.0, 0.9)


def _crumple(rng: Rng, rows: Field, columns: Field, depth: float) -> Field:
    """Brightness of crumpled paper: facets with bright and dark creases, about 1 on average."""
    light = np.ones_like(rows)
    for size in (0.45, 0.2):
        bent = 0.04 * fractal(rng, rows.shape[0], rows.shape[1], 4.5)
        number, near, far = cells(rng, rows + bent, columns - bent, size)
        facet = rng.standard_normal(int(number.max()) + 1)[number]
        crease = np.exp(-(((far - near) / 0.06) ** 2))
        light += depth * (facet * (0.7 + 0.3 * near) + 0.8 * crease * np.sign(facet)) * (size / 0.45) ** 0.5
    return soften(light.astype(np.float32), 0.003)
