"""What a JSON file beside a sound says of it: `x.wav.json` or `x.json` beside `x.wav`."""

from pathlib import Path
from typing import Any

from index.library.texts import cleaned
from model.fields import field_named
from model.files import read_json
from model.manifest import text_of

MOST_BYTES = 2**18


def read_sidecar(file: Path, root: Path) -> dict[str, str]:
    """The fields of a sidecar by their names (model/fields.py), with what it says as text, cleaned.

    Raises ValueError, with the reason, where it cannot be read, is no JSON object, or is a link that leads outside
    `root`.
    """
    if file.is_symlink() and not file.resolve().is_relative_to(root):
        raise ValueError("a link that leads outside the folder")
    try:
        value: Any = read_json(file, MOST_BYTES)
    except OSError as error:
        raise ValueError(error.strerror or str(error)) from error
    except ValueError as error:
        if "set_int_max_str_digits" in str(error):  # Python's words, for who writes programs
            raise ValueError("it has a number of too many digits") from error
        raise
    if not isinstance(value, dict):
        raise ValueError("it is no JSON object")
    found: dict[str, str] = {}
    for name, one in value.items():
        field = field_named(name)
        if field is not None and isinstance(one, str | int | float | list):
            found.setdefault(field, text_of(one))
    return cleaned(found)
