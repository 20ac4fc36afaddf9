"""The paper's four systems: sound network, visual network, FC_AGG and TT_AGG (3.3 and 3.4), ready to be trained."""

import re
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from model.materials import MATERIALS
from model.torch_towers.networks import EMBEDDING_SIZE, build_network, check_network
from model.torch_towers.spectrogram import LogMel
from model.torch_towers.two_tower import ImageTower, SoundTower, TwoTower
from training.data.dataset import DatasetInfo
from training.systems.augment_pictures import augment_pictures
from training.systems.augment_sounds import SoundAugmenter
from training.systems.frequency import StreamingFrequency, StreamingShare
from training.systems.imagenet import load_imagenet_weights
from training.systems.losses import Relation, build_loss
from training.systems.recipe import Recipe, clip_window

CLASSES = len(MATERIALS)


class Truth(NamedTuple):
    """What is known of a batch's P pictures and B clips."""

    present: Tensor  # bool [P, 17] the materials of each picture
    possible: Tensor  # bool [P, 17] the materials of each picture by all events of its video
    material: Tensor  # int64 [B] the material of each clip
    partner: Tensor  # int64 [B] place among the pictures of the one that a clip was drawn with; -1 in a grid
    owned: Tensor  # bool [P, B] the clip is the picture's own
    clip: Tensor  # int64 [B] row of the clip in the dataset


class System(nn.Module):
    """One of the paper's systems: an image tower, a sound tower or both, and a loss of what they give.

    `see` and `hear` make outputs of the towers' networks, `objective` a loss of those. The split is what lets
    several processes share a batch: each sees and hears its part, and all judge the whole.

    Args:
        recipe: What is built, and how training pictures and sounds are varied.
        info: Sizes of the dataset's pictures and clips.
        pretrained: Whether networks begin with ImageNet's weights where the recipe says so.
    """

    network_outputs = EMBEDDING_SIZE
    """N, the size of what each network gives."""

    def __init__(self, recipe: Recipe, info: DatasetInfo, pretrained: bool) -> None:
        super().__init__()
        self.recipe = recipe
        self.window = clip_window(recipe, info.clip)
        self.augmenter = SoundAugmenter(recipe.sounds, info.clip, self.window)
        log_mel = LogMel(
            self.window.sample_rate, self.window.samples, info.picture.size, highest_hertz=recipe.highest_hertz
        )
        build = partial(_network, self.network_outputs, info.picture.size, pretrained)
        image, sound = (recipe.image_network, recipe.image_weights), (recipe.sound_network, recipe.sound_weights)
        self.image = ImageTower(build(*image)) if recipe.sees else None
        self.sound = SoundTower(build(*sound), log_mel) if recipe.hears else None

    def see(self, pictures: Tensor, draws: Tensor | None = None) -> Tensor:
        """Outputs `[P, N]` for pictures uint8 `[P, size, size, 3]`, augmented where draws are given."""
        assert self.image is not None
        if draws is not None:
            pictures = augment_pictures(pictures, draws, self.recipe.pictures)
        return self.image.outputs(pictures)

    def hear(self, clips: Tensor, draws: Tensor | None = None) -> Tensor:
        """Outputs `[B, N]` for stored clips int16 `[B, samples]`, augmented where draws are given."""
        assert self.sound is not None
        # The powers of a spectrum span more than bfloat16 can tell apart.
        with torch.autocast(clips.device.type, enabled=False):
            spectrograms = self.sound.log_mel(self.augmenter.windows(clips, draws))
            spectrograms = self.augmenter.spectrograms(spectrograms, draws)
        return self.sound.network(spectrograms)  # type: ignore[no-any-return]

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """The loss of a batch, a scalar, from the outputs of `see` `[P, N]` and of `hear` `[B, N]`."""
        raise NotImplementedError

    def backbone(self) -> list[nn.Parameter]:
        """Parameters that begin with ImageNet's weights: all of a network but its last layer's weight and bias."""
        found: list[nn.Parameter] = []
        for tower, weights in ((self.image, self.recipe.image_weights), (self.sound, self.recipe.sound_weights)):
            if tower is not None and weights == "imagenet":
                found += list(tower.parameters())[:-2]
        return found

    def weights(self) -> dict[str, Tensor]:
        """All that is learned, by its name in a checkpoint."""
        return {_name_in_checkpoint(name): value for name, value in self.state_dict().items()}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Take over what `weights` gave, of this run or of an earlier version of Thud."""
        here = {_name_in_checkpoint(name): name for name in self.state_dict()}
        self.load_state_dict({here.get(name, name): value for name, value in weights.items()})


def _network(outputs: int, size: int, pretrained: bool, name: str, weights: str) -> nn.Module:
    network = build_network(name, outputs)
    check_network(network, name, size)
    if pretrained and weights == "imagenet":
        load_imagenet_weights(network, name)
    return network


def _name_in_checkpoint(name: str) -> str:
    """`image.network.conv1.weight` is `image.conv1.weight` in checkpoints of format 2, which know no towers."""
    return re.sub(r"^(image|sound)\.network\.", r"\1.", name)


class SoundNetwork(System):
    """A network from the log-mel spectrogram to the 17 materials, cross entropy (paper, 3.3.1)."""

    network_outputs = CLASSES

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """Cross entropy of logits `[B, 17]`."""
        return cross_entropy(sounds, truth.material)


class VisualNetwork(System):
    """A network from the picture to each of the 17 materials, binary cross entropy (paper, 3.3.2).

    `pos_weight [17]` is what a positive label weighs beside a negative one; all 1 unless the recipe is weighted.
    """

    network_outputs = CLASSES

    def __init__(self, recipe: Recipe, info: DatasetInfo, pretrained: bool) -> None:
        super().__init__(recipe, info, pretrained)
        self.register_buffer("pos_weight", torch.ones(CLASSES))
        self.pos_weight: Tensor

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """Mean over the P x 17 cells of logits `[P, 17]`."""
        return binary_cross_entropy_with_logits(images, truth.present.float(), pos_weight=self.pos_weight)


class FcAgg(System):
    """FC_AGG: both 128-dimensional embeddings, concatenated, through one layer to the sound's material (3.4.1)."""

    def __init__(self, recipe: Recipe, info: DatasetInfo, pretrained: bool) -> None:
        super().__init__(recipe, info, pretrained)
        self.head = nn.Linear(2 * EMBEDDING_SIZE, CLASSES)

    def logits(self, images: Tensor, sounds: Tensor) -> Tensor:
        """Logits `[B, 17]` of pairs of embeddings `[B, 128]`."""
        return self.head(torch.cat([images, sounds], dim=1))  # type: ignore[no-any-return]

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """Cross entropy over the B pairs."""
        return cross_entropy(self.logits(images[truth.partner], sounds), truth.material)


