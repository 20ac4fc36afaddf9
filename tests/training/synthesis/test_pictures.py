"""Textures and scenes: every material is drawn, differs with the seed, and is where the labels say."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from model.materials import MATERIALS
from training.data.greatest_hits import read_events
from training.synthesis.scenes import draw_scene
from training.synthesis.textures import texture
from training.synthesis.videos import draw_material_sets, occurrence

NAMES = [material.name for material in MATERIALS]


@pytest.mark.parametrize("name", NAMES)
def test_textures_are_deterministic_and_varied(name: str) -> None:
    pictures = [texture(name, np.random.default_rng(seed), 72, 128) for seed in range(6)]
    for picture in pictures:
        assert picture.shape == (72, 128, 3)
        assert picture.dtype == np.uint8
        assert picture.std() > 1.0
    np.testing.assert_array_equal(pictures[0], texture(name, np.random.default_rng(0), 72, 128))
    differences = [np.abs(a.astype(int) - b).mean() for a, b in pairwise(pictures)]
    assert np.mean(differences) > 8.0


@pytest.mark.parametrize(("height", "width"), [(32, 32), (33, 77), (120, 64)])
def test_textures_of_any_size(height: int, width: int) -> None:
    for name in NAMES:
        for seed in range(3):
            assert texture(name, np.random.default_rng(seed), height, width).shape == (height, width, 3)


@pytest.mark.parametrize("seed", range(8))
def test_scene_shows_all_its_materials(seed: int) -> None:
    rng = np.random.default_rng(seed)
    names = rng.choice(NAMES, size=seed % 5 + 1, replace=False).tolist()
    scene = draw_scene(names, rng, 72, 128)
    assert scene.materials == tuple(names)
    assert sum(scene.shares) == pytest.approx(1.0)
    assert min(scene.shares) >= 0.05
    for index, name in enumerate(names):
        row, column = scene.point_on(name, rng)
        assert 0 <= row < 72
        assert 0 <= column < 128
        assert (scene.labels == index).mean() == pytest.approx(scene.shares[index])
    frame = scene.frame(rng, scene.point_on(names[0], rng))
    assert frame.shape == (72, 128, 3)
    assert frame.dtype == np.uint8


def test_scene_depends_on_its_seed_alone() -> None:
    first, again = (draw_scene(["wood", "leaf"], np.random.default_rng(4), 72, 128) for _ in range(2))
    np.testing.assert_array_equal(first.canvas, again.canvas)
    other = draw_scene(["wood", "leaf"], np.random.default_rng(5), 72, 128)
    assert not np.array_equal(first.canvas, other.canvas)


def test_one_look_has_one_texture() -> None:
    first = draw_scene(["dirt"], np.random.default_rng(1), 72, 128, look=7)
    second = draw_scene(["dirt"], np.random.default_rng(2), 72, 128, look=7)
    np.testing.assert_array_equal(first.canvas, second.canvas)
    assert first.camera == second.camera
    elsewhere = draw_scene(["dirt"], np.random.default_rng(1), 72, 128, look=8)
    assert np.abs(first.canvas.astype(int) - elsewhere.canvas).mean() > 5.0


def test_frames_of_a_scene_jitter_a_little() -> None:
    scene = draw_scene(["grass", "plastic"], np.random.default_rng(0), 72, 128)
    still, moved = (scene.frame(np.random.default_rng(seed)).astype(int) for seed in (1, 2))
    assert not np.array_equal(still, moved)
    stick = scene.frame(np.random.default_rng(1), (30.0, 60.0)).astype(int)
    changed = np.abs(stick - still).max(axis=2) > 40
    assert changed[28:33, 58:63].any()
    assert 0.005 < changed.mean() < 0.3


def test_a_scene_without_or_with_unknown_materials_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one material"):
        draw_scene([], np.random.default_rng(0), 72, 128)
    with pytest.raises(KeyError):
        draw_scene(["leather"], np.random.default_rng(0), 72, 128)


def test_material_sets_follow_the_counts() -> None:
    sets = draw_material_sets(np.random.default_rng(0), 4_000)
    assert sets == draw_material_sets(np.random.default_rng(0), 4_000)
    assert {name for names in sets for name in names} == set(NAMES)
    assert np.mean(["wood" in names for names in sets]) == pytest.approx(273 / 975, abs=0.03)
    assert np.mean([{"dirt", "leaf"} <= set(names) for names in sets]) == pytest.approx(141 / 975, abs=0.03)


def test_counts_are_those_of_the_annotations(shared: Path) -> None:
    counts: dict[tuple[str, ...], int] = {}
    actions: dict[str, list[bool]] = {}
    for file in (shared / "greatest_hits_annotations").glob("*_times.txt"):
        events = [event for event in read_events(file) if event.material is not None]
        names = tuple(sorted({str(event.material) for event in events}))
        if names:
            counts[names] = counts.get(names, 0) + 1
        for event in events:
            if event.action is not None:
                actions.setdefault(str(event.material), []).append(event.action == "scratch")
    counted = occurrence()
    assert dict(zip(counted.sets, counted.videos, strict=True)) == counts
    assert counted.scratch_share == {name: round(float(np.mean(actions[name])), 4) for name in sorted(actions)}
