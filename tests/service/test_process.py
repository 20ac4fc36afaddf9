"""The process that serves: it needs a uvicorn whose methods are those that it overrides."""

import os
import resource
import socket
from importlib import metadata
from pathlib import Path
from typing import cast

import pytest
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from service.server import process
from service.server.places import CROWD_CONNECTIONS
from service.server.process import NEEDED, UvicornError, check_uvicorn
from service.server.protocol import Connection
from service.server.signals import EarlySignals
from service.settings import Settings
from tests.service.conftest import Library


def overridden(ours: type, theirs: type) -> set[str]:
    """The names of `theirs` that `ours`, or a class between the two, defines anew."""
    between = ours.__mro__[: ours.__mro__.index(theirs)]
    plain = {name for one in between for name in vars(one) if not name.startswith("__")}
    return {name for name in plain if hasattr(theirs, name)}


def test_all_that_is_overridden_is_checked() -> None:
    assert overridden(Connection, HttpToolsProtocol) <= set(NEEDED[HttpToolsProtocol])
    assert overridden(process._Server, uvicorn.Server) == set(NEEDED[uvicorn.Server]) - {"on_tick"}  # it is called
    check_uvicorn()


def test_a_uvicorn_without_a_method_is_refused_at_start(library: Library, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(HttpToolsProtocol, "_start_asgi_task")
    settings = Settings(bundle=library.bundle.folder, index=library.index)
    parent, ours = socket.socketpair()

    with (
        parent,
        ours,
        socket.create_server(("127.0.0.1", 0)) as listener,
        pytest.raises(UvicornError) as raised,
    ):
        process.serve(settings, listener, lambda precision: os._exit(1), cast("EarlySignals", None), ours.fileno())

    said = str(raised.value)
    assert f"uvicorn {uvicorn.__version__} has no HttpToolsProtocol._start_asgi_task" in said
    wanted = next(one for one in metadata.requires("thud") or [] if one.startswith("uvicorn"))
    assert said.endswith(f"install {wanted}")
    assert "\n" not in said


def test_a_uvicorn_that_does_not_ask_the_parser_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(HttpToolsProtocol, "on_headers_complete", lambda self: self.parser.get_method())

    with pytest.raises(UvicornError, match="no call of get_http_version, call of should_keep_alive, which"):
        check_uvicorn()


def test_too_few_files_are_said(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    settings = Settings(bundle=Path("bundle"), index=Path("index"), max_connections=50)
    monkeypatch.setattr(resource, "setrlimit", lambda *_: None)
    rooms = []
    for hard in (256, 506, 800, resource.RLIM_INFINITY):
        monkeypatch.setattr(resource, "getrlimit", lambda _, hard=hard: (256, hard))
        rooms.append(process._room_for_crowd(settings))
    assert rooms == [0, 0, 294, CROWD_CONNECTIONS]
    (said,) = caplog.messages
    assert said.startswith("a process may have 256 files open here (ulimit -n), and --max-connections 50 needs 506")
