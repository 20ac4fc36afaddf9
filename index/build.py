"""Building an index of a folder of sounds."""

import csv
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from index.catalogue import SoundRecord
from index.embed import FinishedSound, FinishedSounds, Outcome, embed_sounds
from index.facts import facts_of
from index.generation import IndexSpec, publish_generation
from index.hubs import find_hubs
from index.library import LibrarySound, Skipped, find_library
from index.proposals import Proposals
from index.vectors import Vectors
from model.atomic import atomic_file
from model.bundle import Bundle
from model.errors import BundleError, LibraryError
from model.heads import MaterialHeads, blend_labels
from model.hubness import load_bank
from model.objects import objects_named
from model.runtime import TowerRuntime
from model.sound import SoundLimits
from model.sound_format.formats import FORMATS
from model.threads import available_cpus

SKIPPED_FILE = "skipped.tsv"
NAMING_COLUMNS = ("object", "title", "tags", "keywords")
"""Columns of a manifest in which, beside its path, objects are looked for that a sound names."""


@dataclass(frozen=True)
class BuildReport:
    """The result of indexing a folder.

    `skipped` and `duplicates` list the files that are not in the index; the reason of a duplicate names the file
    with the same content. `resumed` counts the sounds that an earlier, interrupted run had embedded, `embedded`
    those of this run; `seconds` is the time of embedding alone.
    """

    spec: IndexSpec
    skipped: tuple[Skipped, ...]
    duplicates: tuple[Skipped, ...]
    resumed: int
    embedded: int
    seconds: float

    @property
    def rate(self) -> float:
        """Sounds embedded per second in this run."""
        return self.embedded / self.seconds if self.embedded else 0.0


def build_index(
    bundle: Bundle,
    sounds_folder: Path,
    index_folder: Path,
    *,
    manifest: Path | None = None,
    limits: SoundLimits = SoundLimits(),
    workers: int | None = None,
    hubness: bool = True,
    labels: bool = True,
    propose: Path | None = None,
    say: Callable[[str], None] = lambda line: None,
) -> BuildReport:
    """Embed every sound under `sounds_folder` with `bundle` and publish the index at `index_folder`.

    Labels are found as in `find_library`. `say` is called with one line for each thing a person should know, such
    as a file that was skipped; all such files are also listed in INDEX/skipped.tsv. `workers` threads embed sounds,
    by default one for each CPU. If the run is interrupted, the next one continues with what was finished.

    With `hubness`, and where the bundle has pictures to find hubs with, the index ranks by cosine minus the hub
    bias of each sound, else by cosine alone. With `labels`, and where the bundle has heads and a label strength,
    the vector of a labelled sound is drawn towards its material, else it is the embedding of the sound alone. The
    same sounds, labels and bundle give the same generation.

    `propose`: a table to write with guesses of the sounds' materials (index/proposals.py).

    Raises LibraryError if nothing can be indexed, if a folder or the manifest cannot be used or if `propose` is
    there already, and BundleError if the bundle's sound tower does not work, if its bank of pictures cannot be used
    or if it has no heads to guess with.
    """
    hub_spec = bundle.spec.hubness if hubness else None
    heads = MaterialHeads.load(bundle)
    strength = bundle.spec.label_strength if labels and heads is not None else 0.0
    bank = load_bank(bundle) if hub_spec is not None else None
    proposals = Proposals(propose, heads, sounds_folder) if propose is not None else None
    library = find_library(sounds_folder, manifest)
    for note in library.notes:
        say(note)
    for one in library.skipped:
        say(f"skipped {one.path}: {one.reason}")
    cpus = available_cpus()
    runtime = TowerRuntime(bundle, threads=1)
    # Tried once before the sounds, so that a bundle that does not work ends the run, not each sound.
    tried = runtime.embed_clips(np.zeros((1, bundle.spec.clip.samples), np.float32))
    if tried.shape != (1, bundle.spec.embedding_size):
        raise BundleError(f"the bundle's sound tower gives {tried.shape}, not {bundle.spec.embedding_size} numbers")
    with FinishedSounds(index_folder, bundle.id) as finished:
        paths = [sound.path for sound in library.sounds]
        began = time.perf_counter()
        outcomes, resumed = embed_sounds(
            runtime,
            library.root,
            paths,
            finished=finished,
            limits=limits,
            workers=workers or cpus,
            say=say,
        )
        seconds = time.perf_counter() - began
        if resumed:
            say(f"sounds taken from an earlier run that was interrupted: {resumed}")
        failed = [outcome for outcome in outcomes if isinstance(outcome, Skipped)]
        embeddings, records, duplicates = _rows(library.sounds, outcomes)
        for one in duplicates:
            say(f"left out {one.path}: {one.reason}")
        skipped = sorted([*library.skipped, *failed], key=lambda one: one.path)
        try:
            _write_skipped(index_folder / SKIPPED_FILE, [*skipped, *duplicates])
            if not records:
                raise LibraryError(
                    f"nothing under {library.root} could be indexed: "
                    f"{len(paths)} sound files found, {len(skipped)} files skipped"
                )
            unplayable = [record.path for record in records if not record.playable]
            if unplayable:
                say(
                    f"browsers cannot play {len(unplayable)} of the sounds as they are, such as {unplayable[0]}; "
                    "thud serve sends these as FLAC"
                )
            vectors = embeddings
            if heads is not None and strength:
                of_hits = [record.material for record in records for _ in record.hits]
                vectors = blend_labels(vectors, of_hits, heads, strength)
            hubs = find_hubs(vectors, bank, hub_spec) if bank is not None and hub_spec is not None else None
            spec = publish_generation(
                index_folder,
                bundle.id,
                vectors,
                records,
                library_root=library.root,
                duplicates=len(duplicates),
                skipped=len(skipped),
                hubs=hubs,
                label_strength=strength,
                threads=cpus,
                columns=bundle.spec.picture_columns,
            )
        except OSError as error:
            raise LibraryError(f"{index_folder} cannot be written: {error.strerror or error}") from error
        if proposals is not None:
            at = {sound.path: sound for sound in library.sounds}
            main = [record.first + record.hits.index(record.hit) for record in records]
            proposals.write([at[record.path] for record in records], embeddings[main])
        finished.discard()
    embedded = len(outcomes) - len(failed) - resumed
    return BuildReport(spec, tuple(skipped), tuple(duplicates), resumed, embedded, seconds)


