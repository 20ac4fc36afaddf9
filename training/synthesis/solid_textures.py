"""Textures of hard materials: ceramic, drywall, glass, metal, plastic, tile, wood; each `[h, w, 3]`, 0 to 1."""

import numpy as np

from training.synthesis.fields import Colours, Field, colour, fractal, glints, grid, palette, relief, soften

Rng = np.random.Generator


def wood(rng: Rng, height: int, width: int) -> Colours:
    """Sawn wood: growth rings stretched along the grain, fine pores, often in boards."""
    if rng.random() < 0.25:
        return np.ascontiguousarray(np.swapaxes(_wood(rng, width, height), 0, 1))
    return _wood(rng, height, width)


def _wood(rng: Rng, height: int, width: int) -> Colours:
    rows, columns = grid(height, width)
    if height > width:  # stays the same size when it is turned on its side
        rows, columns = rows * np.float32(height / width), columns * np.float32(height / width)
    board = rng.uniform(0.18, 0.5) if rng.random() < 0.6 else 4.0
    number = np.floor(rows / board + rng.random()).astype(np.int64)
    number -= number.min()
    shift = rng.uniform(0.0, 9.0, int(number.max()) + 1)[number]
    flow = fractal(rng, height, width, 4.2, coarsest=1.0, stretch=(1.0, 4.0))
    across = (
        rows * rng.uniform(5, 14) + shift + rng.uniform(0.4, 1.2) * flow + 0.3 * columns * rng.standard_normal()
    )
    ring = across % 1.0
    late = ring**2.5 * (1.0 - np.clip((ring - 0.92) / 0.08, 0.0, 1.0))
    pores = fractal(rng, height, width, 0.6, coarsest=0.1, stretch=(1.0, 25.0))
    hue, saturation, value = rng.uniform(16, 36), rng.uniform(0.35, 0.7), rng.uniform(0.45, 0.9)
    tone = 0.65 - rng.uniform(0.25, 0.5) * late + 0.1 * pores
    tone += 0.12 * rng.standard_normal(int(number.max()) + 1)[number]
    picture = palette(
        tone.astype(np.float32),
        colour(hue - 4, min(1.0, saturation * 1.2), value * 0.4),
        colour(hue, saturation, value),
        colour(hue + 5, saturation * 0.7, min(1.0, value * 1.15)),
    )
    if board < 1.0:
        seam = np.diff(number, axis=0, prepend=number[:1]) != 0
        picture *= 1.0 - 0.7 * soften(seam.astype(np.float32), 0.004)[..., None] * min(1.0, 0.01 * height)
    return np.asarray(picture, np.float32)


def metal(rng: Rng, height: int, width: int) -> Colours:
    """Bare or dull metal: grey, streaked along the brushing, with hard bright and dark reflections."""
    rows, columns = grid(height, width)
    brush = fractal(rng, height, width, 0.4, coarsest=0.2, stretch=(1.0, 60.0))
    profile = fractal(rng, height, 1, 3.0, coarsest=rng.uniform(0.5, 1.2))[:, 0]
    lean = rng.uniform(-0.5, 0.5) * (columns[0] - columns[0].mean()) * height
    at = (np.arange(height)[:, None] + lean[None, :]).astype(np.int64) % height
    reflection = np.tanh(1.3 * profile[at])
    value = rng.uniform(0.4, 0.65)
    tone = (value + 0.3 * reflection + 0.045 * brush).astype(np.float32)
    kind = rng.random()
    if kind < 0.25:  # corrugated
        tone += 0.25 * np.sin(2 * np.pi * columns / rng.uniform(0.06, 0.2)).astype(np.float32)
    elif kind < 0.45:  # diamond plate
        tone *= relief(_diamonds(rows, columns, rng.uniform(0.08, 0.16)), rng.uniform(0, 6.28), 0.012)
    elif kind < 0.6:  # perforated
        size = rng.uniform(0.05, 0.1)
        hole = ((rows / size) % 1.0 - 0.5) ** 2 + (
            ((columns / size) + 0.5 * np.floor(rows / size)) % 1.0 - 0.5
        ) ** 2
        tone *= np.clip((hole - 0.06) * 20.0, 0.12, 1.0)
    hue = 210 if rng.random() < 0.7 else 40
    tint = rng.uniform(0.02, 0.12) if rng.random() < 0.85 else rng.uniform(0.3, 0.45)
    picture = palette(tone, colour(hue, tint, 0.08), colour(hue, tint, 0.55), colour(hue, tint * 0.5, 1.0))
    if rng.random() < 0.3:  # rust
        rust = np.clip(fractal(rng, height, width, 2.8, coarsest=0.7) - rng.uniform(0.4, 1.2), 0.0, 1.0)[..., None]
        picture = picture * (1.0 - rust) + rust * colour(rng.uniform(12, 26), 0.75, 0.45) * (
            0.8 + 0.4 * tone[..., None]
        )
    return np.asarray(picture, np.float32)


