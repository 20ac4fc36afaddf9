"""`thud pretrain`: the bundle that ships with Thud, made again from a folder of labelled pictures and sounds."""

from pathlib import Path

import click

from model.threads import available_cpus
from training.paths import LocalPath, work_beside
from training.pretraining.kernels import fix_kernels, keep_memory


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("out", type=LocalPath(file_okay=False))
@click.option(
    "--work",
    type=LocalPath(file_okay=False),
    help="folder for features, which a next run takes up  [default: OUT.work]",
)
@click.option(
    "--tuned",
    type=LocalPath(file_okay=False, exists=True),
    help="picture networks of `thud fine-tune`, fitted on the photographs that are fitted on here  [default: those "
    "of the bundle that ships or, for other photographs, ImageNet's]",
)
@click.option("--leave-out", metavar="SOURCE", help="as if DATA had no file of SOURCE, to be measured on it")
@click.option("--open-only", is_flag=True, help="fit only on rows whose open_licence is 1")
@click.option("--threads", type=click.IntRange(1), help="[default: the CPUs available]")
def pretrain(
    data: Path,
    out: Path,
    work: Path | None,
    tuned: Path | None,
    leave_out: str | None,
    open_only: bool,
    threads: int | None,
) -> None:
    """Make the bundle OUT, and its model card, from the manifest DATA.

    DATA lists single pictures and sounds with their material, source and licence; they need not belong together.
    All rows are fitted on but those whose licence or note says non-commercial: they are measured on. Interrupted,
    it goes on. The number of threads does not change the bundle; docs/pretraining.md says what the processor does.
    """
    if tuned is not None and leave_out is not None:
        raise click.UsageError("--tuned and --leave-out exclude each other: fine-tuning leaves no source out")
    fixed = fix_kernels()  # before NumPy and PyTorch are loaded
    keep_memory()
    import torch

    from model.bundle import check_target
    from training.pretraining.build import build_pretrained
    from training.pretraining.pretrain_recipe import PretrainingRecipe

    check_target(out)
    torch.set_num_threads(1)  # more would add up in another order
    built = build_pretrained(
        data,
        out,
        work or work_beside(out),
        PretrainingRecipe(),
        threads or available_cpus(),
        tuned=tuned,
        leave_out=leave_out,
        open_only=open_only,
        say=click.echo,
    )
    size = sum(record.bytes for record in built.bundle.spec.files.values())
    click.echo(f"bundle {built.bundle.id} in {out}, {size / 1e6:.1f} MB; the card is {out / 'MODEL_CARD.md'}")
    if not fixed:
        click.echo("made by this machine's own kernels: another machine's bundle may differ", err=True)
