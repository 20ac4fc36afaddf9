"""`thud synthesize` as a user runs it."""

import csv
import hashlib
import os
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from model.errors import TrainingError
from model.materials import MATERIALS
from training.synthesis.synthesize_commands import synthesize


def run(*arguments: object) -> str:
    result = CliRunner().invoke(synthesize, [str(a) for a in arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def digests(folder: Path) -> dict[str, str]:
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file()
    }


def test_library_is_as_its_manifest_says(tmp_path: Path) -> None:
    out = tmp_path / "library"
    assert "102 sounds written" in run("library", out, "--per-material", 6, "--sample-rate", 22_050)
    with (out / "manifest.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    columns = ["kind", "path", "material", "source", "origin", "licence", "open_licence", "note", "action", "group"]
    assert list(rows[0]) == columns
    assert {row["path"] for row in rows} | {"manifest.csv"} == set(digests(out))
    assert {row["material"] for row in rows} == {material.name for material in MATERIALS}
    assert {row["licence"] for row in rows} == {"CC0-1.0"}
    assert (out / "metal" / "metal-object-01-hit-3.flac").is_file()
    assert (out / "metal" / "metal-object-01-scratch-1.flac").is_file()
    assert (out / "water" / "water-pool-02-hit-2.flac").is_file()
    lengths, onsets = [], []
    for row in rows:
        stem = Path(row["path"]).stem
        assert stem.startswith(f"{row['material']}-")
        assert stem.rsplit("-", 2)[:2] == [row["group"], row["action"]]
        samples, rate = soundfile.read(out / row["path"])
        assert rate == 22_050
        lengths.append(len(samples) / rate)
        peak = np.abs(samples).max()
        assert peak > 0.01
        # As a recording that was cut by hand: quiet at first, faded out at the end.
        onsets.append(float(np.argmax(np.abs(samples) >= 0.1 * peak)) / rate)
        assert np.abs(samples[-2:]).max() < 0.02 * peak
        assert soundfile.info(out / row["path"]).subtype == "PCM_16"
    assert min(onsets) >= 0.008
    assert 0.010 <= float(np.median(onsets)) <= 0.020
    assert len(set(lengths)) > 0.9 * len(rows)
    assert min(lengths) > 0.05
    assert max(lengths) < 2.1


def test_library_has_several_objects_of_every_material_hit_and_scratched(tmp_path: Path) -> None:
    run("library", tmp_path / "library", "--sample-rate", 8_000)
    with (tmp_path / "library" / "manifest.csv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.DictReader(handle))
    for material in MATERIALS:
        made = [row for row in rows if row["material"] == material.name]
        assert len(made) == 24
        assert len({row["group"] for row in made}) == 6
        assert {row["action"] for row in made} == {"hit", "scratch"}


def test_library_is_the_same_for_the_same_seed(tmp_path: Path) -> None:
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        run("library", tmp_path / name, "--per-material", 4, "--sample-rate", 16_000, "--seed", seed)
    first, again, other = (digests(tmp_path / name) for name in ("a", "b", "c"))
    assert first == again
    assert not any(first[path] == other[path] for path in first)


def test_library_never_writes_over_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("precious")
    with pytest.raises(TrainingError, match="not empty"):
        run("library", tmp_path, "--per-material", 1)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_picture_shows_what_was_asked_for(tmp_path: Path) -> None:
    out = tmp_path / "test.jpg"
    output = run("picture", "Plastic Bag", "grass", "--out", out, "--width", 160, "--height", 90)
    assert "plastic-bag" in output
    with Image.open(out) as image:
        assert (image.format, image.size) == ("JPEG", (160, 90))
    run("picture", "plastic-bag", "grass", "--out", tmp_path / "again.JPEG", "--width", 160, "--height", 90)
    assert (tmp_path / "again.JPEG").read_bytes() == out.read_bytes()


def test_a_picture_replaces_no_file_and_has_the_name_of_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "mine.jpg").write_bytes(b"mine")
    for name, reason in (("mine.jpg", "is there already and is not replaced"), ("x.png", "the picture is a JPEG")):
        with pytest.raises(TrainingError, match=reason):
            run("picture", "wood", "--out", tmp_path / name)
    assert [(file.name, file.read_bytes()) for file in tmp_path.iterdir()] == [("mine.jpg", b"mine")]


def test_impossible_requests_are_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="not one of the 17 materials: leather"):
        run("picture", "leather", "wood", "--out", tmp_path / "x.jpg")
    with pytest.raises(TrainingError, match="--width and --height"):
        run("picture", "wood", "--out", tmp_path / "x.jpg", "--width", 8)
    with pytest.raises(TrainingError, match="--per-material"):
        run("library", tmp_path / "x", "--per-material", 0)
    assert not list(tmp_path.iterdir())


def test_a_library_goes_into_a_folder_with_any_name_but_none_that_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gone").symlink_to("nowhere")
    for name, reason in ((".", "no name of its own"), ("gone", "no folder"), ("/dev/null", "no folder")):
        result = CliRunner().invoke(synthesize, ["library", name, "--per-material", "1"])
        assert result.exit_code != 0
        assert reason in f"{result.output} {result.exception}", name
    address = CliRunner().invoke(synthesize, ["library", "s3://bucket/x", "--per-material", "1"])
    assert "is an address" in address.output
    assert [path.name for path in tmp_path.iterdir()] == ["gone"]
    odd = os.fsdecode(b"n\xc3\xa4her \xff")  # not UTF-8
    try:
        (tmp_path / odd).touch()
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")
    (tmp_path / odd).unlink()
    result = CliRunner().invoke(synthesize, ["library", odd, "--per-material", "1"])
    assert result.exit_code == 0, result.output
    assert len(list((tmp_path / odd).rglob("*.flac"))) == 17
