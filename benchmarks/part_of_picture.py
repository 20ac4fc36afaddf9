"""A part of a picture: is it told as well from the tower's cells as from a crop?

    python benchmarks/part_of_picture.py PHOTOGRAPHS [--bundle BUNDLE] [--count 200]

PHOTOGRAPHS has a folder of pictures for each material. Four photographs of different materials are put into a
square, two by two, and a quarter is asked for by its box or by a point in it. `crop`: the part alone is brought to
the tower's size. `cells`: the whole is, and the cells of its last feature map are averaged by how much of each
lies in the part; they cost nothing beyond the whole. `cosine` is the median to the embedding of the photograph
alone, `told` how often the likeliest material is the photograph's own.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from photographs import jpeg
from PIL import Image
from tqdm import tqdm

from index.vectors import normalised
from model import PRETRAINED
from model.bundle import load_bundle
from model.heads import MaterialHeads
from model.materials import material_named
from model.picture import Region, decode_picture, picture_array
from model.runtime import TowerRuntime

SIDE = 320
POINT_SIDES = (0.2, 0.3, 0.4, 0.5)

Vector = npt.NDArray[np.float32]


def quarters(folder: Path, rng: np.random.Generator) -> list[tuple[str, Image.Image]]:
    """Four photographs of different materials with their names."""
    chosen = []
    for material in rng.permutation(sorted(one.name for one in folder.iterdir() if material_named(one.name)))[:4]:
        files = sorted((folder / material).iterdir())
        photograph = decode_picture(files[int(rng.integers(len(files)))].read_bytes())
        side = min(photograph.size)
        left, top = (photograph.width - side) // 2, (photograph.height - side) // 2
        square = photograph.resize((SIDE, SIDE), box=(left, top, left + side, top + side))
        chosen.append((str(material), square))
    return chosen


def shares(part: Region, rows: int, columns: int) -> Vector:
    """How much of each cell of a square picture lies in the part: `[rows, columns]`, adding up to 1."""
    edges = [np.linspace(0, 1, count + 1) for count in (rows, columns)]
    down, across = (
        np.clip(np.minimum(ends[1:], start + length) - np.maximum(ends[:-1], start), 0, None)
        for ends, start, length in zip(edges, (part.y, part.x), (part.height, part.width), strict=True)
    )
    weights = np.outer(down, across)
    whole: Vector = (weights / weights.sum()).astype(np.float32)
    return whole


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--bundle", type=Path, default=PRETRAINED)
    parser.add_argument("--count", type=int, default=200, help="squares of four photographs")
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    towers, heads = TowerRuntime(bundle), MaterialHeads.load(bundle)
    spec = bundle.spec.picture
    rng = np.random.default_rng(0)
    cosines: dict[str, list[float]] = {}
    told: dict[str, list[bool]] = {}

    def embed(data: bytes, part: Region | None = None) -> Vector:
        pixels = picture_array(data, spec.size, spec.resize, region=part)
        embedding: Vector = towers.embed_pictures(pixels[None]).embedding[0]
        return embedding

    for _ in tqdm(range(arguments.count), desc="squares", leave=False):
        chosen = quarters(arguments.photographs, rng)
        square = Image.new("RGB", (2 * SIDE, 2 * SIDE))
        for number, (_, photograph) in enumerate(chosen):
            square.paste(photograph, (number % 2 * SIDE, number // 2 * SIDE))
        data = jpeg(square)
        whole = towers.embed_pictures(picture_array(data, spec.size, spec.resize)[None])
        if whole.cells is None:
            raise SystemExit(f"{bundle.folder} has a tower without cells")
        cells = whole.cells[0]
        for number, (material, photograph) in enumerate(chosen):
            x, y = number % 2 / 2, number // 2 / 2
            alone = embed(jpeg(photograph))
            point = x + float(rng.uniform(0.1, 0.4)), y + float(rng.uniform(0.1, 0.4))

            def of_cells(part: Region, cells: Vector = cells) -> Vector:
                mean = np.tensordot(shares(part, *cells.shape[:2]), cells, axes=2)
                embedding: Vector = normalised(mean[None])[0]
                return embedding

            def of_crop(part: Region, data: bytes = data) -> Vector:
                return embed(data, part)

            asked: dict[str, Vector] = {"photograph alone": alone, "whole square": whole.embedding[0]}
            ways: tuple[tuple[str, Callable[[Region], Vector]], ...] = (("crop", of_crop), ("cells", of_cells))
            for way, look in ways:
                asked[f"box, {way}"] = look(Region(x, y, 0.5, 0.5))
                for side in POINT_SIDES:
                    asked[f"point, {way} of {side:g}"] = look(Region.around(*point, side))
            for name, embedding in asked.items():
                cosines.setdefault(name, []).append(float(embedding @ alone))
                if heads is not None:
                    likeliest = int(heads.pictures(embedding[None])[0].argmax())
                    wanted = material_named(material)
                    told.setdefault(name, []).append(wanted is not None and likeliest == wanted.id)
    print(f"{bundle.spec.name}, {spec.size} px, {arguments.count} squares of 4 photographs")
    print(f"{'':22} {'cosine':>7} {'told':>6}")
    for name, found in cosines.items():
        share = f"{np.mean(told[name]):6.3f}" if told else f"{'-':>6}"
        print(f"{name:22} {np.median(found):7.3f} {share}")


if __name__ == "__main__":
    main()
