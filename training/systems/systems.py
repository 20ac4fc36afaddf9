"""The paper's four systems: sound network, visual network, FC_AGG and TT_AGG (3.3 and 3.4), ready to be trained."""

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, normalize

from model.bundle import ClipSpec
from model.errors import TrainingError
from model.materials import MATERIALS
from model.torch_towers.networks import EMBEDDING_SIZE, ImagenetNormalise, build_network, check_network
from model.torch_towers.spectrogram import LogMel
from model.torch_towers.two_tower import ImageTower, SoundTower, TwoTower
from training.data.dataset import Dataset, DatasetInfo
from training.systems.augment_pictures import augment_pictures
from training.systems.augment_sounds import SoundAugmenter
from training.systems.losses import Relation, build_loss
from training.systems.pretrained import load_pretrained
from training.systems.recipe import Recipe


class StreamingFrequency(nn.Module):
    """The probability of an id per step, from the moving average of the steps between its appearances.

    `gap[id] <- (1 - rate) gap[id] + rate (step - last[id])` at each appearance, and the probability is 1 / gap.
    The ids are the dataset's own (a sound's row, or a material): a table of its size needs no hashing. Gaps begin
    at 100 steps, as in the paper's simulation; an id drawn at every step comes to a gap of 1.
    """

    def __init__(self, ids: int, rate: float = 0.05) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))
        self.register_buffer("last", torch.zeros(ids))
        self.register_buffer("gap", torch.full((ids,), 100.0))
        self.step: Tensor
        self.last: Tensor
        self.gap: Tensor

    @torch.no_grad()
    def forward(self, ids: Tensor) -> Tensor:
        """Count the appearance of `ids` int64 [B] in a new step; returns the log probability of each, [B].

        An id that appears several times in the batch counts once, as it is in the batch or not.
        """
        self.step += 1
        now = self.step.float()
        gap = (1.0 - self.rate) * self.gap[ids] + self.rate * (now - self.last[ids])
        # Equal ids write equal values, so the order does not matter.
        self.gap[ids] = gap
        self.last[ids] = now.expand_as(gap)
        return -gap.log()


class StreamingShare(nn.Module):
    """The share of each of few ids among what is drawn, as a moving average over batches.

    For ids of which a batch holds many, materials, a gap between appearances says nothing: it is always one step.
    Shares begin equal.
    """

    def __init__(self, ids: int, rate: float = 0.05) -> None:
        super().__init__()
        self.rate = rate
        self.register_buffer("share", torch.full((ids,), 1.0 / ids))
        self.share: Tensor

    @torch.no_grad()
    def forward(self, ids: Tensor) -> Tensor:
        """Count `ids` int64 [B]; returns the log share of each, [B]."""
        ones = torch.ones(len(ids), device=ids.device)
        counted = torch.zeros_like(self.share).index_add_(0, ids, ones) / len(ids)
        self.share.lerp_(counted, self.rate)
        return self.share[ids].log()


CLASSES = len(MATERIALS)
SHORTEST_WINDOW = 0.01
"""Seconds of a clip that are something to hear at all."""


class Truth(NamedTuple):
    """What is known of a batch's P pictures and B clips."""

    present: Tensor  # bool [P, 17] the materials of each picture
    possible: Tensor  # bool [P, 17] the materials of each picture by all events of its video
    material: Tensor  # int64 [B] the material of each clip
    partner: Tensor  # int64 [B] place among the pictures of the one that a clip was drawn with; -1 in a grid
    owned: Tensor  # bool [P, B] the clip is the picture's own
    clip: Tensor  # int64 [B] row of the clip in the dataset


