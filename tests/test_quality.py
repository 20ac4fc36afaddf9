"""The scoreboard of quality on a few made files: bundles side by side, and one for each source left out."""

import csv
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from benchmarks.quality import __main__ as quality
from benchmarks.quality import data as quality_data
from index.answers.search import SoundIndex
from index.building.build import build_index
from model.bundle import BANK, HEADS, Bundle, Hubness, load_bundle
from model.materials import MATERIALS
from model.runtime import TowerRuntime
from model.unit_vectors import save_unit_vectors
from tests.tiny_bundle import (
    tiny_heads,
    write_tiny_bundle,
    write_tiny_bundle_with_bank,
    write_tiny_bundle_with_heads,
)

ROOT = Path(__file__).parents[1]


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """24 pictures and 24 sounds of two sources and two materials, one of each broken, and rows to skip."""
    rng, folder = np.random.default_rng(0), tmp_path / "data"
    folder.mkdir()
    rows = []
    for number in range(24):
        material, source = ("wood", "metal")[number % 2], ("near", "far")[number // 12]
        light = 150 if material == "wood" else 20
        picture = rng.integers(light, light + 100, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{number}.png")
        rows.append(["image", f"{number}.png", material, source])
        decay = np.exp(-np.arange(16_000) / (500 if material == "wood" else 5000))
        soundfile.write(folder / f"{number}.wav", 0.5 * decay * rng.standard_normal(16_000).clip(-1, 1), 16_000)
        rows.append(["sound", f"{number}.wav", material, source])
    (folder / "0.png").write_bytes(b"no picture")
    (folder / "1.wav").write_bytes(b"")
    Image.new("RGB", (40, 40), (90, 90, 90)).save(folder / "leaf.png")
    rows += [["image", "leaf.png", "leaf", "far"], ["image", "2.png", "wood;metal", "far"]]
    rows += [["sound", "3.wav", "bone", "far"]]
    with (folder / "manifest.csv").open("w", newline="") as out:
        csv.writer(out).writerows([["kind", "path", "material", "source"], *rows])
    return folder


def bundle_folders(tmp_path: Path) -> list[str]:
    write_tiny_bundle_with_heads(tmp_path / "heads")
    bank = np.eye(128, dtype=np.float32)[:20]
    write_tiny_bundle_with_bank(tmp_path / "bank", bank, Hubness(strength=0.5, neighbours=4))
    return ["--bundle", f"ours={tmp_path / 'heads'}", "--bundle", str(tmp_path / "bank")]


def cells(text: str, source: str, by: str) -> list[list[str]]:
    lines = [[cell.strip() for cell in line.strip("|").split("|")] for line in text.splitlines() if "|" in line]
    return [line[2:] for line in lines if line[:2] == [source, by]]


def test_bundles_are_set_side_by_side(tmp_path: Path, data: Path) -> None:
    out = tmp_path / "numbers.json"
    options = [str(data), *bundle_folders(tmp_path), "--json", str(out), "--least", "5", "5", "--workers", "1"]
    # In a process of its own, which shows that it gets by without torch.
    code = (
        "import sys\nfrom benchmarks.quality.__main__ import main\nmain(standalone_mode=False)\n"
        "print({'torch', 'torchvision', 'faiss'} & set(sys.modules))"
    )
    command = [sys.executable, "-c", code, *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert result.returncode == 0, result.stderr
    text = result.stdout
    assert text.splitlines()[-1] == "set()"
    assert "- 24 pictures of 2 sources; skipped: 1 rows" in text
    assert "- 23 sounds of 2 sources; skipped: 1 rows" in text
    assert "not answered: 1 pictures (leaf 1)" in text
    assert "- unusable files: 2" in text
    assert "0.png: not a JPEG, PNG, WebP or AVIF picture" in text
    assert "1.wav: the file is empty" in text
    numbers = json.loads(out.read_text())
    assert set(numbers["unusable"]) == {str(data / "0.png"), str(data / "1.wav")}
    ours, paper = numbers["bundles"]["ours"], numbers["bundles"]["bank"]
    near = ours["recommended"]["sources"]["near"]
    assert cells(text, "near", "ours")[0][:2] == ["11", f"{near['P@1']:.3f}"]
    assert near["skew"] == near["skew without biases"]
    far = ours["recommended"]["sources"]["far"]
    assert (far["files"], far["left_out"]) == (12, 1)
    mean = ours["recommended"]["mean"]["P@10"]
    assert mean == pytest.approx((near["P@10"] + far["P@10"]) / 2)
    low, high = ours["recommended"]["intervals"]["P@10"]
    assert low <= mean <= high
    assert f"{mean:.3f} [{low:.3f}, {high:.3f}]" in text
    assert cells(text, "**mean of sources**", "ours")[0][0] == "2 sources, macro 2"
    assert paper["pictures"] == paper["sounds"] == {"sources": {}, "mean": {}, "intervals": {}}
    # 12 of the 23 sounds are wood, and 5 of the 11 pictures of `near` that can be used.
    chance = (5 * 12 + 6 * 11) / 23 / 11
    assert cells(text, "near", "chance") == [
        ["11", *[f"{chance:.3f}"] * 3, cells(text, "near", "chance")[0][4], *["0.500"] * 3, "0.500", *"----"]
    ]
    assert cells(text, "far", "bank")[1] == ["13", *"--------"]
    wood = next(line for line in text.split("## By material: ours")[1].splitlines() if line.startswith("| wood"))
    assert wood.startswith("| wood | 11 | 12 | ")
    assert len(text.split("## By material: bank")[1].strip().splitlines()) == 2 + len(MATERIALS) + 2


def test_what_a_person_can_mend_is_one_line(tmp_path: Path, data: Path) -> None:
    runner = CliRunner()
    folders = bundle_folders(tmp_path)
    again = runner.invoke(quality.main, [str(data), *folders, "--bundle", str(tmp_path / "bank")])
    assert "needs a name of its own" in again.output
    missing = runner.invoke(quality.main, [str(data), "--bundle", str(tmp_path / "none")])
    assert missing.exit_code == 1
    assert "is not a bundle" in missing.output
    for path in data.glob("*.wav"):
        path.write_bytes(b"")
    nothing = runner.invoke(quality.main, [str(data), *folders, "--workers", "1"])
    assert nothing.exit_code == 1
    assert "not one sound can be used; the last: the file is empty" in nothing.output


def test_each_source_is_asked_of_the_bundle_that_never_saw_it(tmp_path: Path, data: Path) -> None:
    for source, seed in (("near", 1), ("far", 2)):
        write_tiny_bundle(tmp_path / "folds" / source, seed=seed)
    found = {}
    for name, options in (
        ("folds", ["--left-out", str(tmp_path / "folds")]),
        ("near", ["--bundle", str(tmp_path / "folds" / "near")]),
        ("far", ["--bundle", str(tmp_path / "folds" / "far")]),
    ):
        out = tmp_path / f"{name}.json"
        result = CliRunner().invoke(quality.main, [str(data), *options, "--json", str(out), "--workers", "1"])
        assert result.exit_code == 0, result.output
        found[name] = json.loads(out.read_text())["bundles"][name]
    for source in ("near", "far"):
        alone = found[source]["recommended"]["sources"][source]
        assert found["folds"]["recommended"]["sources"][source] == alone
    assert set(found["folds"]["ids"]) == {"folds without near", "folds without far"}


def numbers_of(data: Path, tmp_path: Path, *options: str) -> tuple[dict[str, Any], str]:
    """What the command finds, as JSON and as text; materials with one file count."""
    out = tmp_path / "numbers.json"
    small = ["--json", str(out), "--workers", "1", "--least", "1", "1"]
    result = CliRunner().invoke(quality.main, [str(data), *options, *small])
    assert result.exit_code == 0, result.output
    return json.loads(out.read_text()), result.stdout


def usable(data: Path) -> list[dict[str, str]]:
    with (data / "manifest.csv").open(newline="") as table:
        rows = [row for row in csv.DictReader(table) if row["material"] in ("wood", "metal")]
    return [row for row in rows if row["path"] not in ("0.png", "1.wav")]


def by_hand(bundle: Bundle, data: Path, source: str) -> list[float]:
    """P@10 of each picture of `source`, answered from all sounds by cosine."""
    runtime, rows = TowerRuntime(bundle), usable(data)
    library = [row for row in rows if row["kind"] == "sound"]
    sounds = np.stack([runtime.embed_sound(data / row["path"]).embedding for row in library]).astype(np.float64)
    found = []
    for row in rows:
        if row["kind"] == "image" and row["source"] == source:
            picture = runtime.embed_picture((data / row["path"]).read_bytes()).embedding[0].astype(np.float64)
            scores = np.round(sounds @ picture, 6).tolist()
            first = sorted(range(len(library)), key=lambda one, at=scores: -at[one])[:10]  # type: ignore[misc]
            found.append(sum(library[one]["material"] == row["material"] for one in first) / 10)
    return found


def test_the_mean_of_sources_left_out_is_that_of_each_by_its_own_bundle(
    tmp_path: Path, data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (data / "manifest.csv").open("a", newline="") as table:
        csv.writer(table).writerows([["sound", f"{number}.wav", "wood", "heard only"] for number in (2, 4, 6)])
    folds = {"near": 1, "far": 2, "heard only": 3}
    for source, seed in folds.items():
        write_tiny_bundle(tmp_path / "folds" / source, seed=seed)
    embedded: dict[str, int] = {}
    embed_all = quality_data._embed_all

    def counted(title: str, *arguments: Any) -> Any:
        embedded[title] = len(arguments[2])
        return embed_all(title, *arguments)

    monkeypatch.setattr(quality_data, "_embed_all", counted)
    numbers, text = numbers_of(data, tmp_path, "--left-out", f"folds={tmp_path / 'folds'}")
    # The pictures of each source alone, and all 27 sounds where there are any; else those of the source.
    assert embedded == {
        **{"folds without far: images": 13, "folds without far: sounds": 27},
        **{"folds without heard only: images": 0, "folds without heard only: sounds": 3},
        **{"folds without near: images": 12, "folds without near: sounds": 27},
    }
    alone = {source: by_hand(load_bundle(tmp_path / "folds" / source), data, source) for source in folds}
    assert {source: len(values) for source, values in alone.items()} == {"near": 11, "far": 12, "heard only": 0}
    found = numbers["bundles"]["folds"]["recommended"]
    for source in ("near", "far"):
        assert found["sources"][source]["P@10"] == pytest.approx(np.mean(alone[source]))
    expected = (np.mean(alone["near"]) + np.mean(alone["far"])) / 2
    assert found["mean"]["P@10"] == pytest.approx(expected)
    row = cells(text, "**mean of sources**", "folds")[0]
    assert row[0] == "2 sources, macro 2"
    assert row[3].startswith(f"{expected:.3f} [")


def test_labels_and_hubs_are_those_of_an_index(tmp_path: Path, data: Path) -> None:
    """P@10 with labels, where the bundle tells hubs, is what an index of the sounds answers."""
    rng = np.random.default_rng(0)
    bank = rng.standard_normal((20, 128)).astype(np.float32)
    save_unit_vectors(tmp_path / BANK, bank / np.linalg.norm(bank, axis=1, keepdims=True))
    tiny_heads().save(tmp_path / HEADS)
    others = {name: tmp_path / name for name in (HEADS, BANK)}
    hubness = Hubness(strength=2.0, neighbours=1)
    bundle = write_tiny_bundle(tmp_path / "bundle", others=others, hubness=hubness, label_strength=0.7)
    numbers, _ = numbers_of(data, tmp_path, "--bundle", str(bundle.folder))
    runtime = TowerRuntime(bundle)
    pictures = [row for row in usable(data) if row["kind"] == "image"]
    for name, labels in (("P@10 labelled", True), ("P@10", False)):
        build_index(bundle, data, tmp_path / "index", labels=labels)
        with closing(SoundIndex.open(tmp_path / "index", bundle)) as index:
            assert len(index) == 23
            each: dict[str, list[float]] = {}
            for row in pictures:
                answer = index.search(runtime.embed_picture((data / row["path"]).read_bytes()).embedding[0], 10)
                good = [match.record.material == row["material"] for match in answer]
                each.setdefault(row["source"], []).append(float(np.mean(good)))
        for source, values in each.items():
            found = numbers["bundles"]["bundle"]["recommended"]["sources"][source]
            assert found[name] == pytest.approx(np.mean(values))


def test_a_source_without_its_bundle_is_one_line(tmp_path: Path, data: Path) -> None:
    write_tiny_bundle(tmp_path / "folds" / "near")
    result = CliRunner().invoke(quality.main, [str(data), "--left-out", str(tmp_path / "folds")])
    assert result.exit_code == 1
    assert "far is not a bundle" in result.output
    result = CliRunner().invoke(quality.main, [str(data)])
    assert result.exit_code == 2
    assert "name bundles with --bundle or --left-out" in result.output
