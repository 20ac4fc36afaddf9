"""Fitting the weights of the picture network further: what is learnt, and how pictures and labels are varied."""

import numpy as np
import torch

from model.materials import MATERIALS
from tests.training.pretraining.conftest import SMALL
from training.pretraining.classifier import LinearClassifier
from training.pretraining.features import read_pictures
from training.pretraining.pretraining_data import PretrainingData
from training.pretraining.tuning.tune import TuningRecipe, as_jpeg, tune
from training.systems.augment_pictures import PictureAugment


def test_fine_tuning_tells_its_pictures_better_and_keeps_what_imagenet_says(found: PretrainingData) -> None:
    count = len(MATERIALS)
    seen = found.pictures.fitted
    paths = [path for path, kept in zip(found.pictures.paths, seen, strict=True) if kept]
    small = SMALL.picture.model_copy(update={"size": 64})
    pictures = np.stack([one for one in read_pictures(tuple(paths), small) if one is not None])
    material = torch.from_numpy(found.pictures.material[seen])
    imagenet = LinearClassifier(found.imagenet_rows, found.imagenet_bias)
    start = LinearClassifier(torch.zeros(count, 1280), torch.zeros(count))
    recipe = TuningRecipe(size=64, batch=16, steps=20, rate=2e-3, warm_up=1, average=0.5, augment=PictureAugment())
    share = torch.full((len(pictures),), 1 / len(pictures))
    network, told = tune(found.picture_network, start, imagenet, pictures, material, share, recipe, 0, "tuning")
    with torch.inference_mode():
        features = network(torch.from_numpy(pictures))
        before = found.picture_network(torch.from_numpy(pictures))
    loss = torch.nn.functional.cross_entropy(told(features), material)
    assert loss < np.log(count) - 1.0  # it began with each of the 17 materials as likely
    likely, was = (torch.log_softmax(imagenet(one), dim=1) for one in (features, before))
    far = (was.exp() * (was - likely)).sum(dim=1).mean()
    alone = TuningRecipe(**{**recipe.model_dump(), "kept": 0.0})
    other, _ = tune(found.picture_network, start, imagenet, pictures, material, share, alone, 0, "tuning")
    with torch.inference_mode():
        forgot = torch.log_softmax(imagenet(other(torch.from_numpy(pictures))), dim=1)
    assert far < (was.exp() * (was - forgot)).sum(dim=1).mean()


def test_a_label_may_be_what_was_seen_at_the_start(found: PretrainingData) -> None:
    count = len(MATERIALS)
    pictures = np.zeros((4, 32, 32, 3), np.uint8)
    even = LinearClassifier(torch.zeros(count, 1280), torch.zeros(count))
    imagenet = LinearClassifier(found.imagenet_rows, found.imagenet_bias)
    share, material = torch.full((4,), 0.25), torch.tensor([1, 2, 3, 4])
    moved = []
    for believed in (0.0, 1.0):
        recipe = TuningRecipe(size=32, batch=4, steps=2, warm_up=1, believed=believed)
        _, told = tune(found.picture_network, even, imagenet, pictures, material, share, recipe, 0, "tuning")
        moved.append(float(told.weight.abs().max()))
    assert moved[0] > 1e-5
    assert moved[1] < 1e-9  # every material as likely as before


def test_pictures_that_are_compressed_lose_what_is_fine() -> None:
    random = torch.Generator().manual_seed(0)
    noise, plain = torch.randint(0, 256, (1, 64, 64, 3), generator=random).float(), torch.full((1, 64, 64, 3), 90.0)
    pictures = torch.cat([noise, plain, noise])
    found = as_jpeg(pictures, torch.tensor([[0.1, 0.0], [0.1, 0.0], [0.5, 0.0]]), 0.3)
    assert (found[0] - pictures[0]).abs().mean() > 20
    assert (found[1] - pictures[1]).abs().max() <= 2
    assert (found[2] == pictures[2]).all()  # not chosen
    assert (pictures[0] == noise[0]).all()