def glass(rng: Rng, height: int, width: int) -> Colours:
    """A row of bottles and tumblers, or a pane: a distorted background, dark and bright edges, reflected lights."""
    rows, columns = grid(height, width)
    hue = rng.uniform(90, 200)
    scene = soften(fractal(rng, height, width, 3.5, coarsest=2.0), 0.03)
    behind = palette(
        0.5 + 0.3 * scene + 0.3 * (0.5 - rows),
        colour(rng.uniform(0, 360), 0.25, 0.25),
        colour(rng.uniform(0, 360), 0.15, 0.6),
        colour(rng.uniform(0, 360), 0.1, 0.95),
    )
    tinted = colour(hue, rng.uniform(0.05, 0.35), 1.0)
    if rng.random() < 0.25:  # a pane
        slant = columns + rng.uniform(0.4, 1.0) * rows
        bands = np.clip(fractal(rng, 1, 4 * height, 3.0, coarsest=300.0, finest=20.0)[0], 0, 2)
        streak = bands[(slant * height).astype(np.int64) % (4 * height)]
        return np.asarray(behind * tinted * 0.85 + 0.22 * streak[..., None], np.float32)
    across = rng.uniform(0.3, 0.7)
    within = ((columns + rng.random()) / across) % 1.0 * 2.0 - 1.0  # -1..1 over one vessel
    number = np.floor((columns + rng.random()) / across).astype(np.int64)
    number -= number.min()
    wall = np.abs(within)
    radius = rng.uniform(0.72, 0.95)
    inside = wall < radius
    bowl = np.sqrt(np.clip(1.0 - (within / radius) ** 2, 0.0, 1.0))
    mirrored = behind[:, ::-1][:, (np.arange(width) * 2) % width]
    body = (0.45 * behind + 0.55 * mirrored) * tinted * (0.55 + 0.45 * bowl[..., None])
    rim = np.exp(-(((wall - radius * 0.96) / 0.03) ** 2))
    light = np.exp(-(((within - rng.uniform(-0.6, -0.3)) / 0.06) ** 2)) + 0.4 * np.exp(
        -(((within - 0.55) / 0.03) ** 2)
    )
    level = rng.uniform(0.3, 0.7)
    liquid = np.exp(-(((rows - level - 0.03 * bowl) / 0.008) ** 2)) if rng.random() < 0.5 else 0.0 * rows
    body = body * (1.0 - 0.6 * rim[..., None]) + 0.75 * light[..., None] * (rows > 0.06)[..., None]
    body += 0.4 * liquid[..., None]
    return np.asarray(np.where(inside[..., None], body, behind * 0.8), np.float32)


