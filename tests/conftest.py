"""Fixtures for every room."""

import gc
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

# The same examples on every machine and in each run, as where CI is set.
settings.load_profile("ci")

# A shell starts its background jobs with SIGINT ignored, and what ignores it passes that on to the processes that
# tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Tests start hundreds of processes. A service takes three times as long to start where Python compiles all anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False

# Hundreds of runs are killed, and each waits for the disk some twenty times: where the system has a folder in
# memory that is large enough, an indexing run takes a fiftieth of the time.
_MEMORY = Path("/dev/shm")
_MEMORY_BYTES = 2**33
if "TMPDIR" not in os.environ and _MEMORY.is_dir() and shutil.disk_usage(_MEMORY).free >= _MEMORY_BYTES:
    os.environ["TMPDIR"] = str(_MEMORY)
    tempfile.tempdir = None  # it is asked for anew


def pytest_collection_finish() -> None:
    """Look no more for garbage among what was imported: with torch that is a million objects each time."""
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of shared data beside the project; tests that need it are skipped where it is absent."""
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip("the shared data folder is not beside the project")
    return folder


@pytest.fixture
def unmeasured(monkeypatch: pytest.MonkeyPatch) -> None:
    """Coverage does not measure processes that the test starts: they cannot write its data."""
    monkeypatch.setenv("COVERAGE_PROCESS_CONFIG", "")
