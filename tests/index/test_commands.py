"""`thud index` as a person runs it, and what all commands have in common."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.building.cache import CACHE_FILE
from index.generation import open_generation
from model.bundle import HEADS, Bundle
from model.terminal import printable
from tests.index.commands import PROJECT, THUD, thud
from tests.index.conftest import Strike
from tests.tiny_bundle import tiny_heads, write_tiny_bundle
from tests.waiting import within

LISTED = 900


@pytest.fixture
def index(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> Path:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    return tmp_path / "index"


def test_index_says_what_it_did(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    (sounds / "bad\x1b[31m.wav").write_text("no sound")
    (sounds / "copy.wav").write_bytes((sounds / "metal/pan_0.wav").read_bytes())
    done = thud("index", tiny_bundle.folder, sounds, tmp_path / "index")
    assert done.returncode == 0, done.stderr
    lines = [line.split() for line in done.stdout.decode().splitlines()]
    for words in (
        ["indexed", "9"],
        ["metal", "3"],
        ["wood", "2"],
        ["plastic-bag", "1"],
        ["unlabelled", "3"],
        ["duplicates", "1"],
        ["skipped", "1"],
        ["found", "11"],
    ):
        assert any(line[: len(words)] == words for line in lines), words
    told = done.stderr.decode()
    assert "there is no manifest: labels come from folders, tags and names" in told
    assert "skipped bad\\x1b[31m.wav: not a readable sound" in told
    assert "left out copy.wav: has the same content as metal/pan_0.wav" in told
    assert "bad\x1b[31m.wav" in (tmp_path / "index" / "skipped.tsv").read_text()
    assert b"\x1b[31m" not in done.stdout + done.stderr


def test_index_without_labels_answers_by_what_is_heard_and_says_so(sounds: Path, tmp_path: Path) -> None:
    tiny_heads().save(tmp_path / HEADS)
    others = {HEADS: tmp_path / HEADS}
    bundle = write_tiny_bundle(tmp_path / "bundle", others=others, label_strength=0.8)
    answers, specs, told = [], [], []
    for folder, options in (("with", []), ("without", ["--no-labels"])):
        index = tmp_path / folder
        done = thud("index", bundle.folder, sounds, index, *options)
        assert done.returncode == 0, done.stderr
        told.append([line for line in done.stdout.decode().splitlines() if line.startswith("labels ")])
        specs.append(open_generation(index, bundle.id).spec)
        Image.new("RGB", (80, 60), "white").save(tmp_path / "white.png")
        asked = thud("recommend", tmp_path / "white.png", "--bundle", bundle.folder, "--index", index, "--json")
        answers.append([(one["path"], one["similarity"]) for one in json.loads(asked.stdout)["results"]])
    assert told == [["labels       drawn into the vectors of labelled sounds, strength 0.8"], []]
    assert [spec.label_strength for spec in specs] == [0.8, 0.0]
    assert specs[0].id != specs[1].id
    assert specs[0].materials == specs[1].materials, "the labels are still known"
    heard = build_index(bundle, sounds, tmp_path / "heard", labels=False).spec
    assert heard.id == specs[1].id
    assert [path for path, _ in answers[0]] != [path for path, _ in answers[1]]
    for path, similarity in answers[1]:
        if path.startswith("unsorted/"):
            assert (path, similarity) in answers[0]


def test_index_refuses_in_one_line(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    nothing = thud("index", tiny_bundle.folder, tmp_path / "empty", tmp_path / "index")
    assert nothing.returncode == 1
    assert nothing.stderr.decode().splitlines()[-1].startswith("thud: nothing under")
    for arguments in (
        (tmp_path / "no bundle", sounds, tmp_path / "index"),
        (tiny_bundle.folder, tmp_path / "no sounds", tmp_path / "index"),
        *((tiny_bundle.folder, sounds, tmp_path / "new", "--max-seconds", bound) for bound in ("0", "nan", "inf")),
    ):
        refused = thud("index", *arguments)
        assert refused.returncode == 2
        assert b"Traceback" not in refused.stderr
    assert not (tmp_path / "new").exists()


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.parametrize("most_bytes", [2000, 20_000])
def test_a_full_disk_ends_in_one_line_and_leaves_nothing_half_written(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, most_bytes: int
) -> None:
    program = (
        "import resource\n"
        f"resource.setrlimit(resource.RLIMIT_FSIZE, ({most_bytes}, {most_bytes}))\n"
        "from thud import main\n"
        "main()\n"
    )
    for number in range(60):
        (sounds / f"{number}.wav").write_bytes((sounds / "metal/pan_0.wav").read_bytes() + bytes([number]))
    done = subprocess.run(
        [sys.executable, "-c", program, "index", str(tiny_bundle.folder), str(sounds), str(tmp_path / "index")],
        capture_output=True,
        cwd=PROJECT,
        check=False,
        timeout=60,
    )
    assert done.returncode == 1, done.stderr
    assert b"Traceback" not in done.stderr
    assert re.search(r"thud: .* cannot (be written|write)", done.stderr.decode().splitlines()[-1])
    assert not (tmp_path / "index" / "current").exists()
    assert not list((tmp_path / "index").glob("generations/*"))
    assert build_index(tiny_bundle, sounds, tmp_path / "index").spec.sounds == 69


@pytest.fixture(scope="module")
def many(tmp_path_factory: pytest.TempPathFactory, strike: Strike) -> Path:
    """A folder of many sounds."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(LISTED):
        strike(folder / f"{number:04}.wav", 100 + number, seconds=0.06, rate=8000)
    return folder


