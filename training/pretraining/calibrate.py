"""Calibrating both heads on held-out groups of sources: from an embedding to probabilities of the materials."""

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, binary_cross_entropy_with_logits, cross_entropy

from model.heads import MaterialHeads
from model.materials import MATERIALS
from model.torch_towers.networks import EMBEDDING_SIZE
from training.pretraining.left_out_groups import group_weight
from training.pretraining.material_files import NOTHING
from training.pretraining.minimise import minimise
from training.pretraining.space import CONSTANT, TOUCHABLE

COUNT = len(MATERIALS)
_ALL, _GAP = 0.1, 100.0
"""Weights, beside the loss of the likeliest material, of that of all 17 and of the square of the mean's error."""
_LEAST = 1e-6
_ITERATIONS = 200
_COMMON = [NOTHING, CONSTANT, TOUCHABLE]
"""The dimensions that move the probabilities of all materials together."""

Labels = npt.NDArray[np.int64]
Weights = npt.NDArray[np.float64]


def calibrate_heads(
    pictures: Tensor, picture_material: Labels, picture_weight: Weights,
    sounds: Tensor, sound_material: Labels, sound_weight: Weights,
    bias_decay: float,
) -> MaterialHeads:  # fmt: skip
    """Heads fitted to embeddings `[N, 128]` and `[M, 128]` from towers that never saw their groups.

    A picture's material is 0 to 16, or NOTHING; `..._weight [N]`, `[M]` is the weight of each file. The heads have
    one factor for a material's own dimension, one each for those of nothing, of the constant and of something to
    touch, and a bias for each material. `bias_decay` regularises each bias towards the mean of all: otherwise a
    material that only one source has would get the bias of a material that never occurs while that source is held
    out.

    Factors and biases are fitted to all 17 probabilities, of which most are of materials that are not there. Then
    what leaves the order of the materials as it is (one scale, the factors of the three common dimensions, one
    shift; for sounds the scale) is fitted to the probability of the likeliest material, so that it says how often
    that is right; the first loss has a small part in that.
    """
    picture_weights, picture_bias = _fit_pictures(pictures, picture_material, picture_weight, bias_decay)
    sound_weights, sound_bias = _fit_sounds(sounds, sound_material, sound_weight, bias_decay)
    return MaterialHeads(picture_weights, picture_bias, sound_weights, sound_bias)


def balanced_weights(material: Labels, group: npt.NDArray[np.str_]) -> Weights:
    """Weights `[N]`, sum 1: a group has its weight in the table of groups, within it every material the same."""
    pairs = np.array([f"{one}/{of}" for one, of in zip(group, material, strict=True)])
    _, which, counts = np.unique(pairs, return_inverse=True, return_counts=True)
    weights: Weights = 1.0 / counts[which]
    for name in sorted(set(group.tolist())):
        weights[group == name] *= group_weight(name) / weights[group == name].sum()
    weights /= weights.sum()
    return weights


def _fit_pictures(
    embeddings: Tensor, material: Labels, weight: Weights, bias_decay: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    wanted = torch.zeros(len(material), COUNT)
    known = material < COUNT
    wanted[np.flatnonzero(known), material[known]] = 1.0
    share = torch.from_numpy(weight).float()[:, None]
    shared = embeddings[:, _COMMON]
    factors = torch.tensor([8.0, *(0.0 for _ in _COMMON)], requires_grad=True)
    bias = torch.full((COUNT,), -3.0, requires_grad=True)

    def logits() -> Tensor:
        found: Tensor = factors[0] * embeddings[:, :COUNT] + (shared @ factors[1:])[:, None] + bias
        return found

    def loss() -> Tensor:
        wrong = binary_cross_entropy_with_logits(logits(), wanted, reduction="none")
        return (wrong * share).sum() + bias_decay * (bias - bias.mean()).square().mean()

    minimise(loss, [factors, bias], _ITERATIONS)
    weights = np.zeros((COUNT, EMBEDDING_SIZE), np.float32)
    with torch.no_grad():
        first = factors[0] * embeddings[:, :COUNT] + bias
    likeliest, predicted = first.max(dim=1)
    right = (predicted == torch.from_numpy(material)).float()
    photographs = share[:, 0] * torch.from_numpy(known)
    # The scale's logarithm, the shift, the common factors.
    again = torch.cat([torch.zeros(2), factors.detach()[1:]]).requires_grad_()

    def top_loss() -> Tensor:
        scale, common = again[0].exp(), shared @ again[2:] + again[1]
        top = scale * likeliest + common
        wrong = binary_cross_entropy_with_logits(top, right, reduction="none")
        every = binary_cross_entropy_with_logits(scale * first + common[:, None], wanted, reduction="none")
        gap = (photographs * (top.sigmoid() - right)).sum() / photographs.sum()
        together: Tensor = (wrong * share[:, 0]).sum() + _ALL * (every * share).sum() + _GAP * gap.square()
        return together

    minimise(top_loss, [again], _ITERATIONS)
    scale, shift, *common = again.detach().numpy()
    weights[np.arange(COUNT), np.arange(COUNT)] = np.exp(scale) * factors[0].item()
    weights[:, _COMMON] = common
    return weights, (np.exp(scale) * bias.detach().numpy() + shift).astype(np.float32)


def _fit_sounds(
    embeddings: Tensor, material: Labels, weight: Weights, bias_decay: float
) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
    share, labels = torch.from_numpy(weight).float(), torch.from_numpy(material)
    factor = torch.tensor(4.0, requires_grad=True)
    bias = torch.zeros(COUNT, requires_grad=True)

    def loss() -> Tensor:
        wrong = cross_entropy(factor * embeddings[:, :COUNT] + bias, labels, reduction="none")
        return (wrong * share).sum() + bias_decay * (bias - bias.mean()).square().mean()

    minimise(loss, [factor, bias], _ITERATIONS)
    with torch.no_grad():
        first = factor * embeddings[:, :COUNT] + bias
    right = (first.argmax(dim=1) == labels).float()
    scale = torch.zeros((), requires_grad=True)

    def top_loss() -> Tensor:
        logits = scale.exp() * first
        top = torch.softmax(logits, dim=1).amax(dim=1).clamp(_LEAST, 1 - _LEAST)
        wrong = binary_cross_entropy(top, right, reduction="none")
        every = cross_entropy(logits, labels, reduction="none")
        gap = (share * (top - right)).sum()
        return ((wrong + _ALL * every) * share).sum() + _GAP * gap.square()

    minimise(top_loss, [scale], _ITERATIONS)
    grown = scale.exp().item()
    weights = np.zeros((COUNT, EMBEDDING_SIZE), np.float32)
    weights[np.arange(COUNT), np.arange(COUNT)] = grown * factor.item()
    return weights, (grown * bias.detach().numpy()).astype(np.float32)
