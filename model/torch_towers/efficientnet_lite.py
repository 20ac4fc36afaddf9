"""EfficientNet-Lite 0 to 2: EfficientNet without squeeze-and-excitation, with ReLU6, for small processors.

Source: Tan and Le, EfficientNet (2019), and the Lite variants' model card in TensorFlow's TPU models (2020). This
file says in what a Lite network differs from torchvision's EfficientNet; the rest is torchvision's.
"""

from functools import partial
from typing import Any, NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F
from torchvision.models import EfficientNet
from torchvision.models.efficientnet import MBConv, MBConvConfig


class _Scale(NamedTuple):
    """How a network differs from Lite0: factors of channels and of blocks a stage, and its dropout."""

    width: float
    depth: float
    dropout: float


EFFICIENTNET_LITE = {
    "efficientnet_lite0": _Scale(1.0, 1.0, 0.2),
    "efficientnet_lite1": _Scale(1.0, 1.1, 0.2),
    "efficientnet_lite2": _Scale(1.1, 1.2, 0.3),
}
"""The networks that `efficientnet_lite` builds."""


def efficientnet_lite(name: str, outputs: int) -> nn.Module:
    """The untrained network `name`: torchvision's EfficientNet, changed; `features` and `classifier` as there.

    It takes pictures `[B, 3, H, W]` of any size as `(value - 127) / 128`, value in [0, 255], which is what the
    published weights were trained on (torchvision's take standardised pictures), and gives `[B, outputs]`.
    The weights are drawn from torch's global generator. KeyError for another name.
    """
    width, depth, dropout = EFFICIENTNET_LITE[name]
    stage = partial(MBConvConfig, width_mult=width, block=partial(MBConv, se_layer=nn.Identity))
    stages = [  # expansion, kernel, stride, channels in and out at width 1, blocks at depth 1
        stage(1, 3, 1, 32, 16, 1),
        stage(6, 3, 2, 16, 24, 2, depth_mult=depth),
        stage(6, 5, 2, 24, 40, 2, depth_mult=depth),
        stage(6, 3, 2, 40, 80, 3, depth_mult=depth),
        stage(6, 5, 1, 80, 112, 3, depth_mult=depth),
        stage(6, 5, 2, 112, 192, 4, depth_mult=depth),
        stage(6, 3, 1, 192, 320, 1),
    ]
    # The channels after the stem and before the head are the same in every Lite network.
    assert stages[0].input_channels == 32
    norm = partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
    network: Any = EfficientNet(stages, dropout, num_classes=outputs, norm_layer=norm, last_channel=1280)
    _make_lite(network)
    assert isinstance(network, nn.Module)
    return network


def _make_lite(module: nn.Module) -> None:
    """Replace, in place, every SiLU by ReLU6 and every convolution with a stride by one that pads as TensorFlow."""
    for name, child in module.named_children():
        if isinstance(child, nn.SiLU):
            setattr(module, name, nn.ReLU6(inplace=True))
        elif isinstance(child, nn.Conv2d) and child.stride != (1, 1):
            setattr(module, name, SamePaddedConv2d.like(child))
        else:
            _make_lite(child)


class SamePaddedConv2d(nn.Conv2d):
    """A convolution with TensorFlow's "same" padding.

    It has `ceil(size / stride)` outputs, and where the padding is odd, the larger half comes after the picture.
    torch pads both sides alike: at an even size and stride 2 it sees other pixels.
    """

    @classmethod
    def like(cls, other: nn.Conv2d) -> "SamePaddedConv2d":
        """A convolution with the shape and the weights of `other`."""
        assert isinstance(other.kernel_size, tuple)
        same = cls(
            other.in_channels,
            other.out_channels,
            (other.kernel_size[0], other.kernel_size[1]),
            (other.stride[0], other.stride[1]),
            groups=other.groups,
            bias=False,
        )
        same.weight = other.weight
        return same

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 (torch's name)
        """`[B, channels, ceil(rows / stride), ceil(columns / stride)]`."""
        padding = []
        for axis in (1, 0):  # F.pad starts with the last axis
            size, kernel, stride = input.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            missing = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            padding += [missing // 2, missing - missing // 2]
        return super().forward(F.pad(input, padding))
