"""Pictures of several materials: a ground in perspective, things lying on it, and a drumstick."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from model.materials import material_named
from training.synthesis.fields import Colours, Field, fractal, grid, soften
from training.synthesis.textures import Picture, texture, to_bytes

Labels = npt.NDArray[np.uint8]

_MARGIN = 0.08
_LEAST_SHARE = 0.05
_ATTEMPTS = 12
# Materials of things that lie on the ground; the others cover an area of it.
_THINGS = frozenset({"plastic", "metal", "paper", "glass", "ceramic", "plastic-bag", "cloth", "wood", "rock"})
_UPRIGHT = frozenset({"drywall", "glass", "ceramic", "plastic-bag"})
_WOBBLE = {"rock": 0.16, "plastic-bag": 0.2, "cloth": 0.1, "paper": 0.02}


@dataclass(frozen=True)
class Camera:
    """The camera: `perspective` from 0 (from above) to 1, `blur` in picture heights, sensor `noise` from 0 to 1."""

    perspective: float
    blur: float
    noise: float


@dataclass(frozen=True, eq=False)
class Scene:
    """A drawn scene, larger than its pictures by a margin, so that the camera can move.

    `materials` in the order of the request, their `shares` of the area (sum 1), the `canvas`, uint8 `[H, W, 3]`,
    and `labels`, uint8 `[H, W]`, the index into `materials` of each pixel. Its pictures are `height` by `width`.
    """

    materials: tuple[str, ...]
    shares: tuple[float, ...]
    canvas: Picture
    labels: Labels
    camera: Camera
    height: int
    width: int

    def point_on(self, material: str, rng: np.random.Generator) -> tuple[float, float]:
        """A random place (row, column, in pixels of a picture) where `material` can be hit."""
        top, left = self._centre()
        view = self.labels[top : top + self.height, left : left + self.width]
        at = np.flatnonzero(view == self.materials.index(material))
        if len(at) == 0:  # only in the margin
            return self.height * rng.uniform(0.3, 0.8), self.width * rng.uniform(0.2, 0.8)
        chosen = int(at[int(rng.integers(len(at)))])
        return float(chosen // self.width), float(chosen % self.width)

    def frame(
        self, rng: np.random.Generator, tip: tuple[float, float] | None = None, shake: float = 0.3
    ) -> Picture:
        """One picture, uint8 `[height, width, 3]`.

        `tip`: row and column of the drumstick's tip in pixels, or None for no stick. `shake`: how far the camera
        moves between frames, as a fraction of the margin. Exposure and sensor noise differ between frames.
        """
        top, left = self._centre()
        top += round(shake * top * rng.uniform(-1.0, 1.0))
        left += round(shake * left * rng.uniform(-1.0, 1.0))
        view = self.canvas[top : top + self.height, left : left + self.width]
        if tip is not None:
            view = _with_drumstick(view, tip)
        exposure = rng.normal(1.0, 0.015)
        noise = rng.standard_normal((self.height, self.width, 1), np.float32) * np.float32(self.camera.noise)
        return to_bytes(view * np.float32(exposure / 255.0) + noise)

    def _centre(self) -> tuple[int, int]:
        return (self.canvas.shape[0] - self.height) // 2, (self.canvas.shape[1] - self.width) // 2


def draw_scene(
    materials: Sequence[str], rng: np.random.Generator, height: int, width: int, look: int | None = None
) -> Scene:
    """Draw a scene that shows all of `materials` (at least one name), each on at least 5 % of the area.

    `look` is a seed for textures and camera: two scenes with the same look and size differ in their layout only.
    None draws a look. Raises ValueError without materials, KeyError for an unknown one.
    """
    names = tuple(dict.fromkeys(materials))
    if not names:
        raise ValueError("a scene needs at least one material")
    place = int(rng.integers(2**31)) if look is None else look
    seen = np.random.default_rng([place, 1000])
    camera = Camera(seen.uniform(0.0, 1.0), seen.uniform(0.0, 0.006), seen.uniform(0.005, 0.025))
    tall, wide = round(height * (1 + 2 * _MARGIN)), round(width * (1 + 2 * _MARGIN))
    layers = _layers(names, rng, tall, wide)
    labels = _flatten(layers, tall, wide)
    picture = np.zeros((tall, wide, 3), np.float32)
    light = seen.uniform(0, 2 * np.pi)
    for index, mask in layers:
        surface = _surface(names[index], np.random.default_rng([place, _id(names[index])]), camera, tall, wide)
        picture = _lay(picture, surface, mask, names[index] in _THINGS and index != layers[0][0], light)
    shares = np.bincount(labels.ravel(), minlength=len(names)) / labels.size
    return Scene(
        names, tuple(map(float, shares)), to_bytes(soften(picture, camera.blur)), labels, camera, height, width
    )


def _layers(names: tuple[str, ...], rng: np.random.Generator, height: int, width: int) -> list[tuple[int, Field]]:
    """Index and mask 0..1 `[h, w]` of each material from the ground up, every one of them well in sight."""
    order = sorted(range(len(names)), key=lambda i: (names[i] in _THINGS, rng.random()))
    for _ in range(_ATTEMPTS):
        layers = [(order[0], np.ones((height, width), np.float32))]
        for index in order[1:]:
            thing = names[index] in _THINGS
            mask = _thing(names[index], rng, height, width) if thing else _patch(rng, height, width)
            layers.append((index, mask))
        shares = np.bincount(_flatten(layers, height, width).ravel(), minlength=len(names))
        if shares.min() >= _LEAST_SHARE * height * width:
            return layers
    # Crowded: side by side, from left to right.
    rows, columns = grid(height, width)
    wobble = 0.03 * fractal(rng, height, width, 4.0)
    step = float(columns.max()) / len(names)
    return [
        (index, (columns + wobble >= place * step if place else np.ones_like(rows)).astype(np.float32))
        for place, index in enumerate(order)
    ]


def _flatten(layers: list[tuple[int, Field]], height: int, width: int) -> Labels:
    labels = np.zeros((height, width), np.uint8)
    for index, mask in layers:
        labels[mask > 0.5] = index
    return labels


def _patch(rng: np.random.Generator, height: int, width: int) -> Field:
    """An area of the ground with a ragged border: one side of an uneven line."""
    rows, columns = grid(height, width)
    way = rng.uniform(0, 2 * np.pi)
    ragged = 0.08 * fractal(rng, height, width, 3.0, coarsest=0.7)
    middle = 0.5 + 0.15 * rng.standard_normal(), width / height * (0.5 + 0.15 * rng.standard_normal())
    side = (rows - middle[0]) * np.sin(way) + (columns - middle[1]) * np.cos(way) + ragged
    return np.asarray(np.clip(0.5 + side / 0.02, 0.0, 1.0), np.float32)


def _thing(name: str, rng: np.random.Generator, height: int, width: int) -> Field:
    """The area of a thing that lies on the ground: round to square, rotated, smooth or uneven by its material."""
    rows, columns = grid(height, width)
    long, turn = rng.uniform(0.3, 0.55), rng.uniform(0, np.pi)
    if name == "wood":
        turn *= 0.1  # a board lies along its grain
    short = long * (rng.uniform(0.25, 0.5) if name == "wood" else rng.uniform(0.55, 1.0))
    y, x = rows - rng.uniform(0.3, 0.75), columns - width / height * rng.uniform(0.2, 0.8)
    along, across = (x * np.cos(turn) + y * np.sin(turn)) / long, (y * np.cos(turn) - x * np.sin(turn)) / short
    power = rng.choice([2.0, 6.0]) if name in {"ceramic", "plastic", "metal", "glass"} else 20.0
    power = 2.5 if name in {"rock", "plastic-bag"} else power
    size = (np.abs(along) ** power + np.abs(across) ** power) ** (1.0 / power)
    size += _WOBBLE.get(name, 0.0) * fractal(rng, height, width, 4.0, coarsest=0.5)
    return np.asarray(np.clip(0.5 + (1.0 - size) * 25.0, 0.0, 1.0), np.float32)


def _surface(name: str, rng: np.random.Generator, camera: Camera, height: int, width: int) -> Colours:
    """The material over the whole canvas, `[h, w, 3]` from 0 to 1; horizontal surfaces are seen in perspective."""
    if name in _UPRIGHT or camera.perspective < 0.15:
        return texture(name, rng, height, width).astype(np.float32) / np.float32(255.0)
    near = 1.0 + 0.7 * camera.perspective
    across = round(width * near)
    image = Image.fromarray(texture(name, rng, height, across))
    # The upper edge shows the whole width of the texture, the lower edge its middle, `near` times as large.
    tilt = (near, (across - width) / 2 * near / height, 0.0, 0.0, near, 0.0, 0.0, (near - 1.0) / height)
    seen = image.transform((width, height), Image.Transform.PERSPECTIVE, tilt, Image.Resampling.BILINEAR)
    return np.asarray(seen, np.float32) / np.float32(255.0)


def _lay(below: Colours, surface: Colours, mask: Field, thing: bool, light: float) -> Colours:
    """Blend a material over the picture; a thing is darker towards its edge and casts a shadow."""
    if thing:
        height = mask.shape[0]
        thick = soften(mask, 0.05)
        down, across = round(0.04 * height * np.sin(light)), round(0.04 * height * np.cos(light))
        shadow = np.roll(soften(mask, 0.025), (down, across), axis=(0, 1))
        below = below * (1.0 - 0.55 * shadow)[..., None]
        surface = surface * (0.55 + 0.5 * np.clip(2.0 * thick - 0.9, 0.0, 1.0))[..., None]
    blended: Colours = below * (1.0 - mask[..., None]) + surface * mask[..., None]
    return blended


def _with_drumstick(view: Picture, tip: tuple[float, float]) -> Picture:
    """The picture with a drumstick whose tip is at `tip`, from the lower corner on the opposite side."""
    height, width = view.shape[:2]
    image = Image.fromarray(view)
    draw = ImageDraw.Draw(image)
    row, column = tip
    right = column < 0.5 * width
    hand = np.array([width * (1.05 if right else -0.05), height * 1.15])
    head = np.array([column, row])
    way = hand - head
    way /= max(float(np.hypot(*way)), 1.0)
    side = np.array([-way[1], way[0]])
    thin, thick = 0.011 * height, 0.022 * height
    stick = np.stack([head + side * thin, head - side * thin, hand - side * thick, hand + side * thick])
    bead = 0.022 * height
    shade = stick + 0.03 * height
    draw.polygon(shade.ravel().tolist(), fill=tuple(int(c) for c in view.mean((0, 1)) * 0.45))
    draw.polygon(stick.ravel().tolist(), fill=(222, 184, 135))
    gloss = np.stack([head, hand])
    draw.line(gloss.ravel().tolist(), fill=(240, 214, 176), width=max(1, round(0.4 * thin)))
    draw.ellipse([column - bead, row - bead, column + bead, row + bead], fill=(214, 172, 120))
    return np.asarray(image)


def _id(name: str) -> int:
    material = material_named(name)
    if material is None:
        raise KeyError(name)
    return material.id
