"""A folder of sounds from Freesound, with a manifest that says whose they are."""

import csv
import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path, PurePosixPath

from index.fetching.freesound import ORIGINAL_TYPES, FoundSound, Freesound, RefusedError
from index.fetching.licences import has_licence, is_open
from index.library.licences import licence_called
from model.atomic import atomic_file
from model.errors import FetchError
from model.manifest import read_rows
from model.progress import progress
from model.spreadsheet import harmless

MANIFEST = "manifest.csv"
_COLUMNS = [
    *("kind", "path", "title", "description", "tags", "material", "author", "licence", "licence_url"),
    *("open_licence", "attribution", "source", "origin", "seconds"),
]
_EVERY = 25
_MOST_IN_A_ROW = 3
_LONGEST_NAME = 80
_LONGEST_TEXT = 4000


@dataclass(frozen=True)
class FetchReport:
    """How many of the sounds were `fetched`, how many were `there` already, and which `failed`, with reasons."""

    fetched: int
    there: int
    failed: tuple[str, ...]


def fetch_sounds(
    freesound: Freesound,
    query: str,
    folder: Path,
    count: int,
    *,
    licences: tuple[str, ...] = (),
    seconds: tuple[float, float] | None = None,
    originals: bool = False,
    say: Callable[[str], None] = lambda line: None,
) -> FetchReport:
    """Fetch the first `count` sounds that fit `query` into `folder`, and list them in its manifest.csv.

    What is there already is not fetched again, and what its row of the manifest says stays, such as a material that
    somebody filled in or a title that somebody mended. So do all other rows. A sound that cannot be fetched is left
    out, and `say` is called with the reason. Raises FetchError where the search fails, where three sounds in a row
    cannot be fetched and where the folder cannot be written, ManifestError where its manifest cannot be read.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        rows = _rows(folder / MANIFEST)
        by_path = {row["path"]: row for row in reversed(rows)}
        found = (
            one for one in freesound.search(query, licences, seconds) if has_licence(one.licence_url, licences)
        )
        fetched, there, failed, in_a_row = 0, 0, [], 0
        try:
            with progress("fetching", count, "sound") as bar:
                for sound in islice(found, count):
                    original = originals and sound.type in ORIGINAL_TYPES
                    if originals and not original:
                        say(f"sound {sound.id} is of type {sound.type or 'unknown'}; its preview is fetched")
                    path = file_name(sound, original=original)
                    bar.update()
                    if _is_whole(folder / path, sound if original else None):
                        there += 1
                    else:
                        try:
                            freesound.fetch(sound, folder / path, original=original)
                        except RefusedError:
                            raise
                        except FetchError as error:
                            failed.append(f"{path}: {error}")
                            say(f"left out {path}: {error}")
                            in_a_row += 1
                            if in_a_row == _MOST_IN_A_ROW:
                                raise
                            continue
                        fetched += 1
                    in_a_row = 0
                    if path not in by_path:
                        by_path[path] = {}
                        rows.append(by_path[path])
                    by_path[path].update(_row(sound, path) | by_path[path])
                    if (fetched + there) % _EVERY == 0:
                        _write(folder / MANIFEST, rows)
        finally:
            if rows:
                _write(folder / MANIFEST, rows)
    except OSError as error:
        raise FetchError(f"{folder} cannot be written: {error.strerror or error}") from error
    return FetchReport(fetched, there, tuple(failed))


def file_name(sound: FoundSound, *, original: bool) -> str:
    """The name of a sound's file: its id, its author and its name, in letters that all file systems take."""
    ending = sound.type if original else PurePosixPath(sound.preview.partition("?")[0]).suffix.lower().strip(".")
    if ending not in ORIGINAL_TYPES:
        ending = "ogg"
    stem = sound.name
    if stem.lower().endswith((".wav", ".aif", ".aiff", ".flac", ".ogg", ".mp3", ".m4a")):
        stem = stem.rpartition(".")[0]
    parts = [str(sound.id), *filter(None, (_plain(sound.author), _plain(stem)))]
    return f"{'__'.join(parts)[:_LONGEST_NAME].rstrip('._-')}.{ending}"


def _plain(text: str) -> str:
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    return re.sub(r"[^A-Za-z0-9]+", "_", plain).strip("_")


def _is_whole(file: Path, original: FoundSound | None) -> bool:
    """Whether the file is there. It has its name since it was whole; of an original, the size is known besides."""
    if not file.is_file():
        return False
    size = file.stat().st_size
    return size > 0 and (original is None or not original.bytes or size == original.bytes)


def _row(sound: FoundSound, path: str) -> dict[str, str]:
    licence = licence_called(_line(sound.licence_url))
    title, author = _line(sound.name), _line(sound.author)
    return {
        "kind": "sound",
        "path": path,
        "title": title,
        "description": _line(sound.description),
        "tags": "; ".join(_line(tag) for tag in sound.tags),
        "author": author,
        "licence": licence,
        "licence_url": _line(sound.licence_url),
        "open_licence": str(int(is_open(sound.licence_url))),
        "attribution": f'"{title}" by {author} ({_line(sound.url)}), {licence} ({_line(sound.licence_url)})',
        "source": "freesound",
        "origin": _line(sound.url),
        "seconds": f"{sound.seconds:g}",
    }


def _line(text: str) -> str:
    """`text` in one line, without control characters, and not endless."""
    kept = "".join(letter if letter.isprintable() else " " for letter in text)
    return " ".join(kept.split())[:_LONGEST_TEXT]


def _rows(manifest: Path) -> list[dict[str, str]]:
    """The rows of a manifest; none where there is no manifest."""
    return [dict(row.columns) for row in read_rows(manifest)] if manifest.exists() else []


def _write(manifest: Path, rows: Sequence[Mapping[str, str]]) -> None:
    """Write the table, which people open in a spreadsheet to fill in what they know."""
    columns = list(dict.fromkeys([*_COLUMNS, *(name for row in rows for name in row)]))
    # With the byte order mark, without which Excel takes UTF-8 for another encoding.
    with atomic_file(manifest) as aside, aside.open("w", encoding="utf-8-sig", newline="") as out:
        table = csv.writer(out)
        table.writerow(map(harmless, columns))
        table.writerows([harmless(row.get(name, "")) for name in columns] for row in rows)
