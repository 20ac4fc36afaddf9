"""Embedding on a Ray cluster gives what one machine gives, also when a node is lost; sounds come from a store."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from index.building.build import build_index
from index.building.look import records_of
from index.generation import current_generation
from model import PRETRAINED
from model.bundle import load_bundle
from tests.engines.servers import PROJECT, MilvusServer, RayCluster, ray_cluster, s3_server
from tests.index.stored import Store
from tests.service.conftest import Library, running

_SOUNDS = 300

# `thud index`, during which a process is killed once so many sounds came back.
_KILLING = """
import os, signal, sys
from index.building.cache import IndexCache
from thud import main
add, added, victim = IndexCache.add, [], int(sys.argv[1])
def adding(self, content):
    added.append(content)
    if len(added) == 40 and victim:
        os.killpg(victim, signal.SIGKILL)
    add(self, content)
IndexCache.add = adding
sys.argv = ["thud", *sys.argv[2:]]
main()
"""


@pytest.fixture(scope="module")
def store_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with s3_server(tmp_path_factory.mktemp("store") / "server") as environment:
        yield environment


@pytest.fixture
def cluster(store_environment: dict[str, str]) -> Iterator[RayCluster]:
    with ray_cluster(store_environment) as one:
        yield one


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """So many that a run takes seconds, among them two alike and one that is none."""
    folder = tmp_path_factory.mktemp("sounds")
    time = np.arange(16_000) / 16_000 - 0.05
    for number in range(_SOUNDS):
        tone = 0.5 * np.sin(2 * np.pi * (100 + 7 * number) * time) * np.exp(-np.maximum(time, 0) * 20)
        tone[time < 0] = 0
        soundfile.write(folder / f"{number:03}.wav", tone, 16_000)
    (folder / "again.wav").write_bytes((folder / "000.wav").read_bytes())
    (folder / "none.wav").write_bytes(b"no sound")
    return folder


def thud_index(
    cluster: RayCluster, *arguments: str | Path, killing: int = 0, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", _KILLING, str(killing), "index", *map(str, arguments), "--ray", cluster.address],
        cwd=PROJECT,
        env=cluster.environment | environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )


def test_a_node_that_is_lost_costs_its_batch(cluster: RayCluster, sounds: Path, tmp_path: Path) -> None:
    bundle = load_bundle(PRETRAINED)
    local = build_index(bundle, sounds, tmp_path / "local")
    done = thud_index(cluster, sounds, tmp_path / "index", killing=cluster.other.pid)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr, done.stderr
    assert f"embedded     {_SOUNDS:>8,}" in done.stdout
    assert list(records_of(tmp_path / "index")) == list(records_of(tmp_path / "local"))
    one, other = (current_generation(tmp_path / name) for name in ("index", "local"))
    assert one.spec.id == other.spec.id == local.spec.id
    assert one.spec.files["vectors.f32"] == other.spec.files["vectors.f32"]
    again = thud_index(cluster, sounds, tmp_path / "index")
    assert again.returncode == 0, again.stderr
    assert "unchanged" in again.stdout


def test_from_a_store_by_a_cluster_into_a_milvus(
    cluster: RayCluster,
    store_environment: dict[str, str],
    milvus: MilvusServer,
    sounds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name, value in store_environment.items():
        monkeypatch.setenv(name, value)
    store = Store(store_environment["AWS_ENDPOINT_URL"], "library")
    names = [f"{number:03}.wav" for number in range(24)]
    for name in names:
        store.put(f"in/{name}", (sounds / name).read_bytes())
    address = milvus.address("chain")
    done = thud_index(
        cluster,
        "s3://library/in",
        str(address),
        XDG_STATE_HOME=str(tmp_path / "caches"),
        THUD_MILVUS_SECONDS="20",
        THUD_MILVUS_TOKEN=address.token,
        THUD_MILVUS_DRAIN_SECONDS="0.1",
    )
    assert done.returncode == 0, done.stderr
    assert "embedded           24" in done.stdout
    reached = store_environment | {"THUD_MILVUS_TOKEN": address.token}
    library = Library(load_bundle(PRETRAINED), tmp_path, address)  # type: ignore[arg-type]
    with running(library, "--sounds-link-seconds", "60", env=reached) as server:
        page = httpx.get(f"{server.url}/sounds?limit=100", timeout=30).json()
        assert [one["title"] for one in page["sounds"]] == [name.partition(".")[0] for name in names]
        sound_id = page["sounds"][5]["id"]
        content = (sounds / names[5]).read_bytes()
        linked = httpx.get(f"{server.url}/sounds/{sound_id}", timeout=30)
        assert linked.status_code == 307
        assert "secret" not in linked.headers["Location"]
        assert httpx.get(linked.headers["Location"], timeout=30).content == content
        of_page = {"Sec-Fetch-Site": "same-origin", "Range": "bytes=100-199"}
        part = httpx.get(f"{server.url}/sounds/{sound_id}", headers=of_page, timeout=30)
        assert (part.status_code, part.content) == (206, content[100:200])
        assert httpx.get(f"{server.url}/sounds/{sound_id}/clip", timeout=30).status_code == 200
        store.put(f"in/{names[5]}", content[:-2] + b"\1\1")
        changed = httpx.get(f"{server.url}/sounds/{sound_id}", headers=of_page, timeout=30)
        assert (changed.status_code, "has changed" in changed.text) == (410, True)
        assert "in/" not in changed.json()["detail"]
        store.put(f"in/{names[5]}", content + b"\1")  # a link is given by the size alone
        assert httpx.get(f"{server.url}/sounds/{sound_id}", timeout=30).status_code == 410
    refused = subprocess.run(
        [sys.executable, "-m", "thud", "serve", "--port", "0", *library.flags],
        env=os.environ | reached | {"AWS_SECRET_ACCESS_KEY": "wrong-secret"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert refused.returncode == 1
    assert "s3://library/in cannot be reached" in refused.stderr
    assert "wrong-secret" not in refused.stderr
