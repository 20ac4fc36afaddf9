"""What `--ray` says where it cannot work, without a cluster: tests/engines/test_cluster.py has one."""

import sys
from pathlib import Path

import pytest

from index.building.build import build_index
from model.bundle import Bundle
from model.errors import LibraryError
from tests.index.commands import thud_text
from tests.index.milvus.lite import nobody_listens


def test_there_is_no_cluster(sounds: Path, tmp_path: Path) -> None:
    address = f"127.0.0.1:{nobody_listens()}"
    failed = thud_text("index", sounds, tmp_path / "index", "--ray", address)
    assert failed.returncode == 1
    assert failed.stderr.splitlines()[-1].startswith(f"thud: there is no Ray cluster at {address}: ")
    assert "Traceback" not in failed.stderr
    assert not (tmp_path / "index" / "current").exists()


def test_nothing_new_needs_no_cluster(sounds: Path, tmp_path: Path, tiny_bundle: Bundle) -> None:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    again = build_index(tiny_bundle, sounds, tmp_path / "index", cluster=f"127.0.0.1:{nobody_listens()}")
    assert (again.changed, again.embedded) == (False, 0)


def test_ray_is_not_installed(
    sounds: Path, tmp_path: Path, tiny_bundle: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(LibraryError, match=r"pip install 'thud\[ray\]'"):
        build_index(tiny_bundle, sounds, tmp_path / "index", cluster="127.0.0.1:1")
