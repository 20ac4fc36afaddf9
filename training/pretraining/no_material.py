"""Drawn pictures without a material that can be touched: pages of text, blank or blurred surfaces, skies, faces.

They are examples of the class "nothing".
"""

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFilter, ImageFont

KINDS = ("text", "blank", "sky", "blur", "face")
_LETTERS = "etaoinshrdlucmfwypvbgkjqxz"


def nothing_pictures(count: int, size: int, seed: int = 0) -> npt.NDArray[np.uint8]:
    """Draw pictures uint8 `[count, size, size, 3]`, of each kind in turn; the same seed gives the same pictures."""
    pictures = []
    for number in range(count):
        random = np.random.default_rng([seed, number])
        picture = _DRAW[KINDS[number % len(KINDS)]](random, size)
        pictures.append(np.asarray(picture.convert("RGB").resize((size, size)), dtype=np.uint8))
    return np.stack(pictures)


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


def _smooth(random: np.random.Generator, size: int, radius: float) -> npt.NDArray[np.float64]:
    """Noise `[size, size]` of mean 0 and standard deviation 1 that changes over `radius` pixels."""
    cells = max(3, round(size / radius))
    grid = Image.fromarray(random.normal(0, 1, (cells, cells)).astype(np.float32))
    noise = np.asarray(grid.resize((size, size), Image.Resampling.BICUBIC), dtype=np.float64)
    standard: npt.NDArray[np.float64] = (noise - noise.mean()) / noise.std()
    return standard


def _picture(values: npt.NDArray[np.float64]) -> Image.Image:
    return Image.fromarray(np.clip(values, 0, 255).astype(np.uint8))


_DRAW = {"text": _text, "blank": _blank, "sky": _sky, "blur": _blur, "face": _face}