def ceramic(rng: Rng, height: int, width: int) -> Colours:
    """Glazed plates and bowls: smooth shading, rims, rings of decoration and one clear highlight each."""
    rows, columns = grid(height, width)
    hue = rng.choice([0.0, 30.0, 210.0, 200.0, 160.0])
    glaze = colour(hue, rng.choice([0.03, 0.08, 0.35, 0.6]), rng.uniform(0.75, 0.95))
    trim = colour(rng.uniform(0, 360), 0.6, rng.uniform(0.3, 0.7))
    picture = np.ones((height, width, 3), np.float32) * glaze * 0.7
    angle = rng.uniform(0, 2 * np.pi)
    for _ in range(int(rng.integers(4, 9))):
        middle = rng.uniform(0.0, 1.0), rng.uniform(0.0, 1.0) * width / height
        size, squash = rng.uniform(0.25, 0.6), rng.uniform(0.6, 1.0)
        y, x = (rows - middle[0]) / (size * squash), (columns - middle[1]) / size
        distance = np.hypot(y, x)
        plate = distance < 1.0
        lit = 0.88 + 0.16 * (x * np.cos(angle) + y * np.sin(angle))
        lit -= (
            0.25
            * np.exp(-(((distance - 0.62) / 0.05) ** 2))
            * (0.5 + 0.5 * (x * np.cos(angle) + y * np.sin(angle)))
        )
        lit += 0.15 * np.exp(-(((distance - 0.97) / 0.03) ** 2))
        dish = glaze * lit[..., None]
        ring = np.exp(-(((distance - 0.88) / 0.02) ** 2))[..., None]
        dish = dish * (1.0 - ring) + ring * trim * lit[..., None]
        shine = np.exp(-(((y + 0.4 * np.sin(angle)) / 0.12) ** 2 + ((x + 0.4 * np.cos(angle)) / 0.2) ** 2))
        dish = dish + 0.6 * shine[..., None]
        shadow = np.clip((1.12 - np.hypot(y - 0.08, x - 0.05)) / 0.15, 0.0, 1.0)[..., None]
        picture = np.where(plate[..., None], dish, picture * (1.0 - 0.5 * shadow))
    return np.asarray(picture, np.float32)


def tile(rng: Rng, height: int, width: int) -> Colours:
    """A tiled floor or wall: a grid of grout, each tile in a slightly different shade, one reflection over all."""
    rows, columns = grid(height, width)
    turn = rng.choice([0.0, rng.uniform(-0.5, 0.5), np.pi / 4])
    y = rows * np.cos(turn) - columns * np.sin(turn)
    x = rows * np.sin(turn) + columns * np.cos(turn)
    size = rng.uniform(0.14, 0.4)
    long = size * rng.choice([1.0, 1.0, 2.0])
    row = np.floor(y / size).astype(np.int64)
    x = x + (0.5 * long * (row % 2) if long > size else 0.0)
    column = np.floor(x / long).astype(np.int64)
    row, column = row - row.min(), column - column.min()
    gap = rng.uniform(0.02, 0.04) * size
    edge = np.minimum(
        np.abs((y / size) % 1.0 - 0.5) * -1.0 * size + 0.5 * size, (0.5 - np.abs((x / long) % 1.0 - 0.5)) * long
    )
    hue, saturation, value = rng.uniform(0, 360), rng.choice([0.04, 0.12, 0.4]), rng.uniform(0.55, 0.92)
    shade = 1.0 + 0.05 * rng.standard_normal((int(row.max()) + 1, int(column.max()) + 1))[row, column]
    if rng.random() < 0.25:  # chequered
        shade = np.where((row + column) % 2 == 0, shade, 0.35 * shade)
    marble = fractal(rng, height, width, 2.5, coarsest=0.6)
    picture = colour(hue, saturation, value) * (shade + rng.uniform(0.0, 0.06) * marble)[..., None]
    picture *= relief(soften(np.clip(edge / gap, 0.0, 2.0).astype(np.float32), 0.003), rng.uniform(0, 6.28), 0.004)[
        ..., None
    ]
    sheen = np.exp(-(((rows - rng.random()) ** 2 + (columns - rng.uniform(0, 1.7)) ** 2) / 0.08))
    picture = picture + 0.3 * sheen[..., None]
    mortar = colour(30, 0.08, rng.choice([0.3, 0.5, 0.8]))
    soft = np.clip((edge - gap) / 0.006, 0.0, 1.0)[..., None]
    return np.asarray(picture * soft + mortar * (1.0 - soft), np.float32)


