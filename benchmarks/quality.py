"""How good recommendations are: a bundle, or several side by side, on any labelled pictures and sounds.

    python benchmarks/quality.py DATA --bundle thud=bundle --bundle paper=paper-bundle --json quality.json

DATA is a manifest or a folder with manifest.csv (columns kind, path, material and, where known, source). All
sounds of DATA are the library; every picture is answered from it, by cosine less the sound's hub bias where the
bundle has hubs told. Each source is measured by itself and all sources weigh the same in the mean. What the numbers
are is said in training/pretraining/measures.py; the head of the output says what was left out.

Pictures and sounds on which a bundle was trained say little about it: keep those sources out of DATA, or leave one
source out at a time. With --left-out NAME=FOLDER, FOLDER/SOURCE is a bundle that was trained without SOURCE
(`thud pretrain DATA FOLDER/SOURCE --work WORK --leave-out SOURCE`); it answers the pictures of SOURCE and is asked
about its sounds.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt

from model.atomic import atomic_file
from model.bank import load_bank
from model.bundle import HEADS, Bundle, load_bundle
from model.errors import PictureError, SoundError, ThudError
from model.heads import MaterialHeads
from model.hubness import hub_biases
from model.labels import fold_labels
from model.materials import MATERIALS
from model.progress import progress
from model.runtime import TowerRuntime
from model.threads import available_cpus
from training.pretraining.material_files import MaterialFiles, read_material_files
from training.pretraining.measures import Fold, FoldScores, Ids, Least, mean_over, score_fold
from training.pretraining.scoreboard import CHANCE, COMMONEST, intervals, material_table, parts, tables

Embeddings = npt.NDArray[np.float32]

_UNIT_TOLERANCE = 1e-3


@dataclass(frozen=True, eq=False)
class Files:
    """N usable files of one kind: `material [N]` (ids 0..16), `source [N]`, and `skipped` rows without one."""

    material: Ids
    source: npt.NDArray[np.str_]
    skipped: int


@dataclass(frozen=True, eq=False)
class Data:
    """Usable pictures `[P]` and sounds `[S]`, what each bundle makes of them, and what cannot be used and why."""

    pictures: Files
    sounds: Files
    embedded: Mapping[str, tuple[Embeddings, Embeddings]]
    unusable: Mapping[str, str]

    @property
    def sources(self) -> list[str]:
        """All sources of pictures or sounds, by name."""
        return sorted({*self.pictures.source.tolist(), *self.sounds.source.tolist()})


@click.command()
@click.argument("data", type=click.Path(path_type=Path))
@click.option("--bundle", "folders", multiple=True, help="FOLDER or NAME=FOLDER; can be repeated")
@click.option(
    "--left-out",
    "left_out",
    multiple=True,
    help="FOLDER or NAME=FOLDER that holds a bundle for each source, trained without it; can be repeated",
)
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="also write all numbers here")
@click.option(
    "--least",
    nargs=2,
    type=click.IntRange(1),
    default=(Least.pictures, Least.sounds),
    show_default=True,
    help="fewest pictures and fewest sounds of a material for it to count in a source's macro means",
)
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="of the intervals' resamples")
@click.option("--workers", type=click.IntRange(1), help="threads that embed  [default: one for each CPU]")
def main(
    data: Path,
    folders: tuple[str, ...],
    left_out: tuple[str, ...],
    out: Path | None,
    least: tuple[int, int],
    seed: int,
    workers: int | None,
) -> None:
    """Print how good the bundles' recommendations are on the labelled pictures and sounds of DATA, as Markdown."""
    try:
        asked, bundles = open_bundles(folders, left_out, sources_of(data))
        read = read_data(data, bundles, workers or available_cpus())
        scores = {
            name: {
                source: score_source(bundles[by[source]], *read.embedded[by[source]], read, Least(*least), source)
                for source in read.sources
            }
            for name, by in asked.items()
        }
    except ThudError as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        with atomic_file(out) as aside:
            found = record(data, asked, bundles, read, scores, Least(*least), seed)
            aside.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    click.echo(head(data, bundles, read, Least(*least)))
    click.echo(tables(scores, seed))
    for name, by_source in scores.items():
        click.echo(material_table(name, by_source))


