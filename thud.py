"""Thud: show it a picture, hear what it would sound like to touch it.

The public interface, of which each name is imported when it is first used:

- `Recommender`: pictures in, sounds out.
- `Bundle`: the towers and what else belongs to them, a folder that `thud export` or `thud pretrain` writes.
- `SoundIndex`: a library of sounds made searchable, a folder that `thud index` writes.

>>> from thud import Recommender
>>> recommender = Recommender.open(index="demo/index")
>>> for sound in recommender.recommend("photo.jpg", k=3).results:
...     print(sound.rank, sound.title)  # doctest: +ELLIPSIS
1 ...
2 ...
3 ...
>>> recommender.close()

Also `Recommendation` (an answer), `PictureMap` (one about each place of a picture), `SoundFilter` (which sounds are
asked for), `Region` and `Spot` (a rectangle of a picture, and a square around a point of it, to ask about),
`PictureLimits` (which pictures are accepted) and `ThudError`: what goes wrong through no fault of the program, with
a message for a person.

This is also the front of the command line, which imports a room when one of its commands is used.
"""

import io
import os
import signal
import sys
from importlib import import_module, metadata
from types import FrameType
from typing import TYPE_CHECKING, Any


def _interrupt(number: int, frame: FrameType | None) -> None:
    """KeyboardInterrupt, or the end: while this file is read, and in an import, which may make it another error."""
    at = frame
    while at is not None:
        if not _READ or at.f_code.co_filename.startswith("<frozen importlib"):
            os.write(2, b"thud: interrupted\n")
            os._exit(_INTERRUPTED)
        at = at.f_back
    raise KeyboardInterrupt


_READ: list[bool] = []  # holds one once this file has been read
_INTERRUPTED = 130  # what shells give for a command that SIGINT has ended
# On the command line, before the first import that takes a while; not in a program that imports Thud, nor in the
# processes that a command starts.
_IS_COMMAND = "".join(sys.argv[:1]).rpartition(os.sep)[2] in ("thud", "thud.py")
if (
    _IS_COMMAND
    and "--multiprocessing-fork" not in sys.orig_argv
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler
):
    signal.signal(signal.SIGINT, _interrupt)

if _IS_COMMAND:
    # A number that is free at the start would be given to the first file that is opened, such as the index, and
    # what is written to stderr would go there.
    for _number in (0, 1, 2):
        try:
            os.fstat(_number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    sys.stdin, sys.stdout, sys.stderr = (
        stream or open(number, mode, encoding="utf-8")  # noqa: PTH123, SIM115 -- for as long as the program runs
        for stream, number, mode in ((sys.stdin, 0, "r"), (sys.stdout, 1, "w"), (sys.stderr, 2, "w"))
    )
    # A title that the terminal's encoding lacks is shown with escapes.
    for _stream in (sys.stdout, sys.stderr):
        if isinstance(_stream, io.TextIOWrapper) and _stream.errors == "strict":
            _stream.reconfigure(errors="backslashreplace")

import click  # noqa: E402

from model.errors import ThudError  # noqa: E402

if TYPE_CHECKING:
    from index.answers.picture_map import PictureMap
    from index.answers.recommendation import Recommendation
    from index.answers.recommender import Recommender
    from index.answers.search import SoundIndex
    from index.catalogue.filters import SoundFilter
    from model.bundle import Bundle
    from model.picture_format import PictureLimits
    from model.region import Region, Spot

__all__ = [
    "Bundle",
    "PictureLimits",
    "PictureMap",
    "Recommendation",
    "Recommender",
    "Region",
    "SoundFilter",
    "SoundIndex",
    "Spot",
    "ThudError",
    "__version__",
]

__version__ = metadata.version("thud")

_PUBLIC = {
    "Bundle": "model.bundle",
    "PictureLimits": "model.picture_format",
    "PictureMap": "index.answers.picture_map",
    "Recommendation": "index.answers.recommendation",
    "Recommender": "index.answers.recommender",
    "Region": "model.region",
    "SoundFilter": "index.catalogue.filters",
    "SoundIndex": "index.answers.search",
    "Spot": "model.region",
}
"""Where each public name is made."""

if not TYPE_CHECKING:  # a type checker would take any name for one of this module's

    def __getattr__(name: str) -> object:
        if name not in _PUBLIC:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(_PUBLIC[name]), name)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})


COMMANDS = {
    "synthesize": "training.synthesis.synthesize_commands:synthesize",
    "prepare": "training.prepare_commands:prepare",
    "train": "training.train_commands:train",
    "evaluate": "training.train_commands:evaluate",
    "reproduce": "training.reproduction.reproduce_commands:reproduce",
    "report": "training.reproduction.reproduce_commands:report",
    "export": "training.train_commands:export",
    "fine-tune": "training.pretraining.tuning.fine_tune_commands:fine_tune",
    "pretrain": "training.pretraining.pretrain_commands:pretrain",
    "fetch": "index.commands.fetch_commands:fetch",
    "index": "index.commands.index_commands:index",
    "recommend": "index.commands.recommend_commands:recommend",
    "similar": "index.commands.recommend_commands:similar",
    "find": "index.commands.find_commands:find",
    "serve": "service.serve_commands:serve",
}


_GOES_ON = ("prepare", "train", "reproduce", "fetch", "index")
"""Commands that go on where they were interrupted when they are run again."""

_LOOKING = ("list", "stats", "verify")
"""Those of `thud index`, which change nothing and begin anew."""

_TRAINING = {
    "torch",
    "torchvision",
    "av",
    "onnx",
    "onnxscript",
    "scipy",
    "tensorboard",
    "matplotlib",
    "markdown_it",
    "jinja2",
}


class _Rooms(click.Group):
    """A group whose commands are imported when named, so that serving never pays for training's imports."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        module, name = COMMANDS[cmd_name].split(":")
        command: click.Command = getattr(import_module(module), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command. An interrupted one ends in one line and exit code 130."""
        following = ctx.args[:1]
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            command = ctx.invoked_subcommand
            looks = command == "index" and following and following[0] in _LOOKING
            goes_on = command in _GOES_ON and not looks
            again = "; run the same command again to go on from here" if goes_on else ""
            click.echo(f"thud: interrupted{again}", err=True)
            sys.exit(_INTERRUPTED)


@click.command(cls=_Rooms)
@click.version_option(__version__, prog_name="thud")
def cli() -> None:
    """Thud: show it a picture, hear what it would sound like to touch it."""


def main() -> None:
    """Run the command line; a person's mistake ends in one line on stderr and exit code 1, not a traceback."""
    _READ.append(True)
    if sys.argv[1:2] == ["serve"]:
        # Before anything else is imported: a service may be told to stop while it starts.
        from service.server.signals import early_signals

        early_signals()
    try:
        cli(standalone_mode=True)
    except ThudError as error:
        click.echo(f"thud: {error}", err=True)
        sys.exit(1)
    except OSError as error:
        # A full disk, a folder that cannot be written: the system's own words name the file.
        click.echo(f"thud: {error.strerror or error}{f': {error.filename}' if error.filename else ''}", err=True)
        sys.exit(1)
    except MemoryError as error:
        click.echo(f"thud: {str(error) or 'there is not enough memory for this'}", err=True)
        sys.exit(1)
    except ModuleNotFoundError as error:
        if error.name not in _TRAINING:
            raise
        click.echo(
            f"thud: this command needs {error.name}; install Thud with its training extra: pip install '.[train]'",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