def plastic(rng: Rng, height: int, width: int) -> Colours:
    """Moulded plastic: one strong colour, soft wide highlights, often ribs or the rings of a lid."""
    rows, columns = grid(height, width)
    hue = rng.uniform(0, 360)
    saturation = rng.uniform(0.65, 0.95) if rng.random() < 0.8 else 0.05
    value = rng.uniform(0.5, 0.9)
    surface = 1.2 * fractal(rng, height, width, 5.0, coarsest=1.8, finest=0.35)
    kind = rng.random()
    if kind < 0.4:
        surface = surface + _ribs(columns if rng.random() < 0.5 else rows, rng.uniform(0.1, 0.3))
    elif kind < 0.65:
        middle = rng.uniform(0.2, 0.8), rng.uniform(0.3, 1.4)
        surface = surface + _ribs(
            np.hypot(rows - middle[0], columns - middle[1]).astype(np.float32), rng.uniform(0.1, 0.25)
        )
    angle = rng.uniform(0, 2 * np.pi)
    surface = soften(surface.astype(np.float32), 0.006)
    light = relief(surface, angle, 0.03)[..., None]
    shine = glints(surface, angle, 0.06, 6.0)[..., None]
    picture = colour(hue, saturation, value) * (0.35 + 0.65 * light) + 0.28 * shine
    return np.asarray(picture, np.float32)


def drywall(rng: Rng, height: int, width: int) -> Colours:
    """A painted wall: flat, with faint roller marks and soft uneven light; sometimes a corner or a socket."""
    rows, columns = grid(height, width)
    paint = np.array(
        colour(rng.uniform(25, 60) if rng.random() < 0.8 else 200, rng.uniform(0.0, 0.12), rng.uniform(0.75, 0.95))
    )
    stipple = fractal(rng, height, width, 1.0, coarsest=0.06)
    way = rng.uniform(0, 2 * np.pi)
    fall = 1.0 + rng.uniform(0.1, 0.3) * ((rows - 0.5) * np.sin(way) + (columns - 0.9) * np.cos(way))
    picture = paint * (fall * (1.0 + 0.008 * stipple + 0.015 * fractal(rng, height, width, 3.0)))[..., None]
    if rng.random() < 0.4:
        corner = rng.uniform(0.2, 1.5)
        picture *= np.where(columns < corner, rng.uniform(0.75, 0.9), 1.0)[..., None]
    if rng.random() < 0.4:
        top = rng.uniform(0.78, 0.92)
        board = (rows > top)[..., None]
        picture = np.where(board, np.array([0.93, 0.92, 0.9]), picture)
        picture *= 1.0 - 0.45 * np.exp(-(((rows - top) / 0.008) ** 2))[..., None]
    if rng.random() < 0.35:
        y, x = np.abs(rows - rng.uniform(0.2, 0.7)) / 0.09, np.abs(columns - rng.uniform(0.3, 1.4)) / 0.06
        plate = np.maximum(y, x)
        picture = np.where(
            (plate < 1.0)[..., None], 0.97 - 0.6 * ((np.abs(y - 0.4) < 0.18) & (x < 0.25))[..., None], picture
        )
        picture *= 1.0 - 0.35 * np.exp(-(((plate - 1.03) / 0.06) ** 2))[..., None]
    return np.asarray(picture, np.float32)


def _ribs(distance: Field, apart: float) -> Field:
    return np.asarray(0.5 * np.tanh(3.0 * np.sin(2 * np.pi * distance / apart)), np.float32)


def _diamonds(rows: Field, columns: Field, size: float) -> Field:
    """Raised lozenges of a tread plate, alternating in direction."""
    y, x = (rows / size) % 1.0 - 0.5, (columns / size) % 1.0 - 0.5
    odd = (np.floor(rows / size) + np.floor(columns / size)) % 2 == 0
    along, across = np.where(odd, x + y, x - y), np.where(odd, x - y, x + y)
    return np.asarray(np.clip(1.0 - (along / 0.75) ** 2 - (across / 0.18) ** 2, 0.0, 1.0), np.float32)
