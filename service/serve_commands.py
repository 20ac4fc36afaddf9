"""The service's command: `thud serve`."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal, get_origin

import click
from pydantic import SecretStr

from service.environment import without_effect
from service.settings import Settings, flag, read_settings, variable


def _settings_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Give a click command one option per field of `Settings`. The values arrive as strings or None.

    They are strings because `Settings` checks them: flags and environment variables then obey the same rules.
    """
    for name, field in reversed(Settings.model_fields.items()):
        command = click.option(
            flag(name),
            name,
            metavar=_metavar(field.annotation),
            help=f"{field.description}  [env: {variable(name)}; {_default_text(name)}]",
        )(command)
    return command


def _default_text(name: str) -> str:
    field = Settings.model_fields[name]
    if isinstance(field.json_schema_extra, dict):
        return f"default: {field.json_schema_extra['default_text']}"
    return f"default: {'none' if field.default in (None, '') else field.default}"


def _metavar(annotation: Any) -> str:
    if annotation in (int, float):
        return "INTEGER" if annotation is int else "NUMBER"
    is_text = annotation in (str, SecretStr, bool) or get_origin(annotation) is Literal
    if is_text:
        return "TEXT"
    return "FOLDER" if annotation is Path else "FILE" if annotation == Path | None else "FOLDER or ADDRESS"


@click.command()
@_settings_options
def serve(**flags: Any) -> None:
    """Recommend sounds over HTTP, with a page for people at / and the API's own page at /docs.

    Every option can also be given as an environment variable; an option wins over it.
    """
    from service.server.workers import run

    settings = read_settings(flags)
    for name in without_effect(Settings.model_fields):
        click.echo(f"thud: {name} has no effect: there is no such setting", err=True)
    run(settings)