@pytest.fixture(scope="module")
def at_once(tiny_bundle: Bundle, many: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of the index of `many` that was made at once."""
    return build_index(tiny_bundle, many, tmp_path_factory.mktemp("once") / "index").spec.id


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_index_goes_on_where_it_stopped(
    tiny_bundle: Bundle, many: Path, at_once: str, tmp_path: Path, sent: signal.Signals
) -> None:
    target = tmp_path / "index"
    command = ["index", str(tiny_bundle.folder), str(many), str(target)]
    with subprocess.Popen([*THUD, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        finished = target / CACHE_FILE
        # The first 256 sounds take about 300 kB: past that they are committed and the next are being written.
        within(
            60,
            lambda: running.poll() is not None or (finished.exists() and finished.stat().st_size > 450_000),
            every=0.001,
        )
        running.send_signal(sent)
        _, told = running.communicate(timeout=60)
    assert running.returncode == (-signal.SIGKILL if sent == signal.SIGKILL else 130)
    if sent == signal.SIGINT:
        assert told.decode().splitlines()[-1] == "thud: interrupted; run the same command again to go on from here"
    assert not (target / "current").exists()
    again = thud(*command)
    assert again.returncode == 0, again.stderr
    summary = {line.split()[0]: int(line.split()[1].replace(",", "")) for line in _counts(again.stdout)}
    assert summary["reused"] >= 256
    assert summary["reused"] + summary["embedded"] == summary["indexed"] == LISTED
    index = SoundIndex.open(target, tiny_bundle)
    assert index.id == at_once
    index.close()


def _counts(output: bytes) -> list[str]:
    wanted = ("indexed", "embedded", "reused")
    return [line for line in output.decode().splitlines() if line.startswith(wanted)]


@pytest.mark.parametrize("form", [[], ["--json"]])
def test_a_reader_that_goes_away_is_no_traceback(
    index: Path, tiny_bundle: Bundle, picture: Path, form: list[str]
) -> None:
    command = ["recommend", str(picture), "--bundle", str(tiny_bundle.folder), "--index", str(index), *form]
    read_end, write_end = os.pipe()
    os.close(read_end)
    done = subprocess.run([*THUD, *command], stdout=write_end, stderr=subprocess.PIPE, check=False, timeout=60)
    os.close(write_end)
    assert done.returncode == 1
    assert done.stderr == b""


def test_the_room_needs_no_torch(tiny_bundle: Bundle, sounds: Path, picture: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "for name in ('torch', 'torchvision', 'onnx', 'av', 'scipy'): sys.modules[name] = None\n"
        "from thud import main\n"
        "main()\n"
    )
    for arguments in (
        ["index", tiny_bundle.folder, sounds, tmp_path / "index"],
        ["recommend", picture, "--bundle", tiny_bundle.folder, "--index", tmp_path / "index"],
    ):
        done = subprocess.run(
            [sys.executable, "-c", program, *map(str, arguments)],
            capture_output=True,
            cwd=PROJECT,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr


def test_control_characters_are_shown_not_sent() -> None:
    assert printable("plain ü 玻璃") == "plain ü 玻璃"
    assert printable("\x1b[2J\n\r\x9b\udcff\u202e") == "\\x1b[2J\\n\\r\\x9b\\udcff\\u202e"
