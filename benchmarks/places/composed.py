"""Pictures composed of photographs of different materials, and where each of these is touched."""

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from model.picture import decode_picture
from training.pretraining.material_files import MaterialFiles

Rows = npt.NDArray[np.intp]

LAYOUTS = ("two beside each other", "two above each other", "three beside each other", "four", "one on another")
_PHOTOGRAPHS = (2, 2, 3, 4, 2)
_SIDE = 320
_LEAST_SIDE = 96
_LEAST_FILES = 5
"""Photographs of a material that a group must have for the material to be in its pictures."""
_QUALITY = 90


@dataclass(frozen=True)
class Touch:
    """A point of a composed picture, as fractions of its sides, and the row of the photograph that is there."""

    photograph: int
    x: float
    y: float


@dataclass(frozen=True)
class Composed:
    """A JPEG of several photographs, and its width and height; each is touched in its middle, and anywhere."""

    data: bytes
    size: tuple[int, int]
    layout: str
    middles: list[Touch]
    anywhere: list[Touch]


@dataclass(frozen=True)
class _Pasted:
    """A photograph and its rectangle in a composed picture, in pixels: left, top, width, height."""

    photograph: int
    image: Image.Image
    box: tuple[int, int, int, int]


def compose(files: MaterialFiles, rows: Rows, count: int, seed: int) -> list[Composed]:
    """`count` pictures, all layouts in turn, of the photographs at `rows` of `files`; none is used twice.

    The photographs of one picture are of different materials, which are as frequent as there are photographs for.
    """
    random = np.random.default_rng(seed)
    left: dict[int, list[int]] = {}
    for row in random.permutation(rows).tolist():
        left.setdefault(int(files.material[row]), []).append(row)
    left = {material: its for material, its in left.items() if len(its) >= _LEAST_FILES}
    found: list[Composed] = []
    while len(found) < count:
        layout = len(found) % len(LAYOUTS)
        wanted = _PHOTOGRAPHS[layout]
        images: dict[int, Image.Image] = {}
        for material in random.permutation([one for one, its in left.items() if its]).tolist():
            while left[material] and len(images) < wanted:
                row = left[material].pop()
                image = decode_picture(files.paths[row].read_bytes())
                if min(image.size) >= _LEAST_SIDE:
                    images[row] = image
                    break
        if len(images) < wanted:
            return found
        found.append(_composed(list(images.items()), LAYOUTS[layout], random))
    return found


def _composed(photographs: Sequence[tuple[int, Image.Image]], layout: str, random: np.random.Generator) -> Composed:
    if layout == "one on another":
        pasted = _inset(photographs, random)
    elif layout == "four":
        upper, lower = _row(photographs[:2], 2 * _SIDE), _row(photographs[2:], 2 * _SIDE)
        pasted = upper + [_moved(one, upper[0].box[3]) for one in lower]
    elif layout == "two above each other":
        upper, lower = _row(photographs[:1], _SIDE), _row(photographs[1:], _SIDE)
        pasted = upper + [_moved(one, upper[0].box[3]) for one in lower]
    else:
        pasted = _row(photographs, len(photographs) * _SIDE)
    width = max(one.box[0] + one.box[2] for one in pasted)
    height = max(one.box[1] + one.box[3] for one in pasted)
    canvas = Image.new("RGB", (width, height))
    for one in pasted:
        canvas.paste(one.image.resize(one.box[2:], Image.Resampling.BICUBIC), one.box[:2])
    out = io.BytesIO()
    canvas.save(out, "JPEG", quality=_QUALITY)
    covered = pasted[1].box if layout == "one on another" else None
    middles = [_touch(one, (width, height), None, covered) for one in pasted]
    anywhere = [_touch(one, (width, height), random, covered) for one in pasted]
    return Composed(out.getvalue(), canvas.size, layout, middles, anywhere)


def _row(photographs: Sequence[tuple[int, Image.Image]], width: int) -> list[_Pasted]:
    """Whole photographs beside each other, of one height, together `width` wide."""
    ratios = [image.width / image.height for _, image in photographs]
    height = max(1, round(width / sum(ratios)))
    edges = np.rint(np.cumsum([0.0, *ratios]) * width / sum(ratios)).astype(int).tolist()
    return [
        _Pasted(row, image, (left, 0, right - left, height))
        for (row, image), left, right in zip(photographs, edges[:-1], edges[1:], strict=True)
    ]


def _moved(one: _Pasted, down: int) -> _Pasted:
    left, top, width, height = one.box
    return _Pasted(one.photograph, one.image, (left, top + down, width, height))


def _inset(photographs: Sequence[tuple[int, Image.Image]], random: np.random.Generator) -> list[_Pasted]:
    """The second photograph on the first, in one of its corners or sides, 0.4 to 0.5 as large."""
    (ground, below), (row, above) = photographs
    scale = 2 * _SIDE / max(below.size)
    width, height = (round(scale * side) for side in below.size)
    share = random.uniform(0.4, 0.5) * min(width / above.width, height / above.height)
    wide, high = max(1, round(share * above.width)), max(1, round(share * above.height))
    left, top = (int(random.integers(0, room + 1)) for room in (width - wide, height - high))
    return [_Pasted(ground, below, (0, 0, width, height)), _Pasted(row, above, (left, top, wide, high))]


def _touch(
    one: _Pasted,
    size: tuple[int, int],
    random: np.random.Generator | None,
    covered: tuple[int, int, int, int] | None,
) -> Touch:
    """A point of a photograph, its middle unless at `random`; where another covers part of it, of what is seen."""
    left, top, width, height = one.box
    if covered is not None and covered != one.box:
        # The largest rectangle beside, above or below the one that covers it.
        x, y, wide, high = covered
        rest = [(0, 0, x, height), (x + wide, 0, width - x - wide, height)]
        rest += [(0, 0, width, y), (0, y + high, width, height - y - high)]
        left, top, width, height = max(rest, key=lambda box: box[2] * box[3])
    across, down = (0.5, 0.5) if random is None else random.uniform(0, 1, 2).tolist()
    return Touch(one.photograph, (left + across * width) / size[0], (top + down * height) / size[1])
