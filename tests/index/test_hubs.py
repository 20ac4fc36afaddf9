"""An index whose bundle tells hubs: a sound near to every picture steps back; its similarity stays the cosine."""

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.stats import skew

from index.answers.search import SoundIndex
from index.building.build import build_index
from index.generation import SPEC_FILE, open_generation
from index.nearest.vectors import Vectors, normalised
from model.bundle import BANK, Bundle, Hubness
from model.errors import BundleError, LibraryError
from model.hubness import load_bank
from model.runtime import TowerRuntime
from tests.tiny_bundle import write_tiny_bundle, write_tiny_bundle_with_bank

HUB = "wood/hub.wav"
HUBNESS = Hubness(strength=1.0, neighbours=80)
OTHERS = [*(f"metal/pan_{number}.wav" for number in range(11)), *(f"thing_{number}.wav" for number in range(12))]
COUNT = 1 + len(OTHERS)
SHOWN = [OTHERS[number % len(OTHERS)] for number in range(200)]
"""The sound that each of the 200 pictures is a picture of."""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """24 sounds: the hub, 11 of metal, 12 unlabelled.

    The tiny tower hears how loud the 16 parts of a second are. The hub is a click in part 8; each of the others is
    that click and a hum in two more parts, never the same two. Cosines of others are at most 0.62, to the hub 0.3.
    """
    folder = tmp_path_factory.mktemp("library")
    parts = [part for part in range(16) if part != 8]
    pairs = [(parts[number], parts[(number + step) % 15]) for step in (1, 4) for number in range(15)]
    write_clicks(folder / HUB, ())
    for path, humming in zip(OTHERS, pairs, strict=False):
        write_clicks(folder / path, humming)
    return folder


def write_clicks(path: Path, humming: tuple[int, ...]) -> None:
    """A second with a click, its only hit, in the middle, and a quieter hum that swells in some of its 16 parts."""
    samples = np.zeros((16, 1000))
    samples[list(humming)] = 0.07 * np.hanning(1000) * np.sin(2 * np.pi * 0.02 * np.arange(1000))
    samples[8, :8] = 0.9
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples.ravel(), 16_000)


@pytest.fixture(scope="module")
def embeddings(tiny_bundle: Bundle, library: Path) -> dict[str, Vectors]:
    """Every sound's embedding by its path, in the order of the catalogue."""
    runtime = TowerRuntime(tiny_bundle)
    paths = sorted(file.relative_to(library).as_posix() for file in library.rglob("*.wav"))
    return {path: runtime.embed_sound(library / path).embedding for path in paths}


@pytest.fixture(scope="module")
def pictures(embeddings: dict[str, Vectors]) -> Vectors:
    """Embeddings of 200 pictures: near to what they show (cosine about 0.5), but nearer to the hub (about 0.8)."""
    noise = normalised(np.random.default_rng(0).standard_normal((200, 128)).astype(np.float32))
    return normalised(np.stack([embeddings[path] for path in SHOWN]) + noise + 2 * embeddings[HUB])


