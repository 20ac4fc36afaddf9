"""`thud train`, `thud evaluate` and `thud export`."""

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import click

from model.errors import TrainingError
from training.data.dataset import Validation
from training.loop.fit_options import Precision
from training.paths import LocalPath

if TYPE_CHECKING:
    from rich.console import Console

    from training.loop.checkpoint import Checkpoint
    from training.measures.records import Mean, NotMeasured, Recommendations
    from training.measures.results import RunResult


device_option = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps")


_SEED = click.IntRange(0, 2**32 - 1)  # torch's generators take 64 bits, which must hold the epoch as well
_best = click.option(
    "--best/--last",
    default=None,
    help="the epoch that validation found best, or the last  [default: best of a recipe with patience, else last]",
)


@click.command()
@click.argument("dataset", type=LocalPath())
@click.argument("run", type=LocalPath())
@click.option(
    "--recipe", default="paper-tt-agg-resnet18", show_default=True, help="a recipe by name, or a TOML file"
)
@click.option("--epochs", type=click.IntRange(1), help="instead of the recipe's")
@click.option("--seed", default=0, show_default=True, type=_SEED, help="of weights, pairs and flips")
@click.option(
    "--validation",
    type=click.Choice(get_args(Validation)),
    default="recording",
    show_default=True,
    help="what validation data must not share with training data; the paper's is very probably `sample`",
)
@click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="auto",
    show_default=True,
    help="of the networks; auto is bf16 on CUDA and fp32 elsewhere",
)
@click.option("--compile/--no-compile", "compile_", default=None, help="torch.compile; by default on one CUDA GPU")
@click.option("--steps", type=click.IntRange(1), help="at most so many steps an epoch, for trying out")
@click.option("--resume", is_flag=True, help="refuse to begin: RUN must hold a run to go on with")
@click.option("--dry-run", is_flag=True, help="check the data, try one step, say what would be done, write nothing")
@device_option
def train(
    dataset: Path,
    run: Path,
    recipe: str,
    epochs: int | None,
    seed: int,
    validation: Any,
    precision: Any,
    compile_: bool | None,
    steps: int | None,
    resume: bool,
    dry_run: bool,
    device: str,
) -> None:
    """Train a recipe on DATASET; checkpoints and curves go to the folder RUN.

    Interrupted, the same command goes on after the last finished epoch. Several GPUs or hosts: start it with
    torchrun, on a folder RUN that all of them share.
    """
    from training.data.dataset import load_dataset
    from training.loop.checkpoint import CHECKPOINT_FILE
    from training.loop.device import choose_device
    from training.loop.distributed import is_leading
    from training.loop.dry_run import describe
    from training.loop.fit import fit
    from training.loop.fit_options import FitOptions
    from training.systems.recipe import load_recipe

    chosen = load_recipe(recipe)
    if epochs is not None:
        chosen = chosen.model_copy(update={"epochs": epochs})
    fit_options = FitOptions(choose_device(device), seed, validation, precision, compile_, steps, _command_line())
    data = load_dataset(dataset)
    if resume and not (run / CHECKPOINT_FILE).exists():
        raise TrainingError(f"{run} holds no run to go on with; without --resume a new one begins there")
    if dry_run:
        click.echo(describe(data, chosen, run, fit_options))
        return
    fit(data, chosen, run, fit_options, say=click.echo)
    if is_leading():
        click.echo(f"trained: {run}")


@click.command()
@click.argument("run", type=LocalPath())
@click.argument("dataset", type=LocalPath())
@click.option("--json", "as_json", is_flag=True, help="print the numbers as JSON")
@_best
@device_option
def evaluate(run: Path, dataset: Path, as_json: bool, best: bool | None, device: str) -> None:
    """Measure the run RUN on the validation and test splits of DATASET; also writes RUN/result.json."""
    from training.data.dataset import load_dataset
    from training.data.pairs import hold_out
    from training.loop.checkpoint import load_judged, result_of
    from training.loop.device import choose_device, enough_memory
    from training.measures.evaluate import evaluate as measure
    from training.measures.results import write_result

    checkpoint, data = load_judged(run, best), load_dataset(dataset)
    if data.info.id != checkpoint.dataset.id:
        raise TrainingError(
            f"{dataset} is not the dataset that {run} was trained on: what is validation data here can be training "
            "data there"
        )
    with enough_memory("free some of it, or measure on the CPU with --device cpu"):
        held_out = hold_out(data, checkpoint.validation)
        measured = measure(checkpoint.build(), held_out, choose_device(device), seed=checkpoint.seed)
    result = result_of(checkpoint, measured, _command_line())
    write_result(result, run)
    if as_json:
        click.echo(result.model_dump_json(indent=2))
    else:
        _print_tables(result)


