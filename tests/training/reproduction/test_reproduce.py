"""`thud reproduce`: a suite of small runs, one of which fails; interrupted it goes on; the report is written."""

import json
import shutil
import signal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from model.errors import TrainingError
from tests.training.tiny import GRID, STEPS, start, write_recipe
from tests.waiting import within
from thud import cli
from training.data.dataset import Dataset
from training.measures.results import RESULT_FILE, load_result, write_result
from training.reproduction.reproduce import LOG_FILE, RUNS
from training.reproduction.reproduce_commands import reproduce


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    for name, keys in (
        ("small-sound", STEPS | {"system": "sound"}),
        ("broken", GRID | {"image_network": "resnet17"}),
        ("small-towers", GRID),
    ):
        write_recipe(tmp_path / f"{name}.toml", keys | {"name": name})
    runs = [f'[[runs]]\nrecipe = "{tmp_path / name}.toml"\n' for name in ("small-sound", "broken", "small-towers")]
    file = tmp_path / "suite.toml"
    file.write_text("\n".join(runs))
    return file


def reproduced(dataset: Dataset, target: Path, suite: Path, *options: str) -> Result:
    arguments = [dataset.folder, target, "--suite", suite, "--device", "cpu", "--jobs", "2", *options]
    return CliRunner().invoke(reproduce, [str(argument) for argument in arguments])


def interrupted(dataset: Dataset, target: Path, suite: Path, ending: signal.Signals, first: str) -> None:
    """Run the suite, and interrupt it in the first run that it begins."""
    # One after the other, so that none is done when it is interrupted.
    arguments = [dataset.folder, target, "--suite", suite, "--tiny", "--device", "cpu", "--jobs", 1]
    log = target / RUNS / f"{first}.recording.0" / LOG_FILE
    with start("-m", "thud", "reproduce", *arguments) as process:
        within(120, lambda: process.poll() is not None or log.exists())
        process.send_signal(ending)
        output, _ = process.communicate(timeout=60)
    assert process.returncode == 130, output
    assert "thud: interrupted; run the same command again to go on from here" in output
    assert not (target / RUNS / "small-towers.recording.0" / RESULT_FILE).exists()
    assert not (target / "report").exists()


def in_this_process(_children: object, arguments: list[str], *_: object) -> int:
    """A run's command without a process of its own, where only its result matters."""
    return CliRunner().invoke(cli, arguments).exit_code


def test_sigterm_interrupts_it_too(dataset: Dataset, tmp_path: Path, suite: Path) -> None:
    interrupted(dataset, tmp_path / "target", suite, signal.SIGTERM, "small-sound")


