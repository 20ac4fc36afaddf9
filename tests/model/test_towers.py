"""The towers in torch and as exported: shapes, cells, the exact spectrogram, and parity on 64 random inputs."""

from pathlib import Path

import numpy as np
import pytest
import torch
import torchvision

from model.bundle import ClipSpec, PictureSpec
from model.errors import BundleError, TrainingError
from model.runtime import TowerRuntime
from model.torch_towers.networks import PooledNetwork, build_network
from model.torch_towers.spectrogram import LogMel, mel_filterbank
from model.torch_towers.two_tower import ImageTower, SoundTower, TwoTower, pair_score
from training.systems.export import export_bundle

PICTURE = PictureSpec(size=64)
CLIP = ClipSpec(sample_rate=16_000, before=0.1, after=0.4)


def random_inputs(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    pictures = random.integers(0, 256, (count, 64, 64, 3), dtype=np.uint8)
    # Hits rather than noise alone: sharp onsets, silence before them, levels from -60 to 0 dB.
    t = np.arange(CLIP.samples) / CLIP.sample_rate - CLIP.before
    hertz, decay = random.uniform(100, 7000, (count, 1)), random.uniform(5, 200, (count, 1))
    clips = np.where(t >= 0, np.sin(2 * np.pi * hertz * t) * np.exp(-decay * np.abs(t)), 0)
    clips += random.normal(0, 1e-4, clips.shape)
    clips *= 10 ** random.uniform(-3, 0, (count, 1))
    return pictures, clips.astype(np.float32)


def build_towers(image: str, sound: str) -> TwoTower:
    torch.manual_seed(0)
    log_mel = LogMel(CLIP.sample_rate, CLIP.samples, PICTURE.size)
    return TwoTower(ImageTower(build_network(image)), SoundTower(build_network(sound), log_mel))


@pytest.mark.parametrize(
    "name", ["resnet18", "shufflenet_v2_x0_5", "mobilenet_v2", "mnasnet0_5", "densenet121", "regnet_y_400mf"]
)
def test_a_pooled_network_is_torchvisions_and_its_cells_average_to_it(name: str) -> None:
    torch.manual_seed(0)
    ours = build_network(name).eval()
    torch.manual_seed(0)
    theirs = torchvision.models.get_model(name, weights=None, num_classes=128).eval()
    pictures = torch.rand(2, 3, 96, 96)
    assert isinstance(ours, PooledNetwork)
    with torch.inference_mode():
        wanted = theirs(pictures)
        torch.testing.assert_close(ours(pictures), wanted)
        projected, cells = ours.with_cells(pictures)
    assert cells.shape == (2, 3, 3, 128)
    torch.testing.assert_close(projected, wanted, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(cells.mean(dim=(1, 2)), wanted, rtol=1e-4, atol=1e-4)


def test_networks_that_cannot_be_towers() -> None:
    assert not isinstance(build_network("squeezenet1_1"), PooledNetwork)
    for name, message in (("resnet17", "no network named"), ("inception_v3", "auxiliary outputs")):
        with pytest.raises(TrainingError, match=message):
            build_network(name)


def test_scores_lie_between_0_and_1_and_embeddings_are_unit_vectors() -> None:
    pictures, clips = (torch.from_numpy(array) for array in random_inputs(8))
    towers = build_towers("resnet18", "shufflenet_v2_x0_5").eval()
    with torch.inference_mode():
        scores = towers(pictures, clips)
        assert scores.shape == (8,)
        assert ((scores >= 0) & (scores <= 1)).all()
        torch.testing.assert_close(towers.image(pictures).norm(dim=1), torch.ones(8))
        torch.testing.assert_close(towers.sound(clips).norm(dim=1), torch.ones(8))
    ends = pair_score(torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.tensor([[1.0, 0.0], [-1.0, 0.0]]))
    assert ends.tolist() == [1.0, 0.0]


def test_mel_bands_gather_equal_noise_equally_and_peak_at_their_centres() -> None:
    filters = mel_filterbank(32_000, 2048, 64, 40.0, 16_000.0)
    assert filters.shape == (64, 1025)
    areas = filters.sum(axis=1) * (32_000 / 2048)
    np.testing.assert_allclose(areas[16:], 1.0, rtol=0.05)
    assert (np.diff(filters.argmax(axis=1)) >= 0).all()


def golden_clip() -> torch.Tensor:
    t = torch.arange(CLIP.samples, dtype=torch.float64) / CLIP.sample_rate - CLIP.before
    hit = torch.where(t >= 0, torch.sin(2 * torch.pi * 1000 * t) * torch.exp(-30 * t.clamp(min=0)), 0.0)
    return hit.float()[None]


def test_golden_spectrogram() -> None:
    """A fixed clip's log-mel values; a change here means that every bundle hears something else."""
    log_mel = LogMel(CLIP.sample_rate, CLIP.samples, 64)
    spectrogram = log_mel(golden_clip())
    assert spectrogram.shape == (1, 3, 64, 64)
    assert torch.equal(spectrogram[:, 0], spectrogram[:, 2])
    found = spectrogram[0, 0]
    np.testing.assert_allclose(
        found[[18, 20, 21, 22, 24, 30, 63], [13, 20, 14, 25, 14, 14, 5]].numpy(), GOLDEN, atol=1e-3
    )
    # 1 kHz is where it should be, the hit where the window says, and the loudest cell near 0 dB.
    row, column = divmod(int(found.argmax()), 64)
    assert row == pytest.approx(64 * 2595 * np.log10(1 + 1000 / 700) / (2595 * np.log10(1 + 8000 / 700)), abs=2)
    assert column == pytest.approx(64 * 0.1 / 0.5, abs=2)
    assert 0.9 < found.max() <= 1.0
    # Level does not matter.
    torch.testing.assert_close(log_mel(0.01 * golden_clip()), spectrogram, atol=1e-4, rtol=0)
    assert (log_mel(torch.zeros(1, CLIP.samples)) == -1).all()


GOLDEN = [0.4587, 0.1795, 0.9878, -0.0807, 0.0427, -0.2893, -1.0]


@pytest.fixture(scope="module")
def towers() -> TwoTower:
    towers = build_towers("resnet18", "squeezenet1_1")
    # A few steps in training mode, so that batch normalisation holds statistics worth exporting.
    pictures, clips = random_inputs(32)
    with torch.no_grad():
        for _ in range(3):
            towers(torch.from_numpy(pictures), torch.from_numpy(clips))
    return towers.eval()


def test_exported_towers_equal_the_trained_ones(towers: TwoTower, tmp_path: Path) -> None:
    bundle, parity = export_bundle(
        towers,
        tmp_path / "bundle",
        name="test",
        backbones={"image": "resnet18", "sound": "squeezenet1_1"},
        picture=PICTURE,
        clip=CLIP,
    )
    assert parity >= 0.99999
    assert bundle.spec.cells == (2, 2)
    # Nothing of this machine is in them, or the same towers would be other bundles elsewhere.
    for name in bundle.spec.files:
        data = bundle.file(name).read_bytes()
        assert b"forward" not in data  # stands in every line of a stack trace
        assert str(Path(torch.__file__).parent).encode() not in data
    runtime = TowerRuntime(bundle)
    pictures, clips = random_inputs(64)
    found = runtime.embed_pictures(pictures)
    with torch.inference_mode():
        images, cells = towers.image.with_cells(torch.from_numpy(pictures))
        sounds = towers.sound(torch.from_numpy(clips))
    assert (found.embedding * images.numpy()).sum(axis=1).min() >= 0.99999
    assert (runtime.embed_clips(clips) * sounds.numpy()).sum(axis=1).min() >= 0.99999
    assert found.cells is not None
    np.testing.assert_allclose(found.cells, cells.numpy(), atol=1e-3)
    mean = found.cells.mean(axis=(1, 2))
    unit = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    np.testing.assert_allclose(unit, found.embedding, atol=1e-4)
    # One at a time and all at once are the same, and the same twice.
    one = np.concatenate([runtime.embed_pictures(pictures[i : i + 1]).embedding for i in range(4)])
    np.testing.assert_allclose(one, found.embedding[:4], atol=1e-5)
    assert np.array_equal(runtime.embed_pictures(pictures).embedding, found.embedding)
    with pytest.raises(BundleError, match="does not take its input"):
        runtime.embed_clips(clips[:, :-1])
