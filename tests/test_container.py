"""The container: what its files promise, and, where a Docker engine is there for it, what it does."""

import io
import json
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx
import numpy as np
import pytest
import soundfile
from PIL import Image

from index.build import build_index
from model.bundle import Bundle
from model.picture import PictureLimits
from service.body_limit import BodyLimit
from service.settings import Settings
from tests.tiny_bundle import write_tiny_bundle

ROOT = Path(__file__).parents[1]
LIMIT = PictureLimits.max_bytes
PROBLEM = "application/problem+json"


# What the files promise ------------------------------------------------------------------------------------


def dockerfile() -> str:
    """The Dockerfile with its continued lines joined."""
    return (ROOT / "Dockerfile").read_text().replace("\\\n", "")


def stage(name: str) -> str:
    """The instructions of one stage of the Dockerfile."""
    found = re.search(rf"^FROM \S+ AS {name}\n(.*?)(?=^FROM |\Z)", dockerfile(), re.MULTILINE | re.DOTALL)
    assert found, f"no stage {name}"
    return found[1]


def copied(instructions: str) -> list[str]:
    """What the instructions copy from the build context."""
    lines = re.findall(r"^COPY (?!--from)(.+)$", instructions, re.MULTILINE)
    return [source for line in lines for source in line.split()[:-1]]


def nginx() -> str:
    return (ROOT / "proxy" / "nginx.conf").read_text()


def test_the_proxy_has_the_limit_of_the_service() -> None:
    size = re.search(r"client_max_body_size (\d+)m;", nginx())
    assert size
    assert int(size[1]) * 2**20 == LIMIT == Settings.model_fields["max_body_bytes"].default


def test_the_proxy_refuses_with_the_words_of_the_service() -> None:
    async def refusal() -> httpx.Response:
        async def app(*_: Any) -> None:
            raise AssertionError("the limit let the request through")

        transport = httpx.ASGITransport(BodyLimit(app, LIMIT))
        async with httpx.AsyncClient(transport=transport, base_url="http://thud") as client:
            return await client.post("/recommend", headers={"Content-Length": str(LIMIT + 1)})

    response = anyio.run(refusal)
    assert response.status_code == 413
    assert f'413 "{response.json()["detail"]}";' in nginx()


