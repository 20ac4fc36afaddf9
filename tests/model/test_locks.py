"""The lock of a folder, also where flock does not exist."""

import errno
import fcntl
import json
import multiprocessing
import os
import socket
from pathlib import Path

import pytest

from model.errors import ThudError
from model.locks import exclusive


@pytest.fixture(params=[None, errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP], ids=str)
def locks(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param is not None:

        def refuse(*_: object) -> None:
            raise OSError(request.param, os.strerror(request.param))

        monkeypatch.setattr(fcntl, "flock", refuse)


@pytest.mark.usefixtures("locks")
def test_one_at_a_time_and_then_the_next(tmp_path: Path) -> None:
    for _ in range(2):
        with (
            exclusive(tmp_path / "d"),
            pytest.raises(ThudError, match="another thud is at work on"),
            exclusive(tmp_path / "d"),
        ):
            pass
    with pytest.raises(KeyError), exclusive(tmp_path / "d", refusal="no: "):
        raise KeyError
    with exclusive(tmp_path / "d"):
        pass
    assert {path.name for path in tmp_path.iterdir()} == {".d.lock"}


@pytest.mark.parametrize("said", ["", "no json", "[]", "{}", '{"pid": -1}', '{"pid": 1e99}'])
def test_what_a_loss_of_power_left_is_taken_over_or_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    held = tmp_path / ".d.lock.held"
    held.write_text(said)
    if said.startswith("{"):  # it names no process of this machine, so that nobody knows whether it is alive
        with pytest.raises(ThudError, match=f"if that has ended, remove {held}"), exclusive(tmp_path / "d"):
            pass
    else:
        with exclusive(tmp_path / "d"):
            assert json.loads(held.read_text())["pid"] == os.getpid()


def _hold(folder: Path, held: "multiprocessing.synchronize.Event") -> None:
    with exclusive(folder):
        held.set()
        os.kill(os.getpid(), 9)


@pytest.mark.parametrize("number", ["same", "reused"])
def test_the_lock_of_a_process_that_was_killed_is_taken_over(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: str
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSYS, "Function not implemented")

    monkeypatch.setattr(fcntl, "flock", refuse)
    context = multiprocessing.get_context("fork")
    held = context.Event()
    process = context.Process(target=_hold, args=(tmp_path / "d", held))
    process.start()
    assert held.wait(30)
    process.join()
    file = tmp_path / ".d.lock.held"
    assert file.exists()
    if number == "reused":  # a later process has its number
        file.write_text(json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": "earlier"}))
    with exclusive(tmp_path / "d"):
        assert json.loads(file.read_text())["pid"] == os.getpid()
    assert {path.name for path in tmp_path.iterdir()} == {".d.lock"}
