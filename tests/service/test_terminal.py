"""The service and the terminal in which it runs: closing it stops the service, unless that was not to be."""

import os
import pty
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx
import pytest

from tests.service.conftest import Library
from tests.waiting import within

# A session of its own, whose terminal is the one on standard input; with setsid it has none.
IN_TERMINAL = """
import fcntl, os, signal, sys, termios
os.setsid()
if sys.argv[1] != "setsid":
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
if sys.argv[1] == "nohup":
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
os.execv(sys.argv[2], sys.argv[2:])
"""


@contextmanager
def in_terminal(library: Library, how: str, *flags: str) -> Iterator[tuple[subprocess.Popen[bytes], int, str]]:
    """`thud serve` in a terminal: the process that was started, the terminal's other end, the address."""
    ours, theirs = pty.openpty()
    serve = [sys.executable, "-m", "thud", "serve", "--port", "0", "--watch-seconds", "0", *library.flags, *flags]
    command = [sys.executable, "-c", IN_TERMINAL, how, *serve]
    with subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs) as process:
        os.close(theirs)
        said = b""
        while (found := re.search(rb"listens on (http://[\d.:]+)", said)) is None:
            said += os.read(ours, 1000)
        url = found[1].decode()
        serving = httpx.get(f"{url}/readyz?verbose", timeout=30).json()["details"]["process"]
        try:
            yield process, ours, url
        finally:
            with suppress(OSError):
                os.close(ours)
            process.kill()
            with suppress(ProcessLookupError):
                os.kill(serving, signal.SIGTERM)


def answers(url: str) -> bool:
    try:
        return httpx.get(f"{url}/livez", timeout=30).status_code == 200
    except httpx.TransportError:
        return False


@pytest.mark.parametrize("workers", ["1", "2"])
def test_closing_the_terminal_stops_the_service(library: Library, workers: str) -> None:
    with in_terminal(library, "plainly", "--workers", workers) as (process, terminal, url):
        assert answers(url)
        os.close(terminal)
        assert process.wait(timeout=60) == 0
        host, port = httpx.URL(url).host, httpx.URL(url).port
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection((host, port or 0))


@pytest.mark.parametrize("how", ["nohup", "setsid"])
def test_a_service_that_is_to_outlive_its_terminal_does(library: Library, how: str) -> None:
    with in_terminal(library, how, "--drain-seconds", "0") as (process, terminal, url):
        os.close(terminal)
        time.sleep(2)
        assert answers(url)
        if how == "nohup":
            # As ever, it asks to look for a new index.
            process.send_signal(signal.SIGHUP)
            within(10, lambda: answers(url))
            assert process.poll() is None


def test_a_hang_up_stops_nothing_while_there_is_a_terminal(library: Library) -> None:
    with in_terminal(library, "plainly") as (process, _, url):
        process.send_signal(signal.SIGHUP)
        time.sleep(1)
        assert process.poll() is None
        assert answers(url)
