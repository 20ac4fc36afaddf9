"""Two generations of a large index with records as long as those of real libraries, made once and kept."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.search.library import SEED, Real, large_library
from index.catalogue import SoundRecord, write_catalogue
from index.generation import CATALOGUE, FORMAT_VERSION, current_generation
from index.nearest.vectors import Rows, normalised
from index.publishing import About, Prepared, publish_generation, reuse_generation
from model.bundle import Bundle
from model.heads import MaterialHeads
from model.objects import imagenet_classes
from model.queries import load_queries
from model.threads import available_cpus

_MAKING = 1
"""Raised where generations are made otherwise, so that none of before is taken for one of now."""
_SEVERAL_EVERY, _SEVERAL = 12, 3
"""One sound of so many has so many hits, the others one: 1.17 vectors a sound, as in real recordings."""
_UNLABELLED_EVERY = 10
_NAMING_SHARE = 0.4
_CHANGED_EVERY = 100
_SETS, _AUTHORS, _TAKES = 120, 400, 12
_ACTIONS = ("hit", "scratch", "drop", "roll", "break", "shake")
_PLACES = ("studio", "kitchen", "workshop", "stairwell", "yard", "garage")
_LICENCES = ("CC0-1.0", "CC-BY-4.0", "CC-BY-3.0", "CC-BY-NC-4.0")


@dataclass(frozen=True)
class TwoGenerations:
    """The index folder, the ids of its generations, the first of them current, and their number of vectors."""

    folder: Path
    ids: tuple[str, str]
    vectors: int


def two_generations(found: Real, bundle: Bundle, sounds: int, folder: Path) -> TwoGenerations:
    """An index of so many sounds, whose vectors are those of `large_library`. What is in `folder` already is kept.

    In the second generation one sound of a hundred has another title and other vectors.
    """
    hits: Rows = np.ones(sounds, np.int64)
    hits[::_SEVERAL_EVERY] = _SEVERAL
    ids = tuple(_identity(bundle, sounds, number) for number in range(2))
    library = folder / "library"
    if not all(_is_there(folder, one, library) for one in ids):
        _make(found, bundle, hits, folder, ids)
    _is_there(folder, ids[0], library)
    return TwoGenerations(folder, (ids[0], ids[1]), int(hits.sum()))


def _identity(bundle: Bundle, sounds: int, number: int) -> str:
    text = f"{FORMAT_VERSION} {_MAKING} {bundle.id} {sounds} {number}"
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _is_there(folder: Path, identity: str, library: Path) -> bool:
    """Whether the generation is there and whole; then it is the current one."""
    return reuse_generation(folder, identity, library_root=str(library), duplicates=0, skipped=0) is not None


def _make(found: Real, bundle: Bundle, hits: Rows, folder: Path, ids: Sequence[str]) -> None:
    heads, library = MaterialHeads.load(bundle), folder / "library"
    vectors, materials = large_library(found, int(hits.sum()), heads, bundle.spec.label_strength)
    order = np.argsort(np.char.add(materials, "/"), kind="stable")  # rows are in the order of paths
    vectors, first = vectors[order], np.cumsum(hits) - hits
    of_sound = materials[order][first].tolist()
    labels: list[str | None] = [
        None if row % _UNLABELLED_EVERY == 0 else material for row, material in enumerate(of_sound)
    ]
    for identity in ids:
        changed = np.zeros(len(hits), np.bool_)
        if identity != ids[0]:
            changed[::_CHANGED_EVERY] = True
            rows = first[changed]
            vectors[rows] = normalised(vectors[rows] + 0.3 * vectors[np.roll(rows, 1)])
        for record in islice(library_records(hits, of_sound, labels, changed), 1):
            file = library / record.path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.touch()  # a service is ready only where it finds some of its sounds
        write_catalogue(folder / CATALOGUE, library_records(hits, of_sound, labels, changed))
        publish_generation(
            folder,
            About(identity, bundle.id, str(library), len(hits), Counter(labels), 0, 0, bundle.spec.label_strength),
            Prepared(
                vectors,
                folder / CATALOGUE,
                threads=available_cpus(),
                columns=bundle.spec.picture_columns,
                queries=load_queries(bundle),
            ),
        )


def library_records(
    hits: Rows, materials: list[str], labels: list[str | None], changed: npt.NDArray[np.bool_]
) -> Iterator[SoundRecord]:
    """Records in the order of their paths, with some hundred bytes of words; 40 % of them name an object."""
    rng = np.random.default_rng(SEED)
    objects = sorted(imagenet_classes())
    # A few objects are in many recordings, as in real libraries: the first in 2 %.
    often = 1 / (np.arange(len(objects)) + 4)
    named = rng.choice(len(objects), len(hits), p=often / often.sum())
    naming, loudness = rng.random(len(hits)) < _NAMING_SHARE, rng.normal(-20, 6, len(hits))
    seconds = rng.gamma(2.0, 0.8, len(hits)) + 0.3
    for row, material in enumerate(materials):
        thing = objects[named[row]] if naming[row] else material
        action, place = _ACTIONS[row % len(_ACTIONS)], _PLACES[row // 7 % len(_PLACES)]
        author = f"recordist{row // _TAKES % _AUTHORS}"
        times = tuple(round(0.05 + 0.8 * number, 3) for number in range(hits[row]))
        length = round(max(float(seconds[row]), times[-1] + 0.25), 3)
        yield SoundRecord(
            id=hashlib.sha256(f"{row} {changed[row]}".encode()).hexdigest()[:20],
            path=f"{material}/set-{row // (len(hits) // _SETS + 1):03}/{row:07}-{action}-{row % _TAKES:02}.flac",
            copies=(),
            title=f"{thing} {action} {row % _TAKES + 1}{' again' if changed[row] else ''}",
            description=f"{action.capitalize()} of a {thing} on {material}, take {row % _TAKES}, {place}, near.",
            tags=(action, place, thing),
            material=labels[row],
            label_from=None if labels[row] is None else "manifest",
            action=action,
            source=f"set-{row // (len(hits) // _SETS + 1):03}",
            origin=f"https://sounds.example/{author}/{row}",
            author=author,
            licence=_LICENCES[row % len(_LICENCES)],
            attribution=f"{thing} {action} by {author}",
            seconds=length,
            hit=times[0],
            hits=times,
            ends=(*times[1:], length),
            sample_rate=48_000,
            channels=1,
            format="FLAC",
            media_type="audio/flac",
            playable=True,
            bytes=60_000 + row % 40_000,
            peak=0.9,
            loudness=round(float(loudness[row]), 2),
            brightness=2500.0,
            objects=(thing,) if naming[row] else (),
        )


def current_files(folder: Path) -> dict[str, int]:
    """The bytes of each file of the current generation."""
    return {name: record.bytes for name, record in current_generation(folder).spec.files.items()}
