"""`thud recommend` as a person runs it."""

import contextlib
import hashlib
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from index import DIVERSITY, OBJECT_WEIGHT
from index.answers.search import SoundIndex
from index.building.build import build_index
from index.commands.answer_table import percent
from model.bundle import HEADS, Bundle
from model.runtime import TowerRuntime
from tests.index.commands import THUD, thud
from tests.index.conftest import Strike
from tests.tiny_bundle import write_shade, write_tiny_bundle, write_tiny_bundle_with_heads


@pytest.fixture
def index(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> Path:
    build_index(tiny_bundle, sounds, tmp_path / "index")
    return tmp_path / "index"


def test_recommend_prints_what_search_finds(index: Path, tiny_bundle: Bundle, picture: Path, sounds: Path) -> None:
    opened = SoundIndex.open(index, tiny_bundle)
    embedding = TowerRuntime(tiny_bundle).embed_picture(picture.read_bytes()).embedding[0]
    asked = ("picture", hashlib.sha256(picture.read_bytes()).hexdigest(), None, OBJECT_WEIGHT, ())
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


def in_a_terminal(columns: int, *command: str | Path) -> str:
    """What the command shows in a terminal of so many columns."""
    ours, theirs = pty.openpty()
    terminal = os.environ | {"COLUMNS": str(columns), "TERM": "xterm"}
    output = b""
    with subprocess.Popen([*THUD, *command], stdout=theirs, stderr=theirs, env=terminal) as running:
        os.close(theirs)
        with contextlib.suppress(OSError):  # how Linux says that the other end was closed
            while part := os.read(ours, 4096):
                output += part
    os.close(ours)
    shown = output.decode()
    assert running.returncode == 0, shown
    return shown


@pytest.mark.parametrize(
    ("columns", "headings"),
    [
        (40, ["rank", "score", "material", "path"]),
        (60, ["rank", "score", "material", "seconds", "path"]),
        (99, ["rank", "score", "material", "seconds", "path"]),
        (120, ["rank", "score", "similarity", "material", "seconds", "title", "path"]),
    ],
)
def test_numbers_are_whole_in_a_narrow_terminal(
    index: Path, tiny_bundle: Bundle, picture: Path, columns: int, headings: list[str]
) -> None:
    shown = in_a_terminal(
        columns, "recommend", picture, "--bundle", tiny_bundle.folder, "--index", index, "-k", "3"
    )
    plain = re.sub(r"\x1b\[\d*m", "", shown)
    assert "…" not in plain
    heading, *rows = plain.splitlines()
    assert heading.split() == headings
    assert re.match(r" +1 +\d\.\d{3} ", rows[0])
    assert all(len(row.rstrip()) <= columns for row in (heading, *rows[:3]))


@pytest.mark.parametrize("columns", [40, 60, 99, 100])
def test_so_are_they_where_materials_and_objects_are_told(
    sounds: Path, picture: Path, tmp_path: Path, columns: int
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle", with_objects=True)
    build_index(bundle, sounds, tmp_path / "index")
    shown = in_a_terminal(
        columns, "recommend", picture, "--bundle", bundle.folder, "--index", tmp_path / "index", "-k", "3"
    )
    plain = re.sub(r"\x1b\[\d*m", "", shown)
    assert "…" not in plain
    heading = next(line for line in plain.splitlines() if line.startswith("rank"))
    assert len(heading.rstrip()) <= columns
    assert columns - heading.index("path") >= 14


def test_recommend_in_a_terminal_keeps_odd_names_harmless(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, picture: Path, tmp_path: Path
) -> None:
    strike(sounds / "glass" / "[bold]\x1b[2J:boom:.wav", 4000)
    build_index(tiny_bundle, sounds, tmp_path / "index")
    shown = in_a_terminal(120, "recommend", picture, "--bundle", tiny_bundle.folder, "--index", tmp_path / "index")
    assert "glass/[bold]\\x1b[2J:boom:.wav" in shown
    assert "\x1b[2J" not in shown


@pytest.mark.parametrize(
    ("arguments", "stdin", "code", "message"),
    [
        (["missing.png"], b"", 2, "does not exist"),
        (["-"], b"", 1, "thud: the picture is empty (0 bytes)"),
        (["-"], b"this is no picture", 1, "thud: not a JPEG, PNG, WebP or AVIF picture"),
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
