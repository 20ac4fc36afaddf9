"""Picture networks by torchvision's own names, ending in an embedding instead of in ImageNet's classes."""

from collections.abc import Callable

import torch
import torchvision
from torch import Tensor, nn

from model.errors import TrainingError

EMBEDDING_SIZE = 128
"""Size of the common space of both towers (paper, 3.4.1)."""


class PooledNetwork(nn.Module):
    """A network that is a feature map, its mean, and one linear layer.

    `forward` gives `[B, size]`. `cells` gives the same projection of every cell of the feature map,
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
    """The torchvision classification network `name`, untrained, with `outputs` outputs.

    Where its head is pooling and one linear layer (ResNet, EfficientNet, MobileNetV2, RegNet, ShuffleNet,
    DenseNet, ...), a `PooledNetwork`, which has cells; else (VGG, MobileNetV3, ...) torchvision's own module.
    The weights are drawn from torch's global generator. Raises TrainingError for a name that torchvision does
    not know or a network without a plain `[B, outputs]` output.
    """
    known = torchvision.models.list_models(module=torchvision.models)
    if name not in known:
        raise TrainingError(f"torchvision has no network named {name!r}; it has {', '.join(known)}")
    if name in ("googlenet", "inception_v3"):
        raise TrainingError(f"{name} has auxiliary outputs, which a tower cannot use; choose another network")
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=outputs)
    for family, split in _POOLED.items():
        if name.startswith(family):
            features, projection, dropout = split(network)
            return PooledNetwork(features, projection, dropout)
    return network


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


_POOLED: dict[str, Callable[[nn.Module], _Split]] = {
    "resnet": _resnet,
    "resnext": _resnet,
    "wide_resnet": _resnet,
    "regnet": _resnet,
    "shufflenet": _shufflenet,
    "densenet": _densenet,
    "mnasnet": _classifier("layers"),
    "mobilenet_v2": _classifier("features"),
    "efficientnet": _classifier("features"),
}


def imagenet_normalise(pictures: Tensor) -> Tensor:
    """Pictures uint8 `[B, H, W, 3]` to float `[B, 3, H, W]` with ImageNet's mean 0 and deviation 1."""
    mean = torch.tensor([0.485, 0.456, 0.406], device=pictures.device)
    deviation = torch.tensor([0.229, 0.224, 0.225], device=pictures.device)
    return ((pictures.float() / 255.0 - mean) / deviation).permute(0, 3, 1, 2)
