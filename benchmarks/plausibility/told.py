"""A classifier of materials that is fitted on recordings alone, asked about synthetic sounds."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.materials import MATERIALS
from training.pretraining.features import pretrained_network
from training.pretraining.fit_heads import fit_sounds
from training.pretraining.material_files import MaterialFiles
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import sound_features
from training.pretraining.sound_features import SoundFeatures
from training.pretraining.spectra import ClearedLogMel

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
    log_mel = ClearedLogMel(recipe.clip.sample_rate, recipe.clip.samples, recipe.spectrogram_size)
    hear = SoundFeatures(recipe.sound_network, pretrained_network(recipe.sound_network)).eval()

    def features(files: MaterialFiles, name: str) -> tuple[MaterialFiles, Tensor]:
        found = sound_features(files, log_mel, hear, recipe, work, name)
        usable = ~torch.isnan(found[:, 0])
        return files.only(usable.numpy()), found[usable]

    recordings, recorded = features(recordings, "sounds")
    library, made = features(library, "library")

    def right(rows: npt.NDArray[np.bool_], asked: Tensor) -> Ids:
        chosen = recordings.only(rows)
        nothing = torch.zeros(0, recorded.shape[1])
        classifier = fit_sounds(
            recorded[torch.from_numpy(rows)],
            chosen.material,
            chosen.source,
            hear.blocks,
            nothing,
            np.zeros(0, np.int64),
            recipe,
        )
        found: Ids = classifier(asked).argmax(dim=1).numpy()
        return found

    taken = right(recordings.fitted, made)
    counts = np.zeros((len(MATERIALS), len(MATERIALS)), np.int64)
    np.add.at(counts, (library.material, taken), 1)
    left_out = np.full(len(recordings), -1, np.int64)
    for group in sorted(set(recordings.group.tolist())):
        its = recordings.group == group
        left_out[its] = right(recordings.fitted & ~its, recorded[torch.from_numpy(its)])
    return Told(_shares(library.material, taken), counts, _shares(recordings.material, left_out))


def _shares(material: Ids, taken: Ids) -> dict[str, float]:
    return {
        one.name: float((taken[material == one.id] == one.id).mean())
        for one in MATERIALS
        if (material == one.id).any()
    }
