"""The numbers of the plausibility benchmark, on sounds of which they are known; and the listening sheet."""

import csv
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner

from benchmarks.plausibility import __main__ as plausibility
from benchmarks.plausibility import listening_sheet
from benchmarks.plausibility.statistics import STATISTICS, sound_statistics
from benchmarks.plausibility.told import Told
from model.materials import MATERIALS
from training.synthesis.demo_library import write_library

RATE = 44_100


def test_numbers_of_a_tone_that_decays() -> None:
    time = np.arange(RATE) / RATE - 0.1
    tone = np.where(time >= 0.0, np.sin(2 * np.pi * 1000 * time) * 10 ** (-np.maximum(time, 0.0) / 0.2), 0.0)
    numbers = sound_statistics(tone.astype(np.float32), RATE)
    assert list(numbers) == list(STATISTICS)
    assert numbers["centroid"] == pytest.approx(1000.0, rel=0.05)
    assert numbers["decay of 354 to 1414 Hz"] == pytest.approx(200.0, abs=15.0)
    assert numbers["decay by 40 dB"] == pytest.approx(400.0, abs=15.0)
    assert numbers["tonality"] > 0.95
    assert numbers["onset"] == pytest.approx(100.0, abs=1.0)
    assert numbers["duration"] == pytest.approx(1.0)
    noise = np.random.default_rng(0).standard_normal(RATE).astype(np.float32)
    hiss = sound_statistics(0.1 * noise, RATE)
    assert hiss["tonality"] < 0.1
    assert hiss["floor"] > -3.0
    assert all(np.isnan(value) for value in sound_statistics(np.zeros(RATE, np.float32), RATE).values())


def test_a_source_of_many_files_weighs_as_their_square_root() -> None:
    weights = plausibility.source_weights(np.array(["many"] * 16 + ["one"]))
    assert weights[:16].sum() == pytest.approx(4.0 * weights[16])


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """A library of two sounds of each material, and twelve recordings of wood from two sources."""
    library, recordings = tmp_path / "library", tmp_path / "recordings"
    write_library(library, per_material=2, sample_rate=22_050)
    recordings.mkdir()
    rng = np.random.default_rng(0)
    with (recordings / "manifest.csv").open("w", newline="") as handle:
        table = csv.writer(handle)
        table.writerow(("kind", "path", "material", "source"))
        for number in range(12):
            decay = np.exp(-np.arange(8000) / 400)
            soundfile.write(recordings / f"{number}.wav", 0.1 * decay * rng.standard_normal(8000), 22_050)
            table.writerow(("sound", f"{number}.wav", "wood", ("near", "far")[number // 9]))
    return library, recordings


def test_a_library_beside_recordings(folders: tuple[Path, Path]) -> None:
    (made, of_made), (recorded, of_recorded) = (plausibility.measured(folder, "sounds") for folder in folders)
    counts = np.zeros((len(MATERIALS), len(MATERIALS)), np.int64)
    for material in MATERIALS:
        counts[material.id, material.id] = 2
    told = Told({material.name: 1.0 for material in MATERIALS}, counts, {"wood": 0.5})
    found = plausibility.compare(made, of_made, recorded, of_recorded, told)
    text = plausibility.as_markdown(found)
    wood = next(line for line in text.splitlines() if line.startswith("| wood"))
    duration = wood.split("|")[-2]
    assert "(0.36 to 0.36)" in duration
    assert f"of {len(STATISTICS)}." in text
    assert "| wood | 12 | 2 | 1.00 | 0.50 | wood 2 |" in text
    assert "| mean, of 1 with 10 recordings | | | 1.00 | 0.50 | |" in text


def test_sounds_that_cannot_be_read_or_heard_do_not_count(
    folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, recordings = folders
    (recordings / "0.wav").write_text("no sound")
    soundfile.write(recordings / "1.wav", np.zeros(8000), 22_050)
    files, numbers = plausibility.measured(recordings, "recordings")
    assert len(files) == len(numbers) == 10
    assert np.isfinite(numbers).all()
    assert "2 sounds that cannot be read or are silent are left out" in capsys.readouterr().err


@pytest.mark.parametrize("broken", ["recordings of one source", "no sound can be read"])
def test_what_cannot_be_compared_is_one_line(folders: tuple[Path, Path], broken: str) -> None:
    library, recordings = folders
    manifest = recordings / "manifest.csv"
    if broken == "recordings of one source":
        manifest.write_text(manifest.read_text().replace("far", "near"))
    else:
        for file in recordings.glob("*.wav"):
            file.write_text("no sound")
    result = CliRunner().invoke(plausibility.main, [str(library), str(recordings)])
    assert result.exit_code == 1
    assert result.output.splitlines()[-1].startswith("Error: ")
    assert isinstance(result.exception, SystemExit)


def test_listening_sheet_shows_and_names_both(folders: tuple[Path, Path], tmp_path: Path) -> None:
    library, recordings = folders
    out = tmp_path / "sheet"
    result = CliRunner().invoke(
        listening_sheet.main, [str(library), str(recordings), str(out)], catch_exceptions=False
    )
    assert result.exit_code == 0, result.output
    page = (out / "README.md").read_text()
    assert all((out / f"{material.name}.jpg").is_file() for material in MATERIALS)
    assert "Library: `wood/wood-object-01-hit-1.flac`, `wood/wood-object-01-hit-2.flac`." in page
    named = page.split("## wood")[1].split("##")[0].split("Recordings: ")[1]
    assert {"`9.wav`", "`11.wav`"} & set(named.strip(" .\n").split(", "))
    assert "Recordings: none." in page
