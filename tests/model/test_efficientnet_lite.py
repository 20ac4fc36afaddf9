"""EfficientNet-Lite without weights: its shape, its padding, its cells, and its export."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from model.bundle import ClipSpec, PictureSpec
from model.runtime import TowerRuntime
from model.torch_towers.efficientnet_lite import EFFICIENTNET_LITE, efficientnet_lite
from model.torch_towers.networks import EMBEDDING_SIZE, ImagenetNormalise, PooledNetwork, build_network
from model.torch_towers.spectrogram import LogMel
from model.torch_towers.two_tower import ImageTower, SoundTower, TwoTower
from training.systems.export import export_bundle


def test_lite0_has_the_published_number_of_parameters_and_its_parts() -> None:
    network = build_network("efficientnet_lite0", 1000)
    assert sum(parameter.numel() for parameter in network.parameters()) == 4_652_008
    kinds = {type(module) for module in network.modules()}
    assert nn.ReLU6 in kinds
    assert not kinds & {nn.SiLU, nn.Sigmoid, nn.AdaptiveAvgPool2d}
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert (module.eps, module.momentum) == (1e-3, 0.01)


@pytest.mark.parametrize(
    ("name", "blocks", "last", "dropout"),
    [
        ("efficientnet_lite0", [1, 2, 2, 3, 3, 4, 1], 320, 0.2),
        ("efficientnet_lite1", [1, 3, 3, 4, 4, 5, 1], 320, 0.2),
        ("efficientnet_lite2", [1, 3, 3, 4, 4, 5, 1], 352, 0.3),
    ],
)
def test_stem_head_and_outer_stages_are_not_scaled(name: str, blocks: list[int], last: int, dropout: float) -> None:
    features = efficientnet_lite(name, 128).get_submodule("features")
    assert isinstance(features, nn.Sequential)
    stem, *stages, head = features
    assert [len(list(stage.children())) for stage in stages] == blocks
    stem_weight, head_weight = next(stem.parameters()), next(head.parameters())
    assert stem_weight.shape == (32, 3, 3, 3)
    assert head_weight.shape == (1280, last, 1, 1)
    tower = build_network(name)
    assert isinstance(tower, PooledNetwork)
    assert tower.dropout.p == dropout


def test_a_strided_convolution_pads_as_tensorflow() -> None:
    stem = efficientnet_lite("efficientnet_lite0", 128).get_submodule("features.0.0")
    assert isinstance(stem, nn.Conv2d)
    first = torch.zeros_like(stem.weight)
    first[:, 0, 0, 0] = 1  # gives back the picture's value that each window starts with
    stem.weight = nn.Parameter(first)
    ramp = torch.arange(1.0, 9.0)
    with torch.no_grad():
        even = stem(ramp.expand(1, 3, 8, 8))[0, 0]
        odd = stem(ramp[:7].expand(1, 3, 7, 7))[0, 0]
    # Even sizes miss one value, which is added after the picture; odd sizes two, one on each side.
    assert even.tolist() == [[1, 3, 5, 7]] * 4
    assert odd.tolist() == [[0, 0, 0, 0]] + [[0, 2, 4, 6]] * 3


def test_a_tower_shows_it_the_values_it_was_trained_on() -> None:
    network = build_network("efficientnet_lite0").eval()
    raw = efficientnet_lite("efficientnet_lite0", 128).eval()
    assert isinstance(network, PooledNetwork)
    raw.get_submodule("features").load_state_dict(network.features.get_submodule("1").state_dict())
    raw.get_submodule("classifier.1").load_state_dict(network.projection.state_dict())
    pictures = torch.randint(0, 256, (2, 64, 64, 3), dtype=torch.uint8)
    with torch.no_grad():
        wanted = raw((pictures.permute(0, 3, 1, 2).float() - 127) / 128)
        torch.testing.assert_close(network(ImagenetNormalise()(pictures)), wanted, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", EFFICIENTNET_LITE)
@pytest.mark.parametrize(("size", "cells"), [(33, 2), (64, 2), (95, 3), (97, 4)])
def test_any_size_gives_an_embedding_and_cells_that_average_to_it(name: str, size: int, cells: int) -> None:
    network = build_network(name).eval()
    assert isinstance(network, PooledNetwork)
    pictures = torch.rand(2, 3, size, size)
    with torch.no_grad():
        wanted = network(pictures)
        projected, found = network.with_cells(pictures)
    assert wanted.shape == (2, 128)
    assert found.shape == (2, cells, cells, 128)
    torch.testing.assert_close(projected, wanted, rtol=1e-3, atol=1e-4)


def test_it_exports(tmp_path: Path) -> None:
    picture, clip = PictureSpec(size=48), ClipSpec(sample_rate=16_000, before=0.1, after=0.4)
    torch.manual_seed(0)
    log_mel = LogMel(clip.sample_rate, clip.samples, picture.size)
    heard = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, EMBEDDING_SIZE))
    sound = SoundTower(heard, log_mel)
    towers = TwoTower(ImageTower(build_network("efficientnet_lite0")), sound)
    random = np.random.default_rng(0)
    pictures = random.integers(0, 256, (16, 48, 48, 3), dtype=np.uint8)
    # Statistics worth exporting; at momentum 0.01 a few steps alone would leave them as they were drawn.
    for module in towers.image.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.momentum = None
    with torch.no_grad():
        towers.image.train()(torch.from_numpy(pictures))
    bundle, parity = export_bundle(
        towers,
        tmp_path / "bundle",
        name="lite",
        backbones={"image": "efficientnet_lite0", "sound": "none"},
        picture=picture,
        clip=clip,
    )
    assert parity >= 0.99999
    assert bundle.spec.cells == (2, 2)
    found = TowerRuntime(bundle).embed_pictures(pictures)
    with torch.no_grad():
        embedding, cells = towers.image.eval().with_cells(torch.from_numpy(pictures))
    np.testing.assert_allclose(found.embedding, embedding.numpy(), atol=1e-4)
    assert found.cells is not None
    np.testing.assert_allclose(found.cells, cells.numpy(), atol=1e-3 * float(cells.abs().max()))
    # Pictures that differ, embeddings that differ: else equal ones would say nothing.
    assert (found.embedding[0] * found.embedding[1]).sum() < 0.99999
