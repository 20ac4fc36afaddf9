"""Pooling that looks at the middle of a picture more than at its edges: what is photographed stands there."""

import torch
from torch import Tensor, nn

from model.torch_towers.networks import PooledNetwork

_MARGIN = 1 / 6
"""The share of the rows and columns that lies beside the centre on each side: of 6 cells the middle 4 are left."""


def margin(cells: int) -> int:
    """How many of `cells` in a row lie outside the centre on each side; at least one is left."""
    return min(round(_MARGIN * cells), (cells - 1) // 2)


def pool(cells: Tensor, centre: float) -> Tensor:
    """`(1 - centre)` times the mean of all `cells [B, rows, columns, C]` and `centre` times that of the middle."""
    whole = cells.mean(dim=(1, 2))
    if not centre:
        return whole
    rows, columns = margin(cells.shape[1]), margin(cells.shape[2])
    middle = cells[:, rows : cells.shape[1] - rows, columns : cells.shape[2] - columns]
    return (1.0 - centre) * whole + centre * middle.mean(dim=(1, 2))


class CentredNetwork(PooledNetwork):
    """A `PooledNetwork` that pools with `centre`: a weighted mean of its cells is what `forward` gives.

    `head`: from pooled features `[B, F]` to probabilities `[B, O]` of everyday objects, and to what is added to the
    projection of the picture and of each of its cells, `[B, size]`.
    """

    def __init__(
        self, features: nn.Module, projection: nn.Linear, centre: float, head: nn.Module | None = None
    ) -> None:
        super().__init__(features, projection, dropout=0.0)
        self.centre = centre
        self.objects = head

    def forward(self, pictures: Tensor) -> Tensor:
        """Project pictures `[B, 3, H, W]` to `[B, size]`."""
        features = pool(self.features(pictures).permute(0, 2, 3, 1), self.centre)
        projected: Tensor = self.projection(features)
        return projected if self.objects is None else projected + self.objects(features)[1]

    def with_cells(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        """The output of `forward` and the cells `[B, rows, columns, size]`, from one pass."""
        if self.objects is not None:
            return self.with_objects(pictures)[:2]
        cells: Tensor = self.projection(self.features(pictures).permute(0, 2, 3, 1))
        return pool(cells, self.centre), cells

    def with_objects(self, pictures: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The outputs of `with_cells` and the objects' probabilities `[B, O]`, from one pass."""
        assert self.objects is not None
        maps = self.features(pictures).permute(0, 2, 3, 1)
        cells: Tensor = self.projection(maps)
        rows, columns = maps.shape[1:3]
        # What `pool` does, as one product: its slices and means take several times as long.
        weights = pool(torch.eye(rows * columns).reshape(-1, rows, columns, 1), self.centre).T
        pooled, features = ((weights @ one.flatten(1, 2))[:, 0] for one in (cells, maps))
        objects, added = self.objects(features)
        return pooled + added, cells + added[:, None, None], objects
