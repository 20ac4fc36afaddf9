"""The report: every number in its place, figures that show something, a sound page, the same bytes again."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

from model.errors import TrainingError
from training.data.dataset import Dataset, Validation
from training.measures.results import RunResult
from training.reproduction.report.figures_of_runs import picture_curves, sound_curves
from training.reproduction.report.groups import group_runs
from training.reproduction.report.write import write_report
from training.reproduction.reproduce_commands import report as report_command

RESNET = {"image_network": "resnet18", "sound_network": "resnet18"}
VGG = {"image_network": "vgg16", "sound_network": "vgg16"}
EPOCHS = 4


def around(value: float) -> list[float]:
    return [round(value - 0.05, 4), round(value + 0.05, 4)]


def scores(value: float, keys: Sequence[str], intervals: bool = True) -> dict[str, Any]:
    found: dict[str, Any] = {key: round(value + at / 100, 4) for at, key in enumerate(keys)}
    return found | {f"{key}_interval": around(found[key]) for key in keys if intervals}


def retrieval(value: float) -> dict[str, Any]:
    def mean(at: float) -> dict[str, Any]:
        return scores(at, ("micro", "macro"))

    share = [round(value + 0.3 * (1 - k / 50), 4) for k in range(1, 51)]
    return {
        "p_at": {k: mean(value + 0.002 * int(k)) for k in ("1", "5", "10", "25", "50")},
        "map": mean(value - 0.1),
        "ndcg_at_10": mean(value + 0.1),
        "coverage_at": {k: mean(value) for k in ("1", "5", "10", "25", "50")},
        "chance": {"micro": 0.25, "macro": 0.24},
        "good_share": share,
        "good_low": [at - 0.05 for at in share],
        "good_high": [at + 0.05 for at in share],
        "without_good": 0,
        "by_material": {
            name: {"pictures": 2, "p_at_10": value, "interval": around(value), "chance": 0.25}
            for name in ("wood", "metal", "glass", "dirt")
        },
    }


def measures(system: str, value: float, split: str = "test", intervals: bool = True) -> dict[str, Any]:
    """Made-up measures: `value` is the accuracy, and P@K and the rest lie about it; all_events a tenth higher."""
    if system in {"sound", "fc_agg"}:
        confusion = (np.eye(17, dtype=int) * 9 + 1).tolist()
        found = scores(value, ("accuracy", "macro_accuracy"), intervals) | {"samples": 80, "loss": 1.0}
        return found | ({"confusion": confusion} if intervals else {})
    four = scores(value, ("accuracy", "precision", "recall", "f1"), intervals)
    if system == "visual":
        return four | {
            "pictures": 8,
            "loss": 1.0,
            "map": value,
            **({"map_interval": around(value)} if intervals else {}),
        }
    pairs = four | {"pairs": 160, "loss": 1.0}
    if not intervals:
        return pairs | {"map": value}
    both = {"own_clips": retrieval(value), "all_events": retrieval(value + 0.1)}
    return {"pairs": pairs, "recommend": {"pictures": 8, "library": 90, "hubness_skew": 1.5, **both}}


def result(
    name: str,
    system: str,
    dataset: Dataset,
    *,
    val: float = 0.9,
    test: float = 0.5,
    seed: int = 0,
    validation: Validation = "sample",
    **settings: Any,
) -> RunResult:
    recipe = {"name": name, "system": system, "learning_rate": 0.01, "weighted": False, **RESNET, **settings}
    history = [
        {"epoch": e, "loss": 1 / e, "seconds": 1.0, "samples_per_second": 50.0}
        | {"val": measures(system, val * e / EPOCHS, intervals=False)}
        for e in range(1, EPOCHS + 1)
    ]
    return RunResult(
        recipe=recipe,
        seed=seed,
        validation=validation,
        epochs=EPOCHS,
        checkpoint=f"{name}-{validation}-{seed}",
        dataset=dataset.info.id,
        command=f"thud train data runs/{name} --recipe {name} --seed {seed} --note 'a|b'",
        device="cpu",
        precision="float32",
        versions={"torch": "2"},
        seconds=10.0,
        samples_per_second=50.0,
        history=history,
        val=measures(system, val, "val"),
        test=measures(system, test),
    )


def everything(dataset: Dataset) -> list[RunResult]:
    flattered: dict[Validation, float] = {"sample": 0.4, "video": 0.2, "recording": 0.1}

    def three(name: str, system: str, test: float, **settings: Any) -> list[RunResult]:
        return [
            result(name, system, dataset, val=test + more, test=test, validation=kind, **settings)
            for kind, more in flattered.items()
        ]

    runs = three("paper-sound-resnet18", "sound", 0.51) + three("paper-fc-resnet18", "fc_agg", 0.52)
    runs += three("paper-sound-vgg16", "sound", 0.41, **VGG) + three("paper-fc-vgg16", "fc_agg", 0.42, **VGG)
    runs += three("paper-visual-resnet18", "visual", 0.53)
    runs += three("paper-visual-weighted-resnet18", "visual", 0.54, weighted=True)
    runs += three("paper-tt-vgg16", "tt_agg", 0.43, **VGG)
    ours: dict[str, Any] = {"heads": 0.5, "sounds": {"gain": 6.0}, "validation": "recording"}
    ours |= {"image_weights": "imagenet", "sound_weights": "imagenet"}
    for seed, test in enumerate((0.5, 0.6, 0.7)):
        runs.append(result("paper-tt-resnet18", "tt_agg", dataset, test=test, seed=seed, validation="recording"))
        runs.append(result("thud", "tt_agg", dataset, val=0.8, test=test / 2 + 0.45, seed=seed, **ours))
    for name, change in (("no-heads", {"heads": 0.0}), ("no-gain", {"sounds": {"gain": 0.0}})):
        runs.append(result(f"ablation-{name}", "tt_agg", dataset, val=0.7, **ours | change))
    return runs


def tables(markdown: str) -> dict[str, list[list[dict[str, str]]]]:
    """The tables under each heading, each a list of rows, each its cells by column."""
    found: dict[str, list[list[dict[str, str]]]] = {}
    heading, header = "", None
    for line in markdown.splitlines():
        cells = [cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if line.startswith("#"):
            heading, header = line.lstrip("# "), None
        elif not line.startswith("|"):
            header = None
        elif header is None:
            header = cells
            found.setdefault(heading, []).append([])
        elif not set(line) <= set("| -:"):
            assert len(cells) == len(header), line
            found[heading][-1].append(dict(zip(header, cells, strict=True)))
    return found


def under(found: dict[str, list[list[dict[str, str]]]], start: str) -> list[list[dict[str, str]]]:
    (heading,) = [heading for heading in found if heading.startswith(start)]
    return found[heading]


def pick(rows: list[dict[str, str]], **cells: str) -> dict[str, str]:
    wanted = {key.replace("_", " "): value for key, value in cells.items()}
    (row,) = [row for row in rows if all(value in row[key] for key, value in wanted.items())]
    return row


@pytest.fixture(scope="module")
def report(dataset: Dataset, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_report(everything(dataset), dataset, tmp_path_factory.mktemp("published") / "report").parent


@pytest.fixture
def blank_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Draws no figures, which take nearly all of the time of a report, where a test looks at its text alone."""
    monkeypatch.setattr("training.reproduction.report.write.write_figure", lambda _figure, path: path.touch())


