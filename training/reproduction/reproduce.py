"""Running a suite: each run is `thud train` and `thud evaluate` in a process of its own, some side by side."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from model.errors import TrainingError
from model.locks import exclusive
from model.progress import progress
from model.threads import available_cpus
from training.measures.results import RESULT_FILE, RunResult, load_result
from training.reproduction.suite import Trial
from training.systems.recipe import Recipe

RUNS = "runs"
LOG_FILE = "log.txt"


@dataclass(frozen=True)
class ReproduceOptions:
    """How the runs of a suite are run; `steps` caps the steps of an epoch, for trying out."""

    device: str = "auto"
    jobs: int = 1
    steps: int | None = None


def run_trials(
    dataset: Path,
    dataset_id: str,
    trials: Sequence[Trial],
    target: Path,
    options: ReproduceOptions,
    say: Callable[[str], None],
) -> list[str]:
    """Run all trials, those that are done already not again; returns what failed, with the reason.

    A run that was interrupted goes on. One that is done with another recipe, dataset or number of steps is refused.
    One that fails leaves the others alone. `target/runs/<run>/log.txt` holds what each said.
    """
    with exclusive(target):
        done = [trial for trial in trials if _is_done(_folder(target, trial), trial, dataset_id, options)]
        open_ = [trial for trial in trials if trial not in done]
        if done:
            say(f"{len(done)} of {len(trials)} runs were done before")
        failures: list[str] = []
        children = _Children()
        with progress("runs", len(trials), "run", len(done)) as bar, ThreadPoolExecutor(options.jobs) as pool:
            waiting: set[Future[str | None]] = {
                pool.submit(children.run, dataset, trial, target, options) for trial in open_
            }
            try:
                while waiting:
                    finished, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    for future in finished:
                        failure = future.result()
                        if failure:
                            failures.append(failure)
                            say(failure)
                        bar.update()
            except BaseException:
                for future in waiting:
                    future.cancel()
                children.stop()
                raise
    return failures


def _is_done(run: Path, trial: Trial, dataset_id: str, options: ReproduceOptions) -> bool:
    """Whether the run has a result; raises TrainingError if that is of something else than is asked for now."""
    if not (run / RESULT_FILE).exists():
        return False
    result, recipe = load_result(run), trial.load()
    try:
        theirs: Recipe | None = Recipe.model_validate(result.recipe)
    except ValidationError:  # another version's, whose keys are not all of today's
        theirs = None
    for what, same in (
        ("recipe", theirs == recipe),
        ("dataset", result.dataset == dataset_id),
        ("number of steps an epoch", result.steps == options.steps),
        ("precision", trial.precision in {"auto", result.precision}),
    ):
        if not same:
            raise TrainingError(f"{run} holds a run with another {what}; choose another folder, or remove that one")
    # `thud evaluate --best` leaves the result of an earlier epoch.
    return recipe.patience > 0 or result.epochs == recipe.epochs


def finished_results(trials: Sequence[Trial], target: Path) -> list[RunResult]:
    """The results of those trials that are done, in order."""
    folders = [_folder(target, trial) for trial in trials]
    return [load_result(folder) for folder in folders if (folder / RESULT_FILE).exists()]


class _Children:
    """The processes that train."""

    def __init__(self) -> None:
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, dataset: Path, trial: Trial, target: Path, options: ReproduceOptions) -> str | None:
        """Train and evaluate one run; the reason where it fails."""
        run = _folder(target, trial)
        run.mkdir(parents=True, exist_ok=True)
        train = ["train", str(dataset), str(run), "--recipe", trial.recipe, "--seed", str(trial.seed)]
        train += ["--validation", trial.validation, "--precision", trial.precision, "--device", options.device]
        if trial.epochs is not None:
            train += ["--epochs", str(trial.epochs)]
        if options.steps is not None:
            train += ["--steps", str(options.steps)]
        evaluate = ["evaluate", str(run), str(dataset), "--device", options.device]
        for arguments in (train, evaluate):
            if self._call(arguments, run / LOG_FILE, options.jobs):
                return f"{trial.name} failed: {_last_line(run / LOG_FILE)}"
        return None

    def stop(self) -> None:
        """End what still runs; each run goes on after its last finished epoch the next time."""
        self._stopped = True
        for child in list(self._running):
            child.terminate()

    def _call(self, arguments: list[str], log: Path, jobs: int) -> int:
        threads = str(max(1, available_cpus() // jobs))
        environment = {"OMP_NUM_THREADS": threads} | os.environ
        with log.open("ab") as lines:
            # -P: no `model.py` of the working folder is taken for ours.
            command = [sys.executable, "-P", "-m", "thud", *arguments]
            child = subprocess.Popen(command, stdout=lines, stderr=lines, env=environment)  # noqa: S603
            self._running.add(child)
            if self._stopped:  # it was begun while the others were ended
                child.terminate()
            try:
                return child.wait()
            finally:
                self._running.discard(child)


def _folder(target: Path, trial: Trial) -> Path:
    return target / RUNS / trial.name


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").replace("\r", "\n").splitlines()
    return next((line.strip() for line in reversed(lines) if line.strip()), "no output")
