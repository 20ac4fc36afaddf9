"""Networks that cannot take pictures of a size say so before a training starts."""

import pytest
import torch
from torch import nn

from model.errors import TrainingError
from model.torch_towers.networks import build_network, check_network


def test_a_picture_too_small_for_the_network_is_named_with_it() -> None:
    alexnet = build_network("alexnet")
    with pytest.raises(TrainingError, match=r"alexnet cannot take pictures of 32 x 32 pixels \(.*too small\)"):
        check_network(alexnet, "alexnet", 32)
    check_network(alexnet, "alexnet", 64)


def test_a_network_for_one_size_only_is_named_too() -> None:
    with pytest.raises(TrainingError, match=r"vit_b_32 cannot take pictures of 64 x 64 pixels \(.*Expected 224"):
        check_network(build_network("vit_b_32"), "vit_b_32", 64)


def test_checking_changes_nothing_in_the_network() -> None:
    network = build_network("shufflenet_v2_x0_5")
    frozen = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d)).eval()
    before = {key: value.clone() for key, value in network.state_dict().items()}
    check_network(network, "shufflenet_v2_x0_5", 64)
    assert network.training
    assert not frozen.training
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
