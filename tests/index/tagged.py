"""Sounds with tags, written byte by byte."""

import struct
from pathlib import Path

import numpy as np
import soundfile as sf


def chunk(name: bytes, content: bytes) -> bytes:
    """A chunk of a WAV file."""
    return name + struct.pack("<I", len(content)) + content + b"\0" * (len(content) % 2)


def bext(description: bytes, originator: bytes = b"REAPER") -> bytes:
    """The chunk of a Broadcast Wave file."""
    return chunk(b"bext", description.ljust(256, b"\0") + originator.ljust(32, b"\0") + bytes(314))


def info(**fields: str) -> bytes:
    """RIFF INFO."""
    return chunk(
        b"LIST", b"INFO" + b"".join(chunk(name.encode(), text.encode() + b"\0") for name, text in fields.items())
    )


def ixml(inner: str) -> bytes:
    """The chunk iXML, padded as recorders do."""
    return chunk(b"iXML", f'<?xml version="1.0" encoding="UTF-8"?>\n<BWFXML>{inner}</BWFXML>'.encode() + bytes(64))


def id3(*frames: tuple[str, bytes], version: int = 3) -> bytes:
    """An ID3v2 tag; each frame has its content with the byte of its encoding."""
    body = b"".join(name.encode() + _size(len(content), version) + b"\0\0" + content for name, content in frames)
    return b"ID3" + bytes([version, 0, 0]) + _size(len(body) + 10, 4) + body + bytes(10)


def comments(*pairs: str) -> bytes:
    """The block of Vorbis comments."""
    texts = [pair.encode() for pair in pairs]
    return struct.pack("<II", 0, len(texts)) + b"".join(struct.pack("<I", len(text)) + text for text in texts)


def wav(path: Path, *chunks: bytes, form: bytes = b"RIFF") -> Path:
    """A WAV file of a short blow with these chunks after its sound."""
    sf.write(path, blow(), 16_000, format="WAV", subtype="PCM_16")
    body = path.read_bytes()[8:] + b"".join(chunks)
    path.write_bytes(form + struct.pack("<I", len(body)) + body)
    return path


def flac(path: Path, block: bytes) -> Path:
    """A FLAC file with this block of Vorbis comments as its last."""
    sf.write(path, blow(), 16_000, format="FLAC")
    plain = path.read_bytes()
    at, last = 4, False
    while not last:
        last = bool(plain[at] & 0x80)
        at += 4 + int.from_bytes(plain[at + 1 : at + 4], "big")
    path.write_bytes(b"fLaC\0" + plain[5:42] + b"\x84" + len(block).to_bytes(3, "big") + block + plain[at:])
    return path


def mp3(path: Path, tag: bytes) -> Path:
    """An MP3 file with this tag in front."""
    sf.write(path, blow(), 16_000, format="MP3")
    path.write_bytes(tag + path.read_bytes())
    return path


def blow() -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Half a second of a struck thing."""
    time = np.arange(8_000) / 16_000
    return 0.5 * np.exp(-20 * time) * np.sin(2 * np.pi * 700 * time)


def _size(size: int, version: int) -> bytes:
    if version == 4:
        return bytes((size >> shift) & 127 for shift in (21, 14, 7, 0))
    return size.to_bytes(4, "big")
