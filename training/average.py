"""The exponential moving average of a system's weights."""

import copy

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn

from training.systems import System


class WeightAverage:
    """A copy of a system whose weights follow it: `average <- decay average + (1 - decay) weights` at each step.

    Parameters and persistent floating-point buffers (statistics of batch normalisation) are averaged in one fused
    operation; torch's AveragedModel also goes through counters and constants, one by one, and reads its own counter
    from the device. The first update copies.
    """

    def __init__(self, system: System, decay: float) -> None:
        self.system = copy.deepcopy(system).requires_grad_(False)
        self._update = get_ema_multi_avg_fn(decay)  # type: ignore[no-untyped-call]
        names = [name for name, value in system.state_dict().items() if value.is_floating_point()]
        self._mine = _picked(self.system, names)
        self._theirs = _picked(system, names)
        self._begun = False

    @torch.no_grad()
    def update(self) -> None:
        """Follow the system by one step."""
        if self._begun:
            self._update(self._mine, self._theirs, None)
        else:
            torch._foreach_copy_(self._mine, self._theirs)
            self._begun = True

    def load(self, state: dict[str, Tensor]) -> None:
        """Go on from the average of a checkpoint."""
        self.system.load_state_dict(state)
        self._begun = True


def _picked(system: System, names: list[str]) -> list[Tensor]:
    """The tensors themselves: they are changed in place and never replaced."""
    state = system.state_dict(keep_vars=True)
    return [state[name].detach() for name in names]
