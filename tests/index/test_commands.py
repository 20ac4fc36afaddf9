"""`thud index` and `thud recommend` as a person runs them."""

import contextlib
import hashlib
import json
import os
import pty
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from PIL import Image

from index import DIVERSITY, OBJECT_WEIGHT
from index.answers.search import SoundIndex
from index.building.build import build_index
from index.building.cache import CACHE_FILE
from index.commands.answer_table import percent
from index.generation import open_generation
from model.bundle import HEADS, Bundle
from model.runtime import TowerRuntime
from model.terminal import printable
from tests.index.conftest import Strike
from tests.tiny_bundle import tiny_heads, write_shade, write_tiny_bundle, write_tiny_bundle_with_heads

PROJECT = Path(__file__).parents[2]
THUD = [sys.executable, str(PROJECT / "thud.py")]
LISTED = 1500


def thud(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*THUD, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        env=os.environ | environment,
        check=False,
        timeout=60,
    )


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
        (tiny_bundle.folder, sounds, tmp_path / "index", "--max-seconds", "0"),
    ):
        refused = thud("index", *arguments)
        assert refused.returncode == 2
        assert b"Traceback" not in refused.stderr


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
    """A folder of 1500 sounds."""
    folder = tmp_path_factory.mktemp("many")
    for number in range(LISTED):
        strike(folder / f"{number:04}.wav", 100 + number, seconds=0.06, rate=8000)
    return folder