@pytest.fixture(scope="module")
def found(report: Path) -> dict[str, list[list[dict[str, str]]]]:
    return tables((report / "report.md").read_text())


def test_the_papers_value_stands_beside_ours(found: dict[str, list[list[dict[str, str]]]]) -> None:
    (rows,) = under(found, "Table 2.")
    paper = pick(rows, Network="ResNet", Validation_drawn="not said")
    assert (paper["Validation accuracy"], paper["Test accuracy"]) == ("0.9449", "0.5501")
    ours = pick(rows, Network="ResNet", Validation_drawn="sample-level")
    assert ours["Validation accuracy"] == "0.910 [0.860,\u00a00.960]"
    assert ours["Test accuracy"] == "0.510 [0.460,\u00a00.560]"
    assert "`paper-sound-resnet18`" in ours["Result"]
    assert pick(rows, Network="VGG", Validation_drawn="by video")["Validation accuracy"].startswith("0.610 ")

    (rows,) = under(found, "Table 3.")
    paper = pick(rows, Network="VGG", Loss="unweighted", Validation_drawn="not said")
    assert (paper["Test precision"], paper["Validation F1"]) == ("0.2898", "0.5179")
    weighted = [row for row in rows if row["Loss"] == "weighted"]
    assert pick(weighted, Network="ResNet", Validation_drawn="not said")["Validation recall"] == "0.8996"
    assert pick(weighted, Network="ResNet", Validation_drawn="by recording")["Test F1"].startswith("0.570 ")
    missing = pick(weighted, Network="VGG", Validation_drawn="by recording")
    assert {missing[column] for column in missing if column.startswith("Test")} == {"not run"}

    (rows,) = under(found, "Table 4.")
    assert pick(rows, Network="VGG", Validation_drawn="not said")["Test accuracy"] == "0.5480"
    assert pick(rows, Network="VGG", Validation_drawn="sample-level")["Test accuracy"].startswith("0.420 ")

    (rows,) = under(found, "Table 5.")
    assert pick(rows, Network="ResNet", Validation_drawn="not said")["Test recall"] == "0.8048"
    assert pick(rows, Network="VGG", Validation_drawn="not said")["Validation F1"] == "0.6936"


