"""A classifier of materials that is fitted on recordings alone, asked about synthetic sounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.materials import MATERIALS
from training.pretraining.fit_heads import Recordings, fit_sounds
from training.pretraining.material_files import MaterialFiles
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.sound_features import Heard, SoundNetworks, sound_features

Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Told:
    """What the classifier takes the sounds of a library for: `share` right and the `counts [17, 17]`, by material.

    `counts[i, j]` sounds of material i were taken for j. `recordings`: the same share of recordings, each told by a
    classifier that was fitted without the recordings of its group of sources.
    """

    share: Mapping[str, float]
    counts: Ids
    recordings: Mapping[str, float]


def tell(library: MaterialFiles, recordings: MaterialFiles, work: Path) -> Told:
    """Ask the sound classifier of `thud pretrain`, fitted on `recordings` alone, about the sounds of `library`.

    The features are kept in `work`. Files that cannot be read are left out.
    """
    recipe = PretrainingRecipe()
    networks = SoundNetworks(recipe.clip).eval()

    def features(files: MaterialFiles, variants: int, name: str) -> tuple[MaterialFiles, Heard]:
        own = recipe.model_copy(update={"variants": variants})
        found = sound_features(files, networks, own, work, name)
        usable = found.readable
        return files.only(usable.numpy()), Heard(found.features[usable], found.teacher[usable])

    recordings, recorded = features(recordings, recipe.variants, "sounds")
    library, made = features(library, 0, "library")

    def right(rows: npt.NDArray[np.bool_], asked: Tensor) -> Ids:
        chosen, which = recordings.only(rows), torch.from_numpy(rows)
        labelled = ~np.isin(chosen.source, recipe.sounds_not_fitted)
        of_chosen = (recorded.features[which], recorded.teacher[which])
        classifier = fit_sounds(
            Recordings(*of_chosen, chosen.material, chosen.source, chosen.group, labelled), recipe
        )
        found: Ids = classifier(asked).argmax(dim=1).numpy()
        return found

    taken = right(recordings.fitted, made.features[:, 0])
    counts = np.zeros((len(MATERIALS), len(MATERIALS)), np.int64)
    np.add.at(counts, (library.material, taken), 1)
    left_out = np.full(len(recordings), -1, np.int64)
    for group in sorted(set(recordings.group.tolist())):
        its = recordings.group == group
        left_out[its] = right(recordings.fitted & ~its, recorded.features[torch.from_numpy(its), 0])
    return Told(_shares(library.material, taken), counts, _shares(recordings.material, left_out))


def _shares(material: Ids, taken: Ids) -> dict[str, float]:
    return {
        one.name: float((taken[material == one.id] == one.id).mean())
        for one in MATERIALS
        if (material == one.id).any()
    }
