"""The page and the files that it and the documentation are made of."""

import hashlib
import os
import re
from functools import lru_cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.responses import FileResponse, HTMLResponse, Response
from starlette.staticfiles import NotModifiedResponse, PathLike, StaticFiles
from starlette.types import Scope

_VERSION = re.compile(r"([0-9a-f]{16})/(.+)")
_FOR_EVER = "public, max-age=31536000, immutable"


class PageFiles(StaticFiles):
    """Starlette's, with ETags of the content: two versions may have one size and, out of an image, one time.

    A file is found by its name, `touch/touch.js`, which browsers ask about each time; and by the version of the
    folder and its name, `0123456789abcdef/touch/touch.js`, which they may keep. The page names the second, so that
    the modules of one version import one another. What asks for an older version gets what there is.
    """

    def __init__(self, directory: Path) -> None:
        super().__init__(directory=directory)
        self._folder = directory

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or 304 where the client has it."""
        versioned = _VERSION.fullmatch(path)
        if versioned is None:
            return await super().get_response(path, scope)
        response = await super().get_response(versioned[2], scope)
        if versioned[1] == folder_version(self._folder):
            response.headers["cache-control"] = _FOR_EVER
        return response

    def file_response(
        self, full_path: PathLike, stat_result: os.stat_result, scope: Scope, status_code: int = 200
    ) -> Response:
        """The file, or 304 where the client has it."""
        headers = {"ETag": f'"{_hash(Path(full_path), _stamp(stat_result))}"'}
        # Not every system's table of types has this one.
        kind = "image/webp" if Path(full_path).suffix == ".webp" else None
        response = FileResponse(full_path, status_code, headers, kind, stat_result=stat_result)
        if self.is_not_modified(response.headers, Headers(scope=scope)):
            return NotModifiedResponse(response.headers)
        return response


def page_response(folder: Path) -> HTMLResponse:
    """The page, with the version of its files where it names them, and all its modules, to be loaded at once."""
    version = folder_version(folder)
    modules = "".join(
        f'\n  <link rel="modulepreload" href="page/{version}/{name}">'
        for name in page_files(folder)
        if name.endswith(".js")
    )
    text = (folder / "index.html").read_text(encoding="utf-8")
    return HTMLResponse(text.replace("{version}", version).replace("<!-- {modules} -->", modules.strip()))


def folder_version(folder: Path) -> str:
    """16 hex digits, a hash of the names and contents of all files in the folder and those in it."""
    version = hashlib.sha256()
    for name, file in page_files(folder).items():
        version.update(f"{name} {_hash(file, _stamp(file.stat()))}\n".encode())
    return version.hexdigest()[:16]


def page_files(folder: Path) -> dict[str, Path]:
    """The files in the folder and in those within it, by their names there, `touch/touch.js`, in order of these."""
    files = {file.relative_to(folder).as_posix(): file for file in folder.rglob("*") if file.is_file()}
    return dict(sorted(files.items()))


def _stamp(stat: os.stat_result) -> tuple[int, ...]:
    return (stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


@lru_cache(maxsize=256)
def _hash(path: Path, stamp: tuple[int, ...]) -> str:
    """The hash of the file as it was at `stamp`, of which every change makes another."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]
