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
from training.pretraining.material_files import MaterialFiles, read_material_files, read_nothing_files
from training.pretraining.no_material import nothing_pictures
from training.pretraining.nothing import Nothing, together
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.sound_features import SoundFeatures
from training.pretraining.spectra import ClearedLogMel
from training.synthesis.demo_library import write_library


@dataclass(frozen=True)
class PretrainingData:
    """Features of pictures `[N, F]`, sounds `[M, F]`, synthetic sounds and, in `nothing`, of pictures of nothing.

    `imagenet_rows [1000, F]` and `imagenet_bias [1000]` are the last layer of the picture network.
    `unreadable` are listed files that could not be read; they are in none of these.
    """

    pictures: MaterialFiles
    picture_features: Tensor
    picture_network: PictureFeatures
    imagenet_rows: Tensor
    imagenet_bias: Tensor
    nothing: Nothing
    sounds: MaterialFiles
    sound_features: Tensor
    log_mel: ClearedLogMel
    sound_network: SoundFeatures
    synthetic: Tensor
    synthetic_material: npt.NDArray[np.int64]
    unreadable: tuple[Path, ...]

    def without(self, source: str) -> "PretrainingData":
        """The same data without the files of `source`."""
        seen, heard = self.pictures.source != source, self.sounds.source != source
        return replace(
            self,
            pictures=self.pictures.only(seen),
            picture_features=self.picture_features[torch.from_numpy(seen)],
            nothing=self.nothing.without(source),
            sounds=self.sounds.only(heard),
            sound_features=self.sound_features[torch.from_numpy(heard)],
        )

    def open_only(self) -> "PretrainingData":
        """The same data, of which only files with an open licence are fitted on."""
        return replace(
            self,
            pictures=self.pictures.open_only(),
            nothing=self.nothing.open_only(),
            sounds=self.sounds.open_only(),
        )


def gather(data: Path, work: Path, recipe: PretrainingRecipe) -> PretrainingData:
    """Read the labelled files of `data` and compute their features, except those that `work` has already.

    Files that cannot be decoded are left out. Raises TrainingError as `read_material_files` does, and where no
    picture or no sound can be decoded.
    """
    pictures, sounds = read_material_files(data, "image"), read_material_files(data, "sound")
    empty = read_nothing_files(data)
    network = pretrained_network(recipe.image_network)
    see = PictureFeatures(network, recipe.centre).eval()
    size = recipe.picture.size
    of_pictures = _picture_features(pictures, see, recipe, work, "pictures")
    drawn = nothing_pictures(recipe.nothing, size, recipe.seed)
    of_nothing = [torch.zeros(0, of_pictures.shape[1])]
    if len(empty):
        real = _picture_features(empty, see, recipe, work, "nothing")
        empty, real, broken = _readable(empty, real)
        of_nothing.append(real)
    else:
        broken = ()
    if len(drawn):
        of_nothing.append(features_of(see, iter(drawn), len(drawn), "drawn pictures"))
    pictures, of_pictures, unseen = _readable(pictures, of_pictures)
    sound_network = pretrained_network(recipe.sound_network)
    clip = recipe.clip
    log_mel = ClearedLogMel(clip.sample_rate, clip.samples, recipe.spectrogram_size)
    hear = SoundFeatures(recipe.sound_network, sound_network).eval()
    sounds, of_sounds, unheard = _readable(sounds, sound_features(sounds, log_mel, hear, recipe, work, "sounds"))
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
        imagenet_bias=network.projection.bias.detach(),
        nothing=together(empty, torch.cat(of_nothing)),
        sounds=sounds,
        sound_features=of_sounds,
        log_mel=log_mel,
        sound_network=hear,
        synthetic=synthetic,
        synthetic_material=np.zeros(0, np.int64) if made is None else made.material,
        unreadable=(*unseen, *broken, *unheard),
    )


def _picture_features(
    files: MaterialFiles, see: PictureFeatures, recipe: PretrainingRecipe, work: Path, what: str
) -> Tensor:
    """Features `[N, F]` of pictures, cached in `work` under the name `what`; NaN for those that cannot be read."""
    centre = {"centre": recipe.centre} if recipe.centre else {}
    suffix = f"-centre-{recipe.centre:g}" if recipe.centre else ""
    return cached(
        work / f"{what}-{recipe.image_network}-{recipe.picture.size}{suffix}.npz",
        {
            "files": _contents(files),
            "network": recipe.image_network,
            "picture": recipe.picture.model_dump(),
            **centre,
        },
        lambda: features_of(see, read_pictures(files.paths, recipe.picture), len(files), what),
    )


def _readable(files: MaterialFiles, features: Tensor) -> tuple[MaterialFiles, Tensor, tuple[Path, ...]]:
    """The files and features `[N, F]` of those that could be read, and the paths of the others."""
    there = ~torch.isnan(features[:, 0])
    lost = tuple(path for path, kept in zip(files.paths, there.tolist(), strict=True) if not kept)
    return files.only(there.numpy()), features[there], lost


def sound_features(
    files: MaterialFiles,
    log_mel: ClearedLogMel,
    hear: SoundFeatures,
    recipe: PretrainingRecipe,
    work: Path,
    what: str,
) -> Tensor:
    """Features `[N, F]` of sounds by the networks of `recipe`, cached in `work` under the name `what`.

    Those of a sound that cannot be read are NaN.
    """
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
        try:
            with path.open("rb") as handle:
                digests.append(hashlib.file_digest(handle, "sha256").hexdigest())
        except OSError:
            digests.append("cannot be read")
    return digests
