"""Benchmarks that measure what other tests do not run: that they still do, on next to nothing."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from benchmarks import crowd
from benchmarks.http.servers import serving, thud
from benchmarks.quality.left_out import cells, macro, means
from benchmarks.serve import __main__ as serve
from benchmarks.serve import measure
from model.bundle import HEADS, ObjectSpec
from tests.tiny_bundle import tiny_heads, write_tiny_bundle

ROOT = Path(__file__).parents[1]
TINY = """
name = "tiny"
image_network = "shufflenet_v2_x0_5"
sound_network = "shufflenet_v2_x0_5"
batch_size = 8
"""


def run(module: str, *options: str) -> subprocess.CompletedProcess[str]:
    command, environment = [sys.executable, "-m", module, *options], os.environ | {"OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, capture_output=True, text=True, check=False, env=environment, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    return result


def test_training_rate_measures_every_side(tmp_path: Path) -> None:
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(TINY)
    small = ["--device", "cpu", "--size", "32", "--scenes", "17", "--rounds", "1", "--steps", "2"]
    result = run("benchmarks.training_rate", "--recipe", str(recipe), *small)
    rows = dict(re.findall(r"^  (.+?) {2,}([\d,.]+)", result.stdout, re.MULTILINE))
    values = {name: float(value.replace(",", "")) for name, value in rows.items()}
    sides = ("bare", "thud", "straight, 0 workers", "straight, 2 workers")
    assert all(values[side] > 0 for side in sides)
    assert values["whole epochs"] < values["thud"]
    for base in sides[:1] + sides[2:]:
        assert values[f"thud / {base}"] == pytest.approx(values["thud"] / values[base], rel=0.02, abs=0.01)
    # 30 epochs of 586 videos with ten clips, as many pairs that do not match.
    assert values["the paper's training, s"] == pytest.approx(30 * 586 * 20 / values["thud"], rel=0.01)
    assert values["pairs compared a second"] == pytest.approx(values["thud"], abs=0.1)
    # torchvision states 0.041 G multiplications with additions of a 224 px picture; backward takes twice forward.
    pictures, clips = map(float, re.findall(r"([\d.]+) distinct pictures and ([\d.]+) clips", result.stdout)[0])
    gflop = float(re.findall(r"([\d.]+) GFLOP a step", result.stdout)[0])
    assert gflop == pytest.approx(3 * 2 * (pictures + clips) * 0.041 * (32 / 224) ** 2, rel=0.3)


def test_serve_measures_all_sides(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    markdown = tmp_path / "performance.md"
    # A tiny tower in place of a ResNet-18, whose export takes ten seconds.
    monkeypatch.setattr(measure, "write_resnet18", lambda target, pictures: write_tiny_bundle(target))
    monkeypatch.setattr("sys.argv", ["serve", "--quick", "--before", str(ROOT), "--markdown", str(markdown)])
    serve.main()
    tables = {
        heading: body for heading, _, body in (part.partition("\n") for part in markdown.read_text().split("\n## "))
    }
    throughput = re.findall(r"^\| 640x480 \| (.+?) \| \d+ \| ([\d.]+) \|", tables["Throughput and latency"], re.M)
    sides = dict(throughput)
    assert set(sides) == {
        "ceiling, same ResNet-18",
        "ceiling, shipped bundle",
        "Thud, same ResNet-18",
        "Thud, shipped bundle",
        "Thud before, shipped bundle",
        "usual way",
    }
    assert all(float(rate) > 0 for rate in sides.values())
    ratios = dict(re.findall(r"^\| 640x480 \| (.+?) \| ([\d.]+) \|", tables["Ratios at concurrency 8"], re.M))
    for ours, base in (
        ("same ResNet-18", "usual way"),
        ("shipped bundle", "ceiling, shipped bundle"),
        ("shipped bundle", "Thud before, shipped bundle"),
    ):
        wanted = float(sides[f"Thud, {ours}"]) / float(sides[base])
        assert float(ratios[f"Thud, {ours} / {base}"]) == pytest.approx(wanted, rel=0.05)
    goals = re.findall(
        r"\| ([≥≤]) ([\d.]+).*? \| (nan|inf|[\d.]+).*? \| (met|\*\*not met\*\*) \|$", tables["Goals"], re.M
    )
    assert len(goals) == 4 + 3 + 2 + 2 * 6 + 2 + 2 + 2
    for sign, bound, figure, word in goals:
        over = float(figure) - float(bound)
        # What is shown is rounded.
        assert abs(over) < 0.01 or (word == "met") == (over > 0 if sign == "≥" else over < 0)


def test_serve_runs_the_code_of_the_other_checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "thud.py").write_text("raise SystemExit('the code of before')")
    with (
        pytest.raises(SystemExit, match="did not start: the code of before"),
        serving(thud(tmp_path, tmp_path), tmp_path / "log", tmp_path),
    ):
        pass
    monkeypatch.setattr("sys.argv", ["serve", "--before", str(tmp_path / "nowhere")])
    with pytest.raises(SystemExit, match="2"):
        serve.main()


def test_crowd_counts_what_everyone_is_answered() -> None:
    done = CliRunner().invoke(crowd.main, ["--clients", "20", "--seconds", "1"])
    assert done.exit_code == 0, done.output
    now = json.loads(done.stdout)["now"]
    assert now["answered a second"] > 0
    assert now["failed"] == 0
    assert {answer.rpartition(" ")[2] for answer in now["others"]} == {"200"}


def test_label_coverage_counts_what_the_drawn_clips_name(tmp_path: Path) -> None:
    # Of the first video one clip names one of two materials, and all three both; the second has one material.
    (tmp_path / "a_times.txt").write_text("1.0 wood hit static\n2.0 metal hit None\n3.0 metal scratch None\n")
    (tmp_path / "b_times.txt").write_text("1.0 None None None\n2.0 glass hit static\n")
    (tmp_path / "c_times.txt").write_text("1.0 None hit None\n")  # no material: not counted
    (tmp_path / "test.txt").write_text("a\nb\nc\n")
    result = run("benchmarks.quality.label_coverage", str(tmp_path), "--clips", "1", "--clips", "3")
    assert "| 1 | 0.667 | 0.667 | 0.500 |" in result.stdout
    assert "| 3 | 1.000 | 1.000 | 1.000 |" in result.stdout


def test_objects_counts_pictures_whose_object_is_named(tmp_path: Path) -> None:
    tiny_heads().save(tmp_path / HEADS)
    spec = ObjectSpec(names=("cup", "curtain"))
    write_tiny_bundle(tmp_path / "bundle", others={HEADS: tmp_path / HEADS}, with_objects=True, objects=spec)
    data = tmp_path / "data"
    rows = ["kind,path,material,source,note"]
    for number in range(3):
        # The tiny bundle sees cups, the first object, in red pictures; the third one shows none by its look.
        Image.new("RGB", (40, 40), [(250, 120, 120), (240, 100, 100), (100, 250, 100)][number]).save(
            tmp_path / "p.png"
        )
        (data / "images").mkdir(parents=True, exist_ok=True)
        (tmp_path / "p.png").rename(data / f"images/ecocup__{number}.png")
        rows.append(f"image,images/ecocup__{number}.png,ceramic,ecocup,")
    for number, name in enumerate(["far__cup_1", "far__cup_2", *(f"far__{letter}" for letter in "abcdefghijklm")]):
        samples = np.exp(-np.arange(8000) / 800) * np.sin(np.arange(8000) * (0.1 + 0.05 * number))
        soundfile.write(data / f"{name}.wav", samples, 16_000)
        rows.append(f"sound,{name}.wav,{'ceramic' if number < 2 else 'wood'},far,")
    (data / "manifest.csv").write_text("\n".join(rows) + "\n")
    out = tmp_path / "objects.json"
    run("benchmarks.objects", str(data), str(tmp_path / "bundle"), str(tmp_path / "work"), "--json", str(out))
    found = json.loads(out.read_text())
    by_weight = found["with labels"]
    assert by_weight["0"]["ecocup"]["pictures"] == 3
    assert by_weight["1"]["ecocup"]["shown"] == pytest.approx(2 / 3, abs=1e-4)
    assert by_weight["1"]["ecocup"]["of ten"] >= by_weight["0"]["ecocup"]["of ten"]
    assert by_weight["1"]["ecocup"]["recall"] == by_weight["0"]["ecocup"]["recall"] == 1.0


def write_labelled_files(folder: Path) -> None:
    """A tiny bundle in `folder`, 24 pictures and sounds of two materials, one broken sound, and their manifest."""
    tiny_heads().save(folder / HEADS)
    write_tiny_bundle(folder / "bundle", others={HEADS: folder / HEADS}, label_strength=0.2)
    rows = ["kind,path,material"]
    for number in range(24):
        name = f"{number}.png"
        Image.new("RGB", (40, 40), (10 * number, 250 - 9 * number, 7 * number)).save(folder / name)
        samples = np.exp(-np.arange(8000) / 800) * np.sin(np.arange(8000) * (0.1 + 0.05 * number))
        soundfile.write(folder / f"{number}.wav", samples, 16_000)
        rows += [f"image,{name},wood", f"sound,{number}.wav,{'metal' if number % 3 else 'wood'}"]
    (folder / "broken.wav").write_bytes(b"no sound")
    (folder / "manifest.csv").write_text("\n".join([*rows, "sound,broken.wav,wood"]) + "\n")


def test_search_measures_every_side_and_filter(tmp_path: Path) -> None:
    write_labelled_files(tmp_path)
    out = tmp_path / "search.json"
    options = ["--bundle", str(tmp_path / "bundle"), "--vectors", "3000", "--rounds", "1", "--json", str(out)]
    result = run("benchmarks.search", str(tmp_path), str(tmp_path / "work"), *options)
    assert "3,000 vectors of 128 numbers, all of them used by pictures, labelled; 24 pictures" in result.stdout
    assert "times as fast as exact search" in result.stdout
    assert "broken.wav: " in result.stderr + result.stdout
    found = json.loads(out.read_text())["sides"]
    filters = [f"filter {share} %, {which}" for share in ("5", "0.5") for which in ("one material", "at random")]
    for name in ("exact", "thud flat", "thud ivf", "faiss ivf", "faiss hnsw"):
        measured = found[name]["rows"]
        assert list(measured) == [
            "k 10",
            "k 1000",
            "a sound's embedding",
            *(filters if name not in ("exact", "faiss hnsw") else []),
        ]
        assert all(row["p99 ms"] >= row["median ms"] > 0 < row["cpu ms"] for row in measured.values())
        assert found[name]["bytes"] >= 3000 * 128 * 4
    assert all(row["recall"] == 1.0 for name in ("exact", "thud flat") for row in found[name]["rows"].values())
    assert all(found["thud ivf"]["rows"][name]["recall"] >= 0.99 for name in ("k 10", "k 1000", *filters))
    assert found["faiss ivf"]["rows"]["k 10"]["recall"] >= 0.99
    # What was embedded once is kept.
    (tmp_path / "0.wav").unlink()
    again = run("benchmarks.search", str(tmp_path), str(tmp_path / "work"), *options[:-2], "--side", "exact")
    assert re.findall(r"k 10 +10 +([\d.]+)", again.stdout) == ["1.0000"]


def test_a_source_without_enough_pictures_of_a_material_has_no_macro_mean() -> None:
    few = {"by_material": {"wood": {"pictures": 9, "p_at_10": 1.0}, "metal": {"pictures": 6, "p_at_10": 0.5}}}
    enough = {"by_material": few["by_material"] | {"glass": {"pictures": 10, "p_at_10": 0.25}}}

    assert (macro(few, "p_at_10"), macro(enough, "p_at_10")) == (None, 0.25)
    rows: list[list[float | None]] = [[0.1, None, 0.5], [0.3, 0.25, 0.7]]
    assert cells(rows[0]) == "0.100 | - | 0.500"
    assert means(rows) == "mean of 2, macro of 1 | | 0.200 | 0.250 | 0.600"
    assert means(rows[1:]).startswith("mean of 1 | |")


def test_index_measures_runs_and_rates(tmp_path: Path) -> None:
    bundle, out = write_tiny_bundle(tmp_path / "bundle"), tmp_path / "index.json"
    small = ("--sounds", "100", "--seconds", "0.1", "--each", "20", "--rounds", "1")
    result = run("benchmarks.index", *small, "--bundle", str(bundle.folder), "--json", str(out))
    found = json.loads(out.read_text())
    runs = {row["run"]: row for row in found["runs"]}
    embedded = {name: row.get("embedded") for name, row in runs.items()}
    assert embedded == {
        "a tenth": 10,
        "full": 100,
        "unchanged": 0,
        "1 % changed": 1,
        "all renamed": 0,
        "all labelled": 0,
        "memory a sound": None,
    }
    for name in ("unchanged", "1 % changed"):
        assert runs[name]["share"] == pytest.approx(runs[name]["seconds"] / runs["full"]["seconds"])
        assert runs[name]["met"] == (runs[name]["share"] <= runs[name]["goal"])
    for row in found["rates"].values():
        assert row["ratio"] == pytest.approx(row["indexed a second"] / row["bare tower a second"], rel=0.5)
    assert re.findall(r"^(wav|flac|ogg) .* (?:yes|NO) ", result.stdout, re.MULTILINE) == ["wav", "flac", "ogg"]


def test_swaps_measures_start_memory_and_every_swap(tmp_path: Path) -> None:
    write_labelled_files(tmp_path)
    out = tmp_path / "swaps.json"
    small = ("--sounds", "300", "--swaps", "2", "--starts", "1", "--quiet-seconds", "0", "--requests", "8")
    options = (*small, "--bundle", str(tmp_path / "bundle"), "--json", str(out))
    result = run("benchmarks.swaps", str(tmp_path), str(tmp_path / "work"), *options, "--rounds", "2")
    facts = json.loads(out.read_text())
    assert (facts["sounds"], facts["vectors"]) == (300, 350)  # one sound of twelve has three hits
    noise = [one["without a swap"]["p99 ms"] for one in facts["rounds"]]
    assert noise[facts["quietest"]] == min(noise) <= noise[1]
    found = facts["rounds"][facts["quietest"]]
    assert len(found["ready s"]) == 1 < len(found["taking over s"]) == 2
    assert list(found["memory"]) == ["ready", "8 requests", "swap 1", "swap 2"]
    for workers in found["memory"].values():
        (worker,) = workers
        assert min(worker["dirty"], worker["anonymous"]) > 10
        assert worker["clean"] >= 0
    for name in ("without a swap", "over a swap"):
        row = found[name]
        assert row["failed"] == 0 < row["p50 ms"] <= row["p99 ms"] <= row["greatest ms"]
        assert max(row["greatest of each ms"]) == row["greatest ms"]
        assert row["requests"] > 2
    goals = found["goals"]
    cost = found["over a swap"]["greatest ms"] - found["without a swap"]["greatest ms"]
    assert goals["a swap's cost, ms"]["found"] == pytest.approx(cost, abs=0.11)  # each is rounded
    assert goals["requests that failed"] == {"found": 0, "at most": 0, "met": True}
    for name, goal in goals.items():
        assert goal["met"] == (goal["found"] <= goal["at most"])
        assert f"{name}: " in result.stdout
    # Both generations are kept, and made once.
    (index,) = (tmp_path / "work").glob("index-*")
    generations = {one.name: one.stat().st_mtime_ns for one in (index / "generations").iterdir()}
    assert len(generations) == 2
    run(
        "benchmarks.swaps",
        str(tmp_path),
        str(tmp_path / "work"),
        *options,
        *("--swaps", "1", "--rounds", "1", "--rate", "0"),
    )
    assert {one.name: one.stat().st_mtime_ns for one in (index / "generations").iterdir()} == generations
