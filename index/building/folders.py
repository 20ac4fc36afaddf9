"""The folders that a run is given: refused where they are mixed up, before anything is written."""

from pathlib import Path

from index.address import IndexAt, SoundsAt
from index.building.cache import CACHE_FILE
from index.building.lock import LOCK_FILE
from index.building.options import OPTIONS_FILE
from index.generation import GENERATIONS, POINTER
from index.library.skipped import SKIPPED_FILE
from model.errors import LibraryError
from model.sound_format.formats import EXTENSIONS

_OURS = {POINTER, GENERATIONS, CACHE_FILE, LOCK_FILE, OPTIONS_FILE, SKIPPED_FILE}
_OF_SYSTEMS = {"lost+found", "System Volume Information"}


def check_folders(sounds: SoundsAt, index: IndexAt) -> None:
    """Raise LibraryError where `sounds` is an index, or `index` a folder of something else, such as of sounds.

    Of addresses nothing is checked.
    """
    if isinstance(sounds, Path) and (sounds / POINTER).is_file() and (sounds / GENERATIONS).is_dir():
        raise LibraryError(
            f"{sounds} is an index, no folder of sounds: first comes the folder of sounds, then that of the index"
        )
    if not isinstance(index, Path) or (index / POINTER).is_file():
        return
    try:
        names = [one.name for one in index.iterdir()]
    except OSError:
        return  # There is none yet, or what writes into it says why it cannot.
    for name in sorted(names):
        if name in _OURS or name in _OF_SYSTEMS or name.startswith("."):
            continue
        if (index / name).is_dir() or Path(name).suffix.lower() in EXTENSIONS:
            raise LibraryError(
                f"{index} is no index, and has {name} in it: name a folder that is empty or not there yet; first "
                "comes the folder of sounds, then that of the index"
            )
