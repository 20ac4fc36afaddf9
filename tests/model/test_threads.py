"""The CPUs of a container are those of its quota; work that leaves them to others."""

import os
import sys
import threading
from pathlib import Path

import pytest

from model.threads import ThreadShares, available_cpus, share_threads, with_lower_priority


def affinity() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@pytest.fixture
def cpus(monkeypatch: pytest.MonkeyPatch) -> int:
    """A machine of 64 CPUs."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(64)), raising=False)
    return 64


def write(system: Path, **files: str) -> None:
    for name, content in files.items():
        file = system / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)


@pytest.mark.parametrize(
    ("content", "wanted"),
    [
        ("max 100000", 64),
        ("150000 100000", 2),
        ("20000 100000", 1),
        ("nonsense", 64),
        ("100000 0", 64),
        ("nan 100000", 64),
    ],
)
def test_cgroup_v2(tmp_path: Path, cpus: int, content: str, wanted: int) -> None:
    write(tmp_path, **{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": content})
    assert available_cpus(tmp_path) == wanted


@pytest.mark.parametrize(("quota", "wanted"), [("-1", 64), ("100000", 1), ("250000", 3)])
@pytest.mark.parametrize("mount", ["cpu", "cpu,cpuacct"])
def test_cgroup_v1(tmp_path: Path, cpus: int, quota: str, wanted: int, mount: str) -> None:
    folder = f"sys/fs/cgroup/{mount}"
    write(
        tmp_path,
        **{
            "proc/self/cgroup": "5:memory:/\n4:cpu,cpuacct:/\n",
            f"{folder}/cpu.cfs_quota_us": quota,
            f"{folder}/cpu.cfs_period_us": "100000",
        },
    )
    assert available_cpus(tmp_path) == wanted


def test_a_nested_group_has_the_limits_of_the_groups_around_it(tmp_path: Path, cpus: int) -> None:
    base = "sys/fs/cgroup"
    write(
        tmp_path,
        **{
            "proc/self/cgroup": "0::/system.slice/thud.service\n",
            f"{base}/cpu.max": "max 100000",
            f"{base}/system.slice/cpu.max": "300000 100000",
            f"{base}/system.slice/thud.service/cpu.max": "800000 100000",
        },
    )
    assert available_cpus(tmp_path) == 3
    write(tmp_path, **{f"{base}/system.slice/thud.service/cpu.max": "200000 100000"})
    assert available_cpus(tmp_path) == 2
    write(tmp_path, **{f"{base}/system.slice/thud.service/cpu.max": "max 100000"})
    write(tmp_path, **{f"{base}/system.slice/cpu.max": "max 100000"})
    assert available_cpus(tmp_path) == 64


def test_in_a_container_the_mount_is_the_groups_own(tmp_path: Path, cpus: int) -> None:
    for line in ("0::/docker/0123abc\n", "0::/../../pod/0123abc\n"):
        write(tmp_path, **{"proc/self/cgroup": line, "sys/fs/cgroup/cpu.max": "400000 100000"})
        assert available_cpus(tmp_path) == 4
    write(
        tmp_path,
        **{
            "proc/self/cgroup": "4:cpuacct,cpu:/docker/0123abc\n1:name=systemd:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "200000",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000",
        },
    )
    assert available_cpus(tmp_path) == 2


def test_affinity_is_a_limit_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    write(tmp_path, **{"proc/self/cgroup": "0::/\n", "sys/fs/cgroup/cpu.max": "400000 100000"})
    assert available_cpus(tmp_path) == 1


def test_no_cgroup(tmp_path: Path) -> None:
    assert available_cpus(tmp_path / "none") == affinity()
    write(tmp_path, **{"sys/fs/cgroup/cpu.max": "50000 100000"})
    assert available_cpus(tmp_path) == 1


@pytest.mark.parametrize(
    ("cpus", "workers", "shares"),
    [
        (1, None, ThreadShares(1, 1)),
        (8, None, ThreadShares(8, 1)),
        (8, 2, ThreadShares(2, 4)),
        (8, 3, ThreadShares(3, 2)),
        (2, 16, ThreadShares(16, 1)),
    ],
)
def test_shares(cpus: int, workers: int | None, shares: ThreadShares) -> None:
    assert share_threads(cpus, workers) == shares


def test_numbers_below_1_are_refused() -> None:
    for cpus, workers in ((0, 1), (1, 0)):
        with pytest.raises(ValueError, match="cannot share"):
            share_threads(cpus, workers)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux has priorities of threads")
def test_work_of_lower_priority_lowers_nobody_elses() -> None:
    def priority() -> int:
        return os.getpriority(os.PRIO_PROCESS, threading.get_native_id())

    def priorities() -> list[int]:
        found = [priority()]
        started = threading.Thread(target=lambda: found.append(priority()))
        started.start()
        started.join()
        return found

    before = priority()
    lower = min(19, before + 10)
    assert with_lower_priority(priorities) == [lower, lower]
    assert priorities() == [before, before]


def test_work_of_lower_priority_is_done_where_the_system_refuses_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "setpriority", refuse)
    assert with_lower_priority(lambda: 7) == 7
    with pytest.raises(ZeroDivisionError):
        with_lower_priority(lambda: 1 // 0)
