"""The command: its settings, how it starts, how it fails to, and how it stops."""

import errno
import re
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from index.building.build import build_index
from model.errors import ThudError
from service.server.workers import ListenError, _listening
from service.settings import Settings, SettingsError, read_settings
from tests.service.conftest import Encode, Library, Server, running
from tests.tiny_bundle import write_tiny_bundle
from tests.waiting import within


def serve(*flags: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """Run a `thud serve` that is expected to end by itself."""
    command = [sys.executable, "-m", "thud", "serve", *flags]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, env=env, check=False)


def takes_requests(server: Server) -> bool:
    try:
        return httpx.get(f"{server.url}/livez", timeout=60).status_code == 200
    except httpx.TransportError:
        return False


def check_refusal(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    assert ended.returncode == 1, ended
    assert ended.stdout == ""
    assert re.fullmatch(r"thud: [^\n]+\n", ended.stderr), ended.stderr
    for word in words:
        assert word in ended.stderr


def test_every_setting_is_a_flag_a_variable_and_a_default() -> None:
    shown = " ".join(serve("--help").stdout.split())

    for name in Settings.model_fields:
        flag, variable = "--" + name.replace("_", "-"), f"THUD_{name.upper()}"
        assert re.search(rf"{flag} [A-Z]+ .*?\[env: {variable}; default: [^\]]+\]", shown), name


def test_a_flag_wins_over_the_environment_which_wins_over_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    assert read_settings({"port": None}).port == 8000
    monkeypatch.setenv("THUD_PORT", "9000")
    monkeypatch.setenv("THUD_SOUNDS", "")
    assert read_settings({"port": None}).port == 9000
    assert read_settings({"port": "9001"}).port == 9001
    assert read_settings({}).sounds is None


@pytest.mark.parametrize(
    ("cpus", "workers", "threads"), [(1, 1, 1), (2, 1, 2), (2, 2, 1), (4, 3, 2), (8, 3, 3), (8, 5, 2), (8, 256, 1)]
)
def test_every_cpu_has_a_thread(monkeypatch: pytest.MonkeyPatch, cpus: int, workers: int, threads: int) -> None:
    monkeypatch.setattr("service.settings.available_cpus", lambda: cpus)
    assert read_settings({"workers": str(workers)}).threads == threads


@pytest.mark.parametrize(
    ("flags", "words"),
    [
        ({"port": "70000"}, "--port (THUD_PORT)"),
        ({"port": "http"}, "--port (THUD_PORT)"),
        ({"threads": "0"}, "--threads (THUD_THREADS)"),
        ({"max_body_bytes": "-1"}, "--max-body-bytes (THUD_MAX_BODY_BYTES)"),
        ({"root_path": "thud/"}, "--root-path (THUD_ROOT_PATH)"),
        ({"default_k": "20", "max_k": "10"}, "default_k is 20"),
        ({"upload_memory_bytes": "2000000"}, "less than max_body_bytes"),
        ({"log_format": "xml"}, "--log-format (THUD_LOG_FORMAT)"),
        ({"workers": "0"}, "--workers (THUD_WORKERS)"),
    ],
)
def test_a_setting_out_of_range_is_named(flags: dict[str, str], words: str) -> None:
    with pytest.raises(SettingsError, match=re.escape(words)):
        read_settings(flags)


def test_the_settings_reach_the_service(library: Library, encode: Encode) -> None:
    flags = ["--max-k", "5", "--max-body-bytes", "5000", "--max-pixels", "5000"]
    with (
        running(library, *flags, env={"THUD_DEFAULT_K": "3"}) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        assert client.post("/recommend", files={"image": encode()}).json()["k"] == 3
        assert client.post("/recommend?k=6", files={"image": encode()}).status_code == 422
        large = client.post("/recommend", content=b"x" * 5001, headers={"Content-Type": "image/png"})
        assert (large.status_code, "5,000" in large.json()["detail"]) == (413, True)
        wide = client.post("/recommend", files={"image": encode(size=(100, 51))})
        assert (wide.status_code, "5,100 pixels" in wide.json()["detail"]) == (413, True)


def test_sounds_that_have_moved(library: Library, encode: Encode, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    moved.symlink_to(library.sounds)
    with (
        running(library, "--sounds", str(moved)) as server,
        httpx.Client(base_url=server.url, timeout=60) as client,
    ):
        url = client.post("/recommend", files={"image": encode()}).json()["results"][0]["url"]
        assert client.get(url).status_code == 200


def test_a_wrong_setting_ends_in_one_line() -> None:
    check_refusal(serve("--port", "70000"), "--port (THUD_PORT)", "65535")


def test_a_missing_bundle_ends_in_one_line(library: Library, tmp_path: Path) -> None:
    ended = serve("--port", "0", "--bundle", str(tmp_path / "none"), "--index", str(library.index))

    check_refusal(ended, str(tmp_path / "none"))


def test_a_missing_index_ends_in_one_line(library: Library, tmp_path: Path) -> None:
    ended = serve("--port", "0", "--bundle", str(library.bundle.folder), "--index", str(tmp_path / "none"))

    check_refusal(ended, str(tmp_path / "none"))


def test_an_index_of_another_bundle_ends_in_one_line(library: Library, tmp_path: Path) -> None:
    other = write_tiny_bundle(tmp_path / "other", seed=1)

    ended = serve("--port", "0", "--bundle", str(other.folder), "--index", str(library.index))

    check_refusal(ended, other.id)


def test_a_tower_that_does_not_run_ends_in_one_line(library: Library, tmp_path: Path) -> None:
    broken = write_tiny_bundle(tmp_path / "broken")
    tower = broken.folder / "image_tower.onnx"
    tower.write_bytes(tower.read_bytes()[:-10])

    check_refusal(
        serve("--port", "0", "--bundle", str(broken.folder), "--index", str(library.index)), "image_tower"
    )


def test_a_taken_port_ends_in_one_line(library: Library) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        check_refusal(serve("--port", port, *library.flags), port, "in use")


@pytest.mark.parametrize("host", ["no.such.host.invalid", "203.0.113.7"])
def test_an_address_that_is_not_ours_ends_in_one_line(library: Library, host: str) -> None:
    check_refusal(serve("--host", host, "--port", "0", *library.flags), host)


def listening(host: str) -> tuple[socket.socket, socket.AddressFamily]:
    """A socket as the service opens it, after its test of the address, and the family."""
    with _listening(read_settings({"host": host, "port": "0"})) as listener:
        return listener.dup(), listener.family


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
def test_all_of_ipv6_is_all_of_ipv4_too(library: Library) -> None:
    # A client in IPv4, and not as ::ffff:127.0.0.1, is a proxy that is trusted by default, and one in IPv6 as well.
    said = {"X-Forwarded-For": "203.0.113.9"}
    with running(library, "--host", "::") as server:
        assert server.url.startswith("http://[::]:")
        port = server.url.rpartition(":")[2]
        for host in ("127.0.0.1", "[::1]"):
            assert httpx.get(f"http://{host}:{port}/livez", headers=said, timeout=60).status_code == 200
        within(10, lambda: [line.split()[2] for line in server.requests] == ["203.0.113.9"] * 2)


@pytest.mark.skipif(not socket.has_dualstack_ipv6(), reason="there is no IPv6 here")
@pytest.mark.parametrize(("host", "both"), [("::", True), ("::0", True), ("0.0.0.0", False), ("localhost", False)])
def test_what_a_socket_takes(host: str, both: bool) -> None:
    listener, family = listening(host)
    with listener:
        assert family == (socket.AF_INET6 if both else socket.AF_INET)
        assert not both or listener.getsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY) == 0


@pytest.mark.parametrize(("host", "words"), [("", "--host (THUD_HOST)"), ("a..b", "no host"), ("[::]", "[::]")])
def test_what_can_be_no_host_is_told(host: str, words: str) -> None:
    with pytest.raises(ThudError, match=re.escape(words)):
        listening(host)


def test_without_ipv6_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*args: object, **options: object) -> None:
        assert not options["dualstack_ipv6"]
        raise OSError(errno.EAFNOSUPPORT, "no IPv6")

    monkeypatch.setattr(socket, "has_dualstack_ipv6", lambda: False)
    monkeypatch.setattr(socket, "create_server", refuse)
    with pytest.raises(ListenError, match="cannot listen on :: port 0: Address family not supported"):
        listening("::")


@pytest.mark.parametrize("workers", ["1", "2"])
def test_it_says_in_what_pictures_are_computed(library: Library, workers: str) -> None:
    command = [sys.executable, "-m", "thud", "serve", "--port", "0", "--workers", workers, *library.flags]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
        finally:
            process.terminate()
    assert re.match(r"Thud listens on http://\S+ ", said)
    assert said.endswith("; pictures are computed in float32\n")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told_to_and_finishes_what_it_has_begun(
    library: Library, encode: Encode, number: signal.Signals
) -> None:
    picture = encode()
    # The server asks for the body when it has begun with the request.
    head = (
        b"POST /recommend HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
        b"Expect: 100-continue\r\nContent-Length: %d\r\n\r\n"
    )
    with running(library) as server, socket.create_connection(server.address, timeout=30) as connection:
        connection.sendall(head % len(picture))
        assert connection.recv(100) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(picture[:100])
        server.process.send_signal(number)
        within(30, lambda: not takes_requests(server))
        connection.sendall(picture[100:])
        answer = b""
        while part := connection.recv(65536):
            answer += part
        assert answer.startswith(b"HTTP/1.1 200 ")
        assert b'"returned":10' in answer
        assert server.process.wait(timeout=30) == 0


def test_a_library_whose_sounds_have_moved_is_refused_until_told_where(library: Library, tmp_path: Path) -> None:
    shutil.copytree(library.sounds, tmp_path / "before")
    build_index(library.bundle, tmp_path / "before", tmp_path / "index")
    (tmp_path / "before").rename(tmp_path / "after")
    moved = Library(library.bundle, tmp_path / "after", tmp_path / "index")
    check_refusal(serve("--port", "0", *moved.flags), "--sounds", "THUD_SOUNDS")
    with running(moved, "--sounds", str(tmp_path / "after")) as server:
        found = httpx.get(f"{server.url}/sounds?limit=1", timeout=60).json()["sounds"][0]
        assert httpx.get(server.url + found["url"], timeout=60).status_code == 200
