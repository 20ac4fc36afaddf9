"""Textures of outdoor materials: dirt, grass, gravel, leaf, rock and water. Each returns `[h, w, 3]`, 0 to 1."""

import numpy as np
from PIL import Image, ImageDraw

from training.synthesis.fields import Colour, Colours, cells, colour, fractal, glints, grid, palette, relief, soften

Rng = np.random.Generator


def dirt(rng: Rng, height: int, width: int) -> Colours:
    """Brown earth with clods, some pebbles and now and then a crack."""
    hue, value = rng.uniform(18, 36), rng.uniform(0.35, 0.65)
    clods = fractal(rng, height, width, rng.uniform(2.6, 3.2), coarsest=0.8)
    patches = fractal(rng, height, width, 4.0, coarsest=2.0)
    angle = rng.uniform(0, 2 * np.pi)
    ground = palette(
        0.5 + 0.22 * patches + 0.1 * clods,
        colour(hue, rng.uniform(0.45, 0.65), value * 0.55),
        colour(hue + 4, rng.uniform(0.35, 0.5), value),
        colour(hue + 8, rng.uniform(0.2, 0.35), min(1.0, value * 1.4)),
    )
    ground *= relief(clods, angle, rng.uniform(0.008, 0.014))[..., None]
    rows, columns = grid(height, width)
    number, near, _ = cells(rng, rows, columns, rng.uniform(0.06, 0.12))
    chosen = rng.random(int(number.max()) + 1)
    size = 0.1 + 0.25 * rng.random(len(chosen))
    dome = np.sqrt(np.clip(1.0 - (near / size[number]) ** 2, 0.0, 1.0)) * (chosen[number] < rng.uniform(0.05, 0.3))
    grey = (0.7 + 0.6 * rng.random(len(chosen)))[number] * value
    pebbles = (grey[..., None] * np.array([1.0, 0.95, 0.88])) * relief(dome.astype(np.float32), angle, 0.02)[
        ..., None
    ]
    return np.asarray(np.where(dome[..., None] > 0.0, pebbles, ground), np.float32)


def gravel(rng: Rng, height: int, width: int) -> Colours:
    """Closely packed rounded stones of several greys and browns, dark between them."""
    rows, columns = grid(height, width)
    wobble = 0.008 * fractal(rng, height, width, 4.0, coarsest=0.2)
    number, near, far = cells(rng, rows + wobble, columns - wobble, rng.uniform(0.05, 0.15))
    count = int(number.max()) + 1
    edge = np.clip((far - near) * rng.uniform(2.0, 3.5), 0.0, 1.0)
    dome = np.sqrt(1.0 - (1.0 - edge) ** 2).astype(np.float32)
    hue = rng.uniform(15, 45) if rng.random() < 0.7 else rng.uniform(200, 230)
    stone = np.stack(
        [colour(hue + 12 * rng.standard_normal(), 0.22 * rng.random(), rng.uniform(0.35, 0.95)) for _ in range(64)]
    )
    picture = stone[rng.integers(0, 64, count)][number]
    picture *= 1.0 + 0.08 * fractal(rng, height, width, 1.0, coarsest=0.05)[..., None]
    angle = rng.uniform(0, 2 * np.pi)
    light = relief(soften(dome, 0.004), angle, rng.uniform(0.012, 0.025)) * (0.3 + 0.7 * dome)
    return np.asarray(picture * light[..., None], np.float32)


def rock(rng: Rng, height: int, width: int) -> Colours:
    """A rough stone face: broken planes, cracks and speckles."""
    rows, columns = grid(height, width)
    rough = fractal(rng, height, width, rng.uniform(3.2, 3.8), coarsest=1.0)
    wobble = 0.04 * rough
    number, near, far = cells(rng, rows + wobble, columns * rng.uniform(0.5, 1.0) - wobble, rng.uniform(0.35, 0.7))
    tilt = rng.standard_normal((int(number.max()) + 1, 2)).astype(np.float32)
    planes = tilt[number, 0] * (rows - 0.5) + tilt[number, 1] * (columns - 0.5) + 0.6 * near
    crack = np.exp(-(((far - near) / rng.uniform(0.02, 0.05)) ** 2))
    hue, saturation = rng.choice([25.0, 35.0, 210.0]), rng.uniform(0.02, 0.2)
    value = rng.uniform(0.5, 0.8)
    speckle = fractal(rng, height, width, 0.5, coarsest=0.05)
    grain = 0.5 + 0.12 * rough + 0.09 * speckle
    picture = palette(
        grain,
        colour(hue, saturation, value * 0.45),
        colour(hue, saturation, value),
        colour(hue, saturation / 2, 1.0),
    )
    angle = rng.uniform(0, 2 * np.pi)
    light = relief(rough + planes.astype(np.float32), angle, rng.uniform(0.025, 0.05))
    picture *= light[..., None] * (1.0 - 0.75 * crack[..., None])
    if rng.random() < 0.3:  # lichen or moss
        moss = np.clip(fractal(rng, height, width, 3.0, coarsest=0.5) - 1.0, 0.0, 1.0)[..., None]
        picture = picture * (1.0 - 0.7 * moss) + 0.7 * moss * colour(rng.uniform(60, 100), 0.5, 0.5)
    return np.asarray(picture, np.float32)