@pytest.fixture(scope="module")
def bundle(pictures: Vectors, tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tiny bundle with the first 100 pictures as its bank."""
    return write_tiny_bundle_with_bank(tmp_path_factory.mktemp("hubs") / "bundle", pictures[:100], HUBNESS)


@pytest.fixture(scope="module")
def index(bundle: Bundle, library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SoundIndex]:
    folder = tmp_path_factory.mktemp("index")
    build_index(bundle, library, folder)
    with closing(SoundIndex.open(folder, bundle)) as opened:
        yield opened


def biases(bundle: Bundle, sounds: Vectors) -> Vectors:
    cosines = np.sort(sounds.astype(np.float64) @ load_bank(bundle).T.astype(np.float64), axis=1)
    bias: Vectors = (HUBNESS.strength * cosines[:, -HUBNESS.neighbours :].mean(axis=1)).astype(np.float32)
    return bias


def test_a_hub_steps_back(
    index: SoundIndex, bundle: Bundle, library: Path, pictures: Vectors, tmp_path: Path
) -> None:
    build_index(bundle, library, tmp_path / "plain", hubness=False)
    with closing(SoundIndex.open(tmp_path / "plain", bundle)) as plain:
        assert plain.id != index.id
        before = [plain.search(picture, 1)[0].record.path for picture in pictures[100:]]
        after = [index.search(picture, 1)[0].record.path for picture in pictures[100:]]
    # All, none and all of the 100, by at least 0.2, 0.2 and 0.019.
    assert before.count(HUB) > 90
    assert after.count(HUB) < 10
    assert sum(first == shown for first, shown in zip(after, SHOWN[100:], strict=True)) > 90


def test_the_order_is_by_cosine_less_bias_and_the_similarity_is_the_cosine(
    index: SoundIndex, bundle: Bundle, embeddings: dict[str, Vectors], pictures: Vectors
) -> None:
    paths, sounds = list(embeddings), np.stack(list(embeddings.values()))
    bias = biases(bundle, sounds)
    fell = 0
    for picture in pictures[100:110]:
        cosines = dict(zip(paths, (sounds @ picture).tolist(), strict=True))
        scores = dict(zip(paths, (sounds @ picture - bias).tolist(), strict=True))
        expected = sorted(paths, key=lambda path: -scores[path])
        for k in (1, 7, 1000):
            matches = index.search(picture, k)
            assert [match.record.path for match in matches] == expected[:k]
            for match in matches:
                assert match.similarity == pytest.approx(cosines[match.record.path], abs=2e-6)
                assert match.similarity == round(match.similarity, 6)
        similarities = [match.similarity for match in index.search(picture, COUNT)]
        fell += similarities == sorted(similarities, reverse=True)
    assert fell < 10


def test_index_json_says_what_the_biases_changed(
    index: SoundIndex, bundle: Bundle, library: Path, embeddings: dict[str, Vectors], tmp_path: Path
) -> None:
    spec = build_index(bundle, library, tmp_path / "index").spec
    assert spec.id == index.id
    raw = json.loads((open_generation(tmp_path / "index", bundle.id).folder / SPEC_FILE).read_text())
    assert (raw["format_version"], raw["embedding_size"], raw["search"]["recall_at_10"]) == (4, 128, 1.0)
    sounds, bank = np.stack(list(embeddings.values())), load_bank(bundle)
    skews = []
    for bias in (np.zeros(COUNT, np.float32), biases(bundle, sounds)):
        nearest = np.argsort(-(bank @ sounds.T - bias), axis=1)[:, :10]
        skews.append(float(skew(np.bincount(nearest.ravel(), minlength=COUNT))))
    assert raw["hubness"] == {
        "strength": 1.0,
        "neighbours": 80,
        "pictures": 100,
        "skew_before": pytest.approx(skews[0], abs=1e-4),
        "skew_after": pytest.approx(skews[1], abs=1e-4),
    }
    assert build_index(bundle, library, tmp_path / "index", hubness=False).spec.hubness is None


def test_sounds_without_a_label_come_with_their_embedding(
    index: SoundIndex, tiny_bundle: Bundle, library: Path, embeddings: dict[str, Vectors], tmp_path: Path
) -> None:
    build_index(tiny_bundle, library, tmp_path / "index")
    with closing(SoundIndex.open(tmp_path / "index", tiny_bundle)) as without_bank:
        for opened in (index, without_bank):
            matches = opened.search(embeddings[HUB], COUNT)
            assert sum(match.embedding is not None for match in matches) == 12
            for match in matches:
                assert (match.embedding is None) == (match.record.material is not None)
                if match.embedding is not None:
                    assert match.embedding.dtype == np.float32
                    assert match.embedding.tolist() == embeddings[match.record.path].tolist()


def test_a_stronger_bias_is_another_index_of_the_same_bundle(
    bundle: Bundle, pictures: Vectors, library: Path, tmp_path: Path
) -> None:
    """What an index was built with stays with it: the bundle's files, and so its id, are the same."""
    weaker = write_tiny_bundle_with_bank(tmp_path / "weaker", pictures[:100], Hubness(strength=0.0))
    assert weaker.id == bundle.id
    first = build_index(bundle, library, tmp_path / "index").spec
    second = build_index(weaker, library, tmp_path / "index").spec
    assert first.id != second.id
    with closing(SoundIndex.open(tmp_path / "index", bundle)) as opened:
        assert [opened.search(picture, 1)[0].record.path for picture in pictures[100:]].count(HUB) > 90


def test_another_bank_needs_another_index(bundle: Bundle, pictures: Vectors, library: Path, tmp_path: Path) -> None:
    build_index(bundle, library, tmp_path / "index")
    other = write_tiny_bundle_with_bank(tmp_path / "other", pictures[100:], HUBNESS)
    with pytest.raises(LibraryError, match=f"made with bundle {bundle.id}"):
        SoundIndex.open(tmp_path / "index", other)
    assert build_index(other, library, tmp_path / "index").reused == 0
    SoundIndex.open(tmp_path / "index", other).close()


def test_an_index_json_that_hides_the_biases_does_not_fit(bundle: Bundle, library: Path, tmp_path: Path) -> None:
    """So it goes for a version of Thud that knows no biases, too: it refuses, it does not answer wrongly."""
    build_index(bundle, library, tmp_path / "index")
    file = open_generation(tmp_path / "index", bundle.id).folder / SPEC_FILE
    raw = json.loads(file.read_text())
    file.write_text(json.dumps({key: value for key, value in raw.items() if key != "hubness"}))
    with pytest.raises(LibraryError, match="not as many as"):
        SoundIndex.open(tmp_path / "index", bundle)


def test_hubness_without_a_bank_is_refused_before_anything_is_embedded(library: Path, tmp_path: Path) -> None:
    bundle = write_tiny_bundle(tmp_path / "b", hubness=HUBNESS)
    with pytest.raises(BundleError, match=r"has no bank\.npy, which its hubness asks for"):
        build_index(bundle, library, tmp_path / "index")
    assert not (tmp_path / "index").exists()
    build_index(bundle, library, tmp_path / "index", hubness=False)


def test_a_bank_alone_changes_no_order(bundle: Bundle, library: Path, tmp_path: Path) -> None:
    bank_alone = write_tiny_bundle(tmp_path / "b", others={BANK: bundle.file(BANK)})
    assert build_index(bank_alone, library, tmp_path / "index").spec.hubness is None