def test_seeds_become_mean_and_spread(found: dict[str, list[list[dict[str, str]]]]) -> None:
    (rows,) = under(found, "Table 5.")
    ours = pick(rows, Network="ResNet", Validation_drawn="by recording")
    # The mean of three intervals of 0.05 to either side.
    assert ours["Test accuracy"] == "0.600 ±\u00a00.100\u00a0(n=3) [0.550,\u00a00.650]"
    ranking = under(found, "By the materials")[0]
    # P@10 micro of the made-up measures is the accuracy and 0.02 more, macro 0.01 above it.
    micro = [row for row in ranking if row["Mean"] == "micro"]
    macro = [row for row in ranking if row["Mean"] == "macro"]
    assert pick(micro, Recipe="paper-tt-resnet18")["P@10"] == "0.620 ±\u00a00.100\u00a0(n=3) [0.570,\u00a00.670]"
    assert pick(macro, Recipe="`thud`")["mAP"] == "0.660 ±\u00a00.050\u00a0(n=3) [0.610,\u00a00.710]"
    assert pick(macro, Recipe="vgg16", Validation="by video")["nDCG@10"] == "0.540 [0.490,\u00a00.590]"
    assert pick(micro, Recipe="`thud`")["Chance"] == "0.250"
    by_material = under(found, "By all materials")[2]
    assert [row["Material"] for row in by_material] == ["metal", "glass", "dirt", "wood"]
    wood = pick(by_material, Material="wood")
    assert wood["Test pictures"] == "2"
    assert wood["`thud`, by recording"] == "0.850 ±\u00a00.050\u00a0(n=3) [0.800,\u00a00.900]"
    assert not any("ablation" in cell for row in ranking for cell in row.values())
    coverage = pick(under(found, "By the materials")[1][:1], Mean="micro")
    assert coverage["Hubness skew"].startswith("1.500")


def test_how_much_validation_flatters(found: dict[str, list[list[dict[str, str]]]]) -> None:
    (rows,) = under(found, "3.")
    row = pick(rows, System="sound", Network="ResNet")
    assert row["Paper"] == "+0.395 (0.945\u00a0−\u00a00.550)"
    assert row["Sample-level"] == "+0.400 (0.910\u00a0−\u00a00.510)"
    assert row["By recording"] == "+0.100 (0.610\u00a0−\u00a00.510)"
    tt = pick(rows, System="TT_AGG", Network="ResNet", Measure="accuracy")
    assert tt["By recording"] == "+0.300 ±\u00a00.100\u00a0(n=3) (0.900\u00a0−\u00a00.600)"
    assert tt["Sample-level"] == "not run"


