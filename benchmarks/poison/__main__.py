"""Half the clients send broken requests (poison), and the other half must not notice.

    python -m benchmarks.poison [PHOTOGRAPHS] [--seconds 300] [--clients 16] [--broken 0.5] [--json FILE]

A real `thud serve` with the bundle that ships, a small index and its default limits gets requests from clients in
other processes. Good clients send pictures and compare each answer with the one that the server gave before. Broken
ones send damaged pictures, pictures that lie about their size, forms, chunks and lengths that do not add up, bytes
that are not HTTP, and use connections that are slow, are cut or read nothing. `/readyz` is polled ten times a
second.

Exits with 1 unless every good request got the right answer (after a 503 with Retry-After it is sent again), no
broken one got a 5xx other than a 503 with Retry-After, the server was ready at each poll, stayed the same process,
logged no fault and kept its memory within bounds.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path

from PIL import Image
from tqdm import tqdm

from benchmarks.http.inputs import write_index, write_photographs
from benchmarks.http.servers import module, serving, start, thud
from benchmarks.poison.clients import RIGHT, WRONG, Clients, Tally
from benchmarks.poison.verdict import POLL_SECONDS, Poisoned, Watch
from model import PRETRAINED
from model.bundle import load_bundle
from model.threads import available_cpus
from service.load.pixels import SMALL
from service.settings import Settings

SOUNDS = 2000
_BYTES_A_PIXEL = 20
"""The most memory that decoding takes (`model.picture.PictureLimits`)."""


def poison(pictures: list[str], seconds: float, sides: tuple[int, int], scratch: Path) -> Poisoned:
    """Serve, and send both kinds of requests; `sides` are the numbers of good and of broken clients."""
    bundle, log = load_bundle(PRETRAINED), scratch / "server.log"
    command = thud(bundle.folder, write_index(bundle, SOUNDS, scratch / "index"))
    with serving(command, log) as server:
        expected = [_asked(server.port, picture) for picture in pictures]
        watch = Watch(server)
        good = Clients(server.port, seconds, sides[0], pictures, expected)
        broken = Clients(server.port, seconds, sides[1], pictures)
        with _running(good) as good_side, _running(broken) as broken_side:
            _watch_until_ended(watch, good_side, broken_side, seconds)
        watch.settle()
        for picture, wanted in zip(pictures, expected, strict=True):
            right = _asked(server.port, picture) == wanted
            good_side.tally.note("good", RIGHT if right else f"{WRONG}after the poison")
    return Poisoned(
        seconds, good_side.tally, broken_side.tally, watch.seen(log.read_text(errors="replace")), _bound(watch)
    )


class _Side:
    """Clients in a process of their own, and the last tally that they printed."""

    def __init__(self, clients: Clients) -> None:
        self.tally = Tally()
        self.stopped = False
        self.process = start(module("benchmarks.poison.clients"), json.dumps(asdict(clients)))
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def ended(self) -> bool:
        """Whether the last tally has been read."""
        return not self._reader.is_alive()

    def stop(self) -> None:
        """End them early."""
        self.stopped = True
        self.process.terminate()

    def wait(self) -> None:
        """Wait for the end of their process."""
        self._reader.join()
        if self.process.wait() != 0 and not self.stopped:
            raise SystemExit("the clients ended with an error of their own")

    def _read(self) -> None:
        assert self.process.stdout is not None
        with self.process.stdout as lines:
            for line in lines:
                self.tally = Tally(**json.loads(line))


@contextmanager
def _running(clients: Clients) -> Iterator[_Side]:
    side = _Side(clients)
    try:
        yield side
    except BaseException:
        side.stop()
        raise
    finally:
        side.wait()


def _watch_until_ended(watch: Watch, good: _Side, broken: _Side, seconds: float) -> None:
    began = time.monotonic()
    form = "{desc} {bar} {elapsed}, {remaining} left{postfix}"
    with tqdm(total=seconds, desc="poison", bar_format=form, leave=False) as progress:
        while not (good.ended and broken.ended):
            due = time.monotonic() + POLL_SECONDS
            if not watch.poll():
                good.stop()
                broken.stop()
                break
            elapsed = time.monotonic() - began
            wrong = good.tally.count(WRONG) + broken.tally.count(WRONG)
            progress.set_postfix_str(f"{wrong} wrong, {watch.unready} not ready", refresh=False)
            progress.update(min(seconds, elapsed) - progress.n)
            time.sleep(max(0.0, due - time.monotonic()))


def _bound(watch: Watch) -> float:
    """The most MB that a server may take with the default limits: pixels at once, small pictures, all uploads."""
    # Not `Settings()`, which reads this process's environment; the server's environment has no settings.
    fields = Settings.model_fields
    large = int(fields["max_pixels_at_once"].get_default(call_default_factory=True, validated_data={}))
    pixels = large + (available_cpus() + 1) * SMALL
    return watch.memory_start + (pixels * _BYTES_A_PIXEL + int(fields["upload_memory_bytes"].default)) / 2**20


def _good_pictures(folder: Path | None, scratch: Path) -> list[str]:
    """Files of two sizes, and in the three formats."""
    files = write_photographs(folder, 640, 480, 8, scratch / "small")
    files += write_photographs(folder, 2000, 1500, 2, scratch / "large")
    for kind, file in (("PNG", files[0]), ("WEBP", files[1])):
        with Image.open(file) as picture:
            picture.save(scratch / f"picture.{kind.lower()}", kind)
        files.append(str(scratch / f"picture.{kind.lower()}"))
    return files


def _asked(port: int, picture: str) -> str:
    """The server's answer to a picture."""
    body = Path(picture).read_bytes()
    asked = urllib.request.Request(
        f"http://127.0.0.1:{port}/recommend?k=10", data=body, headers={"Content-Type": "image/jpeg"}
    )
    with urllib.request.urlopen(asked) as answer:
        text: str = answer.read().decode()
    return text


def main() -> None:
    """Poison and print."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.poison", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, nargs="?", help="folder of pictures; drawn ones without")
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--clients", type=int, default=16)
    parser.add_argument("--broken", type=float, default=0.5, help="share of the clients that send broken requests")
    parser.add_argument("--json", type=Path, help="write what was found to this file")
    arguments = parser.parse_args()
    broken = round(arguments.broken * arguments.clients)
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        pictures = _good_pictures(arguments.photographs, scratch)
        sides = (arguments.clients - broken, broken)
        found = poison(pictures, arguments.seconds, sides, scratch)
    print(found.as_text())
    if arguments.json:
        arguments.json.write_text(json.dumps(found.as_json(), indent=1) + "\n", encoding="utf-8")
    sys.exit(bool(found.failures()))


if __name__ == "__main__":
    main()
