"""Options that several commands of the training room share."""

import click

device = click.option("--device", default="auto", show_default=True, help="auto, cpu, cuda, cuda:1 or mps")