def test_our_recipe_against_the_papers(report: Path, found: dict[str, list[list[dict[str, str]]]]) -> None:
    own, _ = under(found, "`thud` against `paper-tt-resnet18`, by recording")
    # Macro P@10: paper's 0.53, 0.63, 0.73; ours 0.73, 0.78, 0.83.
    assert [row["Paper/ours"] for row in own] == ["1.74", "1.68", "1.59", "1.68"]
    assert "`thud` starts from ImageNet's weights, `paper-tt-resnet18` from random weights." in (
        report / "report.md"
    ).read_text(encoding="utf-8")
    mean = pick(own, Seed="mean")
    assert (mean["Error, paper"], mean["Error, ours"]) == ("0.370", "0.220")
    assert (mean["mAP, paper"], mean["mAP, ours"]) == ("0.510", "0.660")
    assert (
        "at most half the paper's at 0 of 3 seeds, our nDCG@10 is higher at 3" in (report / "report.md").read_text()
    )


def by_picture(wrong: float) -> dict[str, Any]:
    """Six videos, of which the odd ones are twice as hard; `wrong` is the error of the others."""
    good = [1 - wrong * (1 + at % 2) for at in range(6)]
    materials = [[at % 3, 5] for at in range(6)]
    return {
        "group": list("abcdef"),
        "materials": materials,
        "p_at_10": good,
        "ndcg_at_10": [1 - wrong] * 6,
        "map": good,
    }


def with_pictures(run: RunResult, truth: str, pictures: dict[str, Any]) -> RunResult:
    """The run as if its test pictures had given that."""
    whole = run.model_dump(mode="json")
    whole["test"]["recommend"][truth]["by_picture"] = pictures
    return RunResult.model_validate(whole)


