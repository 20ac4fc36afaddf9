"""`thud pretrain` from labelled files to a bundle that answers, on files made here."""

import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from model.bundle import Bundle, load_bundle
from model.heads import MaterialHeads
from model.materials import MATERIALS
from model.objects import imagenet_classes
from model.queries import load_queries
from model.runtime import TowerRuntime
from tests.training.pretraining.conftest import COLOURS, SMALL, take_towers
from tests.training.pretraining.test_bad_input import NEVER_READABLE, rows_of, write_manifest
from training.pretraining import pretraining_data as gathered
from training.pretraining import sound_features
from training.pretraining.fit_heads import left_out
from training.pretraining.held_out import (
    HeldOut,
    calibrate,
    fit_whole_pictures,
    fit_whole_sounds,
    hold_out,
)
from training.pretraining.imagenet_head import ImagenetHead
from training.pretraining.pooling import pool
from training.pretraining.pretrain_commands import pretrain
from training.pretraining.pretraining_data import PretrainingData
from training.pretraining.query_pictures import choose_queries
from training.pretraining.score import score_left_out
from training.pretraining.space import TOUCHABLE, picture_projection
from training.pretraining.towers import sound_projection


@pytest.fixture(scope="module")
def made(
    data: Path, found: PretrainingData, work: Path, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("made") / "bundle"
    assert len(found.pictures) == 36
    shutil.copytree(work, out.with_name("bundle.work"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.pretraining.pretrain_recipe.PretrainingRecipe", lambda: SMALL)
        return out, CliRunner().invoke(pretrain, [str(data), str(out), "--threads", "1"])


@pytest.fixture(scope="module")
def held_out(found: PretrainingData) -> HeldOut:
    return hold_out(found, SMALL)


@pytest.fixture
def with_towers_made_before(made: tuple[Path, Result], monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs export no towers and take those of `made`; they fit all the rest."""
    take_towers(monkeypatch, load_bundle(made[0].with_name("bundle.work") / "fp32"), load_bundle(made[0]))


@pytest.fixture(scope="module")
def bundle(made: tuple[Path, Result]) -> Bundle:
    out, result = made
    assert result.exit_code == 0, result.output
    return load_bundle(out)


def test_the_bundle_is_small_calibrated_and_says_what_it_was_made_of(bundle: Bundle) -> None:
    spec = bundle.spec
    assert (spec.precision, spec.cells, spec.name) == ("int8", (6, 6), "thud-materials")
    assert sum(record.bytes for record in spec.files.values()) < 16e6
    assert spec.picture_columns == tuple(range(TOUCHABLE + 1))
    assert spec.objects is not None
    assert spec.objects.names == tuple(imagenet_classes())
    assert spec.calibration is not None
    assert set(spec.calibration.expected_error) == {"picture", "sound"}
    assert spec.training["pictures"] == {"first": 11, "second": 11}
    assert "closed" not in spec.training["sounds"]
    assert {"recommended", "pictures", "sounds"} <= set(spec.metrics["left_out"])
    assert spec.metrics["int8"]["picture_cosine"] > 0.98
    card = (bundle.folder / "MODEL_CARD.md").read_text(encoding="utf-8")
    for words in (
        " of the image tower ",
        "The sound tower is computed in float, from weights in 8 bits.",
        "on each recording and on 1 variants with another microphone",
        "Copyright (c) 2022 A. B. Ma and A. Lerch",
        "YAMNet (google/yamnet/1), Apache-2.0",
        "not the paper's TT_AGG",
        "as fewer than 2 groups have 5 files",
    ):
        assert words in " ".join(card.split())
    for words in (
        bundle.id,
        "| first | 12 | 11 | CC0-1.0 |",
        "| second | 12 | 11 | none stated |",
        "thud pretrain DATA OUT",
        "| wood | 12 |",
        "**mean of groups**",
        "| first | 1 | first |",
    ):
        assert words in card
    assert "| closed | 12 | 0 | CC BY-NC 4.0 |" in card
    assert spec.training["open_only"] is False
    for part in ("pictures", "sounds"):
        assert {"probability", "top-1"} <= set(spec.metrics["left_out"][part])
    assert spec.training["nothing"] == {"charts": 3, "first": 3}
    assert spec.metrics["nothing"]["pictures"] == 6 + SMALL.nothing
    assert {"taken", "taken real", "taken drawn"} <= set(spec.metrics["nothing"])
    assert "| drawn noise | 2 |" in card
    assert "| charts | 3 |" in card


def test_it_recognises_what_it_was_fitted_on(bundle: Bundle, data: Path) -> None:
    heads = MaterialHeads.load(bundle)
    assert heads is not None
    runtime = TowerRuntime(bundle)
    for number in range(3):
        found = runtime.embed_picture((data / f"{number}.png").read_bytes())
        material = heads.pictures(found.embedding)[0].argmax()
        assert bundle.spec.materials[material] == list(COLOURS)[number]
        assert found.cells is not None
        assert not found.embedding[:, TOUCHABLE + 1 :].any()
        assert found.objects is not None
        assert found.objects.shape == (1, len(imagenet_classes()))
        assert found.objects.min() >= 0
        # The cells pooled, normalised, are the picture's own embedding.
        mean = pool(torch.from_numpy(found.cells), SMALL.centre)[0].numpy()
        np.testing.assert_allclose(mean / np.linalg.norm(mean), found.embedding[0], atol=1e-4)


def test_its_queries_are_photographs_that_it_was_not_fitted_on(
    made: tuple[Path, Result], bundle: Bundle, found: PretrainingData
) -> None:
    assert found.pictures.source[found.queries].tolist() == ["first", "second"]
    assert not found.pictures.fitted[found.queries].any()
    of_open = found.open_only()
    assert of_open.pictures.source[of_open.queries].tolist() == ["first"]
    queries = load_queries(bundle)
    assert queries is not None
    runtime = TowerRuntime(bundle)
    paths = found.pictures.only(found.queries).paths
    expected = np.concatenate([runtime.embed_picture(path.read_bytes()).embedding for path in paths])
    np.testing.assert_allclose(queries, expected, atol=1e-3)
    assert "2 photographs were held back" in (made[0] / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "2 pictures are held back" in made[1].output


def test_queries_have_no_part_in_the_calibration(found: PretrainingData, held_out: HeldOut) -> None:
    junk = held_out.pictures.clone()
    junk[torch.from_numpy(found.queries)] *= -1
    heads, other = (calibrate(found, one, SMALL) for one in (held_out, replace(held_out, pictures=junk)))
    np.testing.assert_array_equal(heads.picture_weights, other.picture_weights)
    assert heads.recognition_weights is not None
    np.testing.assert_array_equal(heads.recognition_weights, other.recognition_weights)


def test_queries_are_the_same_wherever_the_files_are_and_of_all_sources() -> None:
    source = np.array(["a"] * 30 + ["b"] * 100 + ["c"] * 9 + ["closed"] * 40)
    names = [f"{number}.png" for number in range(len(source))]
    fitted = source != "closed"
    chosen = choose_queries(names, source, fitted, 8)
    assert {name: int((chosen & (source == name)).sum()) for name in "abc"} == {"a": 3, "b": 5, "c": 0}
    order = np.random.default_rng(0).permutation(len(source))
    again = choose_queries([names[row] for row in order], source[order], fitted[order], 8)
    assert sorted(order[again].tolist()) == np.flatnonzero(chosen).tolist()
    assert choose_queries(names, source, fitted, 1000).sum() == 13
    assert not choose_queries(names, source, fitted, 0).any()


def test_the_same_bundle_gives_the_same_bits(bundle: Bundle, data: Path) -> None:
    picture = (data / "0.png").read_bytes()
    answers = {TowerRuntime(bundle).embed_picture(picture).embedding.tobytes() for _ in range(3)}
    assert len(answers) == 1


def test_features_are_read_from_the_cache(
    made: tuple[Path, Result], data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out, _ = made

    def refuse(*_: object) -> None:
        raise AssertionError("features were computed again")

    monkeypatch.setattr(gathered, "read_pictures", refuse)
    monkeypatch.setattr(sound_features, "read_clips", refuse)
    monkeypatch.setattr(sound_features, "read_varied_clips", refuse)
    found = gathered.gather(data, out.with_name("bundle.work"), SMALL)
    assert found.picture_features.shape == (36, 1280)


@pytest.mark.usefixtures("with_towers_made_before")
def test_a_source_that_is_left_out_is_not_measured_on(
    made: tuple[Path, Result], data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.pretraining.pretrain_recipe.PretrainingRecipe", lambda: SMALL)
    work = made[0].with_name("bundle.work")
    options = ["--work", str(work), "--threads", "1", "--leave-out"]
    result = CliRunner().invoke(pretrain, [str(data), str(tmp_path / "without"), *options, "closed"])
    assert result.exit_code == 0, result.output
    card = (tmp_path / "without" / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert "| second |" in card
    assert "| closed |" not in card
    assert "| closed |" in (made[0] / "MODEL_CARD.md").read_text(encoding="utf-8")


def test_a_held_out_source_is_embedded_as_if_it_had_never_been_there(
    found: PretrainingData, held_out: HeldOut
) -> None:
    without = found.without("second")
    fitted = fit_whole_sounds(without, SMALL, without.taught)
    rows = torch.from_numpy(found.sounds.source == "second")
    expected = sound_projection(without, fitted)(found.sound_features[rows])[:, : len(MATERIALS)]
    torch.testing.assert_close(held_out.sounds[rows][:, : len(MATERIALS)], expected.detach())


def test_of_sounds_whose_material_is_not_fitted_on_the_teachers_words_are_learnt_and_nothing_else(
    data: Path, work: Path, found: PretrainingData
) -> None:
    recipe = SMALL.model_copy(update={"sounds_not_fitted": ("second",)})
    without = gathered.gather(data, work, recipe)
    its = without.sounds.source == "second"
    assert (without.taught & its).any()
    assert not (without.sounds.fitted & its).any()
    assert not without.open_only().taught[its].any()
    assert len(without.without("second").taught) == len(without.without("second").sounds)
    other_words, other_materials = without.sound_teacher.clone(), without.sounds.material.copy()
    other_words[torch.from_numpy(its)] *= -3
    other_materials[its] = (other_materials[its] + 1) % len(MATERIALS)
    changed = replace(without, sound_teacher=other_words)
    renamed = replace(without, sounds=replace(without.sounds, material=other_materials))

    def weight(one: PretrainingData, rows: np.ndarray) -> torch.Tensor:
        return fit_whole_sounds(one, recipe, rows).weight

    torch.testing.assert_close(weight(renamed, renamed.taught), weight(without, without.taught))
    assert (weight(changed, changed.taught) - weight(without, without.taught)).abs().max() > 1e-3
    # Where the source is left out, what is said of it has no part.
    torch.testing.assert_close(weight(changed, changed.taught & ~its), weight(without, without.taught & ~its))


def test_a_group_is_left_out_as_a_whole(found: PretrainingData) -> None:
    """Two sources of one group: neither is embedded by heads that saw the other."""
    joined = np.where(found.pictures.source == "closed", "closed", "together")
    whole = replace(found, pictures=replace(found.pictures, group=joined))
    asked: list[set[str]] = []

    def fit(rows: np.ndarray, _: str) -> None:
        asked.append(set(found.pictures.source[rows].tolist()))

    left_out(whole.pictures.group, np.ones(36, np.bool_), fit)
    assert asked == [{"first", "second"}, {"closed"}]
    held_out = hold_out(whole, SMALL)
    junk = held_out.pictures.clone()
    junk[torch.from_numpy(joined == "together")] *= -1
    heads, other = (
        calibrate(whole, one, SMALL, without="together") for one in (held_out, replace(held_out, pictures=junk))
    )
    np.testing.assert_array_equal(heads.picture_weights, other.picture_weights)


def test_a_source_of_nothing_and_a_drawn_kind_are_left_out_in_turn(
    found: PretrainingData, held_out: HeldOut
) -> None:
    assert found.nothing.kind.tolist()[:7] == ["charts"] * 3 + ["first"] * 3 + ["drawn text"]
    assert found.nothing.drawn.sum() == SMALL.nothing
    for group in ("charts", "drawn noise"):
        kept = found.nothing.group != group
        rows = np.concatenate([found.pictures.fitted, kept])
        fitted = fit_whole_pictures(found, SMALL, rows)
        one = torch.from_numpy(~kept)
        features = found.nothing.features[one]
        added = ImagenetHead(found.imagenet_rows, found.imagenet_bias, SMALL)(features)[1]
        expected = torch.nn.functional.normalize(picture_projection(fitted)(features) + added, dim=1)
        torch.testing.assert_close(held_out.nothing[one], expected.detach())
    # A source of both kinds of pictures is left out of both.
    assert found.without("first").nothing.kind.tolist()[:4] == ["charts"] * 3 + ["drawn text"]
    assert found.open_only().nothing.fitted.all()


def test_a_group_of_one_file_is_measured_like_the_others(found: PretrainingData) -> None:
    lone = replace(
        found,
        pictures=replace(found.pictures, group=np.array(["lone", *found.pictures.group[1:]])),
        sounds=replace(found.sounds, group=np.array(["lone", *found.sounds.group[1:]])),
    )
    scores = score_left_out(lone, hold_out(lone, SMALL), SMALL)["lone"]
    assert scores.pictures is not None
    assert scores.sounds is not None
    assert len(scores.pictures.material) == len(scores.sounds.material) == 1
    assert np.isnan(scores.pictures.numbers["top-1 macro"])


@pytest.mark.usefixtures("with_towers_made_before")
def test_bad_rows_are_skipped_and_counted_and_a_source_of_one_file_is_fine(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = rows_of(data)
    picture, sound = Path(rows[0][1]), Path(rows[-1][1])
    broken = {
        "empty.png": b"",
        "cut.png": picture.read_bytes()[:200],
        "page.jpg": b"<!doctype html>",
        "drawing.png": b"<svg xmlns='http://www.w3.org/2000/svg'/>",
        "empty.wav": b"",
        "cut.flac": sound.read_bytes()[:30],
    }
    for name, content in broken.items():
        (tmp_path / name).write_bytes(content)
        rows.append(["sound" if name.endswith(("wav", "flac")) else "image", name, "wood", "first", "CC0", "1"])
    (tmp_path / "nothing.png").write_bytes(b"no picture")
    (tmp_path / "white.png").write_bytes(picture.read_bytes())
    write_manifest(
        tmp_path,
        [["image", name, "nothing", "charts", "CC0", "1"] for name in ("nothing.png", "white.png")],
        "nothing.csv",
    )
    unreadable = len(broken) + 1
    if NEVER_READABLE.exists():
        for name, kind in (("locked.png", "image"), ("locked.wav", "sound")):
            (tmp_path / name).symlink_to(NEVER_READABLE)
            rows.append([kind, name, "wood", "first", "CC0", "1"])
            unreadable += 1
    rows += [
        ["image", str(picture), "wood", "lone", "CC0", "1"],
        ["sound", str(sound), "wood", "alone", "CC0", "1"],
        ["image", str(picture), "lava", "first", "CC0", "1"],
        ["image", str(picture), "", "first", "CC0", "1"],
        ["sound", str(sound), "wood;metal", "first", "CC0", "1"],
        ["sound", str(sound), "voice", "third", "CC0", "1"],
    ]
    write_manifest(tmp_path, rows)
    monkeypatch.setattr("training.pretraining.pretrain_recipe.PretrainingRecipe", lambda: SMALL)
    result = CliRunner().invoke(pretrain, [str(tmp_path), str(tmp_path / "out"), "--threads", "1"])
    assert result.exit_code == 0, result.output
    assert "skipped: 4 rows without exactly one of the 17 materials" in result.output
    assert re.search(rf"cannot be read, left out: {unreadable} files, the first .*empty\.png", result.output)
    training = load_bundle(tmp_path / "out").spec.training
    assert training["pictures"] == {"first": 11, "lone": 1, "second": 11}
    assert training["sounds"]["alone"] == 1
    assert "third" not in training["sounds"]
    assert training["nothing"] == {"charts": 1}
