"""Whole files of every kind that the decoders take, made anew each time: what the mutations start from."""

import io
import struct
import zlib
from pathlib import Path

import numpy as np
import soundfile
from PIL import Image

from tests.model.sounds import flac_in_ogg

_HEIC = Path(__file__).parents[1] / "model" / "heic" / "turned.heic"

_WIDTH, _HEIGHT = 96, 72


def picture_seeds() -> dict[str, bytes]:
    """Pictures by name; the name's suffix is the format."""
    x, y = np.meshgrid(np.linspace(0, 255, _WIDTH), np.linspace(0, 255, _HEIGHT))
    grain = np.random.default_rng(0).integers(-20, 21, (_HEIGHT, _WIDTH, 3))
    scene = Image.fromarray((np.stack([x, y, 255 - x], axis=2) + grain).clip(0, 255).astype(np.uint8))
    clear = scene.copy()
    clear.putalpha(Image.fromarray(x.astype(np.uint8)))
    deep = Image.fromarray((x * 257).astype(np.uint16))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "maker"
    profile = bytes(range(256)) * 8
    frames = [scene.rotate(angle) for angle in (90, 180)]
    return {
        "baseline.jpeg": _encode(scene, "JPEG"),
        "444.jpeg": _encode(scene, "JPEG", subsampling=0, quality=95, icc_profile=profile),
        "progressive.jpeg": _encode(scene, "JPEG", progressive=True, exif=exif),
        "restarts.jpeg": _encode(scene, "JPEG", restart_marker_blocks=2, comment=b"a comment"),
        "grey.jpeg": _encode(scene.convert("L"), "JPEG"),
        "cmyk.jpeg": _encode(scene.convert("CMYK"), "JPEG"),
        "rgb.png": _encode(scene, "PNG", exif=exif, icc_profile=profile),
        "rgba.png": _encode(clear, "PNG"),
        "palette.png": _encode(scene.quantize(32), "PNG", transparency=3),
        "bits.png": _encode(scene.convert("1"), "PNG"),
        "deep.png": _encode(deep, "PNG"),
        "interlaced.png": interlaced_png(np.asarray(scene)),
        "animated.png": _encode(scene, "PNG", save_all=True, append_images=frames, duration=50),
        "lossy.webp": _encode(scene, "WEBP", exif=exif),
        "lossless.webp": _encode(scene, "WEBP", lossless=True),
        "alpha.webp": _encode(clear, "WEBP", icc_profile=profile),
        "plain.avif": _encode(scene, "AVIF", speed=10, exif=exif),
        "alpha.avif": _encode(clear, "AVIF", speed=10, icc_profile=profile),
        "turned.heic": _HEIC.read_bytes(),
        "animated.webp": _encode(scene, "WEBP", save_all=True, append_images=frames, duration=50),
    }


def sound_seeds() -> dict[str, bytes]:
    """Sounds by file name."""
    rate = 16_000
    time = np.arange(rate // 4) / rate
    hit = 0.5 * np.sin(2 * np.pi * 440 * time) * np.exp(-20 * time)
    stereo = np.stack([hit, 0.5 * hit], axis=1)
    kinds = {
        "pcm.wav": (hit, "WAV", "PCM_16"),
        "bytes.wav": (hit, "WAV", "PCM_U8"),
        "float.wav": (stereo, "WAV", "FLOAT"),
        "law.wav": (hit, "WAV", "ULAW"),
        "adpcm.wav": (hit, "WAV", "IMA_ADPCM"),
        "microsoft.wav": (stereo, "WAV", "MS_ADPCM"),
        "gsm.wav": (hit, "WAV", "GSM610"),
        "extensible.wav": (stereo, "WAVEX", "PCM_24"),
        "flac.flac": (stereo, "FLAC", "PCM_16"),
        "deep.flac": (hit, "FLAC", "PCM_24"),
        "vorbis.ogg": (hit, "OGG", "VORBIS"),
        "opus.ogg": (stereo, "OGG", "OPUS"),
        "layer3.mp3": (stereo, "MP3", "MPEG_LAYER_III"),
        "long.rf64": (stereo, "RF64", "PCM_16"),
        "long.w64": (hit, "W64", "PCM_24"),
        "apple.aiff": (stereo, "AIFF", "PCM_16"),
        "packed.aifc": (hit, "AIFF", "IMA_ADPCM"),
        "lossless.caf": (stereo, "CAF", "ALAC_16"),
        "sun.au": (hit, "AU", "ULAW"),
    }
    seeds = {}
    for name, (samples, kind, subtype) in kinds.items():
        buffer = io.BytesIO()
        soundfile.write(buffer, samples, rate, format=kind, subtype=subtype)
        seeds[name] = buffer.getvalue()
    return seeds | {"inside.oga": flac_in_ogg(seeds["flac.flac"], 500)}


def png_chunk(kind: bytes, content: bytes) -> bytes:
    """A PNG chunk with its length and checksum."""
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png(width: int, height: int, pixels: bytes, *between: bytes, depth: int = 8, interlaced: bool = False) -> bytes:
    """A PNG of RGB that claims `width` x `height`, with the chunks `between` before its compressed `pixels`."""
    header = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, interlaced)
    chunks = [png_chunk(b"IHDR", header), *between, png_chunk(b"IDAT", pixels), png_chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def interlaced_png(pixels: np.ndarray) -> bytes:
    """A PNG of uint8 `[height, width, 3]` in Adam7's seven passes, which Pillow reads but does not write."""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    rows = [
        b"\0" + row.tobytes()
        for top, left, down, across in passes
        for row in pixels[top::down, left::across]
        if row.size
    ]
    return png(pixels.shape[1], pixels.shape[0], zlib.compress(b"".join(rows)), interlaced=True)


def _encode(picture: Image.Image, kind: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    picture.save(buffer, kind, **options)
    return buffer.getvalue()