def grass(rng: Rng, height: int, width: int) -> Colours:
    """Thousands of blades; the lower and farther, the darker."""
    hue, value = rng.uniform(60, 115), rng.uniform(0.5, 0.85)
    dry = rng.uniform(0.0, 0.35)
    image = Image.new("RGB", (width, height), _bytes(colour(hue - 15, 0.6, value * 0.28)))
    draw = ImageDraw.Draw(image)
    tall = rng.uniform(0.1, 0.35) * height
    count = int(rng.uniform(1300, 2000))
    depth = np.sort(rng.random(count))
    foot = np.stack([rng.uniform(-0.1, 1.1, count) * width, rng.uniform(0.0, 1.25, count) * height], axis=1)
    lean = rng.normal(rng.uniform(-0.4, 0.4), 0.45, count)
    length = tall * rng.uniform(0.5, 1.2, count)
    middle = foot + np.stack([0.3 * lean, -0.6 * np.ones(count)], axis=1) * length[:, None]
    tip = foot + np.stack([lean, -np.cos(lean)], axis=1) * length[:, None]
    tint = [
        _bytes(colour(45 if straw else hue + 12 * shift, 0.4 if straw else 0.65, value * (0.35 + 0.75 * near)))
        for near, straw, shift in zip(depth, rng.random(count) < dry, rng.standard_normal(count), strict=True)
    ]
    thick = max(1, round(height / 144 * rng.uniform(0.8, 2.0)))
    paths = np.concatenate([foot, middle, tip], axis=1).tolist()
    for path, ink in zip(paths, tint, strict=True):
        draw.line(path, fill=ink, width=thick)
    light = 1.0 + 0.12 * fractal(rng, height, width, 3.0, coarsest=1.5)
    return np.asarray(soften(_floats(image), 0.0025) * light[..., None], np.float32)


def leaf(rng: Rng, height: int, width: int) -> Colours:
    """Fallen or living leaves over one another, each with its midrib and shadow."""
    hue, spread = (rng.uniform(80, 125), 10) if rng.random() < 0.4 else (rng.uniform(15, 50), 14)
    saturation, value = rng.uniform(0.45, 0.8), rng.uniform(0.5, 0.85)
    image = Image.new("RGB", (width, height), _bytes(colour(25, 0.5, 0.15)))
    draw = ImageDraw.Draw(image)
    size = rng.uniform(0.09, 0.2) * height
    count = int(min(320, 5.0 * height * width / size**2))
    outline = np.linspace(-1.0, 1.0, 9)
    slim = rng.uniform(0.3, 0.55)
    half = slim * (1.0 - outline**2) ** rng.uniform(0.7, 1.1) * (1.0 - 0.3 * outline)
    shape = np.concatenate([np.stack([outline, half], 1), np.stack([outline, -half], 1)[::-1]])
    for layer in np.sort(rng.random(count)):
        turn, scale = rng.uniform(0, 2 * np.pi), size * rng.uniform(0.6, 1.2)
        rotate = scale * np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        place = rng.random(2) * (width, height)
        points = shape @ rotate + place
        light = value * (0.45 + 0.6 * layer) * rng.uniform(0.8, 1.2)
        ink = colour(hue + spread * rng.standard_normal(), saturation * rng.uniform(0.7, 1.1), min(1.0, light))
        shadow = points + 0.12 * scale
        draw.polygon(shadow.ravel().tolist(), fill=_bytes(colour(hue, 0.5, 0.2 * value * (0.4 + layer))))
        draw.polygon(points.ravel().tolist(), fill=_bytes(ink))
        rib = np.array([[-1.0, 0.0], [1.0, 0.0]]) @ rotate + place
        draw.line(rib.ravel().tolist(), fill=_bytes(1.3 * ink + 0.05), width=max(1, round(0.04 * scale)))
    mottled = 1.0 + 0.1 * fractal(rng, height, width, 1.5, coarsest=0.3)
    return np.asarray(soften(_floats(image), 0.002) * mottled[..., None], np.float32)


def water(rng: Rng, height: int, width: int) -> Colours:
    """Rippled water: blue to green, the sky on the slopes, highlights, and caustics where it is shallow."""
    rows, columns = grid(height, width)
    swell = rng.uniform(0.0, 2 * np.pi)
    waves = fractal(rng, height, width, rng.uniform(5.0, 6.5), coarsest=rng.uniform(0.2, 0.5), stretch=(1.0, 2.5))
    for _ in range(3):
        way, length = swell + 0.5 * rng.standard_normal(), rng.uniform(0.06, 0.3)
        along = (rows * np.sin(way) + columns * np.cos(way)) / length
        waves += 0.35 * np.sin(2 * np.pi * along + fractal(rng, height, width, 5.0)).astype(np.float32)
    hue, value = rng.uniform(165, 215), rng.uniform(0.3, 0.6)
    slope = np.gradient(waves, axis=0) * height * 0.03
    picture = palette(
        0.45 + 0.4 * slope + 0.1 * rows,
        colour(hue, 0.75, value * 0.5),
        colour(hue, 0.6, value),
        colour(hue + 10, 0.25, min(1.0, value + 0.4)),
    )
    shine = glints(waves, rng.uniform(0, 2 * np.pi), 0.02, rng.uniform(20, 50))
    picture += rng.uniform(0.4, 0.9) * shine[..., None]
    if rng.random() < 0.5:
        bend = 0.03 * fractal(rng, height, width, 4.5, coarsest=0.5)
        _, near, far = cells(rng, rows + bend, columns + bend, rng.uniform(0.12, 0.25))
        net = np.exp(-(((far - near) / 0.09) ** 2))
        picture += 0.35 * soften(net.astype(np.float32), 0.004)[..., None] * np.array([0.8, 1.0, 0.95])
    return np.asarray(picture, np.float32)


def _bytes(rgb: Colour) -> tuple[int, int, int]:
    red, green, blue = (max(0, min(255, round(255 * float(c)))) for c in rgb)
    return red, green, blue


def _floats(image: Image.Image) -> Colours:
    return np.asarray(image, np.float32) / np.float32(255.0)
