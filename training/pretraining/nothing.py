"""Pictures of nothing to touch, real and drawn: their features, and which of them are left out together."""

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from training.pretraining.material_files import MaterialFiles
from training.pretraining.no_material import kinds_of

Names = npt.NDArray[np.str_]
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Nothing:
    """Features `[K, F]` of K pictures of nothing, first the real ones of `files`, then the drawn ones.

    `kind [K]` is the source of a real one and, of a drawn one, `drawn` and what is drawn; `group [K]` is the group
    of the source, a drawn kind is a group of its own. `fitted [K]`: whether heads may be fitted on it.
    """

    features: Tensor
    files: MaterialFiles
    kind: Names
    group: Names
    fitted: Mask

    def __len__(self) -> int:
        return len(self.kind)

    @property
    def drawn(self) -> Mask:
        """Which are drawn, `[K]`."""
        mask: Mask = np.arange(len(self)) >= len(self.files)
        return mask

    def without(self, source: str) -> "Nothing":
        """The same without the files of `source`."""
        kept = self.kind != source
        return together(self.files.only(self.files.source != source), self.features[torch.from_numpy(kept)])

    def open_only(self) -> "Nothing":
        """The same, of which only drawn ones and files with an open licence are fitted on."""
        files = self.files.open_only()
        return replace(self, files=files, fitted=np.concatenate([files.fitted, self.fitted[len(files) :]]))


def together(files: MaterialFiles, features: Tensor) -> Nothing:
    """The pictures of `files` and as many drawn ones as `features [K, F]` are more."""
    drawn = [f"drawn {kind}" for kind in kinds_of(len(features) - len(files))]
    names = np.array(drawn, np.str_)
    return Nothing(
        features,
        files,
        np.concatenate([files.source, names]),
        np.concatenate([files.group, names]),
        np.concatenate([files.fitted, np.ones(len(drawn), np.bool_)]),
    )
