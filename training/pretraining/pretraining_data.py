"""The data that the heads are fitted on: features, materials and sources of pictures and sounds."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self
from urllib.parse import quote

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from model.torch_towers.aisfx import AisfxNetwork, AisfxSpectrogram
from model.torch_towers.networks import PooledNetwork
from training.pretraining.classifier import LinearClassifier
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
from training.pretraining.tuned_weights import SHIPPED, TunedWeights


@dataclass(frozen=True)
class Seen:
    """What one network makes of pictures: features `[N, F]` of those of materials, `[K, F]` of those of nothing.

    `classifier` of the 17 materials was fitted together with the network.
    """

    network: PictureFeatures
    classifier: LinearClassifier | None
    pictures: Tensor
    nothing: Tensor

    def only(self, pictures: npt.NDArray[np.bool_], nothing: npt.NDArray[np.bool_]) -> "Seen":
        """The features of the pictures in both masks, `[N]` and `[K]`."""
        kept, empty = torch.from_numpy(pictures), torch.from_numpy(nothing)
        return replace(self, pictures=self.pictures[kept], nothing=self.nothing[empty])


@dataclass(frozen=True)
class PictureData:
    """Features of pictures `[N, F]` and, in `nothing`, of pictures of nothing.

    Pictures that are `queries [N]` are neither fitted nor calibrated on.
    `imagenet_rows [1000, F]` and `imagenet_bias [1000]` are the last layer of the picture network.
    `tuned_classifier` of the 17 materials was fitted together with a fine-tuned network.
    `seen_without`, by group of sources: by a network that has not seen the group. Where a group has none, no
    network was fitted on it.
    `unreadable` are listed files that could not be read; they are in none of these.
    """

    pictures: MaterialFiles
    queries: npt.NDArray[np.bool_]
    picture_features: Tensor
    picture_network: PictureFeatures
    tuned_classifier: LinearClassifier | None
    imagenet_rows: Tensor
    imagenet_bias: Tensor
    nothing: Nothing
    unreadable: tuple[Path, ...]
    seen_without: Mapping[str, Seen]

    def by_network_without(self, group: str) -> Self:
        """The same pictures as a network sees them that was not fitted on the group."""
        seen = self.seen_without.get(group)
        if seen is None:
            return self
        return replace(
            self,
            picture_features=seen.pictures,
            picture_network=seen.network,
            tuned_classifier=seen.classifier,
            nothing=replace(self.nothing, features=seen.nothing),
        )

    def open_only(self) -> Self:
        """The same data, of which only files with an open licence are fitted on, or are queries."""
        return replace(
            self,
            pictures=self.pictures.open_only(),
            queries=self.queries & self.pictures.open_licence,
            nothing=self.nothing.open_only(),
        )


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
            seen_without={
                group: one.only(seen, self.nothing.kind != source) for group, one in self.seen_without.items()
            },
            sounds=self.sounds.only(heard),
            sound_features=self.sound_features[torch.from_numpy(heard)],
            varied_features=self.varied_features[torch.from_numpy(heard)],
            sound_teacher=self.sound_teacher[torch.from_numpy(heard)],
            taught=self.taught[heard],
        )

    def open_only(self) -> Self:
        """The same data, of which only files with an open licence are fitted on, or are queries."""
        return replace(
            super().open_only(), sounds=self.sounds.open_only(), taught=self.taught & self.sounds.open_licence
        )


def gather(
    data: Path, work: Path, recipe: PretrainingRecipe, threads: int = 1, tuned: TunedWeights | None = None
) -> PretrainingData:
    """Read the labelled files of `data` and compute their features, except those that `work` has already.

    Pictures are seen by fine-tuned networks, `tuned` or those that ship, where `recipe.tuned`, else by ImageNet's.
    Files that cannot be decoded are left out. Raises TrainingError as `read_material_files` does, where no picture
    or no sound can be decoded, and where the networks that ship were fitted on other photographs.
    """
    # First, because it ends where a package is missing.
    networks = SoundNetworks(recipe.clip).eval()
    seen, sounds = gather_pictures(data, work, recipe, threads, tuned), read_material_files(data, "sound")
    heard = sound_features(sounds, networks, recipe, work, "sounds", threads)
    there = heard.readable
    sounds, unheard = sounds.only(there.numpy()), _lost(sounds, there.numpy())
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


def gather_pictures(
    data: Path, work: Path, recipe: PretrainingRecipe, threads: int = 1, tuned: TunedWeights | None = None
) -> PictureData:
    """The pictures of `gather` alone, which raises the same.

    `tuned` must have been fitted on the photographs that are fitted on (`TunedWeights.check`).
    """
    pictures, empty = read_material_files(data, "image"), read_nothing_files(data)
    imagenet = pretrained_network(recipe.image_network)
    drawn = nothing_pictures(recipe.nothing, recipe.picture.size, recipe.seed)
    digests = {"pictures": contents(pictures.paths), "nothing": contents(empty.paths)}

    def look(
        network: PooledNetwork, classifier: LinearClassifier | None, name: str, identity: Mapping[str, object]
    ) -> Seen:
        see = PictureFeatures(network, recipe.centre).eval()
        same = {what: {"files": files, **identity} for what, files in digests.items()}
        of_pictures = _picture_features(pictures, see, recipe, work, f"pictures{name}", same["pictures"], threads)
        of_nothing = [torch.zeros(0, of_pictures.shape[1])]
        if len(empty):
            of_nothing.append(
                _picture_features(empty, see, recipe, work, f"nothing{name}", same["nothing"], threads)
            )
        if len(drawn):
            of_nothing.append(features_of(see, iter(drawn), len(drawn), f"drawn pictures{name}", threads))
        return Seen(see, classifier, of_pictures, torch.cat(of_nothing))

    if recipe.tuned:
        weights = tuned or TunedWeights(SHIPPED)
        if tuned is None:
            weights.check(data, pictures)
        groups = sorted(set(weights.about(None).groups))
        found = look(*weights.network(None), " fine-tuned", weights.identity(None))
        without = {
            group: look(*weights.network(group), f" without {group}", weights.identity(group)) for group in groups
        }
    else:
        found, without = look(imagenet, None, "", {}), {}
    there = ~torch.isnan(found.pictures[:, 0]).numpy()
    kept = ~torch.isnan(found.nothing[:, 0]).numpy()
    found = found.only(there, kept)
    unread = (*_lost(pictures, there), *_lost(empty, kept[: len(empty)]))
    pictures, empty = pictures.only(there), empty.only(kept[: len(empty)])
    queries = choose_queries(pictures.names(data), pictures.source, pictures.fitted, recipe.queries)
    return PictureData(
        pictures=replace(pictures, fitted=pictures.fitted & ~queries),
        queries=queries,
        picture_features=found.pictures,
        picture_network=found.network,
        tuned_classifier=found.classifier,
        imagenet_rows=imagenet.projection.weight.detach(),
        imagenet_bias=imagenet.projection.bias.detach(),
        nothing=together(empty, found.nothing),
        unreadable=unread,
        seen_without={group: one.only(there, kept) for group, one in without.items()},
    )


def _picture_features(
    files: MaterialFiles,
    see: PictureFeatures,
    recipe: PretrainingRecipe,
    work: Path,
    what: str,
    identity: Mapping[str, object],
    threads: int,
) -> Tensor:
    """Features `[N, F]` of pictures, cached in `work` under the name `what`; NaN for those that cannot be read.

    `identity`: the files' contents, and what tells networks of one name from each other.
    """
    centre = {"centre": recipe.centre} if recipe.centre else {}
    suffix = f"-centre-{recipe.centre:g}" if recipe.centre else ""
    return cached(
        work / f"{quote(what.replace(' ', '-'), safe='')}-{recipe.image_network}-{recipe.picture.size}{suffix}.npz",
        {
            "network": recipe.image_network,
            "picture": recipe.picture.model_dump(),
            **centre,
            **identity,
        },
        len(files),
        lambda: features_of(see, read_pictures(files.paths, recipe.picture), len(files), what, threads),
    )


def _lost(files: MaterialFiles, there: npt.NDArray[np.bool_]) -> tuple[Path, ...]:
    return tuple(path for path, kept in zip(files.paths, there.tolist(), strict=True) if not kept)
