"""The service's command: `thud serve`."""

from typing import Any

import click

from service.settings import read_settings, settings_options


@click.command()
@settings_options
def serve(**flags: Any) -> None:
    """Recommend sounds over HTTP, with a page for people at / and the API's own page at /docs.

    Every option can also be given as an environment variable; an option wins over it.
    """
    from service.server import run

    run(read_settings(flags))
