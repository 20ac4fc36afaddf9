"""The paper's measures against values worked out by hand."""

import numpy as np
import pytest
import torch
from torch.nn.functional import binary_cross_entropy, normalize

from model.errors import TrainingError
from training.losses import PairLoss, SigmoidLoss, build_loss
from training.metrics import chance_of_good, good_of_nearest, macro, pair_metrics
from training.splits import draw_groups


def test_pair_metrics() -> None:
    scores = np.array([0.9, 0.8, 0.6, 0.4, 0.2], np.float32)
    match = np.array([1, 0, 1, 1, 0], np.float32)
    found = pair_metrics(scores, match)
    assert (found.pairs, found.accuracy) == (5, 0.6)
    assert (found.precision, found.recall, found.f1) == pytest.approx((2 / 3, 2 / 3, 2 / 3))
    assert found.loss == pytest.approx(-np.log([0.9, 0.2, 0.6, 0.4, 0.8]).mean(), rel=1e-6)
    nothing = pair_metrics(np.zeros(3, np.float32), np.zeros(3, np.float32))
    assert (nothing.precision, nothing.recall, nothing.f1) == (0, 0, 0)


def test_good_sounds_among_the_nearest() -> None:
    pictures = np.array([[1, 0], [0, 1]], np.float32)
    sounds = np.array([[0, 1], [1, 0], [0.6, 0.8], [0.6, 0.8]], np.float32)
    material = np.array([0, 1, 2, 0], np.int8)
    present = np.zeros((2, 17), bool)
    present[0, [1, 2]] = present[1, 0] = True
    good = good_of_nearest(pictures, sounds, present, material, 3)
    assert good.tolist() == [[True, True, False], [True, False, True]]
    assert chance_of_good(present, material).tolist() == [0.5, 0.5]
    assert macro(np.array([0.2, 0.8]), present) == pytest.approx({0: 0.8, 1: 0.2, 2: 0.2})


def test_groups_are_drawn_whole_and_about_as_many_as_asked() -> None:
    groups = [f"recording {index // 3}" for index in range(300)]
    chosen = draw_groups(groups, 0.2, seed=0)
    assert sum(group in chosen for group in groups) == pytest.approx(60, abs=6)
    assert chosen == draw_groups(reversed(groups), 0.2, seed=0)
    assert chosen != draw_groups(groups, 0.2, seed=1)
    # One large group is not swallowed whole.
    assert draw_groups(["large"] * 90 + ["small"] * 10, 0.1, seed=0) == {"small"}


def unit(*rows: list[float]) -> torch.Tensor:
    return normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


def test_the_pair_loss_is_torchs_binary_cross_entropy_of_the_drawn_pairs() -> None:
    images = unit([1, 0], [1, 0], [3, 4], [1, 0]).requires_grad_()
    sounds = unit([1, 0], [-1, 0], [4, 3], [0, 1])
    match = torch.tensor([1.0, 0.0, 1.0, 0.0])
    # What stands outside the diagonal is no drawn pair and does not count.
    belongs = torch.ones(4, 4, dtype=torch.bool).fill_diagonal_(False) | torch.diag(match.bool())
    loss = PairLoss()(images, sounds, belongs)
    scores = torch.tensor([1.0, 0.0, 0.98, 0.5])
    assert loss.item() == pytest.approx(binary_cross_entropy(scores, match).item(), abs=1e-6)
    loss.backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    assert PairLoss()(images * float("nan"), sounds, belongs).isnan()


def test_the_sigmoid_loss_judges_every_picture_with_every_sound() -> None:
    loss = SigmoidLoss()
    images, sounds = unit([1, 0], [0, 1]), unit([1, 0], [0, 1])
    belongs = torch.tensor([[True, False], [True, True]])
    logits = [10 * cosine + np.log(0.25) for cosine in (1, 0, 0, 1)]
    wanted = np.mean([np.log1p(np.exp(-z if true else z)) for z, true in zip(logits, [1, 0, 1, 1], strict=True)])
    assert loss(images, sounds, belongs).item() == pytest.approx(wanted, rel=1e-5)
    assert {name for name, _ in loss.named_parameters()} == {"log_scale", "bias"}
    with pytest.raises(TrainingError, match="no loss named 'hinge'; there are pair, sigmoid"):
        build_loss("hinge")
