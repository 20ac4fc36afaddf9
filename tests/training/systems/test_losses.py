"""The losses against plain Python, their gradients, the paper's formula, and the streaming frequency."""

import math
from collections import defaultdict
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn.functional import binary_cross_entropy, normalize

from model.errors import TrainingError
from tests.training.tiny import CPU, GRID, PAIRS, recipe
from training.data.dataset import Dataset
from training.loop.device_data import DeviceData
from training.loop.distributed import World
from training.loop.plan import plan_epoch
from training.systems.frequency import StreamingFrequency, StreamingShare
from training.systems.losses import LOSSES, PairLoss, Relation, SigmoidLoss, SoftmaxLoss, build_loss
from training.systems.systems import TtAgg, build_system

Cells = list[list[bool]]


class Problem:
    """A batch: unit vectors, which cells are positive and known, and a log_q."""

    def __init__(self, pictures: int, sounds: int, seed: int, positive: Cells, known: Cells) -> None:
        random = torch.Generator().manual_seed(seed)
        self.images = normalize(torch.randn(pictures, 3, generator=random, dtype=torch.float64), dim=1)
        self.sounds = normalize(torch.randn(sounds, 3, generator=random, dtype=torch.float64), dim=1)
        self.log_q = -3.0 * torch.rand(sounds, generator=random, dtype=torch.float64)
        self.positive, self.known = positive, known

    @property
    def relation(self) -> Relation:
        return Relation(torch.tensor(self.positive), torch.tensor(self.known), self.log_q)

    @property
    def cosines(self) -> list[list[float]]:
        return (self.images @ self.sounds.T).tolist()

    def cells(self) -> list[tuple[int, int]]:
        return [(p, b) for p, row in enumerate(self.known) for b, known in enumerate(row) if known]


@st.composite
def problems(draw: st.DrawFn) -> Problem:
    pictures, sounds = draw(st.integers(1, 4)), draw(st.integers(1, 5))
    # All positive, none positive, none known: rows and whole batches of each kind are likely.
    share = st.sampled_from([st.booleans(), st.just(True), st.just(False)])
    cells = [
        [draw(st.lists(draw(share), min_size=sounds, max_size=sounds)) for _ in range(pictures)] for _ in range(2)
    ]
    return Problem(pictures, sounds, draw(st.integers(0, 1000)), cells[0], cells[1])


def mean(values: list[float]) -> float:
    return sum(values) / len(values) if values else 0.0


def pair_by_hand(problem: Problem, loss: Any) -> float:
    cells = []
    for p, b in problem.cells():
        score = (problem.cosines[p][b] + 1) / 2
        cells.append(-math.log(score if problem.positive[p][b] else 1 - score))
    return mean(cells)


def sigmoid_by_hand(problem: Problem, loss: SigmoidLoss) -> float:
    cells = []
    for p, b in problem.cells():
        logit = math.exp(loss.log_scale.item()) * problem.cosines[p][b] + loss.bias.item()
        cells.append(math.log1p(math.exp(-logit if problem.positive[p][b] else logit)))
    return mean(cells)


def softmax_by_hand(problem: Problem, loss: SoftmaxLoss) -> float:
    scale = math.exp(loss.log_scale.item())
    known = set(problem.cells())
    size = len(problem.positive), len(problem.positive[0])

    def one_way(rows: int, columns: int, place: Any, logit: Any) -> float:
        found = []
        for row in range(rows):
            inside = [place(row, column) for column in range(columns) if place(row, column) in known]
            positives = [cell for cell in inside if problem.positive[cell[0]][cell[1]]]
            negatives = [cell for cell in inside if not problem.positive[cell[0]][cell[1]]]
            below = sum(math.exp(logit(*cell)) for cell in negatives)
            if positives:
                found.append(mean([-math.log(e / (e + below)) for e in (math.exp(logit(*p)) for p in positives)]))
        return mean(found)

    rows = one_way(*size, lambda p, b: (p, b), lambda p, b: scale * problem.cosines[p][b] - problem.log_q[b].item())
    columns = one_way(size[1], size[0], lambda b, p: (p, b), lambda p, b: scale * problem.cosines[p][b])
    return (rows + columns) / 2


