"""Do the first ten sounds name the object that a picture shows, and are they still of its material?

    python -m benchmarks.objects DATA BUNDLE WORK [--json objects.json]

DATA is a folder with manifest.csv, pictures and recordings, of which benchmarks/objects/pictures.py knows what some
show. WORK keeps the library that is made of the recordings, and its index. Pictures count whose object the library
has. The weight was chosen on the sources marked *; the others are new to it.

- *shown*: the share of pictures in which the object is among those that the answer lists.
- *named*: the share of pictures of which a sound among the first ten names the object; *of ten*: how many do.
- *P@10*: the share of the first ten that are of the picture's material.
- *recall*: the share of the first ten that the answer has, where every sound of the index is ranked.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click
import numpy as np
from tqdm import tqdm

from benchmarks.machine import machine
from benchmarks.objects.library import write_library
from benchmarks.objects.pictures import CHOSEN_ON, Picture, known_pictures
from index import OBJECT_WEIGHT
from index.answers.objects import MaterialFit, shares, shown_objects
from index.answers.recommendation import PictureObject
from index.answers.search import SoundIndex
from index.building.build import build_index
from index.nearest.vectors import Vectors
from model.atomic import atomic_file
from model.bundle import Bundle
from model.heads import MaterialHeads
from model.runtime import TowerRuntime

K = 10
WEIGHTS = (0.0, 0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
NUMBERS = ("shown", "named", "of ten", "P@10", "recall")
_SCORED = 8
"""One picture of so many is also answered by scoring each sound."""

Row = dict[str, Any]


@click.command()
@click.argument("data", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("bundle", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="also write all numbers here")
def main(data: Path, bundle: Path, work: Path, out: Path | None) -> None:
    """Print a table for each weight, by source, of a library with labels and of the same without."""
    opened = Bundle.open(bundle)
    heads = MaterialHeads.load(opened)
    if opened.spec.objects is None or heads is None:
        raise click.ClickException(f"{bundle} does not tell objects and materials")
    if not (work / "library").exists():
        write_library(data / "manifest.csv", work / "library")
    indexes = {
        "with labels": _index(opened, work / "library", work / f"labels-{opened.id}", labels=True),
        "without labels": _index(opened, work / "library", work / f"no-labels-{opened.id}", labels=False),
    }
    first = next(iter(indexes.values()))
    has = {name for record in first.page(limit=len(first)).sounds for name in record.objects}
    pictures = [one for one in known_pictures(data / "manifest.csv") if one.object in has]
    rows: dict[str, list[Row]] = {name: [] for name in indexes}
    runtime = TowerRuntime(opened)
    for number, picture in enumerate(tqdm(pictures, unit="picture")):
        found = runtime.embed_picture(picture.path.read_bytes())
        shown = shown_objects(found.objects, opened.spec.objects) or []
        fit = MaterialFit(heads, heads.pictures(found.embedding)[0].astype(np.float64))
        for name, index in indexes.items():
            rows[name] += _measure(picture, found.embedding[0], shown, fit, index, scored=number % _SCORED == 0)
    result = {
        "bundle": opened.id,
        "sounds": len(first),
        "chosen on": list(CHOSEN_ON),
        "weight": OBJECT_WEIGHT,
        "machine": machine(),
    } | {name: {f"{weight:g}": _by_source(of, weight) for weight in WEIGHTS} for name, of in rows.items()}
    if out is not None:
        with atomic_file(out) as aside:
            aside.write_text(json.dumps(result, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    for name, of in rows.items():
        for weight in WEIGHTS:
            _print(f"{name}, weight {weight:g}", _by_source(of, weight))


def _index(bundle: Bundle, library: Path, folder: Path, *, labels: bool) -> SoundIndex:
    build_index(bundle, library, folder, labels=labels, workers=1)
    return SoundIndex.open(folder, bundle)


def _measure(
    picture: Picture,
    embedding: Vectors,
    shown: Sequence[PictureObject],
    fit: MaterialFit,
    index: SoundIndex,
    *,
    scored: bool,
) -> list[Row]:
    """One row for each weight."""
    rows = []
    for weight in WEIGHTS:
        gains = shares(shown, weight)
        matches = index.search(embedding, K, gains, fit)
        named = [picture.object in one.record.objects for one in matches]
        row: Row = {
            "source": picture.source,
            "weight": weight,
            "shown": picture.object in [one.name for one in shown],
            "named": any(named),
            "of ten": sum(named),
            "P@10": np.mean([one.record.material == picture.material.name for one in matches]),
        }
        if scored:
            best = {one.record.id for one in index.search(embedding, len(index), gains, fit)[:K]}
            row["recall"] = np.mean([one.record.id in best for one in matches])
        rows.append(row)
    return rows


def _by_source(rows: Sequence[Row], weight: float) -> dict[str, dict[str, float]]:
    by_source = defaultdict(list)
    for row in rows:
        if row["weight"] == weight:
            by_source[row["source"]].append(row)
            by_source["all chosen on" if row["source"] in CHOSEN_ON else "all others"].append(row)
    return {
        source: {"pictures": len(of)}
        | {name: round(float(np.mean([row[name] for row in of if name in row])), 4) for name in NUMBERS}
        for source, of in sorted(by_source.items())
    }


def _print(heading: str, by_source: Mapping[str, Mapping[str, float]]) -> None:
    print(f"\n{heading}\n\n| source | pictures | {' | '.join(NUMBERS)} |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: |")
    for source, one in by_source.items():
        star = "*" if source in CHOSEN_ON else ""
        print(f"| {source}{star} | {one['pictures']} | {' | '.join(f'{one[name]:.3f}' for name in NUMBERS)} |")


if __name__ == "__main__":
    main()
