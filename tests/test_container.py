"""The images as `docker compose` runs them, on a Docker engine: `make test-container`."""

import io
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from index.building.build import build_index
from model.bundle import Bundle
from model.picture_format import PictureLimits
from tests.tiny_bundle import write_tiny_bundle

pytestmark = pytest.mark.container

ROOT = Path(__file__).parents[1]
LIMIT = PictureLimits.max_bytes
PROBLEM = "application/problem+json"


@dataclass(frozen=True)
class Site:
    """The service behind the proxy, as `docker compose` runs them."""

    project: str
    port: int
    files: tuple[Path, ...]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def compose(self, *arguments: str) -> str:
        """Run docker compose; what it prints."""
        command = ["docker", "compose", "--project-name", self.project, "--project-directory", str(ROOT)]
        command += [word for file in self.files for word in ("--file", str(file))]
        environment = os.environ | {"THUD_HTTP_PORT": str(self.port)}
        run = subprocess.run([*command, *arguments], env=environment, capture_output=True, text=True, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
        return run.stdout

    def inspect(self, service: str, template: str) -> str:
        """One fact about a service's container."""
        container = self.compose("ps", "--all", "--quiet", service).strip()
        command = ["docker", "inspect", "--format", template, container]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture(scope="module")
def engine() -> None:
    """A Docker engine that answers, without which none of these tests says anything."""
    subprocess.run(["docker", "info"], capture_output=True, check=True)


def start(name: str, *overrides: Path) -> Iterator[Site]:
    """The site, built and healthy; removed at the end."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    site = Site(f"thud-test-{name}-{os.getpid()}", port, (ROOT / "docker-compose.yml", *overrides))
    try:
        site.compose("up", "--build", "--detach", "--wait")
        yield site
    finally:
        site.compose("down", "--volumes")


@pytest.fixture(scope="module")
def site(engine: None) -> Iterator[Site]:
    yield from start("demo")


@pytest.fixture(scope="module")
def client(site: Site) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=site.url, timeout=60) as client:
        yield client


def picture(side: int = 640, form: str = "JPEG") -> bytes:
    """A picture of noise; as an uncompressed PNG it has 3 * side² bytes and a few more."""
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, form, **({"compress_level": 0} if form == "PNG" else {}))
    return buffer.getvalue()


def problem(response: httpx.Response) -> dict[str, Any]:
    assert response.headers["content-type"] == PROBLEM
    document: dict[str, Any] = response.json()
    assert document["status"] == response.status_code
    assert document["type"] == "about:blank"
    assert document["title"]
    return document


def test_a_picture_is_answered_with_sounds_that_play(client: httpx.Client) -> None:
    answer = client.post("/recommend", files={"image": ("a.jpg", picture(), "image/jpeg")})
    assert answer.status_code == 200, answer.text
    assert len(answer.json()["materials"]) == 17
    results = answer.json()["results"]
    assert len(results) == 10
    whole = client.get(results[0]["url"])
    assert whole.status_code == 200
    assert len(soundfile.read(io.BytesIO(whole.content))[0]) > 0
    part = client.get(results[0]["url"], headers={"Range": "bytes=100-299"})
    assert part.status_code == 206
    assert part.content == whole.content[100:300]
    assert part.headers["content-range"] == f"bytes 100-299/{len(whole.content)}"


def test_a_large_picture_passes_and_a_larger_one_is_a_problem(client: httpx.Client) -> None:
    large, larger = picture(2600, "PNG"), picture(3700, "PNG")
    assert 20_000_000 < len(large) < LIMIT < 40_000_000 < len(larger)
    assert client.post("/recommend", files={"image": ("a.png", large, "image/png")}).status_code == 200
    refused = client.post("/recommend", files={"image": ("a.png", larger, "image/png")})
    assert refused.status_code == 413
    assert f"{LIMIT:,} bytes" in problem(refused)["detail"]


def test_the_largest_pictures_at_once_fit_into_the_memory(site: Site, client: httpx.Client) -> None:
    # Small files of many pixels; transparency and WebP take the most memory to decode.
    buffer = io.BytesIO()
    Image.new("RGBA", (7200, 7200)).save(buffer, "WEBP")

    def ask(_: int) -> int:
        """Ask again when told to: each takes seconds, and none may wait for longer than one."""
        for _ in range(30):
            answer = client.post("/recommend", files={"image": buffer.getvalue()})
            if answer.status_code != 503:
                break
            time.sleep(int(answer.headers["retry-after"]))
        return answer.status_code

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(ask, range(4))) == [200] * 4
    assert site.inspect("thud", "{{.RestartCount}}") == "0"


def test_what_a_client_says_about_its_address_is_not_believed(site: Site, client: httpx.Client) -> None:
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    assert client.get("/sounds?limit=7", headers=forged).status_code == 200
    (line,) = [line for line in site.compose("logs", "thud").splitlines() if "/sounds?limit=7" in line]
    assert "203.0.113.7" not in line
    # The proxy's log has no query.
    lines = [line for line in site.compose("logs", "proxy").splitlines() if "GET /sounds " in line]
    assert lines
    assert not any("203.0.113.7" in line for line in lines)


def test_the_service_has_no_rights_no_torch_and_no_scipy(site: Site) -> None:
    assert site.inspect("thud", "{{.Config.User}}") == "10001:10001"
    assert site.inspect("proxy", "{{.Config.User}}") == "33:33"
    probe = (
        "import os; from importlib.util import find_spec; "
        "print(os.getuid(), os.access('/srv/thud', os.W_OK), find_spec('torch'), find_spec('scipy')); "
        "print(*[line for line in open('/proc/1/status') if line.startswith(('CapEff', 'CapBnd'))])"
    )
    found = site.compose("exec", "-T", "thud", "python", "-c", probe).split()
    assert found == ["10001", "False", "None", "None", "CapEff:", "0" * 16, "CapBnd:", "0" * 16]
    assert "telemetry" not in site.compose("logs", "thud").lower()


def test_stopping_is_clean_and_starting_again_works(site: Site) -> None:
    with httpx.Client(base_url=site.url, timeout=60) as client:
        site.compose("stop", "thud")
        assert site.inspect("thud", "{{.State.ExitCode}}") == "0"
        assert problem(client.get("/readyz"))["status"] in (502, 504)
        site.compose("up", "--detach", "--wait", "--force-recreate", "--no-deps", "thud")
        assert client.get("/readyz").status_code == 200
    site.compose("stop")
    assert site.inspect("proxy", "{{.State.ExitCode}}") == "0"
    site.compose("up", "--detach", "--wait")
    assert httpx.get(f"{site.url}/readyz", timeout=60).status_code == 200


@pytest.fixture(scope="module")
def own_bundle(engine: None, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """A bundle with a library of three sounds beside it: bundle/, sounds/ and index/ in one folder."""
    folder = tmp_path_factory.mktemp("own")
    bundle = write_tiny_bundle(folder / "bundle")
    (folder / "sounds").mkdir()
    rng = np.random.default_rng(0)
    for number in range(3):
        soundfile.write(folder / "sounds" / f"{number}.wav", rng.uniform(-0.5, 0.5, 16_000), 16_000)
    build_index(bundle, folder / "sounds", folder / "index")
    # pytest's own folders are private; the service's user reads these.
    for parent in (folder, *folder.parents[:2]):
        parent.chmod(0o755)
    return bundle


@pytest.fixture
def own_site(own_bundle: Bundle, tmp_path: Path) -> Iterator[Site]:
    folder = own_bundle.folder.parent
    mounts = "".join(f'      - "{folder / name}:/srv/thud/{name}:ro"\n' for name in ("bundle", "sounds", "index"))
    override = tmp_path / "own.yml"
    override.write_text(f"services:\n  thud:\n    volumes:\n{mounts}")
    yield from start("own", override)


def test_mounted_folders_replace_the_demo(own_site: Site, own_bundle: Bundle) -> None:
    answer = httpx.post(
        f"{own_site.url}/recommend", content=picture(), headers={"Content-Type": "image/jpeg"}, timeout=60
    ).json()
    assert answer["model"] == own_bundle.id
    assert answer["library"] == answer["returned"] == 3
    sound = httpx.get(own_site.url + answer["results"][0]["url"], timeout=60)
    assert sound.status_code == 200
    assert sound.content in {file.read_bytes() for file in (own_bundle.folder.parent / "sounds").iterdir()}