BY_HAND = {"pair": pair_by_hand, "sigmoid": sigmoid_by_hand, "softmax": softmax_by_hand}


@pytest.mark.parametrize("name", LOSSES)
@settings(max_examples=60, deadline=None)
@given(problem=problems())
def test_it_is_what_its_definition_says_and_its_gradient_is_finite(name: str, problem: Problem) -> None:
    loss = build_loss(name).double()
    images, sounds = problem.images.requires_grad_(), problem.sounds.requires_grad_()
    value = loss(images, sounds, problem.relation)
    assert value.item() == pytest.approx(BY_HAND[name](problem, loss), rel=1e-6, abs=1e-9)
    value.backward()
    for gradient in (images.grad, sounds.grad, *(parameter.grad for parameter in loss.parameters())):
        assert gradient is not None
        assert gradient.isfinite().all()


@pytest.mark.parametrize("name", LOSSES)
def test_a_gradient_is_the_slope(name: str) -> None:
    torch.manual_seed(0)
    problem = Problem(3, 4, 1, [[True, False, False, True], [False] * 4, [True] * 4], [[True] * 4] * 3)
    loss = build_loss(name).double()

    def value(images: Tensor, sounds: Tensor) -> Tensor:
        return loss(normalize(images, dim=1), normalize(sounds, dim=1), problem.relation)  # type: ignore[no-any-return]

    assert torch.autograd.gradcheck(value, (problem.images.requires_grad_(), problem.sounds.requires_grad_()))


@pytest.mark.parametrize("name", LOSSES)
def test_cells_that_are_not_known_do_not_count(name: str) -> None:
    positive, known = [[True, False, True], [False, True, False]], [[True, True, False], [True, False, True]]
    problem = Problem(2, 3, 0, positive, known)
    turned = [
        [is_ if counts else not is_ for is_, counts in zip(*rows, strict=True)]
        for rows in zip(positive, known, strict=True)
    ]
    loss = build_loss(name).double()
    same = [
        loss(problem.images, problem.sounds, Relation(torch.tensor(p), torch.tensor(known), problem.log_q))
        for p in (positive, turned)
    ]
    assert same[0] == same[1]
    every = loss(
        problem.images,
        problem.sounds,
        Relation(torch.tensor(positive), torch.ones(2, 3, dtype=torch.bool), problem.log_q),
    )
    assert every != same[0]


def unit(*rows: list[float]) -> Tensor:
    return normalize(torch.tensor(rows, dtype=torch.float32), dim=1)


def test_the_pair_loss_is_torchs_binary_cross_entropy_even_where_that_refuses() -> None:
    images = unit([1, 0], [1, 0], [3, 4], [1, 0]).requires_grad_()
    sounds = unit([1, 0], [-1, 0], [4, 3], [0, 1])
    match = torch.tensor([1.0, 0.0, 1.0, 0.0])
    relation = Relation(torch.diag(match.bool()), torch.eye(4, dtype=torch.bool), torch.zeros(4))
    loss = PairLoss()(images, sounds, relation)
    assert loss.item() == pytest.approx(
        binary_cross_entropy(torch.tensor([1.0, 0.0, 0.98, 0.5]), match).item(), abs=1e-6
    )
    loss.backward()
    assert images.grad is not None
    assert images.grad.isfinite().all()
    # Certain and wrong: large, not infinite.
    wrong = PairLoss()(images[:1], -sounds[:1], Relation(torch.tensor([[True]]), torch.tensor([[True]]), match[:1]))
    assert 10 < wrong.item() < 20
    assert PairLoss()(images * float("nan"), sounds, relation).isnan()


