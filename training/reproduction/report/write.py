"""Writing the report: Markdown, the same as a page, figures, and the numbers behind all of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

from model.atomic import atomic_folder
from model.errors import TrainingError
from training.data.dataset import Dataset
from training.measures.results import RESULTS, RunResult
from training.reproduction.report.canvas import style, write_figure
from training.reproduction.report.compared import ablation, against_the_paper
from training.reproduction.report.figures_of_data import class_distribution, co_appearance, picture_and_clips
from training.reproduction.report.figures_of_runs import (
    confusion_matrices,
    good_sounds,
    picture_curves,
    sound_curves,
)
from training.reproduction.report.groups import KINDS, Group, Plate, group_runs
from training.reproduction.report.page import bullets, render_page, rests_on, slug, text
from training.reproduction.report.paper_tables import flattery, paper_tables
from training.reproduction.report.ran import what_was_run
from training.reproduction.report.recommended import recommendations

MARKDOWN_FILE = "report.md"
PAGE_FILE = "report.html"
NUMBERS_FILE = "numbers.json"
FIGURES_FOLDER = "figures"


def write_report(
    results: Sequence[RunResult], dataset: Dataset, target: Path, *, title: str = "The paper's systems and ours"
) -> Path:
    """Write the report of `results` into the folder `target` and return the path of its page.

    The folder holds `report.md`, `report.html`, `figures/figure-<n>.png` and `numbers.json` (all results as one
    list). It is published whole and replaces an older report; the same input gives
    the same bytes. `dataset` is the one that the results are of, as prepared. Whatever was not run is said to be.

    Raises TrainingError if `target` holds anything that is no part of a report, or if two results are of one run.
    """
    _check(target)
    groups = group_runs(results)
    with style(), atomic_folder(target) as aside:
        plates = [
            picture_and_clips(dataset),
            class_distribution(dataset),
            confusion_matrices(groups),
            co_appearance(dataset),
            sound_curves(groups),
            good_sounds(groups),
            picture_curves(groups),
        ]
        (aside / FIGURES_FOLDER).mkdir()
        for plate in plates:
            if plate.figure is not None:
                write_figure(plate.figure, aside / plate.file)
        markdown = "\n\n".join(_blocks(title, dataset, groups, plates)) + "\n"
        (aside / MARKDOWN_FILE).write_text(markdown, encoding="utf-8")
        (aside / PAGE_FILE).write_text(render_page(markdown, title), encoding="utf-8")
        runs = [
            run for _, run in sorted((at, run) for g in groups for at, run in zip(g.numbers, g.runs, strict=True))
        ]
        (aside / NUMBERS_FILE).write_bytes(RESULTS.dump_json(runs, indent=1) + b"\n")
    return target / PAGE_FILE


def _blocks(title: str, dataset: Dataset, groups: Sequence[Group], plates: Sequence[Plate]) -> Iterator[str]:
    sections = {
        "1. What was run": what_was_run(dataset, groups),
        "2. The paper's tables": paper_tables(groups),
        "3. How much the paper's validation flatters": flattery(groups),
        "4. The paper's figures": [block for plate in plates for block in _figure(plate)],
        "5. What the paper should have": recommendations(groups),
        "6. Our recipe against the paper's": against_the_paper(groups),
        "7. Ablation": ablation(groups),
    }
    yield f"# {text(title)}"
    yield (
        "The systems of Liu & Zhao, *Interaction-Based Material Recognition with Multimodal Audio-Visual "
        "Datasets*, and what goes past them. All measures are shares from 0 to 1 unless a column says otherwise. A "
        "value of one run stands with its 95 % bootstrap interval over videos in brackets. A value of several "
        "seeds is their mean ± their standard deviation, with the number of seeds n and the mean of their "
        "intervals. What was not run says so."
    )
    explained = {
        "sample": "shares videos and pictures with the training data, very probably the paper's way",
        "video": "no video is in both",
        "recording": "no recording is in both; several videos can be cut from one",
    }
    yield "Validation data are drawn in up to three ways:"
    yield bullets(f"{words}: {explained[kind]}" for kind, words in KINDS.items())
    yield "Contents:"
    yield bullets(f"[{heading}](#{slug(heading)})" for heading in sections)
    for heading, blocks in sections.items():
        yield f"## {heading}"
        yield from blocks


def _figure(plate: Plate) -> Iterator[str]:
    yield f"### Figure {plate.number}. {text(plate.title)}"
    if plate.figure is not None:
        yield f"![{text(plate.alt)}]({plate.file})"
    yield text(plate.caption)
    yield from rests_on(plate.groups)


def _check(target: Path) -> None:
    """Refuse to replace what is not a report: a folder is published by taking the place of the older one."""
    if not target.exists():
        return
    if not target.is_dir():
        raise TrainingError(f"{target} is not a folder")
    ours = {MARKDOWN_FILE, PAGE_FILE, NUMBERS_FILE, FIGURES_FOLDER}
    for path in sorted(target.rglob("*")):
        inside = path.relative_to(target)
        figure = len(inside.parts) == 2 and inside.parts[0] == FIGURES_FOLDER and path.suffix == ".png"
        if not figure and str(inside) not in ours:
            raise TrainingError(f"{target} holds {inside}, which is no part of a report; choose another folder")
