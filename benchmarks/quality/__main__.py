"""How good recommendations are: a bundle, or several side by side, on any labelled pictures and sounds.

    python -m benchmarks.quality DATA --bundle thud=bundle --bundle paper=paper-bundle --json quality.json

DATA is a manifest or a folder with manifest.csv (columns kind, path, material and, where known, source). All
sounds of DATA are the library; every picture is answered from it, by cosine minus the sound's hub bias where the
bundle has hub biases. Each source is measured by itself and all sources weigh the same in the mean. The numbers are
explained in training/measures/sources.py; the head of the output says what was left out.

Pictures and sounds on which a bundle was trained say little about it: keep those sources out of DATA, or leave one
source out at a time. With --left-out NAME=FOLDER, FOLDER/SOURCE is a bundle that was trained without SOURCE
(`thud pretrain DATA FOLDER/SOURCE --work WORK --leave-out SOURCE`); it answers the pictures of SOURCE, from all
sounds as it embeds them, and is asked about the sounds of SOURCE.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import click
import numpy as np

from benchmarks.machine import machine
from benchmarks.quality.data import Data, Embedded, Embeddings, read_data, sources_of
from model.atomic import atomic_file
from model.bundle import HEADS, Bundle, load_bundle
from model.errors import ThudError
from model.heads import MaterialHeads
from model.hubness import load_bank
from model.materials import MATERIALS
from model.threads import available_cpus
from training.measures.means import mean_over
from training.measures.scoreboard import CHANCE, COMMONEST, intervals, material_table, parts, tables
from training.measures.sources import Fold, FoldScores, Least, score_fold
from training.pretraining.indexed_sounds import place, with_labels


@dataclass(frozen=True, eq=False)
class Opened:
    """A bundle, its heads and its bank where it has any, and the sources that it is measured on."""

    bundle: Bundle
    heads: MaterialHeads | None
    bank: Embeddings | None
    sources: tuple[str, ...]


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
        needed = {label: (opened.bundle, opened.sources) for label, opened in bundles.items()}
        read = read_data(data, needed, workers or available_cpus())
        by_bundle = {
            label: score(opened, read.seen[label], read.heard[label], read, Least(*least))
            for label, opened in bundles.items()
        }
    except ThudError as error:
        raise click.ClickException(str(error)) from error
    scores = {
        name: {source: by_bundle[label][source] for source, label in by.items() if source in by_bundle[label]}
        for name, by in asked.items()
    }
    if out is not None:
        with atomic_file(out) as aside:
            found = record(data, asked, bundles, read, scores, Least(*least), seed)
            aside.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    click.echo(head(data, bundles, read, Least(*least)))
    click.echo(tables(scores, seed))
    for name, by_source in scores.items():
        click.echo(material_table(name, by_source))


def open_bundles(
    folders: Sequence[str], left_out: Sequence[str], sources: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, Opened]]:
    """The label of the bundle to ask, by name and source, and the bundles by label. Raises BundleError."""
    named = _named([*folders, *left_out])
    if not named:
        raise click.UsageError("nothing to measure: name bundles with --bundle or --left-out")
    asked, bundles = {}, {}
    for number, (name, folder) in enumerate(named.items()):
        if number < len(folders):
            asked[name] = dict.fromkeys(sources, name)
            bundles[name] = open_bundle(folder, sources)
        else:
            asked[name] = {source: f"{name} without {source}" for source in sources}
            bundles |= {label: open_bundle(folder / source, [source]) for source, label in asked[name].items()}
    return asked, bundles


def open_bundle(folder: Path, sources: Sequence[str]) -> Opened:
    """The bundle in `folder`. Raises BundleError where it, its heads or its bank cannot be used."""
    bundle = load_bundle(folder)
    bank = load_bank(bundle) if bundle.spec.hubness is not None else None
    return Opened(bundle, MaterialHeads.load(bundle), bank, tuple(sources))


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


def score(opened: Opened, seen: Embedded, heard: Embedded, read: Data, least: Least) -> dict[str, FoldScores]:
    """Measure a bundle, whose embeddings are `seen` and `heard`, on each of its sources that has files."""
    heads, spec = opened.heads, opened.bundle.spec
    material = read.sounds.material[heard.rows]
    library = labelled = place(heard.values, spec.hubness, opened.bank)
    if heads is not None:
        drawn = with_labels(heard.values, material, heads, spec.label_strength)
        labelled = place(drawn, spec.hubness, opened.bank)
    scores = {}
    for source in opened.sources:
        its_pictures, its_sounds = read.pictures.source == source, read.sounds.source == source
        if not its_pictures.any() and not its_sounds.any():
            continue
        pictures, sounds = seen.of(its_pictures), heard.of(its_sounds)
        fold = Fold(
            picture_material=read.pictures.material[its_pictures],
            sound_material=read.sounds.material[its_sounds],
            library_material=material,
            scores=library.scores(pictures),
            without_biases=library.cosines(pictures) if library.biases is not None else None,
            labelled=labelled.scores(pictures),
            picture_probabilities=heads.pictures(pictures) if heads is not None else None,
            sound_probabilities=heads.sounds(sounds) if heads is not None else None,
            recognised=heads.recognised(pictures, spec.calibration.recognised)
            if heads is not None and spec.calibration is not None
            else None,
        )
        scores[source] = score_fold(fold, least)
    return scores


def head(data: Path, bundles: Mapping[str, Opened], read: Data, least: Least) -> str:
    """The lines before the tables: the machine, the data, the bundles, and what was left out."""
    lines = [f"# Quality on {data}", "", f"- {machine()}"]
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
    for name, opened in bundles.items():
        bundle, spec = opened.bundle, opened.bundle.spec
        has = [
            "calibrated" if spec.calibration else "not calibrated",
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
    bundles: Mapping[str, Opened],
    read: Data,
    scores: Mapping[str, Mapping[str, FoldScores]],
    least: Least,
    seed: int,
) -> dict[str, Any]:
    """All numbers, ready for JSON; None where there was nothing to measure."""
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
        ids = {label: bundles[label].bundle.id for label in dict.fromkeys(asked[name].values())}
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
