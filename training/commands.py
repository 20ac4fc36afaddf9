"""`thud train`, `thud evaluate` and `thud export`."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from model.errors import TrainingError

if TYPE_CHECKING:
    from training.checkpoint import Checkpoint

EVALUATION_FILE = "evaluation.json"

_device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps")


@click.command()
@click.argument("dataset", type=click.Path(path_type=Path))
@click.argument("run", type=click.Path(path_type=Path))
@click.option("--recipe", default="paper-resnet18", show_default=True, help="a recipe by name, or a TOML file")
@click.option("--epochs", type=click.IntRange(1), help="instead of the recipe's")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="of weights, pairs and flips")
@_device
def train(dataset: Path, run: Path, recipe: str, epochs: int | None, seed: int, device: str) -> None:
    """Fit TT_AGG on DATASET; checkpoints go to the folder RUN. Interrupted, the same command goes on."""
    from training.dataset import load_dataset
    from training.device import choose_device
    from training.fit import fit
    from training.recipe import load_recipe

    chosen = load_recipe(recipe)
    if epochs is not None:
        chosen = chosen.model_copy(update={"epochs": epochs})
    place = choose_device(device)
    data = load_dataset(dataset)
    click.echo(f"recipe {chosen.name}: {chosen.image_network} and {chosen.sound_network} on {place}")
    try:
        fit(data, chosen, run, seed=seed, device=place, say=click.echo)
    except KeyboardInterrupt:
        raise click.ClickException("interrupted; the same command goes on after the last finished epoch") from None
    click.echo(f"trained: {run}")


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("dataset", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="print the numbers as JSON")
@click.option("--seed", default=0, show_default=True, type=click.IntRange(0), help="of the pairs that are judged")
@_device
def evaluate(run: Path, dataset: Path, as_json: bool, seed: int, device: str) -> None:
    """Measure the run RUN on the validation and test splits of DATASET; also writes RUN/evaluation.json."""
    from model.atomic import atomic_file
    from training.checkpoint import load_checkpoint
    from training.dataset import load_dataset
    from training.device import choose_device
    from training.evaluate import evaluate as measure

    checkpoint, data = load_checkpoint(run), load_dataset(dataset)
    sizes = (data.info.picture.model_dump(), data.info.clip.model_dump())
    if sizes != (checkpoint.picture, checkpoint.clip):
        raise TrainingError(f"{dataset} was prepared with other sizes than the dataset {run} was trained on")
    numbers = measure(checkpoint.build(), data, choose_device(device), seed=seed)
    numbers = {
        "checkpoint": checkpoint.id,
        "recipe": checkpoint.recipe["name"],
        "epoch": checkpoint.epoch,
        "dataset": data.info.id,
    } | numbers
    with atomic_file(run / EVALUATION_FILE) as aside:
        aside.write_text(json.dumps(numbers, indent=2) + "\n", encoding="utf-8")
    if as_json:
        click.echo(json.dumps(numbers, indent=2))
    else:
        _print_tables(numbers)


@click.command()
@click.argument("run", type=click.Path(path_type=Path))
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--name", help="the bundle's name; by default the recipe's")
def export(run: Path, bundle: Path, name: str | None) -> None:
    """Export both towers of the run RUN to ONNX as the bundle BUNDLE, checked against the trained towers."""
    from model.bundle import ClipSpec, PictureSpec
    from training.checkpoint import load_checkpoint
    from training.export import export_bundle

    checkpoint = load_checkpoint(run)
    recipe = checkpoint.recipe
    written, parity = export_bundle(
        checkpoint.build(),
        bundle,
        name=name or recipe["name"],
        backbones={"image": recipe["image_network"], "sound": recipe["sound_network"]},
        picture=PictureSpec.model_validate(checkpoint.picture),
        clip=ClipSpec.model_validate(checkpoint.clip),
        training=_provenance(checkpoint),
        metrics=_metrics(run, checkpoint),
    )
    click.echo(f"bundle {written.id} in {bundle}; least cosine to the trained towers on 64 inputs {parity:.7f}")


def _provenance(checkpoint: "Checkpoint") -> dict[str, Any]:
    return {
        "recipe": checkpoint.recipe,
        "epochs": checkpoint.epoch,
        "seed": checkpoint.seed,
        "dataset": {"id": checkpoint.dataset_id, **checkpoint.source},
    }


def _metrics(run: Path, checkpoint: "Checkpoint") -> dict[str, Any]:
    """The run's evaluation, if it is of this very checkpoint."""
    try:
        numbers = json.loads((run / EVALUATION_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        raise TrainingError(f"{run / EVALUATION_FILE} cannot be read ({error}); run thud evaluate again") from error
    return numbers if numbers.get("checkpoint") == checkpoint.id else {}


def _print_tables(numbers: dict[str, Any]) -> None:
    from rich.console import Console
    from rich.table import Table

    console = Console()
    table = Table("split", "pairs", "accuracy", "precision", "recall", "F1", title="Pairs (paper, Table 5)")
    for split, row in numbers["pairs"].items():
        if "none" in row:
            table.add_row(split, row["none"])
            continue
        figures = [f"{row[name]:.4f}" for name in ("accuracy", "precision", "recall", "f1")]
        table.add_row(split, f"{row['pairs']:,}", *figures)
    console.print(table)
    found = numbers["recommend"]
    if "none" in found:
        console.print(found["none"])
        return
    title = f"Good sounds in the top K, {found['pictures']:,} test pictures, {found['library']:,} training sounds"
    table = Table("K", "materials of own clips", "all materials", title=title + " (paper, Figure 8)")
    own, everything = found["own_clips"], found["all_events"]
    for k in (1, 5, 10, 25, 50):
        if k <= len(own["good_share"]):
            table.add_row(str(k), f"{own['good_share'][k - 1]:.4f}", f"{everything['good_share'][k - 1]:.4f}")
    table.add_row("by chance", f"{own['chance']:.4f}", f"{everything['chance']:.4f}")
    table.add_row("10, macro", f"{own['macro_p_at_10']:.4f}", f"{everything['macro_p_at_10']:.4f}")
    table.add_row("by chance, macro", f"{own['macro_chance']:.4f}", f"{everything['macro_chance']:.4f}")
    console.print(table)