def test_sounds_that_are_drawn_often_are_pushed_down_less() -> None:
    images, sounds = unit([1, 0.2]), unit([1, 0], [0.9, 0.3], [0.9, -0.3]).requires_grad_()
    relation = Relation(torch.tensor([[True, False, False]]), torch.ones(1, 3, dtype=torch.bool), torch.zeros(3))
    often = relation._replace(log_q=torch.tensor([math.log(0.1), math.log(0.9), math.log(0.1)]))
    pushes = []
    for each in (relation, often):
        (gradient,) = torch.autograd.grad(SoftmaxLoss()(images, sounds, each), sounds)
        pushes.append(gradient.norm(dim=1))
    # s - log p: of two negatives, the one that is drawn often weighs less than before beside the other.
    assert pushes[1][1] / pushes[1][2] < 0.5 * pushes[0][1] / pushes[0][2]


def test_there_is_no_other_loss() -> None:
    with pytest.raises(TrainingError, match="no loss named 'hinge'; there are pair, sigmoid, softmax"):
        build_loss("hinge")


def of_a_system(dataset: Dataset, **changes: Any) -> tuple[TtAgg, Any, Tensor, Tensor]:
    chosen = recipe(changes)
    (batch, *_) = plan_epoch(dataset, chosen, 0, 0)
    system = build_system(chosen, dataset.info, 0)
    assert isinstance(system, TtAgg)
    (step,) = DeviceData(dataset, CPU).steps([batch], World())
    random = torch.Generator().manual_seed(0)
    # Outputs of networks, which nothing has normalised.
    images = 3.0 * torch.randn(len(batch.pictures), 128, generator=random)
    return system, (step, batch), images, 0.1 * torch.randn(len(batch.clips), 128, generator=random)


def test_the_loss_of_drawn_pairs_is_the_papers_formula(dataset: Dataset) -> None:
    system, (step, batch), images, sounds = of_a_system(dataset, **PAIRS)
    labels = dataset.labels
    cells = []
    for sound, clip, place in zip(sounds, batch.clips, batch.partner, strict=True):
        image, picture = images[place], batch.pictures[place]
        score = (float(image @ sound) / float(image.norm() * sound.norm()) + 1) / 2
        # Drawn as a positive if it is the picture's own, as a negative if its material is not in the picture.
        match = labels.clip_picture[clip] == picture
        assert match == labels.picture_materials[picture, labels.clip_material[clip]]
        cells.append(-math.log(score) if match else -math.log(1 - score))
    assert len(cells) == 16
    assert system.objective(images, sounds, step.truth).item() == pytest.approx(mean(cells), rel=1e-5)


def test_a_grid_compares_every_picture_with_every_sound(dataset: Dataset) -> None:
    labels = dataset.labels
    for positives in ("across", "own"):
        system, (step, batch), images, sounds = of_a_system(dataset, **GRID | {"positives": positives})
        loss = system.loss
        assert isinstance(loss, SigmoidLoss)
        cells = []
        for at, picture in enumerate(batch.pictures):
            for place, clip in enumerate(batch.clips):
                inside = labels.picture_materials[picture, labels.clip_material[clip]]
                own = labels.clip_picture[clip] == picture
                if positives == "own" and inside and not own:
                    continue  # another video's clip of the same material: neither right nor wrong
                cosine = torch.cosine_similarity(images[at], sounds[place], dim=0).item()
                logit = math.exp(loss.log_scale.item()) * cosine + loss.bias.item()
                right = own if positives == "own" else inside
                cells.append(math.log1p(math.exp(-logit if right else logit)))
        assert system.objective(images, sounds, step.truth).item() == pytest.approx(mean(cells), rel=1e-5)


def test_heads_add_their_cross_entropies(dataset: Dataset) -> None:
    values = []
    for heads in (0.0, 0.5, 1.0):
        system, (step, _), images, sounds = of_a_system(dataset, **GRID | {"heads": heads})
        if heads:
            torch.nn.init.zeros_(system.image_head.weight)
            torch.nn.init.zeros_(system.image_head.bias)
            torch.nn.init.zeros_(system.sound_head.weight)
            torch.nn.init.zeros_(system.sound_head.bias)
        values.append(system.objective(images, sounds, step.truth).item())
    # A head that knows nothing: ln 2 a material of a picture, ln 17 a sound.
    added = math.log(2) + math.log(17)
    assert values[1] - values[0] == pytest.approx(0.5 * added, rel=1e-5)
    assert values[2] - values[0] == pytest.approx(added, rel=1e-5)


