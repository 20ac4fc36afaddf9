"""A demo library of sound files of all 17 materials, with a manifest."""

import csv
import io
from pathlib import Path

import numpy as np
import soundfile

from model.atomic import atomic_folder
from model.errors import TrainingError
from model.materials import MATERIALS, Material
from model.progress import progress
from training.paths import check_named
from training.synthesis.recording import OUTDOORS, cut, draw_acoustics, draw_cut, record
from training.synthesis.sounds import SoundObject, draw_object, scratch, strike

MANIFEST = "manifest.csv"
COLUMNS = ("kind", "path", "material", "source", "origin", "licence", "open_licence", "note", "action", "group")

_SOUNDS_PER_OBJECT = 4
_LONGEST_HIT = 1.6  # seconds
_SCRATCH = (0.3, 0.8)
_FULL_SCALE = 2**15 - 1
# Materials that are stirred more often than struck, by the labels of Greatest Hits and by ear.
_SCRATCHED = frozenset({"gravel", "leaf", "water"})
# The name of the thing that is touched; materials that are not here have "object" ("plastic-bag" needs none).
_THINGS = {
    "carpet": "floor",
    "cloth": "piece",
    "dirt": "patch",
    "drywall": "wall",
    "grass": "patch",
    "gravel": "patch",
    "leaf": "heap",
    "paper": "piece",
    "plastic-bag": "",
    "tile": "floor",
    "water": "pool",
}


def write_library(target: Path, per_material: int = 24, seed: int = 0, sample_rate: int = 44_100) -> int:
    """Write `per_material` sounds of every material to `target` and return the number of sounds.

    The files are `<material>/<material>-<thing>-<number>-<action>-<n>.flac`, 16-bit mono, four sounds per thing
    (three hits and a scratch; two and two for gravel, leaf and water), and `manifest.csv`, whose column `group`
    names the thing. A file begins 10 to 19 ms before the touch and ends when the sound has died away. The folder
    appears whole or not at all. Raises TrainingError as `check_named`, and if `target` is there
    already, unless as an empty folder.

    The same arguments give the same bytes with the same versions of NumPy, SciPy and libsndfile on the same kind
    of processor. Another kind may round the last bit of a double differently; we estimate that this changes at most
    one 16-bit sample in ten million, by one step. FLAC is written with fixed predictors, because encoders fit the
    other ones in floating point.
    """
    check_named(target)
    if target.is_symlink() or (target.exists() and not target.is_dir()):
        raise TrainingError(f"{target} is there already and no folder; choose another one")
    if target.exists() and any(target.iterdir()):
        raise TrainingError(f"{target} is there already and not empty; choose another folder")
    origin = f"thud synthesize library --seed {seed}"
    with (
        atomic_folder(target) as folder,
        progress("library", per_material * len(MATERIALS), "sound") as bar,
        (folder / MANIFEST).open("w", encoding="utf-8", newline="") as handle,
    ):
        manifest = csv.writer(handle, lineterminator="\n")
        manifest.writerow(COLUMNS)
        for material in MATERIALS:
            (folder / material.name).mkdir()
            for number in range(per_material):
                path, action, group = _write_sound(folder, material, number, seed, sample_rate)
                note = f"{action} on {group.replace('-', ' ')}"
                row = ("sound", path, material.name, "synthetic", origin, "CC0-1.0", 1, note, action, group)
                manifest.writerow(row)
                bar.update()
    return per_material * len(MATERIALS)


def _write_sound(
    folder: Path, material: Material, number: int, seed: int, sample_rate: int
) -> tuple[str, str, str]:
    """Write one sound and return its path in the library, its action and the thing that is touched."""
    which, take = divmod(number, _SOUNDS_PER_OBJECT)
    rng = np.random.default_rng([seed, material.id, which])
    thing: SoundObject = draw_object(material.name, rng)
    acoustics = draw_acoustics(rng, material.name in OUTDOORS)
    hits = 2 if material.name in _SCRATCHED else 3
    action, nth = ("hit", take + 1) if take < hits else ("scratch", take - hits + 1)
    own = np.random.default_rng([seed, material.id, which, take + 1])
    touch = strike if action == "hit" else scratch
    how = draw_cut(own)
    lasting = _LONGEST_HIT if action == "hit" else own.uniform(*_SCRATCH)
    silence = np.zeros(round(how.before * sample_rate), np.float32)
    dry = np.concatenate([silence, touch(thing, own, sample_rate, lasting), silence])
    samples = cut(record(dry, acoustics, own, sample_rate), dry, how, sample_rate)
    group = "-".join(
        part for part in (material.name, _THINGS.get(material.name, "object"), f"{which + 1:02d}") if part
    )
    path = f"{material.name}/{group}-{action}-{nth}.flac"
    steps = np.rint(samples.astype(np.float64) * _FULL_SCALE).astype(np.int16)
    encoded = io.BytesIO()  # libsndfile itself takes no path that is not UTF-8, and says little of a full disk
    soundfile.write(encoded, steps, sample_rate, format="FLAC", subtype="PCM_16", compression_level=0.0)
    (folder / path).write_bytes(encoded.getvalue())
    return path, action, group
