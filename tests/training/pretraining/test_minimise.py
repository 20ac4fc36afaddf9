"""Minimising, and arithmetic that is the same on every processor."""

import torch

from training.pretraining.minimise import minimise
from training.pretraining.products import principal_directions, square_root


def test_parameters_of_any_shape_are_changed_in_place_to_where_the_loss_is_lowest() -> None:
    random = torch.Generator().manual_seed(0)
    wanted, scale = torch.randn(3, 4, generator=random), torch.rand(3, 4, generator=random) + 0.1
    table, number = torch.zeros(3, 4, requires_grad=True), torch.tensor(5.0, requires_grad=True)

    def loss() -> torch.Tensor:
        found: torch.Tensor = (scale * (table - wanted).square()).sum() + (number - 2.0).square()
        return found

    minimise(loss, [table, number], 200)
    torch.testing.assert_close(table.detach(), wanted, atol=1e-3, rtol=0)
    torch.testing.assert_close(number.detach(), torch.tensor(2.0), atol=1e-3, rtol=0)


def test_no_more_than_the_given_iterations_are_made() -> None:
    far = torch.zeros(50, requires_grad=True)
    steep = torch.logspace(0, 4, 50)

    def loss() -> torch.Tensor:
        found: torch.Tensor = (steep * (far - 1.0).square()).sum()
        return found

    minimise(loss, [far], 1)
    assert (far.detach() - 1.0).abs().max() > 0.1


def test_square_roots_are_those_of_torch_but_0_below_0() -> None:
    values = torch.cat(
        [torch.rand(1000, generator=torch.Generator().manual_seed(0)) * 100, torch.tensor([0.0, -1.0])]
    )
    torch.testing.assert_close(square_root(values), values.clamp_min(0.0).sqrt(), rtol=3e-7, atol=1e-10)


def test_the_principal_directions_are_those_of_the_largest_spread() -> None:
    random = torch.Generator().manual_seed(0)
    spread = torch.tensor([1.0, 5.0, 0.1, 3.0])
    found = principal_directions(torch.randn(500, 4, generator=random) * spread, 2)
    assert found.abs().argmax(dim=1).tolist() == [1, 3]
    torch.testing.assert_close(found @ found.T, torch.eye(2), atol=1e-5, rtol=0)
