"""What diversity costs and brings, and whether sounds that are like a sound are of its material.

    python -m benchmarks.diversity DATA WORK [--json diversity.json]

DATA is a folder with manifest.csv, labelled pictures and recordings of several sources. WORK keeps their features,
as `thud pretrain DATA OUT --work WORK` does. Each picture and each sound is embedded by heads that never saw its
group of sources (training/pretraining/left_out_groups.toml); groups count by their weights. One file in EVERY is
asked with.

Pictures, answered from all recordings, over the first ten sounds:

- *P@10*: the share that is of the picture's material; *any*: the share of pictures with at least one such sound.
- *materials*, *recordings*: how many different ones there are (takes of one object are one recording).

Sounds, answered from the recordings of all other groups: *P@10* of *a labelled sound* of the library (more like
this) and of *a sound* that is sent, both in a library with labels, and of a sound in one without; *chance* draws at
random.
"""

import json
from collections import defaultdict
from pathlib import Path
from zlib import crc32

import click
import numpy as np

from benchmarks.left_out_folds import LABELS, NO_LABELS, Fold, Ids, Numbers, folds, mean_over_groups, nearest
from benchmarks.machine import machine
from index.answers.diversity import BLOCK, diversified
from index.catalogue.record import recording_of
from model.atomic import atomic_file
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import gather

TEN = 10
EVERY = 8
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0)


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="also write all numbers here")
def main(data: Path, work: Path, out: Path | None) -> None:
    """Print both tables as Markdown."""
    recipe = PretrainingRecipe()
    read = gather(data, work, recipe)
    left_out = list(folds(read, recipe, EVERY))
    material = read.sounds.material.astype(np.int64)
    recordings = np.array([crc32(recording_of(path.as_posix()).encode()) for path in read.sounds.paths], np.int64)
    by_picture = {
        f"{library}, diversity {strength:g}": mean_over_groups(
            {fold.name: _of_pictures(fold, library, material, recordings, strength) for fold in left_out}
        )
        for library in (LABELS, NO_LABELS)
        for strength in STRENGTHS
    }
    by_sound = mean_over_groups(
        {fold.name: _of_sounds(fold, material) for fold in left_out if fold.its_sounds.any()}
    )
    if out is not None:
        found = {"machine": machine(), "pictures": by_picture, "sounds": by_sound}
        with atomic_file(out) as aside:
            aside.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    names = list(next(iter(by_picture.values())))
    click.echo(f"| library | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
    for title, numbers in by_picture.items():
        click.echo(f"| {title} | {' | '.join(f'{numbers[name]:.3f}' for name in names)} |")
    click.echo("\n| asked with | P@10 |\n|---|---:|")
    for title, number in by_sound.items():
        click.echo(f"| {title} | {number:.3f} |")


def _of_pictures(fold: Fold, library: str, material: Ids, recordings: Ids, strength: float) -> Numbers:
    rows = []
    for picture, wanted in zip(fold.pictures, fold.picture_material, strict=True):
        vectors = fold.libraries[library]
        scores, best = nearest(picture, vectors, BLOCK)
        order = diversified(scores, vectors[best], material[best], recordings[best], strength, TEN)
        ten = best[order]
        right = material[ten] == wanted
        rows.append((right.mean(), right.any(), len(set(material[ten])), len(set(recordings[ten]))))
    if not rows:
        return {}
    return dict(zip(("P@10", "any", "materials", "recordings"), np.mean(rows, axis=0).tolist(), strict=True))


def _of_sounds(fold: Fold, material: Ids) -> Numbers:
    others = np.flatnonzero(~fold.its_sounds)
    right = defaultdict(list)
    for row in np.flatnonzero(fold.its_sounds)[::EVERY]:
        same = material[others] == material[row]
        if not same.any():
            continue
        right["chance"].append(same.mean())
        for title, query, library in (
            ("a labelled sound of the library", LABELS, LABELS),
            ("a sound", NO_LABELS, LABELS),
            ("a sound, in a library without labels", NO_LABELS, NO_LABELS),
        ):
            _, best = nearest(fold.libraries[query][row], fold.libraries[library][others], TEN)
            right[title].append(same[best].mean())
    return {title: float(np.mean(shares)) for title, shares in right.items()}


if __name__ == "__main__":
    main()
