"""Drawn pictures without a material that can be touched: text, blank or blurred surfaces, noise, screens, ...

They are examples of the class "nothing".
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

KINDS = ("text", "blank", "sky", "blur", "face", "colour", "noise", "screen", "diagram")
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def kinds_of(count: int) -> list[str]:
    """The kind of each of `count` pictures that `nothing_pictures` draws."""
    return [KINDS[number % len(KINDS)] for number in range(count)]


def nothing_pictures(count: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw pictures uint8 `[count, size, size, 3]`, of each kind in turn; the same seed gives the same pictures."""
    pictures = np.zeros((count, size, size, 3), np.uint8)
    for number, kind in enumerate(kinds_of(count)):
        picture = _DRAW[kind](np.random.default_rng([seed, number]), size)
        pictures[number] = np.asarray(picture.convert("RGB").resize((size, size)), dtype=np.uint8)
    return pictures


def _text(random: np.random.Generator, size: int) -> Image.Image:
    dark = bool(random.random() < 0.2)
    paper, ink = ((25, 25, 28), (220, 220, 220)) if dark else ((250, 250, 247), (20, 20, 20))
    picture = Image.new("RGB", (size, size), paper)
    draw = ImageDraw.Draw(picture)
    height = int(random.integers(8, 22))
    font = ImageFont.load_default(height)
    margin = int(random.integers(4, size // 8))
    for y in range(margin, size - margin - height, round(height * 1.4)):
        words = ["".join(random.choice(list(_LETTERS), random.integers(1, 10))) for _ in range(size // height)]
        line = " ".join(words)[: int((size - 2 * margin) / (0.55 * height))]
        if random.random() < 0.9:
            draw.text((margin, y), line, fill=ink, font=font)
    return picture


def _blank(random: np.random.Generator, size: int) -> Image.Image:
    tone = random.integers(90, 256) + random.integers(-12, 13, 3)
    slope = random.normal(0, 18, (2, 1, 1)) * np.linspace(-0.5, 0.5, size)[None, :, None]
    surface = tone + slope[0][:, None] + slope[1][None, :] + random.normal(0, random.uniform(0, 3), (size, size, 1))
    return _picture(surface)


def _sky(random: np.random.Generator, size: int) -> Image.Image:
    sunset = random.random() < 0.6
    top = np.array([60, 60, 120] if sunset else [70, 130, 210]) + random.normal(0, 20, 3)
    low = np.array([250, 150, 70] if sunset else [200, 220, 240]) + random.normal(0, 20, 3)
    y = np.linspace(0, 1, size)[:, None, None] ** random.uniform(0.6, 2)
    sky = np.broadcast_to(top * (1 - y) + low * y, (size, size, 3)).copy()
    rows, columns = np.mgrid[:size, :size]
    horizon = size * random.uniform(0.65, 1.1)
    if sunset:
        centre = (horizon - size * random.uniform(0, 0.2), size * random.uniform(0.2, 0.8))
        distance = np.hypot(rows - centre[0], columns - centre[1])[..., None] / size
        sky += np.array([255, 220, 130]) * np.exp(-((distance / random.uniform(0.04, 0.15)) ** 2))
    clouds = _smooth(random, size, size / random.uniform(4, 12))
    sky += clouds[..., None] * random.uniform(5, 45)
    ground = rows > horizon + _smooth(random, size, size / 6)[0] * size * 0.04
    sky[ground] *= random.uniform(0.03, 0.3)
    return _picture(sky)


def _blur(random: np.random.Generator, size: int) -> Image.Image:
    planes = [_smooth(random, size, size / random.uniform(2, 6)) for _ in range(3)]
    return _picture(128 + random.uniform(20, 70) * np.stack(planes, axis=2))


def _face(random: np.random.Generator, size: int) -> Image.Image:
    picture = _blank(random, size)
    draw = ImageDraw.Draw(picture)
    skin = np.array([224, 172, 140]) * random.uniform(0.4, 1.1) + random.normal(0, 8, 3)
    hair = tuple(int(value) for value in random.integers(10, 120, 3))
    x, y, r = (size * random.uniform(low, high) for low, high in ((0.4, 0.6), (0.45, 0.6), (0.22, 0.36)))

    def oval(dx: float, dy: float, w: float, h: float, fill: tuple[int, ...]) -> None:
        draw.ellipse((x + r * (dx - w), y + r * (dy - h), x + r * (dx + w), y + r * (dy + h)), fill=fill)

    def tone(factor: float) -> tuple[int, ...]:
        return tuple(int(min(255, max(0, value * factor))) for value in skin)

    oval(0, -0.25, 1.05, 1.3, hair)
    oval(0, 0.9, 0.5, 0.7, tone(0.85))
    oval(0, 0, 0.85, 1.15, tone(1))
    for side in (-1, 1):
        oval(side * 0.35, -0.15, 0.17, 0.09, (245, 245, 245))
        oval(side * 0.35, -0.15, 0.08, 0.08, (50, 40, 30))
        oval(side * 0.35, -0.36, 0.2, 0.05, hair)
    oval(0, 0.2, 0.11, 0.2, tone(0.9))
    oval(0, 0.6, 0.3, 0.09, (170, 70, 70))
    return picture.filter(ImageFilter.GaussianBlur(size * random.uniform(0.005, 0.02)))


def _colour(random: np.random.Generator, size: int) -> Image.Image:
    """Black, white, grey or another colour, with nothing in it."""
    grey = (0, 255, int(random.integers(0, 256)))[int(random.integers(3))]
    colour = (grey, grey, grey) if random.random() < 0.6 else tuple(int(one) for one in random.integers(0, 256, 3))
    return Image.new("RGB", (size, size), colour)


def _noise(random: np.random.Generator, size: int) -> Image.Image:
    cells = int(random.integers(size // 4, size + 1))
    channels = 1 if random.random() < 0.5 else 3
    values = random.uniform(60, 200) + random.uniform(15, 80) * random.normal(0, 1, (cells, cells, channels))
    picture = _picture(np.broadcast_to(values, (cells, cells, 3)))
    return picture.resize((size, size), Image.Resampling.NEAREST)


def _screen(random: np.random.Generator, size: int) -> Image.Image:
    """Windows with a bar, buttons and lines of text, as on a screen."""
    picture = Image.new("RGB", (size, size), _flat(random))
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(max(8, size // 24))
    for _ in range(int(random.integers(1, 4))):
        left, top = (int(value) for value in random.integers(0, size // 2, 2))
        right, low = (int(value) for value in random.integers(size // 2 + size // 8, size + 1, 2))
        dark = bool(random.random() < 0.4)
        draw.rectangle((left, top, right, low), fill=(40, 42, 48) if dark else (246, 246, 248))
        bar = size // 16
        draw.rectangle((left, top, right, top + bar), fill=_flat(random))
        for y in range(top + 2 * bar, low - bar, round(1.5 * bar)):
            if random.random() < 0.25:
                draw.rounded_rectangle((left + bar, y, left + 5 * bar, y + bar), 3, fill=_flat(random))
            else:
                word = "".join(random.choice(list(_LETTERS), random.integers(4, 24)))
                draw.text((left + bar, y), word, fill=(220, 220, 220) if dark else (30, 30, 30), font=font)
    return picture


def _diagram(random: np.random.Generator, size: int) -> Image.Image:
    """A chart of bars or lines with axes, or boxes joined by lines."""
    picture = Image.new("RGB", (size, size), (255, 255, 255))
    draw = ImageDraw.Draw(picture)
    width = max(1, size // 96)
    if random.random() < 0.4:
        centres = [(int(x), int(y)) for x, y in random.integers(size // 8, size - size // 8, (5, 2))]
        draw.line(centres, fill=(60, 60, 60), width=width)
        for x, y in centres:
            box = (x - size // 10, y - size // 16, x + size // 10, y + size // 16)
            draw.rectangle(box, fill=_flat(random), outline=(40, 40, 40), width=width)
        return picture
    margin, count = size // 8, int(random.integers(4, 12))
    draw.line((margin, margin, margin, size - margin, size - margin, size - margin), fill=(0, 0, 0), width=width)
    step = (size - 2 * margin) / count
    for _ in range(int(random.integers(1, 4))):
        colour = _flat(random)
        heights = [size - margin - int(value) for value in random.uniform(0, size - 2 * margin, count)]
        tops = [(round(margin + (place + 0.5) * step), y) for place, y in enumerate(heights)]
        if random.random() < 0.5:
            draw.line(tops, fill=colour, width=width + 1)
            continue
        for x, y in tops:
            draw.rectangle((x - step * 0.3, y, x + step * 0.3, size - margin), fill=colour)
    return picture


def _flat(random: np.random.Generator) -> tuple[int, ...]:
    return tuple(int(one) for one in random.integers(20, 240, 3))


def _smooth(random: np.random.Generator, size: int, radius: float) -> npt.NDArray[np.float64]:
    """Noise `[size, size]` of mean 0 and standard deviation 1 that changes over `radius` pixels."""
    cells = max(3, round(size / radius))
    grid = Image.fromarray(random.normal(0, 1, (cells, cells)).astype(np.float32))
    noise = np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
    standard: npt.NDArray[np.float64] = (noise - noise.mean()) / noise.std()
    return standard


def _picture(values: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


_DRAW = {
    "text": _text,
    "blank": _blank,
    "sky": _sky,
    "blur": _blur,
    "face": _face,
    "colour": _colour,
    "noise": _noise,
    "screen": _screen,
    "diagram": _diagram,
}
