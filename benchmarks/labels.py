"""What it is worth to draw labels into the vectors of sounds, by how far they are drawn.

    python benchmarks/labels.py DATA WORK

Each source of pictures is left out in turn, of fitting and of calibration, and its pictures are answered from two
libraries whose sounds are all labelled: the recordings of DATA, each embedded by heads that never saw its source,
and synthetic sounds, written as `thud synthesize library` writes the demo's, by heads that never saw the pictures'
source. Their seed is not the one of the synthetic sounds that the bundle is fitted on, which it has heard.

Features are computed once, into WORK; that is the long part.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np
import torch

from model.errors import ThudError
from model.progress import progress
from model.threads import available_cpus
from training.measures.sources import Ids, Least, Scored, mean_over, score_recommendations
from training.pretraining.held_out import HeldOut, calibrate, fit_whole_sounds, hold_out
from training.pretraining.indexed_sounds import Embeddings, place, with_labels
from training.pretraining.material_files import read_material_files
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData, gather, sound_features
from training.pretraining.towers import sound_projection
from training.synthesis.demo_library import write_library

STRENGTHS = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
NUMBER = "P@10 macro"
RECORDINGS, DEMO = "library of recordings", "library of the demo's kind"


@dataclass(frozen=True, eq=False)
class Library:
    """Labelled sounds: features `[L, F]`, ids of their materials `[L]`."""

    features: torch.Tensor
    material: Ids


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
@click.option("--seed", default=1, show_default=True, type=click.IntRange(0), help="of the synthetic library")
@click.option(
    "--per-material", default=24, show_default=True, type=click.IntRange(1), help="sounds in that library"
)
@click.option(
    "--least",
    default=Least.pictures,
    show_default=True,
    type=click.IntRange(1),
    help="fewest pictures of a material for it to count in a source's mean",
)
@click.option("--threads", type=click.IntRange(1), help="[default: the CPUs available]")
def main(data: Path, work: Path, seed: int, per_material: int, least: int, threads: int | None) -> None:
    """Print, as Markdown, P@10 on the pictures of DATA by how far a library's labels are drawn in."""
    torch.set_num_threads(threads or available_cpus())
    recipe = PretrainingRecipe()
    try:
        found = gather(data, work, recipe)
        demo = synthetic_library(found, work, recipe, per_material, seed)
        scores = measure(found, hold_out(found, recipe), demo, recipe, least)
    except ThudError as error:
        raise click.ClickException(str(error)) from error
    click.echo(table(scores, recipe.label_strength))


def synthetic_library(
    data: PretrainingData, work: Path, recipe: PretrainingRecipe, per_material: int, seed: int
) -> Library:
    """The sounds of `thud synthesize library --per-material PER_MATERIAL --seed SEED`."""
    name = f"library-{per_material}-{seed}"
    if not (work / name).exists():
        write_library(work / name, per_material, seed)
    files = read_material_files(work / name, "sound")
    features = sound_features(files, data.log_mel, data.sound_network, recipe, work, f"features-of-{name}")
    return Library(features, files.material)


def measure(
    data: PretrainingData, held_out: HeldOut, demo: Library, recipe: PretrainingRecipe, least: int
) -> Mapping[str, Mapping[float, Sequence[Scored]]]:
    """What the pictures of each source score, by library and strength."""
    scores: dict[str, dict[float, list[Scored]]] = {
        name: {strength: [] for strength in STRENGTHS} for name in (RECORDINGS, DEMO)
    }
    sources = sorted({*data.pictures.source.tolist()})
    with progress("sources left out", len(sources), "source") as bar:
        for source in sources:
            seen = data.pictures.source == source
            pictures, material = held_out.pictures.numpy()[seen], data.pictures.material[seen]
            heads, _ = calibrate(data, held_out, recipe, without=source)
            libraries = {
                RECORDINGS: (held_out.sounds.numpy(), data.sounds.material),
                DEMO: (embed_without(data, source, demo, recipe), demo.material),
            }
            for name, (vectors, of_sounds) in libraries.items():
                for strength in STRENGTHS:
                    library = place(with_labels(vectors, of_sounds, heads, strength))
                    found = score_recommendations(library.scores(pictures), material, of_sounds, least)
                    scores[name][strength].append(found)
            bar.update()
    return scores


def embed_without(data: PretrainingData, source: str, library: Library, recipe: PretrainingRecipe) -> Embeddings:
    """The library's vectors `[L, 128]` by heads that never heard `source`."""
    rest = data.without(source)
    tower = sound_projection(rest, fit_whole_sounds(rest, recipe, rest.sounds.open_licence))
    with torch.no_grad():
        vectors: Embeddings = tower(library.features).numpy()
    return vectors


def table(scores: Mapping[str, Mapping[float, Sequence[Scored]]], shipped: float) -> str:
    """A line a library, a column a strength."""
    heads = [f"**{strength:g}**" if strength == shipped else f"{strength:g}" for strength in STRENGTHS]
    lines = [f"| strength | {' | '.join(heads)} |", "| ---" + " | ---:" * len(heads) + " |"]
    for name, by_strength in scores.items():
        values = [mean_over(by_strength[strength]).get(NUMBER, np.nan) for strength in STRENGTHS]
        lines.append(f"| {name} | {' | '.join(f'{value:.3f}' for value in values)} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
