"""The tags inside a sound's file: ID3, Vorbis comments, the text chunks of AIFF, RIFF INFO, BWF and iXML."""

from pathlib import Path
from typing import BinaryIO, cast

from tinytag import TinyTag

from index.library.riff import chunk_at, read_chunks
from index.library.texts import cleaned
from model.fields import field_named
from model.files import open_regular

MOST_BYTES = 2**16
"""Tags are read up to here; the pictures between them do not count."""

_CALL = 16
_TAGS = {
    "artist": "author",
    "comment": "description",
    "album": "source",
}
_SOUND_GENRES = ("sound", "sfx", "effect", "foley", "noise", "other", "ambience", "field rec")


def read_tags(path: Path) -> dict[str, str]:
    """The tags of a sound's file by name: title, description, tags, action, author, licence, attribution, source,
    origin, material, and catid (of the Universal Category System); texts of one line, each cut to its length.

    `music` is "1" where a genre or a track number says that it is a piece of music. Empty where there are no tags,
    and where they cannot be read: they are a stranger's, and a sound is worth indexing without them.
    """
    try:
        with open_regular(path) as file:
            return cleaned(_read(cast(BinaryIO, file)))
    except Exception:  # whatever a damaged or hostile file makes a parser raise
        return {}


def _read(file: BinaryIO) -> dict[str, str]:
    found = read_chunks(file)
    if not found and not _is_wave(file):
        return _tags(_Window(file, 0, file.seek(0, 2)))
    for _, at, size in chunk_at(file, frozenset((b"id3 ",))):
        return {**_tags(_Window(file, at, size)), **found}
    return found


def _is_wave(file: BinaryIO) -> bool:
    file.seek(0)
    return file.read(12)[8:] == b"WAVE"


def _tags(file: "_Window") -> dict[str, str]:
    tag = TinyTag.get(file_obj=cast(BinaryIO, file), duration=False)
    found = {name: text for name in (*_TAGS, "title") if (text := getattr(tag, name))}
    # What has no field of its own there stands in lists by the name that it has in the file.
    named = {field: "; ".join(texts) for name, texts in tag.other.items() if (field := field_named(name))}
    fields = {**named, **{_TAGS.get(name, name): text for name, text in found.items()}}
    genre = (tag.genre or "").lower()
    if tag.track or (genre and not any(one in genre for one in _SOUND_GENRES)):
        fields["music"] = "1"
    return fields


class _Window:
    """A part of a file as a file of its own, of which only so much can be read.

    The parser compares each value with all before it: a tag of a megabyte in small pieces would take it minutes.
    """

    def __init__(self, file: BinaryIO, start: int, size: int) -> None:
        self._file, self._start, self._size = file, start, size
        self._at, self._left = 0, MOST_BYTES

    def read(self, size: int = -1) -> bytes:
        size = max(self._size - self._at, 0) if size < 0 else min(size, max(self._size - self._at, 0))
        self._left -= size + _CALL
        if self._left < 0:
            raise ValueError("there is more in its tags than is read")
        self._file.seek(self._start + self._at)
        content = self._file.read(size)
        self._at += len(content)
        return content

    def seek(self, to: int, whence: int = 0) -> int:
        self._left -= _CALL
        if self._left < 0:
            raise ValueError("there is more in its tags than is read")
        self._at = max(0, to + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at
