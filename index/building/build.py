"""Building an index of a folder of sounds, and changing it: sounds added and taken out by name."""

import json
import os
import sqlite3
from collections.abc import Callable, Sequence
from contextlib import closing
from pathlib import Path

from index.building.lock import only_writer
from index.building.options import Options, find_options, is_at_or_under, read_options
from index.building.run import BuildReport, Run
from index.generation import CATALOGUE, current_generation
from index.library.finding import find_library
from model import PRETRAINED
from model.bundle import Bundle, load_bundle
from model.errors import LibraryError
from model.sound import SoundLimits
from model.threads import available_cpus

Say = Callable[[str], None]


def build_index(
    bundle: Bundle,
    sounds_folder: Path,
    index_folder: Path,
    *,
    manifest: Path | None = None,
    use_manifest: bool = True,
    limits: SoundLimits = SoundLimits(),
    workers: int | None = None,
    hubness: bool = True,
    labels: bool = True,
    propose: Path | None = None,
    say: Say = lambda line: None,
) -> BuildReport:
    """Make the index at `index_folder` one of all sounds under `sounds_folder`, embedded with `bundle`.

    Only contents that are not in the index's cache are decoded and embedded; a run that was interrupted is gone on
    with. Where nothing changed, nothing is published. Sounds that were taken out with `change_index` stay out.

    Labels are found as in `find_library`, without a manifest where `use_manifest` is false. `say` is called with
    one line for each thing a person should know, at most 20 of them about files that were left out; all such files
    are listed in INDEX/skipped.tsv. `workers` threads embed sounds, by default one for each CPU.

    With `hubness`, and where the bundle has pictures to find hubs with, the index ranks by cosine minus the hub
    bias of each sound, else by cosine alone. With `labels`, and where the bundle has heads and a label strength,
    the vector of a labelled sound is drawn towards its material, else it is the embedding of the sound alone. The
    same sounds, labels and bundle give the same generation. Above 50,000 vectors this is so for its id, catalogue
    and vectors; its inverted lists also depend on the index's history, because centroids are used again as long as
    they do (index/nearest/vectors.py): answers from the lists may differ within the recall that was measured.

    `propose`: a table to write with guesses of the sounds' materials (index/building/proposals.py).

    Raises LibraryError if nothing can be indexed, if a folder or the manifest cannot be used or if `propose` is
    there already, and BundleError if the bundle's sound tower does not work, if its bank of pictures cannot be used
    or if it has no heads to guess with.
    """
    root, folder = sounds_folder.resolve(), bundle.folder.resolve()
    options = Options(
        sounds=root,
        bundle=None if folder == PRETRAINED.resolve() else folder,
        manifest=None if manifest is None else manifest.absolute(),
        use_manifest=use_manifest,
        max_seconds=limits.max_seconds,
        hubness=hubness,
        labels=labels,
    )
    workers = workers or available_cpus()
    # What it refuses by these arguments alone, it refuses before there is a folder of the index.
    run = Run(bundle, options, index_folder, limits=limits, workers=workers, say=say, propose=propose)
    with only_writer(index_folder):
        earlier = find_options(index_folder)
        # The same library may have moved; in another one, that a path was taken out says nothing.
        if earlier is not None and (earlier.sounds == root or not earlier.sounds.exists()):
            run.keep_out(earlier)
        return run()


def change_index(
    index_folder: Path, *, add: Sequence[Path] = (), remove: Sequence[Path] = (), say: Say = lambda line: None
) -> BuildReport:
    """Take the sounds at and under `add` into the index and those at and under `remove` out of it.

    A sound that is taken out stays out, also in later runs, until it is added again; its file is left alone. Of a
    folder that is taken out, so do files that are new there. Paths are what is remembered: a file that is moved to
    where nothing was taken out is a new one. Other files that are new are not taken in. Everything else is as in
    the last run. The paths to add lie in the index's sound folder; those to remove may also be given as the index
    has them, relative to that folder.

    Raises LibraryError for a path that is no such sound, and as `build_index` does.
    """
    read_options(index_folder)  # A folder that is no index is refused before a lock is made in it.
    with only_writer(index_folder):
        return _change(index_folder, add, remove, say)


def _change(index_folder: Path, add: Sequence[Path], remove: Sequence[Path], say: Say) -> BuildReport:
    options = read_options(index_folder)
    bundle = load_bundle(options.bundle_folder)
    generation = current_generation(index_folder)
    if generation.spec.bundle_id != bundle.id:
        raise LibraryError(
            f"{options.bundle_folder} is another bundle than the index was made with; run thud index again"
        )
    known = indexed_paths(generation.folder / CATALOGUE)
    for path in remove:
        relative = _relative(path, options.sounds)
        if not _among(known, relative):
            relative = os.path.normpath(path)
        if relative is None or not _among(known, relative):
            raise LibraryError(f"{path} is not in the index")
        options = options.without(relative)
    added: set[str] = set()
    library = find_library(options.sounds, options.manifest, use_manifest=options.use_manifest)
    there = {sound.path for sound in library.sounds}
    for path in add:
        relative = _relative(path, options.sounds)
        if relative is None:
            raise LibraryError(f"{path} is not in {options.sounds}, the folder of this index's sounds")
        inside = _among(there, relative)
        if not inside:
            reasons = [one.reason for one in library.skipped if one.path == relative]
            raise LibraryError(
                f"{path} is no sound that can be indexed{''.join(f': {one}' for one in reasons[:1])}"
            )
        added |= inside
        options = options.with_(relative)
    limits = SoundLimits(max_seconds=options.max_seconds)
    workers = available_cpus()
    return Run(bundle, options, index_folder, limits=limits, workers=workers, say=say, only=known | added)(library)


def indexed_paths(catalogue: Path) -> set[str]:
    """The paths of all files that an index has, copies among them. Raises LibraryError."""
    try:
        with closing(sqlite3.connect(f"{catalogue.resolve().as_uri()}?mode=ro&immutable=1", uri=True)) as database:
            rows = database.execute("SELECT path, copies FROM sounds").fetchall()
        return {one for path, copies in rows for one in (path, *json.loads(copies))}
    except (sqlite3.Error, ValueError) as error:
        raise LibraryError(f"{catalogue} is damaged: {error}; run thud index again") from error


def _relative(path: Path, root: Path) -> str | None:
    """A path under the root as the index has it; None if it lies elsewhere. The file itself may be a link."""
    try:
        full = path.parent.resolve() / path.name if path.name not in ("", "..") else path.resolve()
        return full.relative_to(root).as_posix()
    except ValueError:
        return None


def _among(paths: set[str], wanted: str | None) -> set[str]:
    """Of the paths, that one and those under it."""
    return set() if wanted is None else {path for path in paths if is_at_or_under(path, wanted)}
