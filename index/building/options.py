"""What the last run over a library was asked for, in INDEX/library.json, so that later ones do the same."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError

from index.address import SoundsAt, sounds_at
from model import PRETRAINED
from model.atomic import atomic_file
from model.errors import LibraryError
from model.files import first_problem, read_json

OPTIONS_FILE = "library.json"
_MOST_BYTES = 2**28


def _read(value: object) -> object:
    return sounds_at(value) if isinstance(value, str) else value


class Options(BaseModel):
    """The options of a run. `bundle` None: the pretrained one. `manifest` None: the one that is found, if
    `use_manifest`.

    `sounds` is a folder or an address. `removed`: the POSIX paths under it, of files and folders, that were taken
    out of the index; `readmitted`: those under them that were taken in again.
    """

    model_config = ConfigDict(frozen=True)

    sounds: Annotated[SoundsAt, BeforeValidator(_read), PlainSerializer(str)]
    bundle: Path | None = None
    manifest: Path | None = None
    use_manifest: bool = True
    max_seconds: float = 600.0
    hubness: bool = True
    labels: bool = True
    removed: tuple[str, ...] = ()
    readmitted: tuple[str, ...] = ()

    @property
    def bundle_folder(self) -> Path:
        """Where the bundle is."""
        return self.bundle or PRETRAINED

    def without(self, path: str) -> "Options":
        """These options with the file or folder taken out."""
        return self._changed(path, taken_out=True)

    def with_(self, path: str) -> "Options":
        """These options with the file or folder taken in again, if it was taken out."""
        return self._changed(path, taken_out=False)

    def taken_out(self) -> Callable[[str], bool]:
        """Whether a path was taken out: it or the nearest folder above it that was taken out or in decides."""
        decided = {**dict.fromkeys(self.removed, True), **dict.fromkeys(self.readmitted, False)}

        def is_out(path: str) -> bool:
            while path not in decided:
                if path == ".":
                    return False
                path = path.rpartition("/")[0] or "."
            return decided[path]

        return is_out if decided else lambda path: False

    def _changed(self, path: str, *, taken_out: bool) -> "Options":
        def others(paths: tuple[str, ...]) -> set[str]:
            return {one for one in paths if not is_at_or_under(one, path)}

        removed, readmitted = others(self.removed), others(self.readmitted)
        left = self.model_copy(update={"removed": tuple(sorted(removed)), "readmitted": tuple(sorted(readmitted))})
        if left.taken_out()(path) == taken_out:
            return left
        name, paths = ("removed", removed) if taken_out else ("readmitted", readmitted)
        return left.model_copy(update={name: tuple(sorted({*paths, path}))})


def is_at_or_under(path: str, folder: str) -> bool:
    """Whether the POSIX path is the folder's or lies in it; "." is the folder of all."""
    return folder in (".", path) or path.startswith(f"{folder}/")


def read_options(index_folder: Path) -> Options:
    """The options of the last run. Raises LibraryError where there are none or they are damaged."""
    found = find_options(index_folder)
    if found is None:
        raise LibraryError(
            f"{index_folder} has no {OPTIONS_FILE}; make an index with thud index SOUNDS INDEX first"
        )
    return found


def find_options(index_folder: Path) -> Options | None:
    """The options of the last run, None where there are none. Raises LibraryError where they are damaged."""
    file = index_folder / OPTIONS_FILE
    try:
        return Options.model_validate(read_json(file, _MOST_BYTES))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except LibraryError as error:  # an address that is none
        raise LibraryError(f"{file}: {error}; remove it and run thud index SOUNDS INDEX") from error
    except ValidationError as error:
        raise LibraryError(f"{file}: {first_problem(error)}; remove it and run thud index SOUNDS INDEX") from error
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise LibraryError(f"{file} cannot be read: {reason}; remove it and run thud index SOUNDS INDEX") from error


def write_options(index_folder: Path, options: Options) -> None:
    """Keep the options for later runs; nothing is written where they are these already."""
    file = index_folder / OPTIONS_FILE
    text = json.dumps(options.model_dump(mode="json"), indent=2, allow_nan=False) + "\n"
    try:
        if file.read_text(encoding="utf-8") == text:
            return
    except (OSError, ValueError):
        pass
    with atomic_file(file) as aside:
        aside.write_text(text, encoding="utf-8")
