"""What is written in the chunks of a WAV file: BWF `bext` (EBU Tech 3285), iXML, and RIFF INFO.

RF64 and BW64 (ITU-R BS.2088) have the same chunks.
"""

import re
from collections.abc import Iterator
from typing import BinaryIO
from xml.etree import ElementTree

from model.fields import field_named
from model.sound_format.chunks import RIFF, chunks

MOST_BYTES = 2**16
"""A chunk with more is not read."""

_FORMS = (b"RIFF", b"RF64", b"BW64")
_INFO = {
    b"INAM": "title",
    b"ICMT": "description",
    b"ISBJ": "description",
    b"IKEY": "tags",
    b"IART": "author",
    b"ICOP": "attribution",
    b"IPRD": "source",
}
# What recorders and editors write as the originator of a file, who is its author elsewhere.
_PROGRAMS = re.compile(
    r"\b(reaper|pro ?tools|zoom|sound ?dev|tascam|adobe|izotope|logic pro|nuendo|cubase|wavelab|lavf|ffmpeg|"
    r"soundminer|basehead|audacity|ableton|fl studio|sony|marantz|nagra|aaton|fostex|olympus|mixpre|davinci|"
    r"steinberg)",
    re.IGNORECASE,
)
_STEINBERG = {
    "MediaComment": "description",
    "MediaLibrary": "source",
    "MediaTrackTitle": "title",
    "MusicalInstrument": "tags",
}


def chunk_at(file: BinaryIO, wanted: frozenset[bytes]) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a WAV file whose id is in `wanted`: id in lower case, position and size of its content.

    Nothing for another file. Raises OSError.
    """
    file.seek(0)
    head = file.read(12)
    if head[:4] not in _FORMS or head[8:] != b"WAVE":
        return
    for at, name, size in chunks(file, 12, RIFF):
        if name.lower() in wanted:
            yield name.lower(), at, size


def read_chunks(file: BinaryIO) -> dict[str, str]:
    """The fields that bext, iXML and RIFF INFO say, as they stand there. What iXML says goes before the others."""
    contents: dict[bytes, bytes] = {}
    for name, at, size in chunk_at(file, frozenset((b"bext", b"ixml", b"list"))):
        if size > MOST_BYTES:
            continue
        file.seek(at)
        content = file.read(size)
        if name != b"list" or content[:4] == b"INFO":
            contents.setdefault(name, content)
    return {
        **_info(contents.get(b"list", b"")),
        **_bext(contents.get(b"bext", b"")),
        **_ixml(contents.get(b"ixml", b"")),
    }


def _bext(content: bytes) -> dict[str, str]:
    description, originator = _text(content[:256]), _text(content[256:288])
    found = {"description": description} if description else {}
    if originator and not _PROGRAMS.search(originator):
        found["author"] = originator
    return found


def _info(content: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 4
    while at + 8 <= len(content):
        name, size = content[at : at + 4], int.from_bytes(content[at + 4 : at + 8], "little")
        field, text = _INFO.get(name), _text(content[at + 8 : at + 8 + size])
        if field and text:
            found.setdefault(field, text)
        at += 8 + size + size % 2
    return found


def _ixml(content: bytes) -> dict[str, str]:
    content = content.rstrip(b"\0 \r\n")
    # A definition of entities can make a short text endless, and iXML needs none. In UTF-16 it would not be seen.
    if not content or b"\0" in content or b"<!" in content.replace(b"<!--", b""):
        return {}
    try:
        root = ElementTree.fromstring(content)  # noqa: S314 -- short, and without entities
    except (ElementTree.ParseError, ValueError, LookupError):
        return {}
    # People's own fields, and the game industry's (ASWG-G006); other elements tell of takes and tracks.
    said = [(one.tag, one.text) for parent in root.iter() if parent.tag in ("USER", "ASWG") for one in parent]
    named = [(field_named(name), text) for name, text in said]
    named += [(_STEINBERG.get(one.findtext("NAME", "")), one.findtext("VALUE")) for one in root.iter("ATTR")]
    found: dict[str, str] = {}
    for field, text in named:
        if field and text and text.strip():
            found.setdefault(field, text)
    return found


def _text(content: bytes) -> str:
    content = content.partition(b"\0")[0]
    try:
        return content.decode().strip()
    except UnicodeDecodeError:
        return content.decode("cp1252", "replace").strip()