@pytest.mark.parametrize("sent", [signal.SIGKILL, signal.SIGINT])
def test_a_stopped_index_goes_on_where_it_stopped(
    tiny_bundle: Bundle, many: Path, tmp_path: Path, sent: signal.Signals
) -> None:
    target = tmp_path / "index"
    command = ["index", str(tiny_bundle.folder), str(many), str(target)]
    with subprocess.Popen([*THUD, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as running:
        finished = target / CACHE_FILE
        # The first 256 sounds take about 300 kB: past that they are committed and the next are being written.
        while running.poll() is None and not (finished.exists() and finished.stat().st_size > 450_000):
            time.sleep(0.001)
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
    whole = build_index(tiny_bundle, many, tmp_path / "at once").spec
    index = SoundIndex.open(target, tiny_bundle)
    assert index.id == whole.id
    index.close()


def _counts(output: bytes) -> list[str]:
    wanted = ("indexed", "embedded", "reused")
    return [line for line in output.decode().splitlines() if line.startswith(wanted)]


def test_recommend_prints_what_search_finds(index: Path, tiny_bundle: Bundle, picture: Path, sounds: Path) -> None:
    opened = SoundIndex.open(index, tiny_bundle)
    embedding = TowerRuntime(tiny_bundle).embed_picture(picture.read_bytes()).embedding[0]
    asked = ("picture", hashlib.sha256(picture.read_bytes()).hexdigest(), None, OBJECT_WEIGHT)
    matches = opened.search(embedding, 4, diversity=DIVERSITY, asked=asked)
    opened.close()
    options = ("--bundle", tiny_bundle.folder, "--index", index, "-k", "4")

    plain = thud("recommend", picture, *options)
    assert plain.returncode == 0, plain.stderr
    rows = plain.stdout.decode().splitlines()
    assert rows[0].split() == ["rank", "score", "similarity", "material", "seconds", "title", "path"]
    for rank, match in enumerate(matches, start=1):
        cells = rows[rank].split()
        assert cells[:2] == [str(rank), f"{(match.similarity + 1) / 2:.3f}"]
        assert cells[3] == (match.record.material or "-")
        assert rows[rank].rstrip().endswith(match.record.path)
    assert rows[5] == f"4 of 9 sounds in {sounds.resolve()}"

    piped = thud("recommend", "-", *options, "--json", stdin=picture.read_bytes())
    assert piped.returncode == 0, piped.stderr
    answer = json.loads(piped.stdout)
    results = answer.pop("results")
    assert answer == {
        "model": tiny_bundle.id,
        "index": (index / "current").read_text().strip(),
        "k": 4,
        "returned": 4,
        "library": 9,
        "recognised": None,
        "materials": None,
        "objects": None,
        "next": matches.next,
    }
    assert results == [
        {
            "rank": rank,
            "id": match.record.id,
            "url": f"/sounds/{match.record.id}",
            "similarity": match.similarity,
            "score": pytest.approx((match.similarity + 1) / 2, abs=1e-6),
            "match": None,
            "material": {"id": ids[match.record.material], "name": match.record.material}
            if match.record.material
            else None,
            "duration": match.record.seconds,
            "hit": match.hit,
            "span": list(match.span),
            "loudness": match.record.loudness,
            "title": match.record.title,
            "author": None,
            "licence": None,
            "because": "material",
            "object": None,
            "path": match.record.path,
        }
        for ids in [{"metal": 3, "wood": 15, "plastic-bag": 12}]
        for rank, match in enumerate(matches, start=1)
    ]


def test_recommend_says_what_is_in_the_picture(sounds: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle_with_heads(tmp_path / "bundle")
    build_index(bundle, sounds, tmp_path / "index")
    options = ("--bundle", bundle.folder, "--index", tmp_path / "index", "-k", "9")
    for shade, level in (("white", 252), ("black", 3)):
        write_shade(tmp_path / f"{shade}.png", level)

    bright = json.loads(thud("recommend", tmp_path / "white.png", *options, "--json").stdout)
    assert bright["recognised"] is True
    assert bright["materials"][0] == {"id": 15, "name": "wood", "probability": pytest.approx(0.8808, abs=0.01)}
    assert len(bright["materials"]) == 17
    by_name = {one["name"]: one["probability"] for one in bright["materials"]}
    for result in bright["results"]:
        if result["material"]:
            assert result["match"] == by_name[result["material"]["name"]]
        else:
            assert min(by_name.values()) < result["match"] < max(by_name.values())

    lines = thud("recommend", tmp_path / "white.png", *options).stdout.decode().splitlines()
    assert re.fullmatch(r"wood 8[78]%, carpet 2[678]%, cloth \d%", lines[0])
    assert lines[1].split()[:3] == ["rank", "match", "score"]
    for line, result in zip(lines[2:11], bright["results"], strict=True):
        assert line.split()[1] == percent(result["match"])

    dark = thud("recommend", tmp_path / "black.png", *options)
    assert dark.stdout.decode().splitlines()[0] == "no material recognised"
    assert len(dark.stdout.decode().splitlines()) == 12


def test_recommend_refuses_malformed_heads_in_one_line(index: Path, picture: Path, tmp_path: Path) -> None:
    (tmp_path / "heads").write_text("no arrays")
    broken = write_tiny_bundle(tmp_path / "broken", others={HEADS: tmp_path / "heads"})
    refused = thud("recommend", picture, "--bundle", broken.folder, "--index", index)
    assert refused.returncode == 1
    assert refused.stderr.decode() == f"thud: {broken.folder / HEADS}: it is no NumPy archive (.npz)\n"


@pytest.mark.parametrize(
    ("probability", "shown"),
    [(0.0, "<1%"), (0.0099, "<1%"), (0.01, "1%"), (0.624, "62%"), (0.99, "99%"), (0.9901, ">99%"), (1.0, ">99%")],
)
def test_no_percentage_is_certain(probability: float, shown: str) -> None:
    assert percent(probability) == shown


def test_recommend_takes_its_folders_from_the_environment(index: Path, tiny_bundle: Bundle, picture: Path) -> None:
    done = thud(
        "recommend", picture, "--json", "-k", "1000", THUD_BUNDLE=str(tiny_bundle.folder), THUD_INDEX=str(index)
    )
    answer = json.loads(done.stdout)
    assert (answer["k"], answer["returned"], len(answer["results"])) == (1000, 9, 9)


def test_recommend_in_a_terminal_keeps_odd_names_harmless(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, picture: Path, tmp_path: Path
) -> None:
    strike(sounds / "glass" / "[bold]\x1b[2J:boom:.wav", 4000)
    build_index(tiny_bundle, sounds, tmp_path / "index")
    ours, theirs = pty.openpty()
    command = ["recommend", str(picture), "--bundle", str(tiny_bundle.folder), "--index", str(tmp_path / "index")]
    terminal = os.environ | {"COLUMNS": "120", "TERM": "xterm"}
    output = b""
    with subprocess.Popen([*THUD, *command], stdout=theirs, stderr=theirs, env=terminal) as running:
        os.close(theirs)
        with contextlib.suppress(OSError):  # how Linux says that the other end was closed
            while part := os.read(ours, 4096):
                output += part
    os.close(ours)
    shown = output.decode()
    assert running.returncode == 0, shown
    assert "glass/[bold]\\x1b[2J:boom:.wav" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (["missing.png"], b"", 2, "does not exist"),
        (["-"], b"", 1, "thud: the picture is empty (0 bytes)"),
        (["-"], b"this is no picture", 1, "thud: not a JPEG, PNG or WebP picture"),
        (["-"], b"\0" * (32 * 2**20 + 1), 1, "thud: the picture has more than 33,554,432 bytes"),
        (["-", "-k", "0"], b"", 2, "0 is not in the range x>=1"),
        (["-", "-k", "many"], b"", 2, "not a valid integer"),
        (["-", "--index", "/nowhere"], b"", 2, "does not exist"),
    ],
)
def test_recommend_refuses_in_one_line(
    index: Path, tiny_bundle: Bundle, arguments: list[str], stdin: bytes, code: int, message: str
) -> None:
    folders = {"THUD_BUNDLE": str(tiny_bundle.folder), "THUD_INDEX": str(index)}
    refused = thud("recommend", *arguments, stdin=stdin, **folders)
    assert refused.returncode == code
    assert message in refused.stderr.decode().splitlines()[-1]
    assert b"Traceback" not in refused.stderr


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="nothing shows how much memory is used")
def test_recommend_tells_too_little_memory_from_a_broken_picture(
    index: Path, tiny_bundle: Bundle, tmp_path: Path
) -> None:
    picture = tmp_path / "large.webp"
    Image.new("RGB", (4500, 4500), "teal").save(picture, method=0)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "import index.commands.recommend_commands, index.answers.search, model.runtime\n"  # and all that they need
        "from thud import main\n"
        "used = int(Path('/proc/self/status').read_text().split('VmSize:')[1].split()[0]) * 2**10\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**27, -1))\n"
        "main()\n"
    )
    arguments = ["recommend", picture, "--bundle", tiny_bundle.folder, "--index", index]
    done = subprocess.run(
        [sys.executable, "-c", program, *map(str, arguments)], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (1, "thud: there is not enough memory to decode the picture\n")


def test_recommend_refuses_the_index_of_another_bundle(
    index: Path, tiny_bundle: Bundle, other_bundle: Bundle, picture: Path
) -> None:
    refused = thud("recommend", picture, "--bundle", other_bundle.folder, "--index", index)
    assert refused.returncode == 1
    assert refused.stderr.decode().strip() == (
        f"thud: this index was made with bundle {tiny_bundle.id}; you gave bundle {other_bundle.id}: "
        "run thud index again"
    )


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
