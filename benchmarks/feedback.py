"""What it brings that a person says what a picture shows, and of which sounds more and less is wanted.

    python -m benchmarks.feedback DATA WORK [--json feedback.json]

DATA and WORK as for benchmarks/diversity.py: pictures are answered from all recordings, by heads that never saw
their group of sources; groups count by their weights, one picture in EVERY is asked with, at the diversity that
ships.

*shows*: the material that the picture is of is told, and its embedding moved towards it by `strength` (`TOLD`
ships, 0 is nothing told). *P@10*: the share of the first ten sounds that is of it; *any*: the share of pictures
with at least one; *alike*: how much of the order of the material's sounds is the picture's own, the rank
correlation with the order where nothing is told; *both*: another material, the likeliest of the wrong ones, is told
with it; the share of pictures with at least two sounds of each among the first ten.

*more*, *less*: of the first ten sounds, a person names the first right one as wanted, or the first three wrong ones
as unwanted, or both. *P@10* of the next answer, without the sounds that were named, beside that of the same ranking
without them; over the pictures that have such sounds. *in columns*: only the columns that pictures use are moved.
"""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from zlib import crc32

import click
import numpy as np
from scipy.stats import spearmanr

from benchmarks.left_out_folds import HALF, LABELS, NO_LABELS, Fold, Ids, Numbers, folds, mean_over_groups, nearest
from benchmarks.machine import machine
from index import DIVERSITY
from index.answers.diversity import BLOCK, diversified
from index.answers.feedback import rocchio, towards_materials
from index.catalogue.record import recording_of
from index.nearest.vectors import Vectors
from model.atomic import atomic_file
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import gather
from training.pretraining.space import TOUCHABLE

TEN = 10
EVERY = 16
STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9, 1.0)
MORE = (0.25, 0.5, 0.75, 1.0, 1.5, 2.0)
LESS = (0.05, 0.15, 0.3, 0.5, 0.75)
_WRONG = 3
_LIBRARIES = (LABELS, HALF, NO_LABELS)
_NONE = np.zeros(0, np.int64)


class Asked:
    """A library of a fold, asked as the service asks; `first`: the first ten rows for each picture of the fold."""

    def __init__(self, fold: Fold, library: str, material: Ids, recordings: Ids) -> None:
        self.fold, self.material, self._recordings = fold, material, recordings
        self.vectors = fold.libraries[library]
        self._exact = self.vectors.astype(np.float64)
        self.first = [self.ten(picture) for picture in fold.pictures]

    def ten(self, query: Vectors, without: Ids = _NONE) -> Ids:
        """The first ten rows for a query, of those that are not to be left out."""
        scores, best = nearest(query, self._exact, BLOCK + len(without))
        kept = ~np.isin(best, without)
        scores, best = scores[kept][:BLOCK], best[kept][:BLOCK]
        vectors = self.vectors[best]
        order = diversified(scores, vectors, self.material[best], self._recordings[best], DIVERSITY, TEN)
        ten: Ids = best[order]
        return ten


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="also write all numbers here")
def main(data: Path, work: Path, out: Path | None) -> None:
    """Print the tables as Markdown."""
    recipe = PretrainingRecipe()
    read = gather(data, work, recipe)
    left_out = [fold for fold in folds(read, recipe, EVERY) if len(fold.pictures)]
    material = read.sounds.material.astype(np.int64)
    recordings = np.array([crc32(recording_of(path.as_posix()).encode()) for path in read.sounds.paths], np.int64)

    asked = {library: [Asked(fold, library, material, recordings) for fold in left_out] for library in _LIBRARIES}

    def over_groups(measure: Callable[[Asked], Numbers], library: str) -> Numbers:
        return mean_over_groups({one.fold.name: measure(one) for one in asked[library]})

    told = {
        f"{library}, strength {strength:g}": over_groups(partial(_told, strength=strength), library)
        for library in _LIBRARIES
        for strength in STRENGTHS
    }
    judged = {
        f"{library}, {title}": over_groups(partial(_judged, more=more, less=less, in_columns=in_columns), library)
        for library in (LABELS, NO_LABELS)
        for title, (more, less, in_columns) in _weights()
    }
    if out is not None:
        found = {"machine": machine(), "shows": told, "more and less": judged}
        with atomic_file(out) as aside:
            aside.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for table in (told, judged):
        names = list(next(iter(table.values())))
        click.echo(f"| library | {' | '.join(names)} |\n|---|{'---:|' * len(names)}")
        for title, numbers in table.items():
            click.echo(f"| {title} | {' | '.join(f'{numbers[name]:.3f}' for name in names)} |")
        click.echo("")


def _weights() -> Iterator[tuple[str, tuple[float, float, bool]]]:
    for more in MORE:
        yield f"more {more:g}", (more, 0.0, False)
    for less in LESS:
        yield f"less {less:g}", (0.0, less, False)
        yield f"more 0.75, less {less:g}", (0.75, less, False)
    yield "more 0.75, in columns", (0.75, 0.0, True)
    yield "more 0.75, less 0.15, in columns", (0.75, 0.15, True)


def _told(asked: Asked, strength: float) -> Numbers:
    fold, rows = asked.fold, []
    for picture, wanted in zip(fold.pictures, fold.picture_material.tolist(), strict=True):
        query = towards_materials(picture, (wanted,), fold.heads, strength)
        right = asked.material[asked.ten(query)] == wanted
        of_it = asked.vectors[asked.material == wanted]
        alike = spearmanr(of_it @ picture, of_it @ query).statistic if len(of_it) > TEN else np.nan
        seen = fold.heads.pictures(picture[None])[0]
        seen[wanted] = -1
        wrong = int(seen.argmax())
        both = asked.material[asked.ten(towards_materials(picture, (wanted, wrong), fold.heads, strength))]
        least = min(np.count_nonzero(both == wanted), np.count_nonzero(both == wrong))
        rows.append((right.mean(), right.any(), alike, least >= 2))
    means = np.nanmean(np.array(rows, np.float64), axis=0).tolist()
    return dict(zip(("P@10", "any", "alike", "both"), means, strict=True))


def _judged(asked: Asked, more: float, less: float, in_columns: bool) -> Numbers:
    fold, material, rows = asked.fold, asked.material, []
    moving = asked.vectors.copy()
    if in_columns:
        moving[:, TOUCHABLE + 1 :] = 0
    for picture, wanted, first in zip(fold.pictures, fold.picture_material.tolist(), asked.first, strict=True):
        right = first[material[first] == wanted][:1] if more else _NONE
        wrong = first[material[first] != wanted][:_WRONG] if less else _NONE
        if (more and not len(right)) or (less and not len(wrong)):
            continue
        named = np.concatenate([right, wrong])
        query = rocchio(picture, moving[right], moving[wrong], more, less)
        rows.append([np.mean(material[asked.ten(one, named)] == wanted) for one in (picture, query)])
    if not rows:
        return {}
    before, after = np.mean(rows, axis=0).tolist()
    return {"pictures": float(len(rows)), "P@10 before": before, "P@10 after": after}


if __name__ == "__main__":
    main()
