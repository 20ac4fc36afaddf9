"""The data that the heads are fitted on: features, materials and sources of pictures and sounds, also synthetic."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.sound import HIGH_PASS_HERTZ
from training.pretraining.features import (
    PictureFeatures,
    cached,
    features_of,
    pretrained_network,
    read_clips,
    read_pictures,
)
from training.pretraining.material_files import MaterialFiles, read_material_files
from training.pretraining.no_material import nothing_pictures
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.sound_features import SoundFeatures
from training.pretraining.spectra import ClearedLogMel
from training.synthesis.demo_library import write_library

_NOTHING_SEED = 1000
"""Added to the seed for the pictures without a material that are held out for calibration."""


@dataclass(frozen=True)
class PretrainingData:
    """Features of pictures `[N, F]`, sounds `[M, F]`, synthetic sounds and, in `nothing`, of drawn pictures."""

    pictures: MaterialFiles
    picture_features: Tensor
    picture_network: PictureFeatures
    imagenet_rows: Tensor
    nothing: Tensor
    nothing_held_out: Tensor
    sounds: MaterialFiles
    sound_features: Tensor
    log_mel: ClearedLogMel
    sound_network: SoundFeatures
    synthetic: Tensor
    synthetic_material: npt.NDArray[np.int64]

    def without(self, source: str) -> "PretrainingData":
        """The same data without the files of `source`."""
        seen, heard = self.pictures.source != source, self.sounds.source != source
        return replace(
            self,
            pictures=self.pictures.only(seen),
            picture_features=self.picture_features[torch.from_numpy(seen)],
            sounds=self.sounds.only(heard),
            sound_features=self.sound_features[torch.from_numpy(heard)],
        )

    def open_only(self) -> "PretrainingData":
        """The same data, of which only files with an open licence are fitted on."""
        return replace(self, pictures=self.pictures.open_only(), sounds=self.sounds.open_only())


def gather(data: Path, work: Path, recipe: PretrainingRecipe) -> PretrainingData:
    """Read the labelled files of `data` and compute their features, except those that `work` has already.

    Raises TrainingError as `read_material_files` does, and naming a file that cannot be decoded.
    """
    pictures, sounds = read_material_files(data, "image"), read_material_files(data, "sound")
    network = pretrained_network(recipe.image_network)
    see = PictureFeatures(network).eval()
    size = recipe.picture.size
    of_pictures = cached(
        work / f"pictures-{recipe.image_network}-{size}.npz",
        {"files": _contents(pictures), "network": recipe.image_network, "picture": recipe.picture.model_dump()},
        lambda: features_of(see, read_pictures(pictures.paths, recipe.picture), len(pictures), "pictures"),
    )
    drawn = [nothing_pictures(recipe.nothing, size, recipe.seed + offset) for offset in (0, _NOTHING_SEED)]
    nothing, held_out = (features_of(see, iter(some), len(some), "nothing") for some in drawn)
    sound_network = pretrained_network(recipe.sound_network)
    clip = recipe.clip
    log_mel = ClearedLogMel(clip.sample_rate, clip.samples, recipe.spectrogram_size)
    hear = SoundFeatures(recipe.sound_network, sound_network).eval()
    of_sounds = sound_features(sounds, log_mel, hear, recipe, work, "sounds")
    library = work / f"synthetic-{recipe.synthetic}-{recipe.seed}"
    if recipe.synthetic and not library.exists():
        write_library(library, recipe.synthetic, recipe.seed)
    made = read_material_files(library, "sound") if recipe.synthetic else None
    synthetic = (
        torch.zeros(0, of_sounds.shape[1])
        if made is None
        else sound_features(made, log_mel, hear, recipe, work, "synthetic")
    )
    return PretrainingData(
        pictures=pictures,
        picture_features=of_pictures,
        picture_network=see,
        imagenet_rows=network.projection.weight.detach(),
        nothing=nothing,
        nothing_held_out=held_out,
        sounds=sounds,
        sound_features=of_sounds,
        log_mel=log_mel,
        sound_network=hear,
        synthetic=synthetic,
        synthetic_material=np.zeros(0, np.int64) if made is None else made.material,
    )


def sound_features(
    files: MaterialFiles,
    log_mel: ClearedLogMel,
    hear: SoundFeatures,
    recipe: PretrainingRecipe,
    work: Path,
    what: str,
) -> Tensor:
    """Features `[N, F]` of sounds by the networks of `recipe`, cached in `work` under the name `what`."""
    identity = {
        "files": _contents(files),
        "network": recipe.sound_network,
        "clip": recipe.clip.model_dump(),
        "high_pass": HIGH_PASS_HERTZ,
        "size": recipe.spectrogram_size,
        "blocks": hear.blocks,
    }
    return cached(
        work / f"{what}-{recipe.sound_network}-{recipe.spectrogram_size}.npz",
        identity,
        lambda: features_of(nn.Sequential(log_mel, hear), read_clips(files.paths, recipe.clip), len(files), what),
    )


def _contents(files: MaterialFiles) -> list[str]:
    """SHA-256 of each file: features are reused for the same content, wherever the files are."""
    digests = []
    for path in files.paths:
        with path.open("rb") as handle:
            digests.append(hashlib.file_digest(handle, "sha256").hexdigest())
    return digests