class System(nn.Module):
    """One of the paper's systems. `see` and `hear` make outputs of its networks, `objective` a loss of those.

    The split is what lets several processes share a batch: each sees and hears its part, and all judge the whole.
    """

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__()
        self.image: nn.Module | None = None
        self.sound: nn.Module | None = None
        self.recipe = recipe
        self.normalise = ImagenetNormalise()
        self.window = clip_window(recipe, info.clip)
        self.log_mel = LogMel(
            self.window.sample_rate, self.window.samples, info.picture.size, highest_hertz=recipe.highest_hertz
        )
        self.augmenter = SoundAugmenter(recipe.sounds, info.clip, self.window)

    def see(self, pictures: Tensor, draws: Tensor | None = None) -> Tensor:
        """Outputs `[P, ...]` of pictures uint8 `[P, size, size, 3]`, augmented where draws are given."""
        assert self.image is not None
        if draws is not None:
            pictures = augment_pictures(pictures, draws, self.recipe.pictures)
        return self.image(self.normalise(pictures))  # type: ignore[no-any-return]

    def hear(self, clips: Tensor, draws: Tensor | None = None) -> Tensor:
        """Outputs `[B, ...]` of stored clips int16 `[B, samples]`, augmented where draws are given."""
        assert self.sound is not None
        # Powers of a spectrum span more than bfloat16 can tell apart.
        with torch.autocast(clips.device.type, enabled=False):
            spectrograms = self.augmenter.spectrograms(self.log_mel(self.augmenter.windows(clips, draws)), draws)
        return self.sound(spectrograms)  # type: ignore[no-any-return]

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """The loss of a batch from what was seen and heard, a scalar."""
        raise NotImplementedError

    def backbone(self) -> list[nn.Parameter]:
        """Parameters that begin with ImageNet's weights."""
        found: list[nn.Parameter] = []
        for network, weights in ((self.image, self.recipe.image_weights), (self.sound, self.recipe.sound_weights)):
            if network is not None and weights == "imagenet":
                found += list(network.parameters())[:-2]  # all but the last layer's weight and bias
        return found


class SoundNetwork(System):
    """A network from the log-mel spectrogram to the 17 materials, cross entropy (paper, 3.3.1)."""

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.sound = _network(recipe.sound_network, CLASSES, recipe.sound_weights, recipe, info)

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """Cross entropy of logits `[B, 17]`."""
        return cross_entropy(sounds, truth.material)


class VisualNetwork(System):
    """A network from the picture to each of the 17 materials, binary cross entropy (paper, 3.3.2).

    `pos_weight [17]`: negative by positive pictures of a material, at most 100; all 1 unless the recipe is
    weighted.
    """

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.image = _network(recipe.image_network, CLASSES, recipe.image_weights, recipe, info)
        self.register_buffer("pos_weight", torch.ones(CLASSES))
        self.pos_weight: Tensor

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """Mean over the P x 17 cells."""
        return binary_cross_entropy_with_logits(images, truth.present.float(), pos_weight=self.pos_weight)


class FcAgg(System):
    """FC_AGG: both 128-dimensional embeddings, concatenated, through one layer to the sound's material (3.4.1)."""

    def __init__(self, recipe: Recipe, info: DatasetInfo) -> None:
        super().__init__(recipe, info)
        self.image = _network(recipe.image_network, EMBEDDING_SIZE, recipe.image_weights, recipe, info)
        self.sound = _network(recipe.sound_network, EMBEDDING_SIZE, recipe.sound_weights, recipe, info)
        self.head = nn.Linear(2 * EMBEDDING_SIZE, CLASSES)

    def logits(self, images: Tensor, sounds: Tensor) -> Tensor:
        """Logits `[B, 17]` of pairs of embeddings `[B, 128]`."""
        return self.head(torch.cat([images, sounds], dim=1))  # type: ignore[no-any-return]

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """Cross entropy over the B pairs."""
        return cross_entropy(self.logits(images[truth.partner], sounds), truth.material)


