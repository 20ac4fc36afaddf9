"""The demo, as `make demo` makes it, in small: the bundle that comes with Thud, a library, its index, an answer."""

import csv
import json
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from index.answers.search import SoundIndex
from model import PRETRAINED
from model.bundle import load_bundle
from model.materials import MATERIALS
from model.queries import load_queries
from model.runtime import TowerRuntime

# The demo's environment has no torch.
COMMAND = """
import sys, thud
try:
    thud.main()
finally:
    assert "torch" not in sys.modules
"""


def thud(*arguments: object) -> str:
    command = [sys.executable, "-c", COMMAND, *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=PRETRAINED.parents[1])
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of one sound of each material, its index, and a drawn picture of wood."""
    folder = tmp_path_factory.mktemp("demo")
    thud("synthesize", "library", folder / "sounds", "--per-material", 1)
    thud("index", PRETRAINED, folder / "sounds", folder / "index")
    thud("synthesize", "picture", "wood", "--out", folder / "wood.jpg")
    return folder


@pytest.fixture(scope="module")
def answer(folder: Path) -> dict[str, Any]:
    """What the drawn picture of wood is answered with."""
    answer: dict[str, Any] = json.loads(
        thud("recommend", folder / "wood.jpg", "--index", folder / "index", "-k", 17, "--json")
    )
    return answer


def test_the_bundle_is_whole_and_small() -> None:
    bundle = load_bundle(PRETRAINED)
    assert bundle.spec.precision == "int8"
    assert bundle.spec.calibration is not None
    assert sum(record.bytes for record in bundle.spec.files.values()) < 20_000_000
    assert bundle.id in (PRETRAINED / "MODEL_CARD.md").read_text(encoding="utf-8")
    queries = load_queries(bundle)
    assert queries is not None
    assert queries.shape == (256, 128)


def test_the_answer_says_what_is_in_the_picture(answer: dict[str, Any]) -> None:
    assert answer["model"] == load_bundle(PRETRAINED).id
    assert {material["name"] for material in answer["materials"]} == {material.name for material in MATERIALS}
    probabilities = [material["probability"] for material in answer["materials"]]
    assert probabilities == sorted(probabilities, reverse=True)
    assert isinstance(answer["recognised"], bool)


def test_each_sound_says_how_likely_it_matches(answer: dict[str, Any]) -> None:
    assert len(answer["results"]) == 17
    told = {material["name"]: material["probability"] for material in answer["materials"]}
    assert all(result["match"] == told[result["material"]["name"]] for result in answer["results"])


def test_labelled_sounds_of_the_likeliest_material_come_first(answer: dict[str, Any]) -> None:
    """The library says what its sounds are of, so the answer need not rely on what the tower hears."""
    places = {result["material"]["name"]: result["rank"] for result in answer["results"]}
    # The cosine weighs materials by their logits, the list by calibrated probabilities: nearly the same order.
    likeliest = [material["name"] for material in answer["materials"]]
    assert places[likeliest[0]] == 1
    assert sum(places[name] for name in likeliest[:3]) <= 9


def test_photographs_are_answered_with_sounds_of_what_is_in_them(folder: Path, shared: Path) -> None:
    """On photographs that the bundle was fitted on: that the parts fit together, not how good it is on others."""
    with (shared / "real_materials" / "manifest.csv").open(encoding="utf-8") as manifest:
        rows = list(csv.DictReader(manifest))
    photographs: dict[str, list[Path]] = {}
    for row in rows:
        if row["kind"] == "image" and row["open_licence"] == "1":
            photographs.setdefault(row["material"], []).append(shared / "real_materials" / row["path"])
    bundle = load_bundle(PRETRAINED)
    towers = TowerRuntime(bundle)
    right = []
    with closing(SoundIndex.open(folder / "index", bundle)) as index:
        for material, paths in photographs.items():
            for path in paths[:: max(1, len(paths) // 5)][:5]:
                embedding = towers.embed_picture(path.read_bytes()).embedding[0]
                right.append(index.search(embedding, 1)[0].record.material == material)
    assert sum(right) / len(right) > 0.6
