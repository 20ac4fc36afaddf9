"""The options of commands that answer with the sounds that are nearest, and what they have in common."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

import click

from index import DIVERSITY
from index.commands.export_options import Export, write_export
from model.option_types import FiniteRange

if TYPE_CHECKING:
    from index.answers.picture_map import PictureMap
    from index.answers.recommendation import Recommendation
    from index.answers.search import SoundIndex

Command = TypeVar("Command", bound=Callable[..., Any])


DEFAULT_K = 10


def count_option(shown: str = str(DEFAULT_K)) -> Callable[[Command], Command]:
    """Adds the option `-k`, None where it is not given; `shown`: what the help says it is then."""
    return click.option(
        "-k", "--k", type=click.IntRange(min=1), show_default=shown, help="How many sounds to recommend."
    )


def diversity_option(command: Command) -> Command:
    """Adds the option `--diversity`."""
    return click.option(
        "--diversity",
        type=FiniteRange(0, 1),
        default=DIVERSITY,
        show_default=True,
        help="How much the sounds differ from each other; 0: the nearest, whatever they are.",
    )(command)


def feedback_options(command: Command) -> Command:
    """Adds the options `--more` and `--less`."""
    command = click.option("--less", multiple=True, metavar="ID", help="Not this sound, and less like it.")(command)
    return click.option(
        "--more", multiple=True, metavar="ID", help="More sounds like this one, by the id that --json shows."
    )(command)


def answer_options(command: Command) -> Command:
    """Adds the options `--cursor` and `--json`."""
    command = click.option(
        "--json", "as_json", is_flag=True, help="Print JSON: the HTTP answer, and the path of each sound."
    )(command)
    return click.option("--cursor", help="The `next` of an answer to the same question: go on from there.")(command)


def show_answer(
    answer: "Recommendation | PictureMap", index: "SoundIndex", export: Export, *, as_json: bool
) -> None:
    """Write the files that were asked for, and print the answer."""
    from index.answers.recommendation import Recommendation

    if export:
        sounds = answer.results if isinstance(answer, Recommendation) else answer.sounds
        found = [index.sound(one.id) for one in sounds]
        write_export(export, index, [record for record in found if record is not None])
    if as_json:
        click.echo(answer.json(for_terminal=True))
    elif isinstance(answer, Recommendation):
        from index.commands.answer_table import print_answer

        print_answer(answer, index.root)
    else:
        from index.commands.map_table import print_map

        print_map(answer, index.root)
