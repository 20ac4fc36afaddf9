"""Files that somebody else may have put there: none blocks, all are bounded, odd JSON is an error of one line."""

import os
import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from model.files import FileRecord, checked_blocks, file_record, open_regular, read_bounded, read_json

Put = Callable[[Path], object]


def a_loop(path: Path) -> None:
    path.symlink_to(path.name)


def a_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(2**40)  # sparse


NO_FILES: dict[str, tuple[Put, str]] = {
    "pipe": (os.mkfifo, "not a regular file"),
    "folder": (Path.mkdir, "not a regular file"),
    "loop": (a_loop, "symbolic links"),
    "huge": (a_huge_file, "more than 1,000 bytes"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "not a regular file"),
    "missing": (lambda path: None, "No such file"),
}
"""What can be in place of a file, and the error that it gives."""


@pytest.mark.parametrize("kind", NO_FILES)
def test_a_pipe_or_device_is_an_error_at_once(tmp_path: Path, kind: str) -> None:
    put, reason = NO_FILES[kind]
    put(tmp_path / "x")
    with pytest.raises(OSError, match=reason):
        read_bounded(tmp_path / "x", 1000)


def test_a_file_that_is_replaced_while_it_is_opened_does_not_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "x").write_text("content")
    with open_regular(tmp_path / "x") as handle:
        assert handle.read() == b"content"
    os.mkfifo(tmp_path / "pipe")
    looked = (tmp_path / "x").stat()
    monkeypatch.setattr(Path, "stat", lambda path: looked)
    with pytest.raises(OSError, match="not a regular file"):
        open_regular(tmp_path / "pipe")


def test_content_is_checked_as_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "x"
    file.write_bytes(os.urandom(2**20 + 5))
    record = file_record(file)
    blocks = [bytes(block) for block in checked_blocks(file, record)]
    assert (b"".join(blocks), len(blocks)) == (file.read_bytes(), 5)
    with pytest.raises(ValueError, match="SHA-256 is not the one"):
        list(checked_blocks(file, FileRecord(sha256="0" * 64, bytes=record.bytes)))
    for size in (0, record.bytes - 1, 10**12):
        with pytest.raises(ValueError, match="size is not the one"):
            list(checked_blocks(file, FileRecord(sha256=record.sha256, bytes=size)))
    # Cut short after it was opened.
    reading = checked_blocks(file, record)
    next(reading)
    os.truncate(file, 2**20)
    with pytest.raises(ValueError, match="SHA-256 is not the one"):
        list(reading)


ODD_JSON: dict[str, tuple[bytes, str]] = {
    "deep lists": (b"[" * 100_000, "nested deeper than 64"),
    "deep but whole": (b"[" * 65 + b"]" * 65, "nested deeper than 64"),
    "deep objects": (b'{"a":' * 500 + b"1" + b"}" * 500, "nested deeper than 64"),
    "a huge number": (b"1" * 5000, "4300 digits"),
    "no number": (b'{"a": NaN}', "no finite number"),
    "infinity": (b'{"a": [-Infinity]}', "no finite number"),
    "too large a float": (b'{"a": 1e999}', "no finite number"),
    "a key twice": (b'{"a": {"b": 1, "b": 2}}', "stands twice"),
    "another encoding": ('{"a": "ü"}'.encode("latin-1"), "utf-8"),
    "a byte order mark": (b"\xef\xbb\xbf{}", "BOM"),
    "two bytes a letter": ("{}".encode("utf-16"), "utf-8"),
    "nothing": (b"", "Expecting value"),
    "cut short": (b'{"a": ', "Expecting value"),
}
"""Text that is no JSON or unwanted JSON, and the error that it gives."""


@pytest.mark.parametrize("kind", ODD_JSON)
def test_odd_json_is_an_error_of_one_line(tmp_path: Path, kind: str) -> None:
    content, reason = ODD_JSON[kind]
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=reason) as caught:
        read_json(tmp_path / "x.json")
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 200


def test_sound_json_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b"[" * 64 + b"]" * 64)
    assert isinstance(read_json(tmp_path / "x.json"), list)
    (tmp_path / "x.json").write_text('{"a": [1, -2.5e3, true, null, "ü"], "b": {}}', encoding="utf-8")
    assert read_json(tmp_path / "x.json") == {"a": [1, -2500.0, True, None, "ü"], "b": {}}
    with pytest.raises(OSError, match="more than 10 bytes"):
        read_json(tmp_path / "x.json", most=10)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may read everything")
def test_a_file_that_may_not_be_read(tmp_path: Path) -> None:
    (tmp_path / "x").touch(mode=stat.S_IWUSR)
    with pytest.raises(PermissionError):
        read_bounded(tmp_path / "x", 1000)
