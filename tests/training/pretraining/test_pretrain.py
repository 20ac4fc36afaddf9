"""`thud pretrain` from labelled files to a bundle that answers, on files made here."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result

from model.bundle import Bundle, load_bundle
from model.errors import TrainingError
from model.heads import MaterialHeads
from model.materials import MATERIALS
from model.objects import imagenet_classes
from model.queries import load_queries
from model.runtime import TowerRuntime
from tests.training.pretraining.conftest import COLOURS, SMALL
from training.pretraining import pretraining_data as gathered
from training.pretraining.fit_heads import left_out
from training.pretraining.held_out import (
    calibrate,
    fit_whole_pictures,
    fit_whole_sounds,
    hold_out,
    hold_out_sounds,
)
from training.pretraining.imagenet_head import ImagenetHead
from training.pretraining.pooling import pool
from training.pretraining.pretrain_commands import pretrain
from training.pretraining.query_pictures import choose_queries
from training.pretraining.score import score_left_out
from training.pretraining.space import TOUCHABLE, picture_projection
from training.pretraining.towers import sound_projection


@pytest.fixture(scope="module")
def made(data: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    out = tmp_path_factory.mktemp("made") / "bundle"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("training.pretraining.pretrain_recipe.PretrainingRecipe", lambda: SMALL)
        return out, CliRunner().invoke(pretrain, [str(data), str(out), "--threads", "1"])


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
    made: tuple[Path, Result], bundle: Bundle, data: Path
) -> None:
    found = gathered.gather(data, made[0].with_name("bundle.work"), SMALL)
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


def test_queries_have_no_part_in_the_calibration(made: tuple[Path, Result], data: Path) -> None:
    found = gathered.gather(data, made[0].with_name("bundle.work"), SMALL)
    held_out = hold_out(found, SMALL)
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
    monkeypatch.setattr(gathered, "read_clips", refuse)
    found = gathered.gather(data, out.with_name("bundle.work"), SMALL)
    assert found.picture_features.shape == (36, 1280)


def with_broken(data: Path, folder: Path, *rows: str) -> None:
    """A manifest in `folder` with the rows of `data`, and `rows`, each of a file that cannot be read."""
    head, *kept = (data / "manifest.csv").read_text().splitlines()
    for row in rows:
        (folder / row.split(",")[1]).write_bytes(b"neither")
    there = [row.replace(",", f",{data}/", 1) for row in kept]
    (folder / "manifest.csv").write_text("\n".join([head, *rows, *there]) + "\n")


def test_files_that_cannot_be_read_are_left_out_and_counted(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_broken(
        data, tmp_path, "image,a.png,wood,first,CC0-1.0,1", "sound,b.wav,wood,lone,CC0-1.0,1",
        "image,c.png,lava,first,CC0-1.0,1", "image,d.png,wood,lone,CC0-1.0,1",
    )  # fmt: skip
    found = gathered.gather(tmp_path, tmp_path / "work", SMALL)
    assert [path.name for path in found.unreadable] == ["a.png", "d.png", "b.wav"]
    assert (len(found.pictures), found.pictures.skipped) == (36, 1)
    assert len(found.picture_features) == 36
    assert len(found.sounds) == len(found.sound_features)
    assert torch.isfinite(found.picture_features).all()
    assert torch.isfinite(found.sound_features).all()
    assert "lone" not in {*found.pictures.source.tolist(), *found.sounds.source.tolist()}
    again = gathered.gather(tmp_path, tmp_path / "work", SMALL)
    assert again.unreadable == found.unreadable


def test_pictures_none_of_which_can_be_read_are_one_line(data: Path, tmp_path: Path) -> None:
    for number in range(4):
        (tmp_path / f"{number}.png").write_bytes(b"no picture")
    rows = [f"image,{number}.png,wood,{'ab'[number % 2]},CC0,1" for number in range(4)]
    head, *kept = (data / "manifest.csv").read_text().splitlines()
    sounds = [row.replace(",", f",{data}/", 1) for row in kept if row.startswith("sound")]
    (tmp_path / "manifest.csv").write_text("\n".join([head, *rows, *sounds]) + "\n")
    result = CliRunner().invoke(pretrain, [str(tmp_path), str(tmp_path / "out"), "--threads", "1"])
    assert isinstance(result.exception, TrainingError)
    assert str(result.exception) == "none of the 4 pictures can be read"
    assert not (tmp_path / "out").exists()


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


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("secnd", "no file of the source 'secnd'; there are closed, first, second"),
        ("second", "fewer than 2 groups of sources"),
    ],
)
def test_an_impossible_source_to_leave_out_is_refused_before_anything_is_read(
    data: Path, tmp_path: Path, source: str, reason: str
) -> None:
    result = CliRunner().invoke(pretrain, [str(data), str(tmp_path / "bundle"), "--leave-out", source])
    assert result.exit_code == 1
    assert isinstance(result.exception, TrainingError)
    assert reason in str(result.exception)
    assert not list(tmp_path.iterdir()), "neither features nor a lock"


def test_a_held_out_source_is_embedded_as_if_it_had_never_been_there(made: tuple[Path, Result], data: Path) -> None:
    found = gathered.gather(data, made[0].with_name("bundle.work"), SMALL)
    without = found.without("second")
    fitted = fit_whole_sounds(without, SMALL, without.sounds.fitted)
    rows = torch.from_numpy(found.sounds.source == "second")
    expected = sound_projection(without, fitted)(found.sound_features[rows])[:, : len(MATERIALS)]
    torch.testing.assert_close(hold_out_sounds(found, SMALL)[rows][:, : len(MATERIALS)], expected.detach())


def test_a_group_is_left_out_as_a_whole(made: tuple[Path, Result], data: Path) -> None:
    """Two sources of one group: neither is embedded by heads that saw the other."""
    found = gathered.gather(data, made[0].with_name("bundle.work"), SMALL)
    joined = np.where(found.pictures.source == "closed", "closed", "together")
    whole = replace(found, pictures=replace(found.pictures, group=joined))
    asked: list[set[str]] = []

    def fit(rows: np.ndarray) -> None:
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


def test_open_data_of_one_source_alone_is_too_little(data: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(pretrain, [str(data), str(tmp_path / "bundle"), "--open-only"])
    assert isinstance(result.exception, TrainingError)
    assert "pictures that may be fitted on come from fewer than 2 groups" in str(result.exception)
    assert not list(tmp_path.iterdir())


def test_a_source_of_nothing_and_a_drawn_kind_are_left_out_in_turn(made: tuple[Path, Result], data: Path) -> None:
    found = gathered.gather(data, made[0].with_name("bundle.work"), SMALL)
    assert found.nothing.kind.tolist()[:7] == ["charts"] * 3 + ["first"] * 3 + ["drawn text"]
    assert found.nothing.drawn.sum() == SMALL.nothing
    held_out = hold_out(found, SMALL)
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


def test_without_nothing_csv_there_are_the_drawn_ones_alone(data: Path, tmp_path: Path) -> None:
    with_broken(data, tmp_path)
    found = gathered.gather(tmp_path, tmp_path / "work", SMALL.model_copy(update={"nothing": 9}))
    assert len(found.nothing) == 9
    assert found.nothing.drawn.all()


def test_a_group_of_one_file_is_measured_like_the_others(made: tuple[Path, Result], data: Path) -> None:
    found = gathered.gather(data, made[0].with_name("bundle.work"), SMALL)
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
