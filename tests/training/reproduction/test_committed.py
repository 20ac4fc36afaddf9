"""The committed reports and docs/reproduction.md say what the committed numbers do."""

import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest

from training.data.dataset import Dataset
from training.measures.records import RetrievalMeasures, Truth
from training.measures.results import RunResult, load_numbers
from training.reproduction.report.write import write_report

DOCS = Path(__file__).parents[3] / "docs"
FOLDER = DOCS / "reproduction"
PAGE = (DOCS / "reproduction.md").read_text(encoding="utf-8")
TRUTHS: dict[Truth, str] = {"own_clips": "of the own eight clips", "all_events": "known to be in the picture"}
PAPERS, OURS = "paper-tt-agg-resnet18", "thud"


def sections(report: Path) -> dict[str, str]:
    """The sections that are made of the numbers alone, by heading: 1 and 4 are of the dataset, too."""
    parts = re.split(r"^## (.*)$", report.read_text(encoding="utf-8"), flags=re.MULTILINE)
    found = dict(zip(parts[1::2], parts[2::2], strict=True))
    return {heading: text for heading, text in found.items() if heading[0] in "23567"}


def runs_of(file: str, name: str, epochs: int = 30) -> list[RunResult]:
    """The runs of a recipe that were validated by recording, by seed."""
    runs = [run for run in load_numbers(FOLDER / file) if run.name == name and run.epochs == epochs]
    return sorted((run for run in runs if run.validation == "recording"), key=lambda run: run.seed)


def by_seed(runs: list[RunResult], truth: Truth, read: Callable[[RetrievalMeasures], float]) -> list[float]:
    return [read(found.by(truth)) for run in runs if (found := run.test.recommended) is not None]


def errors(file: str, truth: Truth) -> tuple[list[float], list[float]]:
    """1 - P@10 macro of the paper's recipe and of ours, by seed."""
    paper, ours = (
        [1 - value for value in by_seed(runs_of(file, name), truth, lambda found: found.p_at["10"].macro)]
        for name in (PAPERS, OURS)
    )
    assert len(paper) == len(ours) == 3
    return paper, ours


@pytest.mark.parametrize("folder", [FOLDER, FOLDER / "eight-clips"], ids=["every system", "eight clips"])
def test_the_reports_are_those_of_the_numbers(folder: Path, dataset: Dataset, tmp_path: Path) -> None:
    write_report(load_numbers(folder / "numbers.json"), dataset, tmp_path / "report")
    committed = sections(folder / "report.md")
    assert len(committed) == 5
    assert sections(tmp_path / "report" / "report.md") == committed
    links = re.findall(r"!\[.*\]\((.*)\)", (folder / "report.md").read_text(encoding="utf-8"))
    assert links
    assert all((folder / link).is_file() for link in links)


@pytest.mark.parametrize("truth", TRUTHS)
def test_the_first_table_is_of_the_eight_clips(truth: Truth) -> None:
    file = "eight-clips/numbers.json"
    columns = [*errors(file, truth)]
    for read in (lambda found: found.ndcg_at_10.macro, lambda found: found.map.macro):
        columns += [by_seed(runs_of(file, name), truth, read) for name in (PAPERS, OURS)]
    lines = {str(seed): [column[seed] for column in columns] for seed in range(3)}
    lines["mean"] = [fmean(column) for column in columns]
    for name, (paper, ours, *rest) in lines.items():
        first = TRUTHS[truth] if name == "0" else ""
        cells = [first, name, f"{paper:.3f}", f"{ours:.3f}", f"{paper / ours:.2f}", *(f"{v:.3f}" for v in rest)]
        assert "| " + " | ".join(cells).lstrip() + " |" in PAGE


@pytest.mark.parametrize(
    ("file", "row"),
    [
        ("numbers.json", "| 2 | 48 | bf16, fp32 |"),
        ("earlier.json", "| 2 | 48 | fp32, fp32 |"),
        ("four-clips.json", "| 4 | 48 | bf16, fp32 |"),
        ("eight-clips/numbers.json", "| 8 | 40 | bf16, fp32 |"),
    ],
)
def test_the_table_of_fewer_clips_is_of_all_numbers(file: str, row: str) -> None:
    for truth in TRUTHS:
        paper, ours = errors(file, truth)
        ratios = ", ".join(f"{their / our:.2f}" for their, our in zip(paper, ours, strict=True))
        halved = sum(our <= their / 2 for their, our in zip(paper, ours, strict=True))
        row += f" {ratios} | {halved} of 3 |"
    assert row in PAGE


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("ablation-own-positives", "positives of the own video alone"),
        ("ablation-plain-pictures", "pictures neither cropped nor coloured"),
        ("ablation-small-batch", "half the batch"),
        ("ablation-no-average", "no averaging of weights"),
        ("ablation-no-heads", "no heads"),
    ],
)
def test_the_ablation_is_of_validation_data(name: str, words: str) -> None:
    (changed,), full = runs_of("numbers.json", name), runs_of("numbers.json", OURS)[0]
    found, whole = changed.val.recommended, full.val.recommended
    assert found is not None
    assert whole is not None
    own = found.own_clips
    precision, interval = own.p_at["10"].by("macro")
    assert interval is not None
    ends = f"[{interval[0]:.3f}, {interval[1]:.3f}]"
    apart = f"{precision - whole.own_clips.p_at['10'].macro:+.3f}"
    rest = (own.p_at["10"].micro, own.ndcg_at_10.macro, own.map.macro)
    cells = [words, f"{precision:.3f}", ends, apart, *(f"{value:.3f}" for value in rest)]
    assert "| " + " | ".join(cells) + " |" in PAGE


def test_what_an_earlier_version_gained_and_lost_in_ten_epochs() -> None:
    def precision(name: str) -> float:
        (run,) = runs_of("earlier.json", name, epochs=10)
        found = run.val.recommended
        assert found is not None
        return found.own_clips.p_at["10"].macro

    whole = precision(OURS)
    assert f"from {whole:.3f}." in PAGE
    for words, name, more in (
        ("half the batch", "ablation-small-batch", "+"),
        ("no averaging", "ablation-no-average", "+"),
        ("plain pictures", "ablation-plain-pictures", "+"),
        ("positives of the own video alone lost", "ablation-own-positives", ""),
        ("no heads", "ablation-no-heads", ""),
        ("Random weights lost", "ablation-random-weights", ""),
    ):
        apart = precision(name) - whole
        assert f"{words} {more}{abs(apart):.3f}" in " ".join(PAGE.split())
        assert (apart > 0) == (more == "+")