class TtAgg(System):
    """TT_AGG: two towers into one space, and the recipe's loss on the cosines of pictures and sounds (3.4.2)."""

    def __init__(self, recipe: Recipe, info: DatasetInfo, pretrained: bool) -> None:
        super().__init__(recipe, info, pretrained)
        self.loss = build_loss(recipe.loss)
        if recipe.heads:
            self.image_head = nn.Linear(EMBEDDING_SIZE, CLASSES)
            self.sound_head = nn.Linear(EMBEDDING_SIZE, CLASSES)
        if recipe.log_q:
            by_sound = recipe.log_q_by == "sound"
            self.frequency = StreamingFrequency(info.clips) if by_sound else StreamingShare(CLASSES)

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """The recipe's loss of embeddings `[P, 128]` and `[B, 128]`, and the cross entropies of its heads."""
        # Copies: what is normalised is also what the heads see.
        value: Tensor = self.loss(normalize(images, dim=1), normalize(sounds, dim=1), self._relation(truth))
        if self.recipe.heads:
            seen = binary_cross_entropy_with_logits(self.image_head(images), truth.present.float())
            heard = cross_entropy(self.sound_head(sounds), truth.material)
            value = value + self.recipe.heads * (seen + heard)
        return value

    def towers(self) -> TwoTower:
        """The paper's network: the very towers that are trained, no copies."""
        assert self.image is not None
        assert self.sound is not None
        return TwoTower(self.image, self.sound)

    def _relation(self, truth: Truth) -> Relation:
        belongs = truth.present[:, truth.material]
        if self.recipe.sampling == "pairs":
            places = torch.arange(len(truth.present), device=truth.partner.device)
            known = places[:, None] == truth.partner
        elif self.recipe.positives == "own":
            known = truth.owned | ~belongs
            belongs = truth.owned
        elif self.recipe.uncertain == "masked":
            known = belongs | ~truth.possible[:, truth.material]
        else:
            known = torch.ones_like(belongs)
        log_q = torch.zeros(len(truth.clip), device=truth.clip.device)
        if self.recipe.log_q and self.training:
            ids = truth.clip if self.recipe.log_q_by == "sound" else truth.material
            log_q = self.recipe.log_q * self.frequency(ids)
        return Relation(belongs, known, log_q)


SYSTEMS: dict[str, type[System]] = {
    "sound": SoundNetwork,
    "visual": VisualNetwork,
    "fc_agg": FcAgg,
    "tt_agg": TtAgg,
}
"""By the name that recipes use."""


def build_system(recipe: Recipe, info: DatasetInfo, seed: int, *, pretrained: bool = True) -> System:
    """The recipe's system for a dataset of these sizes, on the CPU; `seed` fixes the weights that are drawn.

    `pretrained=False` leaves ImageNet's weights out, for weights that are loaded anyway. torch's global generator
    is not moved. Raises TrainingError for a network that is not there or too small for the pictures, or a window
    that the dataset does not hold.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        system = SYSTEMS[recipe.system](recipe, info, pretrained)
    if recipe.dropout is not None:
        for layer in system.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = recipe.dropout
    return system