def sources_of(data: Path) -> list[str]:
    """All sources of pictures or sounds that `data` lists, by name. Raises as `read_material_files`."""
    listed = [read_material_files(data, kind).source.tolist() for kind in ("image", "sound")]
    return sorted({*listed[0], *listed[1]})


def open_bundles(
    folders: Sequence[str], left_out: Sequence[str], sources: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, Bundle]]:
    """Who is asked, as name -> source -> bundle, and the bundles by name. Raises BundleError as `load_bundle`."""
    named = _named([*folders, *left_out])
    if not named:
        raise click.UsageError("nothing to measure: name bundles with --bundle or --left-out")
    asked, bundles = {}, {}
    for place, (name, folder) in enumerate(named.items()):
        if place < len(folders):
            bundles[name] = load_bundle(folder)
            asked[name] = dict.fromkeys(sources, name)
        else:
            asked[name] = {source: f"{name} without {source}" for source in sources}
            bundles |= {label: load_bundle(folder / source) for source, label in asked[name].items()}
    return asked, bundles


def _named(texts: Sequence[str]) -> dict[str, Path]:
    folders: dict[str, Path] = {}
    for text in texts:
        name, equals, folder = text.partition("=")
        if not equals or Path(text).is_dir():  # a folder's own name may have an equals sign
            name, folder = Path(text).resolve().name, text
        if not name or name in folders or name in (CHANCE, COMMONEST):
            raise click.BadParameter(f"{text!r} needs a name of its own: --bundle NAME=FOLDER")
        folders[name] = Path(folder)
    return folders


def read_data(data: Path, bundles: Mapping[str, Bundle], workers: int) -> Data:
    """Embed everything with every bundle; what one of them cannot use is left out for all, so that they compare.

    Raises ManifestError and TrainingError as `read_material_files`, BundleError where a bundle does not work, and
    ThudError where no picture or no sound can be used.
    """
    listed = {kind: read_material_files(data, kind) for kind in ("image", "sound")}
    unusable: dict[str, str] = {}
    vectors: dict[tuple[str, str], list[Embeddings | str]] = {}
    for name, bundle in bundles.items():
        runtime = TowerRuntime(bundle, threads=1)
        for kind, embed in (("image", _embed_picture), ("sound", _embed_sound)):
            vectors[name, kind] = _embed_all(f"{name}: {kind}s", runtime, embed, listed[kind].paths, workers)
    kept = {}
    for kind, files in listed.items():
        outcomes = list(zip(*(vectors[name, kind] for name in bundles), strict=True))
        for path, found in zip(files.paths, outcomes, strict=True):
            unusable |= {str(path): reason for reason in found if isinstance(reason, str)}
        kept[kind] = np.array([not any(isinstance(one, str) for one in found) for found in outcomes])
        if not kept[kind].any():
            raise ThudError(f"{data}: not one {kind} can be used; the last: {list(unusable.values())[-1]}")

    def stacked(name: str, kind: str) -> Embeddings:
        return np.stack([one for one, keep in zip(vectors[name, kind], kept[kind], strict=True) if keep])

    embedded = {name: (stacked(name, "image"), stacked(name, "sound")) for name in bundles}
    pictures, sounds = (_usable(listed[kind], kept[kind]) for kind in ("image", "sound"))
    return Data(pictures, sounds, embedded, unusable)


def _usable(files: MaterialFiles, kept: npt.NDArray[np.bool_]) -> Files:
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
        # NaN has no such length either.
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


