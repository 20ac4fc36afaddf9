"""The CPUs of a container are those of its quota."""

import os
from pathlib import Path

import pytest

from model.threads import available_cpus


def affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.mark.parametrize(
    ("content", "cpus"), [("max 100000", 10**6), ("150000 100000", 2), ("20000 100000", 1), ("nonsense", 10**6)]
)
def test_cgroup_v2(tmp_path: Path, content: str, cpus: int) -> None:
    (tmp_path / "cpu.max").write_text(content)
    assert available_cpus(tmp_path) == min(affinity(), cpus)


@pytest.mark.parametrize(("quota", "cpus"), [("-1", 10**6), ("100000", 1), ("250000", 3)])
def test_cgroup_v1(tmp_path: Path, quota: str, cpus: int) -> None:
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text(quota)
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert available_cpus(tmp_path) == min(affinity(), cpus)


def test_no_cgroup(tmp_path: Path) -> None:
    assert available_cpus(tmp_path / "none") == affinity()
