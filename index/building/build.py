"""Building an index of a folder of sounds, and changing it: sounds added and taken out by name."""

from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path

from index.address import IndexAt, MilvusAddress, SoundsAt, index_at, sounds_at
from index.building.engines import spec_of_current, work_folder_of
from index.building.folders import check_folders
from index.building.lock import only_writer
from index.building.look import has_sounds_of, indexed_paths
from index.building.naming import named_among, those_at
from index.building.options import Options, find_options, read_options
from index.building.run import BuildReport, Run
from index.library.finding import Library, find_library
from model import PRETRAINED
from model.addresses import BucketAddress
from model.bundle import Bundle, load_bundle
from model.errors import EngineAwayError, LibraryError
from model.sound import SoundLimits
from model.threads import available_cpus

Say = Callable[[str], None]


def build_index(
    bundle: Bundle,
    sounds: str | PathLike[str] | BucketAddress,
    index: str | PathLike[str] | MilvusAddress,
    *,
    manifest: Path | None = None,
    use_manifest: bool = True,
    limits: SoundLimits = SoundLimits(),
    workers: int | None = None,
    hubness: bool = True,
    labels: bool = True,
    propose: Path | None = None,
    replace: bool = False,
    cluster: str | None = None,
    say: Say = lambda line: None,
) -> BuildReport:
    """Make the `index` one of all `sounds`, embedded with `bundle`. Each is a folder or an address.

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

    An index is one of one folder: that of another one, which is still there, is only replaced with `replace`, and
    what was taken out of it is forgotten. Where the folder is no longer there and a path or a content of it is in
    `sounds`, it has moved there, and the index goes on with it. `cluster`: the address of a Ray cluster, which
    embeds in place of this machine's threads and gives the same.

    Raises LibraryError if nothing can be indexed, if a folder or the manifest cannot be used, if the index is one
    of another folder, if the folders are mixed up (`check_folders`) or if `propose` is there already, and
    BundleError if the bundle's sound tower does not work, if its bank of pictures cannot be used or if it has no
    heads to guess with.
    """
    root, at, folder = sounds_at(sounds), index_at(index), bundle.folder.resolve()
    root = root.resolve() if isinstance(root, Path) else root
    index_folder = work_folder_of(at)
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
    check_folders(root, at)
    # What it refuses by these arguments alone, it refuses before there is a folder of the index.
    run = Run(bundle, options, at, limits=limits, workers=workers, say=say, propose=propose, cluster=cluster)
    with only_writer(index_folder):
        earlier = find_options(index_folder)
        if earlier is None:
            if not replace:
                _check_same(at, root)
            return run()
        if earlier.sounds == root:
            if not replace:
                _check_same(at, root)
            run.keep_out(earlier)
            return run()
        library = None if earlier.sounds.exists() else find_library(root, manifest, use_manifest=use_manifest)
        # The same library may have moved; in another one, that a path was taken out says nothing.
        if library is not None and _has_moved(at, library):
            say(f"the index of {earlier.sounds}, which is not there, goes on with {root}")
            run.keep_out(earlier)
        elif not replace:
            gone = "" if library is None else f", which is not there and has no sound in common with {root}"
            raise LibraryError(
                f"{at} is the index of {earlier.sounds}{gone}; name another folder for the index of "
                f"{root}, or put it in its place with --replace"
            )
        elif earlier.removed:
            say(f"what was taken out of the index of {earlier.sounds} is forgotten: {len(earlier.removed):,} names")
        return run(library)


def _has_moved(index: IndexAt, library: Library) -> bool:
    """Whether the library may be the one that the index was made of. An index that cannot be read loses nothing."""
    try:
        return has_sounds_of(index, library.source, {sound.path for sound in library.sounds})
    except EngineAwayError:
        raise
    except LibraryError:
        return True


def _check_same(address: IndexAt, root: SoundsAt) -> None:
    """Raise LibraryError where another machine has published an index of other sounds into a Milvus."""
    if not isinstance(address, MilvusAddress):
        return
    try:
        before = spec_of_current(address).library_root
    except EngineAwayError:
        raise
    except LibraryError:
        return
    if before != str(root):
        raise LibraryError(
            f"{address} is the index of {before}; give the index of {root} another name, or put it in its place "
            "with --replace"
        )


def change_index(
    index: str | PathLike[str] | MilvusAddress,
    *,
    add: Sequence[str] = (),
    remove: Sequence[str] = (),
    say: Say = lambda line: None,
) -> BuildReport:
    """Take the sounds at and under `add` into the index and those at and under `remove` out of it.

    A sound that is taken out stays out, also in later runs, until it is added again; its file is left alone. Of a
    folder that is taken out, so do files that are new there. Paths are what is remembered: a file that is moved to
    where nothing was taken out is a new one. Other files that are new are not taken in. Everything else is as in
    the last run. Names are paths on the disk, or what `thud index list` shows (`named_among`).

    Raises LibraryError for a name of no such sound, for all sounds together to be taken out, and as `build_index`
    does.
    """
    at = index_at(index)
    if isinstance(at, MilvusAddress) and find_options(at.work_folder) is None:
        raise LibraryError(
            f"{at} was not indexed from this machine: nothing is in {at.work_folder}; run it where it was"
        )
    read_options(work_folder_of(at))  # A folder that is no index is refused before a lock is made in it.
    with only_writer(work_folder_of(at)):
        return _change(at, add, remove, say)


def _change(index: IndexAt, add: Sequence[str], remove: Sequence[str], say: Say) -> BuildReport:
    options = read_options(work_folder_of(index))
    _check_same(index, options.sounds)
    bundle = load_bundle(options.bundle_folder)
    if spec_of_current(index).bundle_id != bundle.id:
        raise LibraryError(
            f"{options.bundle_folder} is another bundle than the index was made with; run thud index again"
        )
    known = indexed_paths(index)
    of_index = named_among(known, options.sounds)
    for name in remove:
        path = of_index(name)
        if path == ".":
            raise LibraryError(
                f"{name} stands for all sounds of the index; name those to take out. To have the index no longer, "
                f"remove the folder {index}"
            )
        if path is None:
            raise LibraryError(f"{name} is not in the index")
        options = options.without(path)
    added: set[str] = set()
    library = find_library(options.sounds, options.manifest, use_manifest=options.use_manifest)
    there = {sound.path for sound in library.sounds}
    reasons = {one.path: one.reason for one in library.skipped}
    of_folder = named_among([*there, *reasons], options.sounds)
    for name in add:
        path = of_folder(name)
        inside = set() if path is None else there if path == "." else those_at(there, path)
        if path is None:
            raise LibraryError(
                f"{name} is no file or folder in {options.sounds}, the folder of this index's sounds"
            )
        if not inside:
            why = f": {reasons[path]}" if path in reasons else ""
            raise LibraryError(f"{name} is no sound that can be indexed{why}")
        added |= inside
        options = options.with_(path)
    limits = SoundLimits(max_seconds=options.max_seconds)
    workers = available_cpus()
    return Run(bundle, options, index, limits=limits, workers=workers, say=say, only=known | added)(library)
