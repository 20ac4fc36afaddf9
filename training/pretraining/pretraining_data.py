"""The data that the heads are fitted on: features, materials and sources of pictures and sounds."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from model.high_pass import HIGH_PASS_HERTZ
from model.torch_towers.aisfx import AisfxNetwork, AisfxSpectrogram
from training.pretraining.aisfx_weights import aisfx_network
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
from training.pretraining.query_pictures import choose_queries
from training.pretraining.varied_sounds import read_varied_clips


@dataclass(frozen=True)
class PictureData:
    """Features of pictures `[N, F]` and, in `nothing`, of pictures of nothing.

    Pictures that are `queries [N]` are neither fitted nor calibrated on.
    `imagenet_rows [1000, F]` and `imagenet_bias [1000]` are the last layer of the picture network.
    `unreadable` are listed files that could not be read; they are in none of these.
    """

    pictures: MaterialFiles
    queries: npt.NDArray[np.bool_]
    picture_features: Tensor
    picture_network: PictureFeatures
    imagenet_rows: Tensor
    imagenet_bias: Tensor
    nothing: Nothing
    unreadable: tuple[Path, ...]


@dataclass(frozen=True)
class PretrainingData(PictureData):
    """Also the features of sounds `[M, G]`.

    `varied_features [M, V, G]` are those of V variants of each sound, on which heads are fitted as well.
    """

    sounds: MaterialFiles
    sound_features: Tensor
    varied_features: Tensor
    spectrogram: AisfxSpectrogram
    sound_network: AisfxNetwork

    def without(self, source: str) -> "PretrainingData":
        """The same data without the files of `source`."""
        seen, heard = self.pictures.source != source, self.sounds.source != source
        return replace(
            self,
            pictures=self.pictures.only(seen),
            queries=self.queries[seen],
            picture_features=self.picture_features[torch.from_numpy(seen)],
            nothing=self.nothing.without(source),
            sounds=self.sounds.only(heard),
            sound_features=self.sound_features[torch.from_numpy(heard)],
            varied_features=self.varied_features[torch.from_numpy(heard)],
        )

    def open_only(self) -> "PretrainingData":
        """The same data, of which only files with an open licence are fitted on, or are queries."""
        return replace(
            self,
            pictures=self.pictures.open_only(),
            queries=self.queries & self.pictures.open_licence,
            nothing=self.nothing.open_only(),
            sounds=self.sounds.open_only(),
        )


def gather(data: Path, work: Path, recipe: PretrainingRecipe) -> PretrainingData:
    """Read the labelled files of `data` and compute their features, except those that `work` has already.

    Files that cannot be decoded are left out. Raises TrainingError as `read_material_files` does, and where no
    picture or no sound can be decoded.
    """
    seen = gather_pictures(data, work, recipe)
    sounds = read_material_files(data, "sound")
    sounds = replace(sounds, fitted=sounds.fitted & ~np.isin(sounds.source, recipe.sounds_not_fitted))
    spectrogram, hear = AisfxSpectrogram(recipe.clip.sample_rate), aisfx_network()
    of_sounds, of_variants = sound_features(sounds, nn.Sequential(spectrogram, hear), recipe, work, "sounds")
    of_both = torch.cat([of_sounds[:, None], of_variants], dim=1).flatten(1)
    sounds, of_both, unheard = _readable(sounds, of_both)
    of_both = of_both.reshape(len(sounds), 1 + recipe.variants, -1)
    return PretrainingData(
        **{**vars(seen), "unreadable": (*seen.unreadable, *unheard)},
        sounds=sounds,
        sound_features=of_both[:, 0],
        varied_features=of_both[:, 1:],
        spectrogram=spectrogram,
        sound_network=hear,
    )


def gather_pictures(data: Path, work: Path, recipe: PretrainingRecipe) -> PictureData:
    """The pictures of `gather` alone, which raises the same."""
    pictures, empty = read_material_files(data, "image"), read_nothing_files(data)
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
    root = data if data.is_dir() else data.parent
    names = [(one.relative_to(root) if one.is_relative_to(root) else one).as_posix() for one in pictures.paths]
    queries = choose_queries(names, pictures.source, pictures.fitted, recipe.queries)
    return PictureData(
        pictures=replace(pictures, fitted=pictures.fitted & ~queries),
        queries=queries,
        picture_features=of_pictures,
        picture_network=see,
        imagenet_rows=network.projection.weight.detach(),
        imagenet_bias=network.projection.bias.detach(),
        nothing=together(empty, torch.cat(of_nothing)),
        unreadable=(*unseen, *broken),
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
    files: MaterialFiles, hear: nn.Module, recipe: PretrainingRecipe, work: Path, what: str
) -> tuple[Tensor, Tensor]:
    """Features `[M, G]` of sounds and `[M, V, G]` of their variants, cached in `work` under the name `what`.

    Those of a sound that cannot be read are NaN.
    """
    variants = recipe.variants
    identity: dict[str, object] = {
        "files": _contents(files),
        "network": recipe.sound_network,
        "clip": recipe.clip.model_dump(),
        "high_pass": HIGH_PASS_HERTZ,
    }
    plain = cached(
        work / f"{what}-{recipe.sound_network}.npz",
        identity,
        lambda: features_of(hear, read_clips(files.paths, recipe.clip), len(files), what),
    )
    if not variants:
        return plain, plain.new_zeros((len(files), 0, plain.shape[1]))
    seed = f"-seed-{recipe.seed}" if recipe.seed else ""
    varied = cached(
        work / f"{what}-{recipe.sound_network}-varied-{variants}{seed}.npz",
        {**identity, "variants": variants, "seed": recipe.seed},
        lambda: features_of(
            hear,
            read_varied_clips(files.paths, recipe.clip, variants, recipe.seed),
            variants * len(files),
            f"varied {what}",
        ),
    )
    return plain, varied.reshape(len(files), variants, -1)


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