class TtAgg(System):
    """TT_AGG: two towers into one space, and the recipe's loss on the cosines of pictures and sounds (3.4.2)."""

    def __init__(self, recipe: Recipe, info: DatasetInfo, sounds: int) -> None:
        super().__init__(recipe, info)
        self.image = _network(recipe.image_network, EMBEDDING_SIZE, recipe.image_weights, recipe, info)
        self.sound = _network(recipe.sound_network, EMBEDDING_SIZE, recipe.sound_weights, recipe, info)
        self.loss = build_loss(recipe.loss)
        if recipe.heads:
            self.image_head = nn.Linear(EMBEDDING_SIZE, CLASSES)
            self.sound_head = nn.Linear(EMBEDDING_SIZE, CLASSES)
        if recipe.log_q:
            by_sound = recipe.log_q_by == "sound"
            self.frequency = StreamingFrequency(sounds) if by_sound else StreamingShare(CLASSES)

    def objective(self, images: Tensor, sounds: Tensor, truth: Truth) -> Tensor:
        """The recipe's loss, and the cross entropies of its heads."""
        # Copies: what is normalised is also what the heads see.
        value: Tensor = self.loss(normalize(images, dim=1), normalize(sounds, dim=1), self._relation(truth))
        if self.recipe.heads:
            seen = binary_cross_entropy_with_logits(self.image_head(images), truth.present.float())
            heard = cross_entropy(self.sound_head(sounds), truth.material)
            value = value + self.recipe.heads * (seen + heard)
        return value

    def towers(self) -> TwoTower:
        """The two towers alone, as they are exported."""
        assert self.image is not None
        assert self.sound is not None
        return TwoTower(ImageTower(self.image), SoundTower(self.sound, self.log_mel))

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


def build_system(recipe: Recipe, info: DatasetInfo, seed: int, *, pretrained: bool = True) -> System:
    """The recipe's system for a dataset of these sizes; `seed` fixes the weights that are drawn.

    `pretrained=False` leaves ImageNet's weights out, for weights that are loaded anyway. Raises TrainingError for
    a network that is not there or too small for the pictures, or a window that the dataset does not hold.
    """
    drawn = {} if pretrained else {"image_weights": "none", "sound_weights": "none"}
    built = recipe.model_copy(update=drawn)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        if recipe.system == "tt_agg":
            system: System = TtAgg(built, info, info.clips)
        else:
            kinds = {"sound": SoundNetwork, "visual": VisualNetwork, "fc_agg": FcAgg}
            system = kinds[recipe.system](built, info)
    # Which layers began with ImageNet's weights stays true of weights that are loaded.
    system.recipe = recipe
    if recipe.dropout is not None:
        for layer in system.modules():
            if isinstance(layer, nn.Dropout):
                layer.p = recipe.dropout
    return system


def weigh(system: System, dataset: Dataset) -> None:
    """Fill the `pos_weight` of a visual network whose recipe is weighted from the dataset's training pictures.

    Negative by positive pictures of each material, at most 100.
    """
    if isinstance(system, VisualNetwork) and system.recipe.weighted:
        present = dataset.labels.picture_materials[dataset.pictures_of("train")]
        positive = torch.from_numpy(present.sum(axis=0))
        weight = ((len(present) - positive) / positive.clamp_min(1)).clamp(max=100.0)
        system.pos_weight.copy_(weight)


def clip_window(recipe: Recipe, stored: ClipSpec) -> ClipSpec:
    """The part of the stored clips that the recipe's networks hear. Raises TrainingError if they do not hold it."""
    before = stored.before if recipe.before is None else recipe.before
    after = stored.after if recipe.after is None else recipe.after
    if before > stored.before or after > stored.after:
        wider = f"--before {max(before, stored.before):g} --after {max(after, stored.after):g}"
        raise TrainingError(
            f"the recipe {recipe.name} hears {before:g} s before and {after:g} s after a hit, the dataset holds "
            f"{stored.before:g} and {stored.after:g}; prepare it with {wider}"
        )
    if recipe.highest_hertz is not None and recipe.highest_hertz > stored.sample_rate / 2:
        raise TrainingError(
            f"the recipe {recipe.name} hears up to {recipe.highest_hertz:g} Hz, the dataset's clips hold "
            f"{stored.sample_rate / 2:g} Hz at most; prepare it with --sample-rate {2 * recipe.highest_hertz:g}"
        )
    if before + after < SHORTEST_WINDOW:
        raise TrainingError(
            f"the recipe {recipe.name} hears {before + after:g} s of a clip; {SHORTEST_WINDOW:g} s are the least"
        )
    return ClipSpec(sample_rate=stored.sample_rate, before=before, after=after)


def _network(name: str, outputs: int, weights: str, recipe: Recipe, info: DatasetInfo) -> nn.Module:
    network = build_network(name, outputs)
    check_network(network, name, info.picture.size)
    if weights == "imagenet":
        load_pretrained(network, name)
    return network
