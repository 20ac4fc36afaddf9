"""Signals while the service starts: told to stop it ends as ever, and a hang-up does not end it."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from select import select

import pytest

from tests.service.conftest import Library
from tests.waiting import within

pytestmark = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nothing shows what is caught")


def catches(process: int, number: signal.Signals) -> bool:
    """Whether the process has a handler for the signal."""
    status = Path(f"/proc/{process}/status").read_text()
    mask = next(line for line in status.splitlines() if line.startswith("SigCgt:"))
    return bool(int(mask.split()[1], 16) >> (number - 1) & 1)


@contextmanager
def starting(library: Library, workers: str) -> Iterator[subprocess.Popen[str]]:
    """A service that has begun to start, in a process group of its own."""
    command = [sys.executable, "-m", "thud", "serve", "--port", "0", "--workers", workers, *library.flags]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        try:
            # Until Python itself has begun, nothing can be caught.
            within(30, lambda: catches(process.pid, signal.SIGHUP) or process.poll() is not None)
            yield process
        finally:
            process.kill()


# Each two of workers, signal, moment and group come together once at least.
@pytest.mark.parametrize(
    ("workers", "number", "later", "group"),
    [
        ("1", signal.SIGTERM, 0.0, False),
        ("2", signal.SIGINT, 0.0, True),
        ("1", signal.SIGINT, 0.3, True),
        ("2", signal.SIGTERM, 0.3, False),
        ("1", signal.SIGTERM, 0.9, True),
        ("2", signal.SIGINT, 0.9, False),
    ],
)
def test_told_to_stop_while_it_starts(
    library: Library, workers: str, number: signal.Signals, later: float, group: bool
) -> None:
    with starting(library, workers) as process:
        time.sleep(later)  # somewhere on the way, wherever that is
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
        _, said = process.communicate(timeout=60)

    assert (process.returncode, said) == (0, "")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_hangup_while_it_starts(library: Library, workers: str) -> None:
    with starting(library, workers) as process:
        assert process.stdout is not None
        number = process.stdout.fileno()

        def listens() -> bool:
            if select([number], [], [], 0.1)[0]:
                return True
            os.killpg(process.pid, signal.SIGHUP)
            return False

        within(60, listens)
        assert "listens on" in process.stdout.readline()
        process.terminate()
        process.wait(timeout=60)
        assert process.stderr is not None
        said = process.stderr.read()
    assert process.returncode == 0
    assert all(" taken over: " in line for line in said.splitlines()), said


def of_group(group: int) -> set[int]:
    """The processes of a process group that have not ended."""
    found = set()
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = file.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it has ended since
            continue
        if int(its_group) == group and state != "Z":
            found.add(int(file.parent.name))
    return found


def test_a_hangup_of_the_whole_group_ends_no_process(library: Library) -> None:
    with starting(library, "2") as process:
        assert process.stdout is not None
        assert "listens on" in process.stdout.readline()
        # The one that watches, two workers, and Python's resource tracker.
        before = of_group(process.pid)
        assert len(before) == 4
        os.killpg(process.pid, signal.SIGHUP)
        time.sleep(0.5)
        assert of_group(process.pid) == before
        process.terminate()
        assert process.wait(timeout=60) == 0
