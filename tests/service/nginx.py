"""nginx with the repository's own configuration, in front of a real service."""

import os
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

PROXY = Path(__file__).parents[2] / "proxy"
NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")

_USER = 33 if os.geteuid() == 0 else None
"""The image's user and group, where tests run as root; else nginx runs as whoever runs the tests."""


@dataclass(frozen=True)
class Proxy:
    """A running nginx; `folder` stands for the image's /tmp, `log` has what it says."""

    port: int
    folder: Path
    log: Path

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stored(self) -> list[Path]:
        """What it has put into files besides its log and its number."""
        return [path for path in self.folder.rglob("*") if path.is_file() and path.suffix not in (".log", ".pid")]


def configuration(port: int, service: str, folder: Path) -> str:
    """nginx.conf as it stands, but for its port, where the service is, and the folder /tmp."""
    text = (PROXY / "nginx.conf").read_text()
    for pattern, instead, times in (
        (r"\blisten 8080\b", f"listen {port}", 1),
        (r"http://thud:8000\b", service, 1),
        (r"(?<= )/tmp/", f"{folder}/", 6),
    ):
        text, found = re.subn(pattern, instead, text)
        assert found == times, pattern
    return text


@contextmanager
def proxying(service: str) -> Iterator[Proxy]:
    """Start nginx on a free port in front of the service at this address; it must end well."""
    assert NGINX is not None, "nginx is not installed"
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port = listener.getsockname()[1]
    # Not pytest's own folders: they are private, and nginx may be another user.
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "nginx.conf").write_text(configuration(port, service, folder / "tmp"))
        (folder / "tmp").mkdir()
        log = folder / "tmp" / "nginx.log"
        with log.open("a") as said:
            if _USER is not None:
                folder.chmod(0o755)
                os.chown(folder / "tmp", _USER, _USER)
                os.chown(log, _USER, _USER)
            command = [NGINX, "-c", str(folder / "nginx.conf"), "-e", "stderr", "-g", "daemon off;"]
            groups = None if _USER is None else ()
            with subprocess.Popen(
                command, stdout=said, stderr=said, user=_USER, group=_USER, extra_groups=groups
            ) as process:
                try:
                    _await(port, process, log)
                    yield Proxy(port, folder / "tmp", log)
                finally:
                    process.terminate()
                    process.wait(timeout=20)
        assert process.returncode == 0, log.read_text()
        assert not re.search(r"\[(crit|alert|emerg)\]", log.read_text()), log.read_text()


def _await(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    until = time.monotonic() + 30
    while time.monotonic() < until and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionRefusedError:
            time.sleep(0.02)
        else:
            return
    raise AssertionError(f"nginx does not listen: {log.read_text()}")
