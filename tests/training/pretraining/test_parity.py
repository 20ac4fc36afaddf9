"""Two bundles compared: differences are measured, and a tower of both is computed once."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
from PIL import Image

from model.bundle import IMAGE_TOWER, SOUND_TOWER, Bundle, load_bundle
from model.runtime import EmbeddedSound, PictureEmbeddings, TowerRuntime
from tests.tiny_bundle import write_tiny_bundle
from training.pretraining import parity
from training.pretraining.parity import Parity, measure_parity

WOOD, METAL = 15, 3


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Path], list[Path]]:
    """Six pictures and twelve sounds."""
    folder, rng = tmp_path_factory.mktemp("files"), np.random.default_rng(0)
    pictures = [folder / f"{number}.png" for number in range(6)]
    for path in pictures:
        Image.fromarray(rng.integers(0, 256, (1, 1, 3)).astype(np.uint8)).resize((64, 64)).save(path)
    sounds = [folder / f"{number}.wav" for number in range(12)]
    for number, path in enumerate(sounds):
        decay = np.exp(-np.arange(16_000) / (200 * (number + 1)))
        soundfile.write(path, 0.5 * decay * rng.uniform(-1, 1, 16_000), 16_000)
    return pictures, sounds


def measured(
    floats: Bundle, other: Bundle, files: tuple[list[Path], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> tuple[Parity, dict[str, int]]:
    """The parity of two bundles, and how many files were embedded."""
    embedded = {"pictures": 0, "sounds": 0}

    class Counted(TowerRuntime):
        def embed_picture(self, data: bytes, *options: Any) -> PictureEmbeddings:
            embedded["pictures"] += 1
            return super().embed_picture(data, *options)

        def embed_sound(self, path: Path, *options: Any) -> EmbeddedSound:
            embedded["sounds"] += 1
            return super().embed_sound(path, *options)

    monkeypatch.setattr(parity, "TowerRuntime", Counted)
    pictures, sounds = files
    found = measure_parity(
        floats, other, pictures, np.array([WOOD, METAL] * 3), sounds, np.array([WOOD, METAL] * 6), threads=1
    )
    return found, embedded


def test_a_tower_that_both_share_embeds_once(
    tmp_path: Path, files: tuple[list[Path], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    floats, other = write_tiny_bundle(tmp_path / "floats"), write_tiny_bundle(tmp_path / "other", seed=1)
    mixed = write_tiny_bundle(
        tmp_path / "mixed", others={IMAGE_TOWER: other.file(IMAGE_TOWER), SOUND_TOWER: floats.file(SOUND_TOWER)}
    )
    found, embedded = measured(floats, load_bundle(mixed.folder), files, monkeypatch)
    assert embedded == {"pictures": 12, "sounds": 12}
    assert (found.pictures, found.sounds) == (6, 12)
    assert (found.sound_cosine, found.sound_cosine_p5) == pytest.approx((1.0, 1.0))
    assert found.picture_cosine < 0.99
    _, embedded = measured(floats, other, files, monkeypatch)
    assert embedded == {"pictures": 12, "sounds": 24}


def test_a_bundle_is_its_own_twin(
    tmp_path: Path, files: tuple[list[Path], list[Path]], monkeypatch: pytest.MonkeyPatch
) -> None:
    bundle = write_tiny_bundle(tmp_path / "bundle")
    found, embedded = measured(bundle, bundle, files, monkeypatch)
    assert embedded == {"pictures": 6, "sounds": 12}
    assert (found.overlap, found.picture_cosine, found.sound_cosine) == pytest.approx((1.0, 1.0, 1.0))
    assert found.p_at_10 == found.p_at_10_int8
