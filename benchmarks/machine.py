"""The machine that a benchmark runs on, which each of them prints with its figures."""

import platform
from pathlib import Path

from model.threads import available_cpus


def machine() -> str:
    """The processor's name, and how many CPUs this process may use."""
    return f"{_processor()}, {available_cpus()} CPUs to use"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.processor() or platform.machine())
