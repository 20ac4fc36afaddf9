"""`thud fine-tune`: the picture networks of `thud pretrain`, fitted further on labelled photographs."""

from pathlib import Path

import click

from model.threads import available_cpus
from training.paths import LocalPath, work_beside
from training.pretraining.kernels import keep_memory


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=LocalPath(file_okay=False))
@click.option(
    "--work",
    type=LocalPath(file_okay=False),
    help="folder for features and networks of one seed (0.3 GB), which a next run takes up  [default: OUT.work]",
)
@click.option("--open-only", is_flag=True, help="fit only on rows whose open_licence is 1")
@click.option("--threads", type=click.IntRange(1), help="[default: the CPUs available]")
def fine_tune(data: Path, out: Path, work: Path | None, open_only: bool, threads: int | None) -> None:
    """Fit the picture network further on the photographs of the manifest DATA: `thud pretrain --tuned OUT`.

    OUT gets one network that was fitted on all photographs, and one without each group of their sources, by which
    the bundle is calibrated and measured. Each is the mean of three, which take minutes each. Interrupted, it goes
    on with those that are missing. On another processor or with other --threads the weights differ a little.
    """
    keep_memory()
    import torch

    from training.pretraining.pretrain_recipe import PretrainingRecipe
    from training.pretraining.tuning.fine_tune import fine_tune as write_networks
    from training.pretraining.tuning.tune import TuningRecipe

    count = threads or available_cpus()
    torch.set_num_threads(count)
    write_networks(
        data,
        out,
        work or work_beside(out),
        PretrainingRecipe(),
        TuningRecipe(),
        count,
        open_only=open_only,
        say=click.echo,
    )
