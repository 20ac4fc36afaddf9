"""One run over a library, step by step: it costs what has changed since the last one."""

import json
import os
import shutil
import time
from collections.abc import Callable, Container, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import BinaryIO

import numpy as np

from index.address import IndexAt
from index.building.cache import DamagedCacheError, IndexCache, decoding, remove_cache
from index.building.embed import embed_sounds
from index.building.engines import publisher_of, work_folder_of
from index.building.options import Options, write_options
from index.building.proposals import Proposals
from index.building.records import Records, Survey
from index.catalogue import SoundRecord, write_catalogue
from index.generation import CATALOGUE, FORMAT_VERSION, IndexSpec
from index.library.facts import labels_note
from index.library.finding import Library, LibrarySound, Skipped, find_library
from index.library.skipped import lines_about, write_skipped
from index.library.sources import Source
from index.library.walk import READ
from index.nearest.hubs import find_hubs
from index.nearest.vectors import Vectors
from index.publishing import About, Prepared
from model.atomic import claimed_folder
from model.bundle import Bundle
from model.errors import BundleError, LibraryError
from model.heads import MaterialHeads, blend_labels
from model.hubness import load_bank
from model.queries import load_queries
from model.runtime import TowerRuntime
from model.sound import SoundLimits

_BLOCK = 4096
_VECTORS = "vectors"
REMOVED = "taken out with thud index remove; thud index add takes it in again"
NEW = "new, and not named; thud index takes it in"


@dataclass(frozen=True)
class BuildReport:
    """The result of a run.

    `skipped` lists the files that are not in the index, `duplicates` those that are in it as copies; the reason of
    a duplicate names the file with the same content. `changed`: whether another generation was current before.
    `missing` counts those of `skipped` that are no files, but rows of the manifest. `read` counts manifests and
    sidecars that were used; they are not in `skipped`. `embedded` counts the contents that this run embedded,
    `reused` those that it took from the cache; `seconds` is the time of finding out contents and embedding alone,
    without loading the tower.
    """

    spec: IndexSpec
    skipped: tuple[Skipped, ...]
    duplicates: tuple[Skipped, ...]
    missing: int
    read: int
    changed: bool
    reused: int
    embedded: int
    seconds: float

    @property
    def rate(self) -> float:
        """Sounds embedded per second in this run."""
        return self.embedded / self.seconds if self.embedded else 0.0