def score_source(
    bundle: Bundle, pictures: Embeddings, sounds: Embeddings, read: Data, least: Least, source: str
) -> FoldScores:
    """Measure a bundle, whose embeddings are `pictures [P, d]` and `sounds [S, d]`, on one source.

    Raises BundleError where its heads or its bank cannot be used.
    """
    heads, calibration, hubness = MaterialHeads.load(bundle), bundle.spec.calibration, bundle.spec.hubness
    names = [MATERIALS[id_].name for id_ in read.sounds.material]
    labelled = fold_labels(sounds, names, heads, bundle.spec.label_strength) if heads is not None else sounds
    seen, heard = read.pictures.source == source, read.sounds.source == source
    # In float64 copies of a sound tie, wherever they stand.
    queries = pictures[seen].astype(np.float64)
    fold = Fold(
        picture_material=read.pictures.material[seen],
        sound_material=read.sounds.material[heard],
        library_material=read.sounds.material,
        cosines=queries @ sounds.astype(np.float64).T,
        biases=hub_biases(sounds, load_bank(bundle), hubness) if hubness is not None else None,
        labelled=queries @ labelled.astype(np.float64).T,
        picture_probabilities=heads.pictures(pictures[seen]) if heads is not None else None,
        sound_probabilities=heads.sounds(sounds[heard]) if heads is not None else None,
        recognised=calibration.recognised if calibration is not None else None,
    )
    return score_fold(fold, least)


def head(data: Path, bundles: Mapping[str, Bundle], read: Data, least: Least) -> str:
    """The lines before the tables: what was measured with what, and what was left out."""
    lines = [f"# Quality on {data}", ""]
    for files, kind in ((read.pictures, "picture"), (read.sounds, "sound")):
        sources = len(set(files.source.tolist()))
        lines.append(
            f"- {len(files.material):,} {kind}s of {sources} sources; "
            f"skipped: {files.skipped:,} rows without exactly one of the 17 materials"
        )
    lines.append(
        f"- macro: mean over the materials of which a source has at least {least.pictures} pictures "
        f"({least.sounds} sounds); a source without any has none and is left out of the mean of sources"
    )
    for name, bundle in bundles.items():
        spec = bundle.spec
        has = [
            f"recognises from {spec.calibration.recognised:g}" if spec.calibration else "no calibration",
            f"hub biases of strength {spec.hubness.strength:g}" if spec.hubness else "no hub biases",
            "heads" if HEADS in spec.files else "no heads",
        ]
        lines.append(f"- {name}: bundle {bundle.id} ({spec.name}, {spec.precision}), {', '.join(has)}")
    soundless = read.pictures.material[~np.isin(read.pictures.material, read.sounds.material)]
    counts = [f"{MATERIALS[id_].name} {(soundless == id_).sum()}" for id_ in np.unique(soundless)]
    named = f" ({', '.join(counts)})" if counts else ""
    lines.append(f"- no sound of their material, not answered: {len(soundless):,} pictures{named}")
    lines.append(f"- unusable files: {len(read.unusable):,}")
    lines += [f"  - {path}: {reason}" for path, reason in read.unusable.items()]
    return "\n".join(lines) + "\n"


def record(
    data: Path,
    asked: Mapping[str, Mapping[str, str]],
    bundles: Mapping[str, Bundle],
    read: Data,
    scores: Mapping[str, Mapping[str, FoldScores]],
    least: Least,
    seed: int,
) -> dict[str, Any]:
    """All numbers, plain and ready for JSON; what there was nothing to measure for is None."""
    found = {}
    for name, by_source in scores.items():
        of_parts = {
            part: {
                "sources": {
                    source: {"files": len(one.material), "left_out": one.left_out} | _plain(one.numbers)
                    for source, one in of_sources.items()
                },
                "mean": _plain(mean_over(list(of_sources.values()))),
                "intervals": intervals(part, list(of_sources.values()), seed),
            }
            for part, of_sources in parts(by_source).items()
        }
        ids = {label: bundles[label].id for label in dict.fromkeys(asked[name].values())}
        found[name] = {"ids": ids, **of_parts}
    return {
        "data": str(data),
        "least": asdict(least),
        "seed": seed,
        "skipped": {"pictures": read.pictures.skipped, "sounds": read.sounds.skipped},
        "unusable": dict(read.unusable),
        "bundles": found,
    }


def _plain(numbers: Mapping[str, float]) -> dict[str, float | None]:
    return {name: None if np.isnan(value) else float(value) for name, value in numbers.items()}


if __name__ == "__main__":
    main()