@pytest.mark.usefixtures("blank_figures")
def test_how_sure_the_videos_leave_us(dataset: Dataset, tmp_path: Path) -> None:
    runs = []
    for seed in (0, 1):
        for name, wrong in (("paper-tt-resnet18", 0.4), ("thud", 0.1)):
            run = result(name, "tt_agg", dataset, seed=seed, validation="recording")
            for truth in ("own_clips", "all_events"):
                run = with_pictures(run, truth, by_picture(wrong + seed / 100))
            runs.append(run)
    write_report(runs, dataset, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    # Every picture's error is 0.405 to 0.105 of the paper's mean: whichever videos are drawn, so is the mean's.
    assert text.count("The ratio of the mean errors lies in [3.86,\u00a03.86]") == 2
    assert "our nDCG@10 minus the paper's in [0.300,\u00a00.300]" in text
    # The harder videos lie twice as far apart, so the mean of what is drawn is not always the same.
    (low, high) = re.findall(r"our mAP minus the paper's in \[([\d.]+),\u00a0([\d.]+)\]", text)[0]
    assert 0.3 <= float(low) < 0.45 < float(high) <= 0.6
    for at in (1, 3):
        better = by_picture(0.1 + at // 2 / 100) | {"p_at_10": [1.0] * 5 + [0.5]}
        runs[at] = with_pictures(runs[at], "own_clips", better)
    write_report(runs, dataset, tmp_path / "report")
    assert ",\u00a0unbounded], our nDCG@10" in (tmp_path / "report" / "report.md").read_text()
    runs[1] = with_pictures(runs[1], "own_clips", better | {"group": list("abcdeg")})
    write_report(runs, dataset, tmp_path / "report")
    assert (tmp_path / "report" / "report.md").read_text().count("The ratio of the mean errors lies in") == 1


@pytest.mark.usefixtures("blank_figures")
def test_recipes_of_unequal_epochs_are_not_compared(dataset: Dataset, tmp_path: Path) -> None:
    runs = [
        result("paper-tt-resnet18", "tt_agg", dataset, test=0.1, epochs=3),
        result("thud", "tt_agg", dataset, test=0.9, epochs=30),
    ]
    write_report(runs, dataset, tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text()
    assert "because they were trained for unequal times: `thud` (30 epochs) and `paper-tt-resnet18` (3)." in text
    assert "at most half the paper's" not in text


def test_ablation_names_the_change(found: dict[str, list[list[dict[str, str]]]]) -> None:
    (rows,) = under(found, "Changes to `thud`")
    assert rows[0]["Change"] == "full recipe"
    assert rows[0]["P@10 macro"] == "0.830 ±\u00a00.000\u00a0(n=3) [0.780,\u00a00.880]"
    heads = pick(rows, Recipe="ablation-no-heads")
    assert heads["Change"] == "`heads` `0.5` → `0.0`"
    assert heads["P@10 macro"] == "0.730 [0.680,\u00a00.780]"
    assert heads["Δ P@10 macro"] == "−0.100"
    assert pick(rows, Recipe="ablation-no-gain")["Change"] == "`sounds.gain` `6.0` → `0.0`"


def test_what_was_run_is_told(report: Path, found: dict[str, list[list[dict[str, str]]]], dataset: Dataset) -> None:
    (runs,) = under(found, "The runs")
    assert len(runs) == len(everything(dataset))
    row = pick(runs, Checkpoint="paper-sound-vgg16-video-0")
    assert (row["Networks"], row["Epochs"], row["Samples/s"]) == ("`vgg16`", "4", "50")
    splits, *_ = under(found, "The data")
    assert [row["Pictures"] for row in splits] == [
        str(count) for count in np.bincount(dataset.labels.picture_split)
    ]
    markdown = (report / "report.md").read_text()
    assert "Pictures are 32 px square, not 224 px." in markdown
    assert "Clips run from 0.1 s before the hit to 0.3 s after it" in markdown
    assert "Trained for 4 epochs, not 30 (`paper-" in markdown
    assert "learning_rate" not in markdown  # it is the paper's
    assert "are of a recording that" not in markdown
    assert markdown.count("--note 'a|b'") > len(runs)  # every table gives the commands of its runs
    assert str(dataset.folder) not in markdown


@pytest.mark.usefixtures("blank_figures")
def test_recordings_on_both_sides_are_told(dataset: Dataset, tmp_path: Path) -> None:
    labels, split = dataset.labels, dataset.labels.picture_split.copy()
    assert labels.picture_group[0] == labels.picture_group[1]  # two videos in a row are cut from one recording
    split[0] = 2
    straddling = replace(dataset, labels=replace(labels, picture_split=split))
    write_report([], straddling, tmp_path / "report")
    told = "1 of 9 test pictures are of a recording that training or validation data are cut from, too"
    assert told in (tmp_path / "report" / "report.md").read_text()


def test_figures_show_something(report: Path) -> None:
    files = sorted(path.name for path in (report / "figures").iterdir())
    assert files == [f"figure-{number}.png" for number in (1, 2, 5, 6, 7, 8, 9)]
    for path in (report / "figures").iterdir():
        with Image.open(path) as picture:
            picture.load()
            assert picture.format == "PNG"
            assert not picture.info.keys() & {"Software", "Creation Time"}
            pixels = np.asarray(picture.convert("L"))
        assert 1000 <= pixels.shape[1] <= 2000
        assert 400 <= pixels.shape[0] <= 2000
        assert pixels.std() > 10
        assert (pixels == 255).mean() > 0.1


def test_each_curve_has_a_point_for_each_epoch(dataset: Dataset) -> None:
    runs = everything(dataset)
    for at, run in enumerate(runs):
        if run.recipe["name"] == "paper-visual-weighted-resnet18":
            # As where validation had nothing to measure.
            history = [record.model_copy(update={"val": None}) for record in run.history]
            runs[at] = run.model_copy(update={"history": history})
    for draw, wanted in (
        (sound_curves, {"sound only (seed 0)": 1, "FC_AGG (seed 0)": 1}),
        (picture_curves, {"TT_AGG (seed 0)": 1, "TT_AGG (3 seeds)": 3, "visual, unweighted (seed 0)": 1}),
    ):
        plate = draw(group_runs(runs))
        assert plate.figure is not None
        lines = [line for axes in plate.figure.axes for line in axes.get_lines()]
        assert {line.get_label() for line in lines} <= wanted.keys()
        for line in lines:
            assert np.asarray(line.get_xdata()).tolist() == list(range(1, EPOCHS + 1)), line.get_label()
    for validation, label in (("sample", "visual, unweighted (seed 0)"), ("recording", "TT_AGG (3 seeds)")):
        plate = picture_curves(group_runs([run for run in runs if run.validation == validation]))
        assert plate.figure is not None
        assert label in {line.get_label() for axes in plate.figure.axes for line in axes.get_lines()}
        if validation == "sample":
            assert "visual, weighted, ResNet" in plate.caption


def test_the_page_is_well_formed(report: Path) -> None:
    page = (report / "report.html").read_text()
    root = ElementTree.fromstring(page.removeprefix("<!doctype html>\n"))
    images = list(root.iter("img"))
    assert len(images) == 7
    for image in images:
        assert (report / image.attrib["src"]).is_file()
        assert len(image.attrib["alt"]) > 20
    names = {element.attrib["id"] for element in root.iter() if "id" in element.attrib}
    links = [element.attrib["href"] for element in root.iter("a")]
    assert len(links) == 7
    assert {link.removeprefix("#") for link in links} <= names
    assert all(head.attrib["scope"] == "col" for head in root.iter("th"))
    folded = list(root.iter("details"))
    assert all([child.tag for child in each] == ["summary", "ul"] for each in folded)
    # The same Markdown: every table of it is in the page, every list of runs is folded.
    markdown = (report / "report.md").read_text()
    assert len(list(root.iter("table"))) == sum(map(len, tables(markdown).values()))
    assert len(folded) == markdown.count("The runs behind this:")
    assert "http" not in page


def test_numbers_come_back(report: Path, dataset: Dataset) -> None:
    raw = json.loads((report / "numbers.json").read_text())
    back = [RunResult.model_validate(entry) for entry in raw]
    key = lambda run: run.checkpoint  # noqa: E731
    assert sorted(back, key=key) == sorted(everything(dataset), key=key)


@pytest.mark.usefixtures("blank_figures")
def test_one_report_of_several(report: Path, dataset: Dataset, tmp_path: Path) -> None:
    runs = everything(dataset)
    for name, part in (("a", runs[:9]), ("b", runs[5:])):
        write_report(part, dataset, tmp_path / name)
    files = [str(tmp_path / name / "numbers.json") for name in "ab"]
    arguments = [str(dataset.folder), str(tmp_path / "whole"), *files]
    told = CliRunner().invoke(report_command, arguments, catch_exceptions=False).output
    assert f"b/numbers.json: 4 of {len(runs) - 5} runs in place of those in earlier files" in " ".join(told.split())
    assert "another dataset" not in told
    for file in ("report.md", "numbers.json"):
        assert (tmp_path / "whole" / file).read_bytes() == (report / file).read_bytes()
    broken = tmp_path / "broken.json"
    for text, words in (("[{}]", "is not valid"), ("nothing", "is not valid"), (None, "cannot be read")):
        if text is not None:
            broken.write_text(text)
        else:
            broken.unlink()
        refused = CliRunner().invoke(report_command, [str(dataset.folder), str(tmp_path / "none"), str(broken)])
        assert isinstance(refused.exception, TrainingError)
        assert words in str(refused.exception)
    assert not (tmp_path / "none").exists()


def test_again_it_is_the_same(report: Path, dataset: Dataset, tmp_path: Path) -> None:
    runs = everything(dataset)
    write_report(runs[:3], dataset, tmp_path / "report", title="Another")
    page = write_report(runs[::-1], dataset, tmp_path / "report")
    assert page == tmp_path / "report" / "report.html"
    files = sorted(path.relative_to(report) for path in report.rglob("*"))
    assert files == sorted(path.relative_to(page.parent) for path in page.parent.rglob("*"))
    for file in files:
        if (report / file).is_file():
            assert (report / file).read_bytes() == (page.parent / file).read_bytes(), file
    assert [path.name for path in tmp_path.iterdir()] == ["report"]


def test_nothing_run_and_nothing_measured(dataset: Dataset, tmp_path: Path) -> None:
    page = write_report([], dataset, tmp_path / "empty")
    markdown = (page.parent / "report.md").read_text()
    for number in (2, 3, 4, 5):
        (rows,) = under(tables(markdown), f"Table {number}.")
        assert all("not run" in row.values() for row in rows if row["Result"] == "Thud")
    assert markdown.count("Not run") >= 5
    assert sorted(path.name for path in (page.parent / "figures").iterdir()) == [
        "figure-1.png",
        "figure-2.png",
        "figure-6.png",
    ]
    assert json.loads((page.parent / "numbers.json").read_text()) == []
    ElementTree.fromstring(page.read_text().removeprefix("<!doctype html>\n"))

    full = result("paper-tt-$resnet18$", "tt_agg", dataset)
    whole = full.model_dump(mode="json")
    whole["test"]["recommend"] = {"none": "the test split has no picture"}
    run = RunResult.model_validate(whole | {"val": {"none": "no | pairs"}, "history": []})
    page = write_report([run], dataset, tmp_path / "partly")
    markdown = (page.parent / "report.md").read_text()
    (rows,) = under(tables(markdown), "Table 5.")
    ours = pick(rows, Network="ResNet", Validation_drawn="sample-level")
    assert ours["Validation F1"] == "not measured"
    assert ours["Test accuracy"] == "0.500 [0.450,\u00a00.550]"
    assert "run 1, validation data: `no | pairs`" in markdown
    assert "run 1, test data: `the test split has no picture`" in markdown


def test_a_dataset_without_pairs(dataset: Dataset, tmp_path: Path) -> None:
    labels = replace(dataset.labels, clip_picture=np.full_like(dataset.labels.clip_picture, -1))
    page = write_report([], replace(dataset, labels=labels), tmp_path / "report")
    assert "no training picture has a clip of its own" in page.read_text()
    assert "No clip comes with a picture of its own." in page.read_text()


@pytest.mark.usefixtures("blank_figures")
def test_synthesized_media_are_named(report: Path, dataset: Dataset, tmp_path: Path) -> None:
    told = "Pictures and sounds are synthesized on the labels of Greatest Hits"
    assert told not in (report / "report.md").read_text()
    info = dataset.info.model_copy(update={"source": {**dataset.info.source, "synthesis": {"seed": 0}}})
    page = write_report([], replace(dataset, info=info), tmp_path / "report")
    assert told in page.read_text()


@pytest.mark.usefixtures("blank_figures")
def test_what_it_refuses(dataset: Dataset, tmp_path: Path) -> None:
    run = result("paper-sound", "sound", dataset)
    with pytest.raises(TrainingError, match="2 results of the recipe paper-sound, seed 0, validated sample-level"):
        write_report([run, run.model_copy(update={"checkpoint": "x"})], dataset, tmp_path / "report")
    assert list(tmp_path.iterdir()) == []
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "thesis.txt").write_text("all I have")
    with pytest.raises(TrainingError, match=r"holds thesis\.txt, which is no part of a report"):
        write_report([run], dataset, mine)
    assert (mine / "thesis.txt").read_text() == "all I have"
    with pytest.raises(TrainingError, match="is not a folder"):
        write_report([run], dataset, mine / "thesis.txt")


@pytest.mark.usefixtures("blank_figures")
def test_what_looks_like_markup_is_text(dataset: Dataset, tmp_path: Path) -> None:
    name = "paper-`x` <script>alert(1)</script> | *b*"
    run = result(name, "sound", dataset)
    page = write_report([run], dataset, tmp_path / "report", title="<b> & *co*")
    root = ElementTree.fromstring(page.read_text().removeprefix("<!doctype html>\n"))
    assert not list(root.iter("script"))
    assert next(root.iter("h1")).text == "<b> & *co*"
    assert next(root.iter("title")).text == "<b> & *co*"
    assert any(element.text == name for element in root.iter("code"))
