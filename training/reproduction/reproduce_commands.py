"""`thud reproduce`: a suite of runs on one dataset, and the report on them; `thud report`: one on earlier runs."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import click

from model.threads import available_cpus
from training.loop.fit_options import Precision
from training.measures.results import RunResult
from training.paths import LocalPath
from training.train_commands import device_option

MOST_JOBS = 4
"""Runs side by side by default: each takes the memory of two networks and their optimiser."""


def _by_recipe(
    read: Callable[[str], object], wanted: str
) -> Callable[[click.Context, click.Parameter, tuple[str, ...]], tuple[tuple[str, object], ...]]:
    """Reads the values `[PATTERN=]VALUE` of an option; `read` is falsy for a value that cannot be."""

    def callback(
        context: click.Context, parameter: click.Parameter, values: tuple[str, ...]
    ) -> tuple[tuple[str, object], ...]:
        asked = []
        for value in values:
            pattern, _, text = value.rpartition("=")
            if not (found := read(text)):
                raise click.BadParameter(f"{value!r} is neither {wanted} nor one after PATTERN=")
            asked.append((pattern or "*", found))
        return tuple(asked)

    return callback


def _count(text: str) -> int | None:
    return int(text) if text.isdecimal() else None


def _precision(text: str) -> str | None:
    return text if text in get_args(Precision) else None


@click.command()
@click.argument("dataset", type=LocalPath())
@click.argument("target", type=LocalPath())
@click.option(
    "--suite",
    "suites",
    multiple=True,
    default=("all",),
    show_default=True,
    help="a suite by name, or a TOML file; several make one report",
)
@click.option("--only", multiple=True, metavar="PATTERN", help="only these recipes, as in 'paper-*-resnet18'")
@click.option(
    "--epochs",
    multiple=True,
    metavar="[PATTERN=]N",
    callback=_by_recipe(_count, "a number of epochs"),
    help="instead of the recipes', as in 'paper-*-vgg16=3'; the report says so",
)
@click.option("--tiny", is_flag=True, help="one epoch of two steps each: is everything in place?")
@click.option(
    "--jobs", type=click.IntRange(1), help="runs side by side  [default: the CPUs, at most 4, or 1 on a GPU]"
)
@click.option(
    "--precision",
    "precisions",
    multiple=True,
    metavar="[PATTERN=]P",
    callback=_by_recipe(_precision, "auto, fp32 or bf16"),
    help="auto, fp32 or bf16, of the networks, as in 'paper-*=bf16'; auto is bf16 on CUDA and fp32 elsewhere"
    "  [default: auto]",
)
@device_option
def reproduce(
    dataset: Path,
    target: Path,
    suites: tuple[str, ...],
    only: tuple[str, ...],
    epochs: Any,
    tiny: bool,
    jobs: int | None,
    precisions: Any,
    device: str,
) -> None:
    """Run a suite of recipes on DATASET and write the report TARGET/report.

    Interrupted, the same command goes on. Runs that are done are not run again; the report holds every run of the
    suite that there is in TARGET: the paper's tables and figures beside its own numbers, and more.
    """
    from training.data.dataset import load_dataset
    from training.loop.device import choose_device
    from training.reproduction.report.write import write_report
    from training.reproduction.reproduce import ReproduceOptions, finished_results, run_trials
    from training.reproduction.suite import joined, load_suite

    # Whoever ends this process means the runs that it began, too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    data = load_dataset(dataset)
    place = choose_device(device)
    whole = joined([load_suite(suite) for suite in suites])
    trials = whole.trials(only, (("*", 1),) if tiny else epochs, precisions)
    reproduce_options = ReproduceOptions(
        device,
        jobs or (min(available_cpus(), MOST_JOBS) if place.type == "cpu" else 1),
        2 if tiny else None,
    )
    failures = run_trials(dataset, data.info.id, trials, target, reproduce_options, say=click.echo)
    results = finished_results(whole.trials(), target)
    if results:
        click.echo(f"report: {write_report(results, data, target / 'report')}")
    if failures:
        raise click.ClickException(
            f"{len(failures)} of {len(trials)} runs failed; the same command tries them again"
        )


@click.command()
@click.argument("dataset", type=LocalPath())
@click.argument("target", type=LocalPath())
@click.argument("numbers", nargs=-1, required=True, type=LocalPath())
def report(dataset: Path, target: Path, numbers: tuple[Path, ...]) -> None:
    """Write one report into the folder TARGET on the runs in NUMBERS, the numbers.json of earlier reports.

    For runs that several machines did, or that are older than the words of today's report. Of two results of the
    same run, that of the later file counts.
    """
    from training.data.dataset import load_dataset
    from training.measures.results import load_numbers
    from training.reproduction.report.write import write_report

    data = load_dataset(dataset)
    found: dict[str, RunResult] = {}
    for file in numbers:
        results = load_numbers(file)
        again = [result.run for result in results if result.run in found]
        if again:
            click.echo(f"{file}: {len(again)} of {len(results)} runs in place of those in earlier files")
        found |= {result.run: result for result in results}
    elsewhere = sum(result.dataset != data.info.id for result in found.values())
    if elsewhere:
        click.echo(f"{elsewhere} of {len(found)} runs are of another dataset than {dataset}; the report says which")
    click.echo(f"report: {write_report(list(found.values()), data, target)}")
