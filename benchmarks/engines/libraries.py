"""One large library in both engines."""

import hashlib
import shutil
import time
from collections import Counter
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.search.library import Real, large_library
from benchmarks.swaps.generations import library_records
from index.address import MilvusAddress
from index.catalogue import write_catalogue
from index.generation import CATALOGUE
from index.milvus.publisher import MilvusPublisher
from index.nearest.hubs import find_hubs
from index.publishing import About, FilePublisher, Prepared, Publisher
from model.bundle import Bundle
from model.heads import MaterialHeads
from model.hubness import load_bank
from model.queries import load_queries
from model.threads import available_cpus

_SEVERAL_EVERY, _SEVERAL, _UNLABELLED_EVERY = 12, 3, 10


@dataclass(frozen=True)
class Published:
    """How long it took to publish the library, and what was measured of its recall then."""

    seconds: float
    recall: float
    probes: int


def publish_both(
    found: Real, bundle: Bundle, sounds: int, folder: Path, address: MilvusAddress
) -> dict[str, Published]:
    """Publish a library of so many sounds, of the kind of `benchmarks.swaps`, into `folder` and into the Milvus."""
    hits = np.ones(sounds, np.int64)
    hits[::_SEVERAL_EVERY] = _SEVERAL
    vectors, materials = large_library(
        found, int(hits.sum()), MaterialHeads.load(bundle), bundle.spec.label_strength
    )
    order = np.argsort(np.char.add(materials, "/"), kind="stable")  # rows are in the order of paths
    vectors, of_sound = vectors[order], materials[order][np.cumsum(hits) - hits].tolist()
    labels = [None if row % _UNLABELLED_EVERY == 0 else material for row, material in enumerate(of_sound)]
    library = folder / "library"
    catalogue, unchanged = folder / "all.sqlite", np.zeros(sounds, np.bool_)
    folder.mkdir(parents=True, exist_ok=True)
    catalogue.unlink(missing_ok=True)
    write_catalogue(catalogue, library_records(hits, of_sound, labels, unchanged))
    first = next(iter(library_records(hits, of_sound, labels, unchanged)))
    (library / first.path).parent.mkdir(parents=True, exist_ok=True)
    (library / first.path).touch()  # a service is ready only where it finds some of its sounds
    about = About(
        id=hashlib.sha256(f"{bundle.id} {sounds} engines".encode()).hexdigest()[:16],
        bundle_id=bundle.id,
        library_root=str(library),
        sounds=sounds,
        materials=Counter(labels),
        duplicates=0,
        skipped=0,
        label_strength=bundle.spec.label_strength,
    )
    hubs = None if bundle.spec.hubness is None else find_hubs(vectors, load_bank(bundle), bundle.spec.hubness)
    publishers: dict[str, Publisher] = {"files": FilePublisher(folder), "milvus": MilvusPublisher(address)}
    done = {}
    for name, publisher in publishers.items():
        shutil.copyfile(catalogue, folder / CATALOGUE)
        prepared = Prepared(
            vectors,
            folder / CATALOGUE,
            hubs=hubs,
            columns=bundle.spec.picture_columns,
            queries=load_queries(bundle),
            threads=available_cpus(),
        )
        began = time.perf_counter()
        with closing(publisher):
            publisher.begin(about)
            publisher.add(prepared)
            spec = publisher.commit()
            seconds = time.perf_counter() - began
            publisher.drop()
        done[name] = Published(round(seconds, 1), spec.search.recall_at_10, spec.search.probes)
    return done
