"""The data that the heads are fitted on: features, materials and sources of pictures and sounds."""

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.torch_towers.aisfx import AisfxNetwork, AisfxSpectrogram
from training.pretraining.features import (
    PictureFeatures,
    cached,
    contents,
    features_of,
    pretrained_network,
    read_pictures,
)
from training.pretraining.material_files import MaterialFiles, read_material_files, read_nothing_files
from training.pretraining.no_material import nothing_pictures
from training.pretraining.nothing import Nothing, together
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.query_pictures import choose_queries
from training.pretraining.sound_features import SoundNetworks, sound_features


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

    `varied_features [M, V, G]` are those of V variants of each sound, on which heads are fitted as well, and
    `sound_teacher [M, 1 + V, 17]` what the heads' teacher says of each sound and of its variants. It is learnt
    from sounds that are `taught [M]`: all that may be fitted on, also where their material is not believed.
    """

    sounds: MaterialFiles
    sound_features: Tensor
    varied_features: Tensor
    sound_teacher: Tensor
    taught: npt.NDArray[np.bool_]
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
            sound_teacher=self.sound_teacher[torch.from_numpy(heard)],
            taught=self.taught[heard],
        )

    def open_only(self) -> "PretrainingData":
        """The same data, of which only files with an open licence are fitted on, or are queries."""
        return replace(
            self,
            pictures=self.pictures.open_only(),
            queries=self.queries & self.pictures.open_licence,
            nothing=self.nothing.open_only(),
            sounds=self.sounds.open_only(),
            taught=self.taught & self.sounds.open_licence,
        )


def gather(data: Path, work: Path, recipe: PretrainingRecipe, threads: int = 1) -> PretrainingData:
    """Read the labelled files of `data` and compute their features, except those that `work` has already.

    Files that cannot be decoded are left out. Raises TrainingError as `read_material_files` does, and where no
    picture or no sound can be decoded.
    """
    # First, because it ends where a package is missing.
    networks = SoundNetworks(recipe.clip).eval()
    seen, sounds = gather_pictures(data, work, recipe, threads), read_material_files(data, "sound")
    heard = sound_features(sounds, networks, recipe, work, "sounds", threads)
    there = heard.readable
    sounds, unheard = sounds.only(there.numpy()), _lost(sounds, there)
    features, spectrogram, network = heard.features[there], *networks.network
    assert isinstance(spectrogram, AisfxSpectrogram)
    assert isinstance(network, AisfxNetwork)
    return PretrainingData(
        **{**vars(seen), "unreadable": (*seen.unreadable, *unheard)},
        sounds=replace(sounds, fitted=sounds.fitted & ~np.isin(sounds.source, recipe.sounds_not_fitted)),
        sound_features=features[:, 0],
        varied_features=features[:, 1:],
        sound_teacher=heard.teacher[there],
        taught=sounds.fitted,
        spectrogram=spectrogram,
        sound_network=network,
    )


def gather_pictures(data: Path, work: Path, recipe: PretrainingRecipe, threads: int = 1) -> PictureData:
    """The pictures of `gather` alone, which raises the same."""
    pictures, empty = read_material_files(data, "image"), read_nothing_files(data)
    network = pretrained_network(recipe.image_network)
    see = PictureFeatures(network, recipe.centre).eval()
    size = recipe.picture.size
    of_pictures = _picture_features(pictures, see, recipe, work, "pictures", threads)
    drawn = nothing_pictures(recipe.nothing, size, recipe.seed)
    of_nothing = [torch.zeros(0, of_pictures.shape[1])]
    if len(empty):
        real = _picture_features(empty, see, recipe, work, "nothing", threads)
        empty, real, broken = _readable(empty, real)
        of_nothing.append(real)
    else:
        broken = ()
    if len(drawn):
        of_nothing.append(features_of(see, iter(drawn), len(drawn), "drawn pictures", threads))
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
    files: MaterialFiles, see: PictureFeatures, recipe: PretrainingRecipe, work: Path, what: str, threads: int
) -> Tensor:
    """Features `[N, F]` of pictures, cached in `work` under the name `what`; NaN for those that cannot be read."""
    centre = {"centre": recipe.centre} if recipe.centre else {}
    suffix = f"-centre-{recipe.centre:g}" if recipe.centre else ""
    return cached(
        work / f"{what}-{recipe.image_network}-{recipe.picture.size}{suffix}.npz",
        {
            "files": contents(files.paths),
            "network": recipe.image_network,
            "picture": recipe.picture.model_dump(),
            **centre,
        },
        len(files),
        lambda: features_of(see, read_pictures(files.paths, recipe.picture), len(files), what, threads),
    )


def _readable(files: MaterialFiles, features: Tensor) -> tuple[MaterialFiles, Tensor, tuple[Path, ...]]:
    """The files and features `[N, F]` of those that could be read, and the paths of the others."""
    there = ~torch.isnan(features[:, 0])
    return files.only(there.numpy()), features[there], _lost(files, there)


def _lost(files: MaterialFiles, there: Tensor) -> tuple[Path, ...]:
    return tuple(path for path, kept in zip(files.paths, there.tolist(), strict=True) if not kept)
