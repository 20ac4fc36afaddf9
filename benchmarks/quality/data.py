"""The embeddings of labelled files: each file is embedded once by every bundle that is measured on it."""

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from model.bundle import Bundle
from model.errors import PictureError, SoundError, ThudError
from model.progress import progress
from model.runtime import TowerRuntime
from training.measures.sources import Ids
from training.pretraining.material_files import MaterialFiles, read_material_files

Embeddings = npt.NDArray[np.float32]
Mask = npt.NDArray[np.bool_]
Sources = npt.NDArray[np.str_]

KINDS = ("image", "sound")
_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Files:
    """N usable files of one kind: `material [N]` (ids 0..16), `source [N]`; `skipped` rows had not one material."""

    material: Ids
    source: Sources
    skipped: int


@dataclass(frozen=True, eq=False)
class Embedded:
    """A bundle's embeddings `values [n, d]` of those of N files for which `rows [N]` is true."""

    rows: Mask
    values: Embeddings

    def of(self, wanted: Mask) -> Embeddings:
        """Those of the files for which `wanted [N]` is true, all of which must have been embedded."""
        assert not (wanted & ~self.rows).any()
        return self.values[wanted[self.rows]]


@dataclass(frozen=True, eq=False)
class Data:
    """Usable pictures `[P]` and sounds `[S]`, their embeddings by bundle, and why files are `unusable`."""

    pictures: Files
    sounds: Files
    seen: Mapping[str, Embedded]
    heard: Mapping[str, Embedded]
    unusable: Mapping[str, str]


def sources_of(data: Path) -> list[str]:
    """All sources of pictures or sounds that `data` lists, by name. Raises as `read_material_files`."""
    return sorted({source for kind in KINDS for source in read_material_files(data, kind).source.tolist()})


def asked_about(sources: Sequence[str], pictures: Sources, sounds: Sources) -> tuple[Mask, Mask]:
    """Which of the pictures `[P]` and of the sounds `[S]` a bundle must embed to be measured on `sources`.

    These are the sources' own pictures and sounds, and, where there is a picture to answer, all other sounds: the
    library is all sounds.
    """
    seen, heard = np.isin(pictures, sources), np.isin(sounds, sources)
    return seen, heard | seen.any()


def read_data(data: Path, needed: Mapping[str, tuple[Bundle, Sequence[str]]], workers: int) -> Data:
    """Embed what each bundle, by name in `needed`, must embed to be measured on the sources that stand with it.

    A file that one bundle cannot use is left out for all, so that they can be compared. Raises ManifestError and
    TrainingError as `read_material_files`, BundleError where a bundle does not work, and ThudError where no picture
    or no sound can be used.
    """
    listed = {kind: read_material_files(data, kind) for kind in KINDS}
    asked: dict[tuple[str, str], Mask] = {}
    outcomes: dict[tuple[str, str], list[Embeddings | str]] = {}
    for name, (bundle, sources) in needed.items():
        runtime = TowerRuntime(bundle, threads=1)
        rows = asked_about(sources, *(listed[kind].source for kind in KINDS))
        for kind, asked_rows, embed in zip(KINDS, rows, (_embed_picture, _embed_sound), strict=True):
            paths = listed[kind].only(asked_rows).paths
            asked[name, kind] = asked_rows
            outcomes[name, kind] = _embed_all(f"{name}: {kind}s", runtime, embed, paths, workers)
    unusable: dict[str, str] = {}
    kept = {}
    for kind, files in listed.items():
        kept[kind] = np.ones(len(files), np.bool_)
        for name in needed:
            for row, one in zip(np.flatnonzero(asked[name, kind]), outcomes[name, kind], strict=True):
                if isinstance(one, str):
                    unusable[str(files.paths[row])] = one
                    kept[kind][row] = False
        if not kept[kind].any():
            raise ThudError(f"{data}: not one {kind} can be used; the last: {list(unusable.values())[-1]}")

    def embedded(name: str, kind: str) -> Embedded:
        rows, keep = asked[name, kind], kept[kind]
        size = needed[name][0].spec.embedding_size
        vectors = [one for one, used in zip(outcomes[name, kind], keep[rows], strict=True) if used]
        return Embedded(rows[keep], np.array(vectors, np.float32).reshape(len(vectors), size))

    pictures, sounds = (_usable(listed[kind], kept[kind]) for kind in KINDS)
    seen, heard = ({name: embedded(name, kind) for name in needed} for kind in KINDS)
    return Data(pictures, sounds, seen, heard, unusable)


def _usable(files: MaterialFiles, kept: Mask) -> Files:
    return Files(files.material[kept].astype(np.int64), files.source[kept], files.skipped)


def _embed_all(
    title: str,
    runtime: TowerRuntime,
    embed: Callable[[TowerRuntime, Path], Embeddings],
    paths: Sequence[Path],
    workers: int,
) -> list[Embeddings | str]:
    """Each file's embedding `[d]`, or why it has none, in the order of `paths`."""

    def outcome(path: Path) -> Embeddings | str:
        try:
            embedding = embed(runtime, path)
        except (PictureError, SoundError) as error:
            return str(error)
        except OSError as error:
            return f"cannot be read: {error.strerror or error}"
        # Not true of NaN either.
        fits = abs(float(np.linalg.norm(embedding)) - 1.0) <= _UNIT_TOLERANCE
        return embedding if fits else "the bundle's tower gave it an embedding that is not of length 1"

    found = []
    with ThreadPoolExecutor(workers) as pool, progress(title, len(paths), "file") as bar:
        try:
            for one in pool.map(outcome, paths):
                found.append(one)
                bar.update()
        except BaseException:
            pool.shutdown(cancel_futures=True)  # else an interrupted run embeds all that waits
            raise
    return found


def _embed_picture(runtime: TowerRuntime, path: Path) -> Embeddings:
    embedding: Embeddings = runtime.embed_picture(path.read_bytes()).embedding[0]
    return embedding


def _embed_sound(runtime: TowerRuntime, path: Path) -> Embeddings:
    return runtime.embed_sound(path).embedding
