"""Writing the report: Markdown, the same as a page, figures, and the numbers behind all of it."""

from collections.abc import Sequence
from pathlib import Path

from model.atomic import atomic_folder
from model.errors import TrainingError
from training.data.dataset import Dataset
from training.measures.results import RESULTS, RunResult
from training.reproduction.report import paper
from training.reproduction.report.canvas import style, write_figure
from training.reproduction.report.compared import ablation, against_the_paper
from training.reproduction.report.figures_of_data import class_distribution, co_appearance, picture_and_clips
from training.reproduction.report.figures_of_runs import (
    confusion_matrices,
    good_sounds,
    picture_curves,
    sound_curves,
)
from training.reproduction.report.groups import KINDS, group_runs
from training.reproduction.report.page import render_markdown, render_page
from training.reproduction.report.ran import what_was_run
from training.reproduction.report.tables import TITLES, flattery, paper_tables, what_the_paper_should_have

MARKDOWN_FILE = "report.md"
PAGE_FILE = "report.html"
NUMBERS_FILE = "numbers.json"
FIGURES_FOLDER = "figures"


def write_report(
    results: Sequence[RunResult], dataset: Dataset, target: Path, *, title: str = "The paper's systems and ours"
) -> Path:
    """Write the report of `results` into the folder `target` and return the path of its page.

    The folder holds `report.md`, `report.html`, `figures/figure-<n>.png` and `numbers.json` (all results as one
    list). It is published whole and replaces an older report; the same input gives the same bytes. `dataset` is the
    one that the results are of, as prepared. What was not run is named as such.

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
        markdown = render_markdown(
            title=title,
            kinds=KINDS,
            titles=TITLES,
            paper=paper,
            info=dataset.info,
            groups=groups,
            ran=what_was_run(dataset, groups),
            tables=paper_tables(groups),
            flattery=flattery(groups),
            plates=plates,
            recommended=what_the_paper_should_have(groups),
            compared=against_the_paper(groups),
            ablation=ablation(groups),
        )
        (aside / MARKDOWN_FILE).write_text(markdown, encoding="utf-8")
        (aside / PAGE_FILE).write_text(render_page(markdown, title), encoding="utf-8")
        numbered = {at: run for group in groups for at, run in group.numbered}
        runs = [numbered[at] for at in sorted(numbered)]
        (aside / NUMBERS_FILE).write_bytes(RESULTS.dump_json(runs, indent=1) + b"\n")
    return target / PAGE_FILE


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
