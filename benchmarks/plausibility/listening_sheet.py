"""A page on which a person compares sounds of a library with recordings, material by material.

    thud synthesize library demo/sounds
    python -m benchmarks.plausibility.listening_sheet demo/sounds RECORDINGS docs/listening

For each material it draws the spectrograms of five sounds of the library beside those of five recordings, and names
the files. Sounds and recordings themselves are not copied.
"""

from collections.abc import Sequence
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from model.atomic import atomic_file
from model.errors import ThudError
from model.materials import MATERIALS, Material
from model.sound import decode_sound
from training.pretraining.material_files import MaterialFiles, read_material_files

Panel = npt.NDArray[np.uint8]

COUNT = 5
_RATE = 32_000
_SECONDS = 1.2
_HEIGHT, _WIDTH, _GAP = 120, 150, 4
_WINDOW = 1024
_LOWEST, _HIGHEST = 60.0, 15_000.0
_RANGE = 70.0  # dB from white to black
_QUALITY = 60  # of JPEG

_HEAD = f"""# Listening sheet

Spectrograms of sounds of the demo library (left five) beside recordings (right five), for each material. Each panel
is {_SECONDS:g} s wide and goes from {_LOWEST:g} Hz to {_HIGHEST / 1000:g} kHz on a logarithmic axis; white is the
loudest, black {_RANGE:g} dB less. After `make demo`, or `thud synthesize library demo/sounds`, the library's sounds
can be played: their names stand below each picture. The recordings are not a part of Thud; their names begin with
their source.

Made by `python -m benchmarks.plausibility.listening_sheet demo/sounds RECORDINGS docs/listening`.
"""


@click.command()
@click.argument("library", type=click.Path(exists=True, path_type=Path))
@click.argument("recordings", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
def main(library: Path, recordings: Path, out: Path) -> None:
    """Write OUT/README.md and its pictures: sounds of LIBRARY beside RECORDINGS."""
    try:
        made, recorded = (read_material_files(folder, "sound") for folder in (library, recordings))
        out.mkdir(parents=True, exist_ok=True)
        page = [_HEAD]
        for material in MATERIALS:
            page += _section(material, choose(made, material), choose(recorded, material), library, out)
    except ThudError as error:
        raise click.ClickException(str(error)) from error
    with atomic_file(out / "README.md") as aside:
        aside.write_text("\n".join(page), encoding="utf-8")


def choose(files: MaterialFiles, material: Material) -> list[Path]:
    """Up to `COUNT` files of `material`, from as many sources and things as there are, the largest sources first.

    Of a source those are taken that stand in the middle of equal parts of its list.
    """
    rows = np.flatnonzero(files.material == material.id)
    names, counts = np.unique(files.source[rows], return_counts=True)
    sources = names[np.argsort(-counts, kind="stable")].tolist()
    share = {name: len(range(place, COUNT, len(sources))) for place, name in enumerate(sources)}
    chosen: list[Path] = []
    for name in sources:
        its = [files.paths[row] for row in rows[files.source[rows] == name]]
        wanted = min(share[name], len(its))
        chosen += [its[int((part + 0.5) * len(its) / wanted)] for part in range(wanted)]
    return chosen[:COUNT]


def _section(
    material: Material, made: Sequence[Path], recorded: Sequence[Path], library: Path, out: Path
) -> list[str]:
    panels = [spectrogram(path) for path in made]
    panels += [np.full((_HEIGHT, _WIDTH), 128, np.uint8)] * (COUNT - len(panels))
    panels += [spectrogram(path) for path in recorded]
    wide = np.full((_HEIGHT, (_WIDTH + _GAP) * 2 * COUNT + 3 * _GAP), 255, np.uint8)
    for place, panel in enumerate(panels):
        left = place * (_WIDTH + _GAP) + (3 * _GAP if place >= COUNT else 0)
        wide[:, left : left + _WIDTH] = panel
    picture = out / f"{material.name}.jpg"
    with atomic_file(picture) as aside:
        Image.fromarray(wide).save(aside, "JPEG", quality=_QUALITY)
    sounds = ", ".join(f"`{path.relative_to(library if library.is_dir() else library.parent)}`" for path in made)
    real = ", ".join(f"`{path.name}`" for path in recorded) or "none"
    return [
        f"## {material.name}\n",
        f"![spectrograms of {material.name}]({picture.name})\n",
        f"Library: {sounds}.\n",
        f"Recordings: {real}.\n",
    ]


def spectrogram(path: Path) -> Panel:
    """A picture uint8 `[120, 150]` of the first 1.2 s of a sound; raises SoundError where it cannot be read."""
    samples = decode_sound(path, _RATE).samples[: round(_SECONDS * _RATE)]
    hop = round(_SECONDS * _RATE / _WIDTH)
    padded = np.pad(samples.astype(np.float64), (_WINDOW // 2, _WINDOW))
    frames = np.lib.stride_tricks.sliding_window_view(padded, _WINDOW)[::hop][: len(samples) // hop + 1]
    power = np.square(np.abs(np.fft.rfft(frames * np.hanning(_WINDOW))))
    edges = np.geomspace(_LOWEST, _HIGHEST, _HEIGHT + 1) * _WINDOW / _RATE
    first = np.floor(edges[:-1]).astype(int)
    last = np.maximum(np.floor(edges[1:]).astype(int), first + 1)
    total = np.concatenate([np.zeros((len(power), 1)), np.cumsum(power, axis=1)], axis=1)
    rows = (total[:, last] - total[:, first]) / (last - first)
    decibels = 10.0 * np.log10(np.maximum(rows / max(float(rows.max()), 1e-30), 1e-12))
    panel = np.zeros((_HEIGHT, _WIDTH), np.uint8)
    shown = min(_WIDTH, len(rows))
    panel[:, :shown] = np.rint(255.0 * np.clip(1.0 + decibels[:shown] / _RANGE, 0.0, 1.0)).T[::-1]
    return panel


if __name__ == "__main__":
    main()