@click.command()
@click.argument("run", type=LocalPath())
@click.argument("bundle", type=LocalPath())
@click.option("--name", help="the bundle's name; by default the recipe's")
@_best
def export(run: Path, bundle: Path, name: str | None, best: bool | None) -> None:
    """Export both towers of the run RUN to ONNX as the bundle BUNDLE, checked against the trained towers."""
    from training.loop.checkpoint import load_judged
    from training.systems.export import export_bundle
    from training.systems.recipe import Recipe, clip_window

    checkpoint = load_judged(run, best)
    recipe = Recipe.model_validate(checkpoint.recipe)
    written, parity = export_bundle(
        checkpoint.towers(),
        bundle,
        name=name or recipe.name,
        backbones={"image": recipe.image_network, "sound": recipe.sound_network},
        picture=checkpoint.dataset.picture,
        clip=clip_window(recipe, checkpoint.dataset.clip),
        training=_provenance(checkpoint),
        metrics=_metrics(run, checkpoint),
    )
    click.echo(f"bundle {written.id} in {bundle}; least cosine to the trained towers on 64 inputs {parity:.7f}")


def _command_line() -> str:
    return shlex.join(["thud", *sys.argv[1:]])


def _provenance(checkpoint: "Checkpoint") -> dict[str, Any]:
    return {
        "recipe": checkpoint.recipe,
        "epochs": checkpoint.epoch,
        "seed": checkpoint.seed,
        "validation": checkpoint.validation,
        "dataset": {"id": checkpoint.dataset.id, **checkpoint.dataset.source},
    }


def _metrics(run: Path, checkpoint: "Checkpoint") -> dict[str, Any]:
    """What the run measured, if it is of this very checkpoint."""
    from training.measures.results import RESULT_FILE, load_result

    if not (run / RESULT_FILE).exists():
        return {}
    result = load_result(run)
    if result.checkpoint != checkpoint.id:
        return {}
    # What single pictures gave is many times as long as the rest of a bundle's card.
    val, test = (measured.without_pictures().model_dump(mode="json") for measured in (result.val, result.test))
    return {"val": val, "test": test, "command": result.command}


def _print_tables(result: "RunResult") -> None:
    from rich.console import Console
    from rich.table import Table

    from training.measures.records import TowerMeasures

    console = Console()
    table = Table("split", "measured on", "measure", "value", "95 % over videos", title=_TITLES[result.system])
    for split, measured in (("val", result.val), ("test", result.test)):
        if not measured.rates:
            table.add_row(split, measured.reasons[0])
        for name, (value, interval) in measured.rates.items():
            assert interval is not None, "a result has intervals"
            low, high = interval
            table.add_row(split, measured.counted, name, f"{value:.4f}", f"{low:.4f} to {high:.4f}")
    console.print(table)
    if isinstance(result.test, TowerMeasures):
        _print_recommend(console, result.test.recommend)


_TITLES = {
    "sound": "Material of the sound (paper, Table 2)",
    "visual": "Materials of the picture (paper, Table 3)",
    "fc_agg": "Material of the sound, from sound and picture (paper, Table 4)",
    "tt_agg": "Pairs (paper, Table 5)",
}


def _print_recommend(console: "Console", found: "Recommendations | NotMeasured") -> None:
    from rich.table import Table

    from training.measures.records import NotMeasured, Way

    if isinstance(found, NotMeasured):
        console.print(found.none)
        return
    title = f"Good sounds in the top K, {found.pictures:,} test pictures, {found.library:,} training sounds"
    title += f" (paper, Figure 8); hubness skew {found.hubness_skew:.2f}"
    table = Table("", "own clips", "macro", "all materials", "macro", title=title)
    own, all_ = found.own_clips, found.all_events

    def cell(value: float, interval: tuple[float, float] | None) -> str:
        if interval is None:
            return f"{value:.4f}"
        low, high = interval
        return f"{value:.4f} ({low:.2f} to {high:.2f})"

    def row(name: str, means: "list[Mean]") -> None:
        table.add_row(name, *(cell(*mean.by(way)) for mean in means for way in get_args(Way)))

    for k in own.p_at:
        row(f"P@{k}", [own.p_at[k], all_.p_at[k]])
    for k in own.coverage_at:
        row(f"coverage@{k}", [own.coverage_at[k], all_.coverage_at[k]])
    row("mAP", [own.map, all_.map])
    row("nDCG@10", [own.ndcg_at_10, all_.ndcg_at_10])
    row("by chance", [own.chance, all_.chance])
    console.print(table)
