"""Paths on the command line: of what is read and written on this machine."""

import re
from pathlib import Path
from typing import Any

import click

from model.addresses import without_secrets
from model.errors import TrainingError

_ADDRESS = re.compile(r"[a-z][a-z0-9+.-]+:/", re.IGNORECASE)


def check_named(out: Path) -> None:
    """Raise TrainingError for `.`, `..` and `/`: nothing can be written beside them to take their place."""
    if out.name in ("", ".."):
        raise TrainingError(f"{out} has no name of its own; choose another folder")


def work_beside(out: Path) -> Path:
    """OUT.work, the folder for what a run keeps. Raises TrainingError as `check_named`."""
    check_named(out)
    return out.with_name(out.name + ".work")


class LocalPath(click.Path):
    """A path of this machine: an address would be a folder with a name like `s3:`, which nobody means."""

    def __init__(self, **options: Any) -> None:
        super().__init__(path_type=Path, **options)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """See `click.Path`."""
        if isinstance(value, str) and _ADDRESS.match(value):
            self.fail(f"{without_secrets(value)} is an address; name a folder of this machine.", param, ctx)
        return super().convert(value, param, ctx)
