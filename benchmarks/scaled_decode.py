"""What scaling a JPEG while decoding saves, and how far it moves the embedding of a picture.

    python benchmarks/scaled_decode.py PHOTOGRAPHS [--bundle BUNDLE] [--count 40]

The photographs of a folder are made into JPEGs of 640x480 and of 12 megapixels. Each is decoded in full and at
each scale that libjpeg has, down to no less than so many times the tower's input, and embedded. Times are medians
of the thread's CPU time, so that others on the machine disturb them less. The last row is a yardstick: the
fully decoded picture, brought to the tower's size, with one grey level added to or taken from a tenth of its
numbers.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
from photographs import photographs
from tqdm import tqdm

from model import PRETRAINED
from model.bundle import load_bundle
from model.picture import decode_picture, fit_picture
from model.runtime import TowerRuntime

# The last is the least favourable to a scale of an eighth: its shorter side is then just 1.25 times 192.
SIZES = {"640x480": (640, 480), "12 megapixels": (4000, 3000), "4.9 megapixels": (2560, 1920)}
TIMES = (2.0, 1.5, 1.25, 1.0)
ROUNDS = 3

Pixels = npt.NDArray[np.uint8]


def timed(side: Callable[[bytes], Pixels], data: bytes) -> tuple[Pixels, float]:
    """What `side` makes of the picture, and the milliseconds of CPU time that it takes, the median of a few."""
    took = []
    for _ in range(ROUNDS):
        began = time.thread_time()
        pixels = side(data)
        took.append(time.thread_time() - began)
    return pixels, 1000 * float(np.median(took))


def grain(pixels: Pixels, rng: np.random.Generator) -> Pixels:
    """The pixels with a tenth of the numbers moved by one."""
    moved = pixels + rng.choice(np.array([-1, 0, 1], np.int16), pixels.shape, p=(0.05, 0.9, 0.05))
    levels: Pixels = moved.clip(0, 255).astype(np.uint8)
    return levels


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path)
    parser.add_argument("--bundle", type=Path, default=PRETRAINED)
    parser.add_argument("--count", type=int, default=40, help="pictures of each size")
    arguments = parser.parse_args()
    towers = TowerRuntime(load_bundle(arguments.bundle))
    spec = towers.bundle.spec.picture
    rng = np.random.default_rng(0)

    def full(data: bytes) -> Pixels:
        return fit_picture(decode_picture(data), spec.size, spec.resize)

    def scaled(times: float) -> Callable[[bytes], Pixels]:
        enough = int(times * spec.size)
        return lambda data: fit_picture(decode_picture(data, enough=enough), spec.size, spec.resize)

    sides = {"full": full} | {f"at least {times:g}x": scaled(times) for times in TIMES}
    print(
        f"{towers.bundle.spec.name}, {spec.size} px, {arguments.count} pictures a size; cosine to the full decode"
    )
    for name, (width, height) in SIZES.items():
        milliseconds: dict[str, list[float]] = {side: [] for side in sides}
        cosines: dict[str, list[float]] = {side: [] for side in (*sides, "one grey level")}
        sizes = []
        for number in tqdm(range(arguments.count), desc=name, leave=False):
            data = photographs(arguments.photographs, width, height, 1, seed=number)[0]
            sizes.append(len(data))
            pixels: dict[str, Pixels] = {}
            for side, decode in sides.items():
                pixels[side], took = timed(decode, data)
                milliseconds[side].append(took)
            pixels["one grey level"] = grain(pixels["full"], rng)
            embeddings = {side: towers.embed_pictures(one[None]).embedding[0] for side, one in pixels.items()}
            for side, embedding in embeddings.items():
                cosines[side].append(float(embedding @ embeddings["full"]))
        print(f"\n{name}, {np.median(sizes) / 1000:,.0f} kB{'':10} {'ms':>8} {'median':>9} {'5 %':>9} {'least':>9}")
        for side, found in cosines.items():
            took_text = f"{np.median(milliseconds[side]):8.2f}" if side in milliseconds else f"{'':8}"
            row = f"{np.median(found):9.5f} {np.quantile(found, 0.05):9.5f} {min(found):9.5f}"
            print(f"{side:<27} {took_text} {row}")


if __name__ == "__main__":
    main()