def test_the_correction_counts_in_training_alone(dataset: Dataset) -> None:
    softmax = GRID | {"loss": "softmax"}
    system, (step, batch), images, sounds = of_a_system(dataset, **softmax | {"log_q": 1.0})
    frequency = system.frequency
    assert isinstance(frequency, StreamingFrequency)
    assert len(frequency.gap) == len(dataset.clips)
    plain = of_a_system(dataset, **softmax)[0].objective(images, sounds, step.truth)
    assert torch.equal(system.eval().objective(images, sounds, step.truth), plain)
    assert frequency.step == 0
    # Some have been drawn before, some have not; alike, they would shift all scores alike, which changes nothing.
    frequency(step.truth.clip[:4])
    assert not torch.equal(system.train().objective(images, sounds, step.truth), plain)
    assert frequency.step == 2
    assert torch.nonzero(frequency.last).ravel().tolist() == np.unique(batch.clips).tolist()


def test_the_correction_by_material_counts_shares(dataset: Dataset) -> None:
    changes = {"loss": "softmax", "log_q": 1.0, "log_q_by": "material"}
    system, (step, batch), images, sounds = of_a_system(dataset, **GRID | changes)
    share = system.frequency
    assert isinstance(share, StreamingShare)
    before = share.share.clone()
    assert torch.equal(before, torch.full((17,), 1 / 17))
    system.eval().objective(images, sounds, step.truth)
    assert torch.equal(share.share, before)
    system.train().objective(images, sounds, step.truth)
    drawn = np.bincount(dataset.labels.clip_material[batch.clips], minlength=17) / len(batch.clips)
    assert share.share.tolist() == pytest.approx((0.95 / 17 + 0.05 * drawn).tolist())


def test_the_share_comes_to_that_of_what_is_drawn() -> None:
    random = np.random.default_rng(2)
    chances = np.array([0.5, 0.3, 0.15, 0.05])
    share = StreamingShare(4)
    for _ in range(300):
        ids = torch.from_numpy(random.choice(4, size=64, p=chances))
        logs = share(ids)
        assert torch.equal(logs, share.share[ids].log())
    assert share.share.sum() == pytest.approx(1.0, abs=1e-5)
    assert share.share.tolist() == pytest.approx(chances.tolist(), abs=0.05)


def test_the_frequency_is_algorithm_2_step_by_step() -> None:
    """Yi et al. 2019, Algorithm 2: A holds the step of the last appearance, B the gap between appearances."""
    random = np.random.default_rng(0)
    frequency = StreamingFrequency(30, rate=0.1)
    last: dict[int, float] = defaultdict(float)
    gap: dict[int, float] = defaultdict(lambda: 100.0)
    for step in range(1, 200):
        ids = random.integers(0, 30, 7)  # with repetition, as a batch can hold a sound twice
        for each in set(ids.tolist()):
            gap[each] = 0.9 * gap[each] + 0.1 * (step - last[each])
            last[each] = step
        found = frequency(torch.from_numpy(ids))
        assert found.tolist() == pytest.approx([math.log(1 / gap[each]) for each in ids.tolist()], rel=1e-4)


def test_the_frequency_comes_to_the_probability_of_a_step() -> None:
    random = np.random.default_rng(1)
    chances = np.repeat([1.0, 0.5, 0.1, 0.02], 100)
    frequency = StreamingFrequency(len(chances))
    for _ in range(6000):
        frequency(torch.from_numpy(np.flatnonzero(random.random(len(chances)) < chances)))
    found = frequency.gap.reshape(4, 100).mean(dim=1)
    # The mean of a hundred ids, each an average of about the last 40 gaps.
    assert found.tolist() == pytest.approx([1.0, 2.0, 10.0, 50.0], rel=0.06)
    assert frequency.state_dict().keys() == {"step", "last", "gap"}