class Run:
    """A run for the `index`, a folder or an address, with `options`; `workers` threads embed sounds.

    `say` is called with a line for each thing that a person should know. `propose`: a table to write with guesses.
    `only`: the paths to index; of other files, those that were refused before are looked at again, and those that
    are new are left out. `cluster`: the address of a Ray cluster that embeds. Whoever calls it holds `only_writer`
    of the index. Errors are those of `build_index`.
    """

    def __init__(
        self,
        bundle: Bundle,
        options: Options,
        index: IndexAt,
        *,
        limits: SoundLimits,
        workers: int,
        say: Callable[[str], None],
        propose: Path | None = None,
        only: Container[str] | None = None,
        cluster: str | None = None,
    ) -> None:
        self._bundle, self._options, self._folder, self._limits = bundle, options, work_folder_of(index), limits
        self._publisher = publisher_of(index, bundle.id, say)
        self._cluster = cluster
        self._workers, self._say, self._only = workers, say, only
        self._loading = 0.0
        self._hub_spec = bundle.spec.hubness if options.hubness else None
        self._bank = load_bank(bundle) if self._hub_spec is not None else None
        self._queries = load_queries(bundle)
        self._heads = MaterialHeads.load(bundle)
        self._strength = bundle.spec.label_strength if options.labels and self._heads is not None else 0.0
        self._proposals = Proposals(propose, self._heads, options.sounds) if propose is not None else None

    def keep_out(self, earlier: Options) -> None:
        """What was taken out in an earlier run."""
        self._options = self._options.model_copy(update=earlier.model_dump(include={"removed", "readmitted"}))

    def __call__(self, library: Library | None = None) -> BuildReport:
        """Do it, with the files of the `library`, where they were found already."""
        options = self._options
        library = library or find_library(options.sounds, options.manifest, use_manifest=options.use_manifest)
        for note in library.notes:
            self._say(note)
        with closing(library.source), closing(self._publisher):
            try:
                return self._with_cache(library)
            except DamagedCacheError as error:
                self._say(f"{error}; it is made anew, and all sounds are embedded again")
                remove_cache(self._folder)
                return self._with_cache(library)
            except OSError as error:
                raise LibraryError(f"{self._folder} cannot be written: {error.strerror or error}") from error

    def _with_cache(self, library: Library) -> BuildReport:
        with IndexCache(self._folder, self._bundle.id, self._limits) as cache:
            # Of runs that were killed: nobody else writes here while this one holds the lock.
            for left in self._folder.glob(".*.thud-*"):
                shutil.rmtree(left) if left.is_dir() else left.unlink()
            return self._run(library, cache)

    def _run(self, library: Library, cache: IndexCache) -> BuildReport:
        sounds, left_out = self._considered(library, cache)
        paths = [sound.path for sound in sounds]
        began = time.perf_counter()
        on_cluster = 0
        if self._cluster is not None:
            from index.building.cluster import embed_on_cluster

            on_cluster = embed_on_cluster(
                self._cluster,
                self._bundle.folder,
                library.source,
                paths,
                cache=cache,
                limits=self._limits,
                workers=self._workers,
            )
        # What a cluster has embedded is known now; what it could not, such as what nobody can read, is done here.
        embedded = embed_sounds(
            lambda: self._runtime,
            library.source,
            paths,
            cache=cache,
            limits=self._limits,
            workers=self._workers,
        )
        seconds = time.perf_counter() - began - self._loading
        records = Records(sounds, embedded.ids, cache)
        everything = sorted([*library.skipped, *left_out, *embedded.skipped], key=lambda one: one.path)
        skipped = [one for one in everything if one.reason not in READ]
        duplicates = records.duplicates()
        if not records and self._options.removed:
            raise LibraryError("that would leave no sound in the index; nothing was changed")
        for line in lines_about(skipped, duplicates):
            self._say(line)
        write_skipped(self._folder, [*everything, *duplicates])
        if not records:
            raise LibraryError(
                f"nothing under {library.root} could be indexed: "
                f"{len(sounds)} sound files found, {len(skipped)} files skipped"
            )
        write_options(self._folder, self._options)
        spec, changed = self._publish(library, records, cache, len(duplicates), len(skipped))
        if changed:
            cache.published(records.ids(), [sound.path for sound in library.sounds])
        if self._proposals is not None:
            main = [found[record.hits.index(record.hit)] for record, found in records]
            self._proposals.write(list(records.sounds()), np.stack(main))
        texts = library.source.texts
        missing = sum(
            one.reason.startswith("listed in the manifest") and not os.path.lexists(texts / one.path)
            for one in skipped
        )
        if changed:
            try:
                self._publisher.drop()
            except LibraryError as error:  # it is published; the next run drops what was replaced
                self._say(f"what was replaced could not be dropped: {error}")
        count = embedded.embedded + on_cluster
        return BuildReport(
            spec,
            tuple(skipped),
            tuple(duplicates),
            missing,
            len(everything) - len(skipped),
            changed,
            spec.sounds - count,
            count,
            seconds,
        )

    def _considered(self, library: Library, cache: IndexCache) -> tuple[list[LibrarySound], list[Skipped]]:
        """The sounds to index, and those that are left out because they were not named or were taken out."""
        taken_out = self._options.taken_out()
        sounds, left_out = [], []
        for sound in library.sounds:
            if taken_out(sound.path):
                left_out.append(Skipped(sound.path, REMOVED))
            elif self._only is None or sound.path in self._only or self._refused(library.source, sound.path, cache):
                sounds.append(sound)
            else:
                left_out.append(Skipped(sound.path, NEW))
        return sounds, left_out

    @staticmethod
    def _refused(source: Source, path: str, cache: IndexCache) -> bool:
        """Whether an earlier run found that it is no sound that can be used: it is no new file."""
        try:
            known = cache.files({path: source.state(path)}).get(path)
        except OSError:
            return True
        return known is not None and known.reason is not None

    def _publish(
        self, library: Library, records: Records, cache: IndexCache, duplicates: int, skipped: int
    ) -> tuple[IndexSpec, bool]:
        """The generation of the records, and whether it was not the current one before."""
        hub_spec = None if self._hub_spec is None else self._hub_spec.model_dump()
        what = json.dumps([FORMAT_VERSION, self._bundle.id, decoding(), self._strength, hub_spec])
        fingerprint = records.fingerprint(what)
        known = cache.generation_of(fingerprint)
        reused = known and self._reuse(known, library, duplicates, skipped)
        if reused:
            return reused
        with claimed_folder(self._folder, ".records.thud-") as aside:
            found = self._write_records(records, what, aside)
            cache.keep_generation(fingerprint, found.id)
            self._say(labels_note(found.labels))
            count, one = found.unplayable
            if count:
                self._say(
                    f"browsers cannot play {count} of the sounds as they are, such as {one}; "
                    "thud serve sends these as FLAC"
                )
            reused = self._reuse(found.id, library, duplicates, skipped)
            if reused:
                return reused
            vectors = np.memmap(aside / _VECTORS, np.float32, "r").reshape(found.vectors, -1)
            hubs = None
            if self._bank is not None and self._hub_spec is not None:
                hubs = find_hubs(vectors, self._bank, self._hub_spec)
            about = About(
                id=found.id,
                bundle_id=self._bundle.id,
                library_root=str(library.root),
                sounds=len(records),
                materials=found.materials,
                duplicates=duplicates,
                skipped=skipped,
                label_strength=self._strength,
            )
            prepared = Prepared(
                vectors,
                aside / CATALOGUE,
                hubs=hubs,
                columns=self._bundle.spec.picture_columns,
                queries=self._queries,
                threads=self._workers,
            )
            return self._into_engine(about, prepared), True

    def _into_engine(self, about: About, prepared: Prepared) -> IndexSpec:
        self._publisher.begin(about)
        try:
            self._publisher.add(prepared)
            return self._publisher.commit()
        except BaseException:
            with suppress(LibraryError):  # it is away: the next run gives it up
                self._publisher.drop()
            raise

    def _reuse(
        self, identity: str, library: Library, duplicates: int, skipped: int
    ) -> tuple[IndexSpec, bool] | None:
        return self._publisher.reuse(
            identity, library_root=str(library.root), duplicates=duplicates, skipped=skipped
        )

    def _write_records(self, records: Records, what: str, folder: Path) -> Survey:
        """Write the catalogue of all records, and their vectors `[v, d]`, into the folder.

        Vectors are written block by block and not put into mapped memory, where a full disk would end the process.
        """
        found = Survey(what)

        def passing(out: BinaryIO) -> Iterator[SoundRecord]:
            block: list[Vectors] = []
            materials: list[str | None] = []
            for number, (record, embeddings) in enumerate(records, 1):
                found.take(record)
                block.append(embeddings)
                materials += [record.material] * len(embeddings)
                if len(block) == _BLOCK or number == len(records):
                    vectors = np.concatenate(block)
                    if self._heads is not None and self._strength:
                        vectors = blend_labels(vectors, materials, self._heads, self._strength)
                    out.write(vectors.tobytes())
                    block, materials = [], []
                yield record

        with (folder / _VECTORS).open("wb") as out:
            write_catalogue(folder / CATALOGUE, passing(out))
        return found

    @cached_property
    def _runtime(self) -> TowerRuntime:
        began = time.perf_counter()
        runtime = TowerRuntime(self._bundle, threads=1)
        # Tried once before the sounds, so that a bundle that does not work ends the run, not each sound.
        spec = self._bundle.spec
        tried = runtime.embed_clips(np.zeros((1, spec.clip.samples), np.float32))
        if tried.shape != (1, spec.embedding_size):
            raise BundleError(f"the bundle's sound tower gives {tried.shape}, not {spec.embedding_size} numbers")
        self._loading = time.perf_counter() - began
        return runtime