def test_the_demo_in_the_image_is_that_of_make_demo() -> None:
    in_makefile = re.findall(r"^\t\$\(DEMO_BIN\)/(thud .+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    in_image = re.findall(r"^RUN (thud .+)$", stage("demo"), re.MULTILINE)
    assert len(in_image) == 2
    assert sorted(in_image) == sorted(command for command in in_makefile if not command.startswith("thud serve"))


def test_nothing_unpinned_is_installed() -> None:
    commands = re.findall(r"\bpip\b[^&;|\n]* (?:install|wheel) [^&;|\n]*", dockerfile())
    assert len(commands) >= 6
    for command in commands:
        assert "--require-hashes" in command or "--no-index" in command, command


def pins(name: str) -> set[tuple[str, str]]:
    """Name and version of all that a lock pins."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text()
    return set(re.findall(r"^([a-z0-9-]+)==(\S+)", text, re.MULTILINE))


def test_serving_pins_no_training() -> None:
    names = {name for name, _ in pins("serve")}
    assert {"onnxruntime", "fastapi", "faiss-cpu"} <= names
    assert not {name for name in names if name.startswith(("torch", "nvidia", "cuda", "triton", "onnx-", "scipy"))}


def test_the_demo_pins_scipy_beside_what_serving_does() -> None:
    assert pins("serve") < pins("demo") < pins("all")
    assert {name for name, _ in pins("demo") - pins("serve")} == {"scipy"}


def test_the_image_takes_from_the_demo_only_its_folders() -> None:
    taken = re.findall(r"\bfrom=(\w+)[, ](?:source=)?([^\s,]+)", stage("service"))
    folders = {"/src/model/pretrained", "/src/demo/sounds", "/src/demo/index"}
    assert {path for source, path in taken if source == "demo"} == folders
    assert {source for source, _ in taken} == {"serving", "demo", "wheel"}


def test_no_stage_installs_what_training_needs() -> None:
    assert re.findall(r"-r requirements/(\w+)\.lock", dockerfile()) == ["serve", "demo"]
    assert "FROM serving AS demo" in dockerfile()


def test_the_image_runs_as_a_user_without_rights() -> None:
    users = re.findall(r"^USER (\d+):(\d+)$", stage("service"), re.MULTILINE)
    assert users
    assert all(int(number) > 0 for number in users[-1])


def test_the_image_sets_settings_that_exist() -> None:
    compose = (ROOT / "docker-compose.yml").read_text()
    sets = set(re.findall(r"\bTHUD_([A-Z_]+)=", stage("service")))
    sets |= set(re.findall(r"^ +THUD_([A-Z_]+):", compose, re.MULTILINE))
    assert {"BUNDLE", "INDEX", "SOUNDS", "HOST", "PORT"} <= sets
    assert {name.lower() for name in sets} <= set(Settings.model_fields)


def test_all_that_is_copied_exists_and_is_not_ignored() -> None:
    allowed = re.findall(r"^!(.+)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    sources = set(copied(dockerfile()))
    assert set(allowed) <= sources
    assert [source for source in sources if not {source, *map(str, Path(source).parents)} & set(allowed)] == []
    assert [source for source in copied(dockerfile()) if not (ROOT / source).exists()] == []


def test_the_wheel_gets_every_package() -> None:
    listed = re.search(r"^packages = \[(.+)\]$", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert listed
    packages = {name.split(".")[0] for name in re.findall(r'"([^"]+)"', listed[1])}
    assert packages <= set(copied(stage("wheel")))


# What the container does -----------------------------------------------------------------------------------


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
    """A Docker engine that these tests may use."""
    if os.environ.get("THUD_TEST_CONTAINER") != "1":
        pytest.skip("set THUD_TEST_CONTAINER=1 to build the images and run them")
    docker = shutil.which("docker")
    if docker is None or subprocess.run([docker, "info"], capture_output=True, check=False).returncode != 0:
        pytest.skip("no Docker engine answers")


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
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda _: client.post("/recommend", files={"image": buffer.getvalue()}), range(4)))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert site.inspect("thud", "{{.RestartCount}}") == "0"


def test_the_service_judges_a_body_of_exactly_the_limit(client: httpx.Client) -> None:
    headers = {"Content-Type": "image/jpeg"}
    judged = client.post("/recommend", content=bytes(LIMIT), headers=headers)
    assert judged.status_code == 415
    assert "not a JPEG" in problem(judged)["detail"]
    assert client.post("/recommend", content=bytes(LIMIT + 1), headers=headers).status_code == 413


def test_what_the_proxy_itself_refuses_is_a_problem(site: Site, client: httpx.Client) -> None:
    assert problem(client.get("/", headers={"X-Long": "x" * 40_000}))["status"] == 431
    assert problem(client.get("/?" + "x" * 40_000))["status"] == 414
    assert problem(client.get("/proxy-problem"))["status"] == 404
    with socket.create_connection(("127.0.0.1", site.port), timeout=60) as connection:
        connection.sendall(b"GET / HTTP/1.1\r\n\r\n")
        head, _, body = connection.makefile("rb").read().partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 400 ")
    assert f"Content-Type: {PROBLEM}".encode() in head
    assert json.loads(body)["status"] == 400


def test_what_a_client_says_about_its_address_is_not_believed(site: Site, client: httpx.Client) -> None:
    forged = {"X-Forwarded-For": "203.0.113.7", "X-Real-IP": "203.0.113.7", "Forwarded": "for=203.0.113.7"}
    assert client.get("/materials?forged", headers=forged).status_code == 200
    (line,) = [line for line in site.compose("logs", "thud").splitlines() if "/materials?forged" in line]
    assert "203.0.113.7" not in line
    (line,) = [line for line in site.compose("logs", "proxy").splitlines() if "/materials?forged" in line]
    assert "203.0.113.7" not in line


def test_a_request_has_an_id(client: httpx.Client) -> None:
    assert client.get("/livez", headers={"X-Request-ID": "abc-1"}).headers["x-request-id"] == "abc-1"
    own = client.get("/livez", headers={"X-Request-ID": 'a"b'}).headers["x-request-id"]
    assert re.fullmatch("[0-9a-f]{32}", own)
    assert client.get("/livez").headers["x-request-id"] != own


def test_the_page_comes_compressed_and_sounds_do_not(client: httpx.Client) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["content-type"].startswith("text/html")
    addresses = re.findall(r'(?:src|href)="(page/[^"]+\.(?:js|css))"', page.text)
    assert addresses
    for address in addresses:
        assert client.get(f"/{address}").headers["content-encoding"] == "gzip"
    sounds = client.get("/sounds")
    assert sounds.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in client.get(sounds.json()["sounds"][0]["url"]).headers


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
    assert httpx.get(f"{site.url}/readyz").status_code == 200


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
    sound = httpx.get(own_site.url + answer["results"][0]["url"])
    assert sound.status_code == 200
    assert sound.content in {file.read_bytes() for file in (own_bundle.folder.parent / "sounds").iterdir()}
