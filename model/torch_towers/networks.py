"""Networks by name, torchvision's and EfficientNet-Lite, with an embedding in place of ImageNet's classes."""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

from model.errors import TrainingError
from model.torch_towers.efficientnet_lite import EFFICIENTNET_LITE, efficientnet_lite

EMBEDDING_SIZE = 128
"""Size of the common space of both towers (paper, 3.4.1)."""


class PooledNetwork(nn.Module):
    """A network that is a feature map, its mean, and one linear layer.

    `forward` gives `[B, size]`. `with_cells` also gives the same projection of every cell of the feature map,
    `[B, rows, columns, size]`; their mean over the picture is what `forward` gives (in eval mode), because
    pooling and a linear layer commute.
    """

    def __init__(self, features: nn.Module, projection: nn.Linear, dropout: float) -> None:
        super().__init__()
        self.features = features
        self.dropout = nn.Dropout(dropout)
        self.projection = projection

    def forward(self, pictures: Tensor) -> Tensor:
        """Project pictures `[B, 3, H, W]` to `[B, size]`."""
        pooled = self.features(pictures).mean(dim=(2, 3))
        return self.projection(self.dropout(pooled))  # type: ignore[no-any-return]

    def with_cells(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The output of `forward` and the cells `[B, rows, columns, size]`, from one pass."""
        cells: Tensor = self.projection(self.features(pictures).permute(0, 2, 3, 1))
        return cells.mean(dim=(1, 2)), cells


def build_network(name: str, outputs: int = EMBEDDING_SIZE) -> nn.Module:
    """The network `name`, untrained: pictures `[B, 3, H, W]`, standardised, to `[B, outputs]`.

    `name` is one of torchvision's classification networks or of EFFICIENTNET_LITE. Where its head is pooling and
    one linear layer (ResNet, EfficientNet, MobileNetV2, RegNet, ShuffleNet, ...), a `PooledNetwork`, which has
    cells; else (VGG, MobileNetV3, ...) torchvision's own module. The weights are drawn from torch's global
    generator. Raises TrainingError for a name that is not known or a network without a plain `[B, outputs]` output.
    """
    check_name(name)
    if name in EFFICIENTNET_LITE:
        return as_tower_network(name, efficientnet_lite(name, outputs))
    return as_tower_network(name, torchvision.models.get_model(name, weights=None, num_classes=outputs))


def check_name(name: str) -> None:
    """Raise TrainingError where there is no network `name`, or it cannot be a tower's."""
    known = [*EFFICIENTNET_LITE, *torchvision.models.list_models(module=torchvision.models)]
    if name not in known:
        raise TrainingError(f"there is no network named {name!r}; choose one of {', '.join(known)}")
    if name in ("googlenet", "inception_v3"):
        raise TrainingError(f"{name} has auxiliary outputs, which a tower cannot use; choose another network")


def as_tower_network(name: str, network: nn.Module) -> nn.Module:
    """The classification network `network`, built as `name`, as `build_network` gives it, with its own weights."""
    for family, split in _POOLED.items():
        if name.startswith(family):
            features, projection, dropout = split(network)
            return PooledNetwork(features, projection, dropout)
    return network


def check_network(network: nn.Module, name: str, size: int) -> None:
    """Raise TrainingError where `network`, called `name` in the message, cannot take pictures of `size` pixels.

    One picture is run through it on the device it is on; its weights, statistics and mode stay as they are.
    """
    modes = [(module, module.training) for module in network.modules()]
    device = next(network.parameters()).device
    try:
        with torch.no_grad():
            network.eval()(torch.zeros(1, 3, size, size, device=device))
    except (RuntimeError, ValueError, AssertionError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise TrainingError(
            f"the network {name} cannot take pictures of {size} x {size} pixels ({reason}); "
            "choose another network or prepare the dataset at another size"
        ) from error
    finally:
        for module, training in modes:
            module.training = training


_Split = tuple[nn.Module, nn.Linear, float]


def _resnet(network: nn.Module) -> _Split:
    *features, _pool, projection = network.children()
    assert isinstance(projection, nn.Linear)
    return nn.Sequential(*features), projection, 0.0


def _classifier(body: str) -> Callable[[nn.Module], _Split]:
    """Split a network whose feature map comes from its child `body` and whose head is [dropout, linear]."""

    def split(network: nn.Module) -> _Split:
        features, head = network.get_submodule(body), network.get_submodule("classifier")
        assert isinstance(head, nn.Sequential)
        dropout, projection = head
        assert isinstance(dropout, nn.Dropout)
        assert isinstance(projection, nn.Linear)
        return features, projection, dropout.p

    return split


def _shufflenet(network: nn.Module) -> _Split:
    *features, projection = network.children()
    assert isinstance(projection, nn.Linear)
    return nn.Sequential(*features), projection, 0.0


def _densenet(network: nn.Module) -> _Split:
    projection = network.get_submodule("classifier")
    assert isinstance(projection, nn.Linear)
    return nn.Sequential(network.get_submodule("features"), nn.ReLU(inplace=True)), projection, 0.0


def _efficientnet_lite(network: nn.Module) -> _Split:
    features, projection, dropout = _classifier("features")(network)
    return nn.Sequential(_TensorFlowRange(), features), projection, dropout


_POOLED: dict[str, Callable[[nn.Module], _Split]] = {
    "resnet": _resnet,
    "resnext": _resnet,
    "wide_resnet": _resnet,
    "regnet": _resnet,
    "shufflenet": _shufflenet,
    "densenet": _densenet,
    "mnasnet": _classifier("layers"),
    "mobilenet_v2": _classifier("features"),
    "efficientnet_lite": _efficientnet_lite,
    "efficientnet": _classifier("features"),
}


_MEAN = (0.485, 0.456, 0.406)
_DEVIATION = (0.229, 0.224, 0.225)


class ImagenetNormalise(nn.Module):
    """Pictures `[B, H, W, 3]` in [0, 255], uint8 or float, to `[B, 3, H, W]`, standardised.

    ImageNet's mean becomes 0 and its standard deviation 1 in each channel. The constants are buffers: if they were
    made in every step, a GPU would wait for the CPU.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(_MEAN), persistent=False)
        self.register_buffer("deviation", torch.tensor(_DEVIATION), persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        """Normalise; the result lies in memory channel by channel of a pixel (channels last)."""
        batch, height, width, channels = pictures.shape
        # A row of pixels at once: ONNX Runtime takes ten times as long where three constants run along the
        # innermost axis as where many do.
        rows = pictures.float().reshape(batch, height, width * channels) / 255.0
        rows = (rows - self.mean.repeat(width)) / self.deviation.repeat(width)
        return rows.reshape(batch, height, width, channels).permute(0, 3, 1, 2)


class _TensorFlowRange(nn.Module):
    """What `ImagenetNormalise` gives, as the `(value - 127) / 128` that EfficientNet-Lite takes.

    It is a module of its own: folded into the first convolution it would change the value that this pads with.
    """

    scale: Tensor
    shift: Tensor

    def __init__(self) -> None:
        super().__init__()
        mean, deviation = torch.tensor(_MEAN), torch.tensor(_DEVIATION)
        self.register_buffer("scale", (255 * deviation / 128)[:, None, None], persistent=False)
        self.register_buffer("shift", ((255 * mean - 127) / 128)[:, None, None], persistent=False)

    def forward(self, pictures: Tensor) -> Tensor:
        return pictures * self.scale + self.shift
