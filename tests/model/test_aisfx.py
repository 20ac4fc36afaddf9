"""The spectrogram and the network of aiSFX."""

import numpy as np
import pytest
import torch
from torch import Tensor

from model.torch_towers.aisfx import FEATURES, AisfxNetwork, AisfxSpectrogram


def tone(rate: int, hertz: float = 1000.0) -> Tensor:
    return 0.3 * torch.sin(2 * np.pi * hertz * torch.arange(rate) / rate)[None]


def test_a_tone_is_in_its_band_whatever_its_level_and_rate() -> None:
    spectrogram = AisfxSpectrogram(32_000)
    levels = spectrogram(tone(32_000))
    assert levels.shape[:2] == (1, 1)
    assert levels.shape[3] == 96
    middle = levels[0, 0, levels.shape[2] // 2]
    # 1,000 Hz is 1000 mel; 22,050 Hz is 3,924 mel, and the 96 bands and the edge lie equally far apart.
    assert int(middle.argmax()) == round(1000 / 3924 * 97) - 1
    torch.testing.assert_close(spectrogram(0.01 * tone(32_000)), levels, atol=1e-4, rtol=0)
    other = AisfxSpectrogram(44_100)(tone(44_100))
    assert abs(other[0, 0, other.shape[2] // 2].max() - middle.max()) < 0.01


def test_bands_above_half_the_sample_rate_are_empty_and_silence_is_too() -> None:
    noise = torch.rand(1, 16_000, generator=torch.manual_seed(0)) - 0.5
    levels = AisfxSpectrogram(16_000)(noise)
    assert (levels[..., 75:] == 0).all()
    assert (levels[0, 0, 3, :60] > 0).all()
    assert (AisfxSpectrogram(16_000)(torch.zeros(2, 8_000)) == 0).all()


@pytest.mark.parametrize("frames", [8, 31, 100])
def test_the_network_takes_any_length(frames: int) -> None:
    network = AisfxNetwork().eval()
    assert len(network.convolutions()) == 8
    with torch.inference_mode():
        assert network(torch.rand(2, 1, frames, 96)).shape == (2, FEATURES)