def test_interrupted_it_goes_on_and_a_run_that_fails_stops_no_other(
    dataset: Dataset, tmp_path: Path, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "target"
    sound = target / RUNS / "small-sound.recording.0"
    with monkeypatch.context() as patched:
        patched.setattr("training.reproduction.reproduce._Children._call", in_this_process)
        assert reproduced(dataset, target, suite, "--tiny", "--only", "*sound*").exit_code == 0
    shutil.rmtree(target / "report")
    written = (sound / RESULT_FILE).stat().st_mtime_ns
    interrupted(dataset, target, suite, signal.SIGINT, "broken")

    result = reproduced(dataset, target, suite, "--tiny")
    assert result.exit_code == 1
    assert "1 of 3 runs were done before" in result.output
    assert "broken.recording.0 failed: thud: there is no network named 'resnet17'" in result.output
    assert "1 of 3 runs failed; the same command tries them again" in result.output
    assert (sound / RESULT_FILE).stat().st_mtime_ns == written
    towers = load_result(target / RUNS / "small-towers.recording.0")
    assert (towers.epochs, towers.history[0].step) == (1, 2)
    assert towers.command.count("thud ") == 2
    for words in (
        f"train {dataset.folder}",
        "--steps 2",
        "--epochs 1",
        "--validation recording",
        "&& thud evaluate",
    ):
        assert words in towers.command
    assert f"report: {target / 'report' / 'report.html'}" in result.output
    report = (target / "report" / "report.md").read_text()
    assert ("small-sound" in report, "small-towers" in report, "broken" in report) == (True, True, False)
    numbers = json.loads((target / "report" / "numbers.json").read_text())
    assert [run["recipe"]["name"] for run in numbers] == ["small-sound", "small-towers"]


def test_a_result_of_something_else_is_not_taken_for_the_runs(
    dataset: Dataset, tmp_path: Path, suite: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.reproduction.reproduce._Children._call", in_this_process)
    target = tmp_path / "target"
    arguments = (
        "--only",
        "*small-towers*",
        "--epochs",
        "2",
        "--precision",
        "bf16",
        "--precision",
        "*-towers*=fp32",
    )
    assert reproduced(dataset, target, suite, *arguments).exit_code == 0
    run = target / RUNS / "small-towers.recording.0"
    last = load_result(run)
    assert last.precision == "fp32"
    # As `thud evaluate --best` leaves it: of an epoch before the last.
    write_result(last.model_copy(update={"epochs": 1, "checkpoint": "0" * 16}), run)
    again = reproduced(dataset, target, suite, *arguments)
    assert (again.exit_code, "runs were done before" in again.output) == (0, False)
    assert load_result(run).checkpoint == last.checkpoint
    other = reproduced(dataset, target, suite, *arguments[:-1], "*-towers*=bf16")
    assert "holds a run with another precision" in str(other.exception)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--only", "resnet"], "no recipe of the suite matches 'resnet'"),
        (["--epochs", "resnet=3"], "no recipe of the suite matches 'resnet'"),
        (
            ["--epochs", "small-sound=many"],
            "'small-sound=many' is neither a number of epochs nor one after PATTERN=",
        ),
        (["--epochs", "0"], "'0' is neither a number of epochs"),
        (["--precision", "resnet=fp32"], "no recipe of the suite matches 'resnet'"),
        (["--precision", "small-sound=fp16"], "'small-sound=fp16' is neither auto, fp32 or bf16 nor one after"),
        (["--suite", "al"], "no suite 'al'; there are"),
    ],
)
def test_what_cannot_be_meant_is_said_before_anything_runs(
    dataset: Dataset, tmp_path: Path, suite: Path, options: list[str], message: str
) -> None:
    result = reproduced(dataset, tmp_path / "target", suite, *options)
    assert result.exit_code != 0
    said = str(result.exception) if isinstance(result.exception, TrainingError) else result.output
    assert message in " ".join(said.split())
    assert not (tmp_path / "target").exists()


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (["--epochs", "4"], {"small-sound": 4, "small-towers": 4}),
        (["--epochs", "9", "--epochs", "*sound*=2"], {"small-sound": 2, "small-towers": 9}),
        (["--epochs", "*sound*=2"], {"small-sound": 2, "small-towers": None}),
        (["--epochs", "9", "--tiny"], {"small-sound": 1, "small-towers": 1}),
    ],
)
def test_epochs_are_asked_for_by_pattern(
    dataset: Dataset,
    tmp_path: Path,
    suite: Path,
    monkeypatch: pytest.MonkeyPatch,
    options: list[str],
    wanted: dict[str, int | None],
) -> None:
    asked: dict[str, int | None] = {}

    def only_look(_dataset: Path, _id: str, trials: Any, *_: Any, **__: Any) -> list[str]:
        asked.update({Path(trial.recipe).stem: trial.epochs for trial in trials})
        return []

    monkeypatch.setattr("training.reproduction.reproduce.run_trials", only_look)
    result = reproduced(dataset, tmp_path / "target", suite, "--only", "*small*", *options)
    assert result.exit_code == 0, result.output
    assert asked == wanted
