"""Sounds to take away: a zip of their files, with the credits that their licences ask for."""

import re
import time
import unicodedata
from collections.abc import Generator, Sequence
from contextlib import closing
from io import RawIOBase
from pathlib import PurePosixPath
from typing import Any
from zipfile import ZipFile, ZipInfo

from index.answers.attribution import attribution_text, missing_text, records_table
from index.answers.sound_files import SoundFiles
from index.catalogue import SoundRecord
from model.errors import LibraryError

CREDITS, TABLE, MISSING = "ATTRIBUTION.txt", "sounds.csv", "MISSING.txt"

_CHUNK_BYTES = 2**16
_LONGEST_NAME = 200
"""Bytes of a file's name; file systems take 255, and some add their own."""

# No file of Windows may have these; elsewhere some of them lead out of the folder or control a terminal.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*]')
_RESERVED = re.compile(r"(con|prn|aux|nul|com[0-9¹²³]|lpt[0-9¹²³])(\.|$)", re.IGNORECASE)
_YEARS = (1980, 2107)


def zip_of(
    files: SoundFiles, records: Sequence[SoundRecord], missing: dict[str, str] | None = None
) -> Generator[bytes]:
    """The bytes of a zip with the `files` of `records`, no two of which are the same sound, piece by piece.

    Audio is stored as it is: most of it does not compress. A sound whose file is gone, has changed or cannot be
    read is left out, and named with the reason in the last file, `MISSING`, and by its id in `missing`.
    Raises LibraryError and OSError, as `SoundFile.read`, for a file that changes while it is sent.
    """
    sink = _Sink()
    names = file_names(records)
    missing = {} if missing is None else missing
    with ZipFile(sink, "w") as archive:
        for record in records:
            try:
                sound = files.open(record)
                with closing(sound):
                    first = sound.read(0, _CHUNK_BYTES)
                    with archive.open(_entry(names[record.id], sound.modified, record.bytes), "w") as member:
                        member.write(first)
                        yield from sink.taken()
                        for start in range(len(first), sound.size, _CHUNK_BYTES):
                            member.write(sound.read(start, _CHUNK_BYTES))
                            yield from sink.taken()
            except (LibraryError, OSError) as error:
                if names[record.id] in archive.NameToInfo:
                    raise
                missing[record.id] = _reason(error, files)
        now = time.time()
        there = [record for record in records if record.id not in missing]
        texts = {CREDITS: _encoded(attribution_text(names, there)), TABLE: records_table(records)}
        if missing:
            texts[MISSING] = _encoded(missing_text(names, records, missing))
        for name, text in texts.items():
            archive.writestr(_entry(name, now, 0), text)
    yield from sink.taken()


def gone_of(files: SoundFiles, records: Sequence[SoundRecord]) -> list[SoundRecord]:
    """Those of the sounds whose file is not there, or of another size.

    Raises SoundsAwayError as `SoundFiles.check` where none is there because the library is not.
    """
    gone = [record for record in records if not files.is_there(record)]
    if len(gone) == len(records):
        files.check()
    return gone


def file_names(records: Sequence[SoundRecord]) -> dict[str, str]:
    """A name for the file of each sound, by its id: that of the file in the library, as any system can write it.

    No two are the same on a system that does not tell capitals from small letters; later ones get a number.
    """
    taken = {name.casefold() for name in (CREDITS, TABLE, MISSING)}
    names = {}
    for record in records:
        path = PurePosixPath(_writable(PurePosixPath(record.path).name))
        number, name = 1, _shortened(path.stem, path.suffix)
        while name.casefold() in taken:
            number += 1
            name = _shortened(path.stem, f" ({number}){path.suffix}")
        taken.add(name.casefold())
        names[record.id] = name
    return names


def _writable(name: str) -> str:
    """The name without what some system cannot write, or reads as something else than a name."""
    text = unicodedata.normalize("NFC", name).encode("utf-8", "replace").decode()
    text = "".join(sign if sign.isprintable() else "_" for sign in _FORBIDDEN.sub("_", text)).rstrip(" .")
    return f"_{text}" if _RESERVED.match(text) or not text.strip(".") else text


def _shortened(stem: str, ending: str) -> str:
    room = _LONGEST_NAME - len(ending.encode())
    return stem.encode()[: max(1, room)].decode(errors="ignore") + ending


def _encoded(text: str) -> bytes:
    return text.encode("utf-8", "backslashreplace")


def _entry(name: str, modified: float, size: int) -> ZipInfo:
    written = time.gmtime(max(0, modified))
    year = min(max(written.tm_year, _YEARS[0]), _YEARS[1])
    entry = ZipInfo(name, (year, *written[1:6]))
    entry.external_attr = 0o644 << 16
    entry.file_size = size
    return entry


def _reason(error: LibraryError | OSError, files: SoundFiles) -> str:
    """Without the library's folder, which is nobody's business but its owner's."""
    if isinstance(error, OSError):
        return f"it cannot be read: {error.strerror or error}"
    return str(error).replace(str(files.root), "the library")


class _Sink(RawIOBase):
    """Keeps what is written until it is taken. It cannot seek, so that ZipFile writes each file's sum behind it."""

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._pieces.append(bytes(data))
        return len(data)

    def taken(self) -> list[bytes]:
        pieces, self._pieces = self._pieces, []
        return [b"".join(pieces)] if pieces else []