def _rows(
    sounds: Sequence[LibrarySound], outcomes: Sequence[Outcome]
) -> tuple[Vectors, list[SoundRecord], list[Skipped]]:
    """Vectors `[n, d]` and records of the sounds, one for each content, and the files left out as duplicates."""
    records: dict[str, SoundRecord] = {}
    vectors = []
    duplicates = []
    first = 0
    for sound, outcome in zip(sounds, outcomes, strict=True):
        if isinstance(outcome, Skipped):
            continue
        if known := records.get(outcome.id):
            duplicates.append(Skipped(sound.path, f"has the same content as {known.path}"))
            records[outcome.id] = replace(known, copies=(*known.copies, sound.path))
            continue
        records[outcome.id] = _record(len(records), first, sound, outcome)
        vectors.append(outcome.sound.embeddings)
        first += len(outcome.sound.embeddings)
    stacked: Vectors = np.concatenate(vectors) if vectors else np.zeros((0, 0), np.float32)
    return stacked, list(records.values()), duplicates


def _record(row: int, first: int, sound: LibrarySound, finished: FinishedSound) -> SoundRecord:
    embedded = finished.sound
    return SoundRecord(
        id=finished.id,
        row=row,
        first=first,
        path=sound.path,
        copies=(),
        **vars(facts_of(sound, {})),
        seconds=embedded.seconds,
        hit=embedded.hit,
        hits=embedded.hits,
        ends=embedded.ends,
        sample_rate=embedded.sample_rate,
        channels=embedded.channels,
        format=embedded.format,
        media_type=FORMATS[embedded.format].media_type,
        playable=embedded.playable,
        bytes=finished.file.bytes,
        peak=embedded.peak,
        loudness=embedded.loudness,
        brightness=embedded.brightness,
        objects=objects_named(sound.path, *(sound.columns.get(one, "") for one in NAMING_COLUMNS)),
    )


def _write_skipped(file: Path, skipped: Iterable[Skipped]) -> None:
    """Write the table of files and reasons. Each run replaces it; it has no rows where nothing was left out."""
    with (
        atomic_file(file) as aside,
        aside.open("w", encoding="utf-8", errors="backslashreplace", newline="") as out,
    ):
        table = csv.writer(out, delimiter="\t", lineterminator="\n")
        table.writerow(["path", "reason"])
        table.writerows((one.path, one.reason) for one in skipped)
