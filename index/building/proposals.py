"""Guesses of what the sounds of a library are made of: a table to correct and to hand back as the manifest.

A guess is never a label: it stands in a column of its own, and only what a person writes into `material` counts.
Guesses taken as labels gave worse answers than no labels (docs/labels.md).
"""

import csv
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from index.address import SoundsAt
from index.library.finding import LibrarySound
from index.library.names import read_name
from index.library.walk import is_text
from index.nearest.vectors import Vectors
from model.atomic import atomic_file
from model.errors import BundleError, LibraryError
from model.heads import MaterialHeads
from model.materials import MATERIALS, material_named
from model.spreadsheet import harmless

COLUMNS = ("path", "material", "guess", "percent", "second_guess", "second_percent", "guess_from", "kind")
"""The columns of the table. Those of the manifest that the labels came from follow."""


@dataclass(frozen=True)
class Guess:
    """Two materials that a sound may be of, each with its probability by what is heard, 0 to 100.

    Where `origin` is "name", the file or a folder is named after the first one, and the second is the likeliest of
    the others; where it is "sound", they are the two likeliest.
    """

    material: str
    percent: int
    second: str
    second_percent: int
    origin: str


class Proposals:
    """The table that will be written to `file`, with guesses by `heads` about `sounds`, a folder or an address.

    Raises BundleError where there are no heads, and LibraryError where the table cannot or must not be written.
    """

    def __init__(self, file: Path, heads: MaterialHeads | None, sounds: SoundsAt) -> None:
        if heads is None:
            raise BundleError("the bundle has no heads, by which materials are guessed; --propose needs them")
        if file.suffix.lower() != ".csv":
            raise LibraryError(f"{file}: guesses are written as CSV; choose a name that ends in .csv")
        self._file, self._heads = file, heads
        # Of an address, a manifest is read as if it lay at its root.
        self._to_sounds = (
            os.path.relpath(sounds.resolve(), file.parent.resolve()) if isinstance(sounds, Path) else "."
        )
        if not is_text(self._to_sounds):
            raise LibraryError(f"the path from {file} to the sounds is not valid UTF-8; write it into {sounds}")
        folder = next(one for one in file.resolve().parents if one.exists())
        if not (folder.is_dir() and os.access(folder, os.W_OK)):
            raise LibraryError(f"{file} cannot be written: {folder} is no folder that can be written to")
        self._check_free()

    def write(self, sounds: Sequence[LibrarySound], embeddings: Vectors) -> None:
        """Write a row for each of the `sounds`, whose L2-normalised `embeddings [n, d]` hold no label.

        The rows are in the order of `look_first`. Raises LibraryError where the file is there already or cannot be
        written.
        """
        guesses = guess_materials(sounds, self._heads.sounds(embeddings))
        rows = look_first(sounds, guesses)
        theirs = dict.fromkeys(name for sound in sounds for name in sound.columns if name not in COLUMNS)
        self._check_free()
        try:
            # With the byte order mark, without which Excel takes UTF-8 for another encoding.
            with (
                atomic_file(self._file) as aside,
                aside.open("w", encoding="utf-8-sig", errors="backslashreplace", newline="") as out,
            ):
                table = csv.writer(out, quoting=csv.QUOTE_NONNUMERIC)
                table.writerow([harmless(name) for name in (*COLUMNS, *theirs)])
                table.writerows(self._row(sound, guess, theirs) for sound, guess in rows)
        except OSError as error:
            raise LibraryError(f"{self._file} cannot be written: {error.strerror or error}") from error

    def _check_free(self) -> None:
        # It may hold an afternoon of somebody's work.
        if os.path.lexists(self._file):
            raise LibraryError(
                f"{self._file} is there already and is not replaced; hand it in with --manifest, "
                "or choose another name"
            )

    def _row(self, sound: LibrarySound, guess: Guess, theirs: dict[str, None]) -> list[str | int]:
        path = os.path.normpath(f"{self._to_sounds}/{sound.path}")
        if not path[0].isalnum() and not path.startswith("../"):
            # Neither a formula, nor a space that a reader takes off.
            path = f"./{path}"
        of_guess = (guess.material, guess.percent, guess.second, guess.second_percent, guess.origin)
        carried = (harmless(sound.columns.get(name, "")) for name in theirs)
        return [path, harmless(_written(sound)), *of_guess, "sound", *carried]


def guess_materials(sounds: Sequence[LibrarySound], probabilities: npt.NDArray[np.float32]) -> list[Guess]:
    """A guess for each of n sounds from the `probabilities [n, 17]` of its materials and from its path."""
    guesses = []
    order = np.argsort(-probabilities, axis=1, kind="stable")[:, :2].tolist()
    for sound, likeliest, heard in zip(sounds, order, probabilities, strict=True):
        named = material_named(read_name(sound.path).material or "")
        known = [] if named is None else [named.id]
        first, second = (known + [id_ for id_ in likeliest if id_ not in known])[:2]
        percents = [round(100 * float(heard[id_])) for id_ in (first, second)]
        origin = "sound" if named is None else "name"
        guesses.append(Guess(MATERIALS[first].name, percents[0], MATERIALS[second].name, percents[1], origin))
    return guesses


def look_first(sounds: Sequence[LibrarySound], guesses: Sequence[Guess]) -> list[tuple[LibrarySound, Guess]]:
    """The n sounds with their n guesses, those that need a person's look first in front.

    First come sounds without a label: those guessed by what is heard, then those guessed by their name, in both the
    ones with the least difference between the two percentages in front (margin sampling; Scheffer et al. 2001).
    Then come sounds with a word for a material that is none of the 17, then those with a label.
    """
    return sorted(zip(sounds, guesses, strict=True), key=_order)


def _order(row: tuple[LibrarySound, Guess]) -> tuple[int, int, str]:
    sound, guess = row
    if sound.material is not None:
        return 3, 0, sound.path
    if _written(sound):
        return 2, 0, sound.path
    return int(guess.origin == "name"), guess.percent - guess.second_percent, sound.path


def _written(sound: LibrarySound) -> str:
    """What stands for the sound's material: its label, or a person's word that is none of the 17."""
    return sound.columns.get("material", "").strip() or sound.material or ""
