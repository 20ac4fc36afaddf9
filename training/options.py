"""Options that several commands of the training room share."""

from typing import get_args

import click

from training.results import Precision

device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps")
precision = click.option(
    "--precision",
    type=click.Choice(get_args(Precision)),
    default="auto",
    show_default=True,
    help="of the networks; auto is bf16 on CUDA and fp32 elsewhere",
)
