"""What a run costs after which change, its memory, and its rate beside the bare sound tower.

    python -m benchmarks.index [--sounds 10000] [--json FILE]

The runs are commands, `thud index`, with all that starting a process costs. With 10,000 sounds it takes about ten
minutes on two cores; `--only runs` or `--only rates` does a part.
"""

import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from benchmarks.index.library import change, label, rename, write_sounds
from benchmarks.index.rates import rates
from benchmarks.machine import machine
from model import PRETRAINED
from model.bundle import load_bundle

THUD = Path(__file__).parents[2] / "thud.py"
GOALS = {"unchanged": 0.02, "1 % changed": 0.03}
"""At most so much of the full run."""
RATES = {"wav": 0.85, "flac": 0.85, "ogg": 0.75}
"""At least so much of the bare tower."""


def run(bundle: Path, library: Path, index: Path) -> dict[str, float]:
    """One `thud index`: wall and CPU seconds, peak memory in bytes, sounds embedded."""
    began = time.perf_counter()
    with tempfile.TemporaryFile("w+") as out:
        command = [sys.executable, str(THUD), "index", str(bundle), str(library), str(index)]
        process = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        told = out.read()
    if process.returncode:
        raise SystemExit(told)
    embedded = re.search(r"^embedded +([\d,]+)", told, re.MULTILINE)
    assert embedded is not None
    return {
        "seconds": time.perf_counter() - began,
        "cpu": usage.ru_utime + usage.ru_stime,
        "memory": usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024),
        "embedded": int(embedded[1].replace(",", "")),
    }


def runs(bundle: Path, sounds: int, seconds: float, work: Path) -> dict[str, dict[str, float]]:
    """The full run and those after changes, in the order in which they are made."""
    library, index = work / "library", work / "index"
    small = work / "small"
    write_sounds(small, max(1, sounds // 10), "wav", seconds)
    files = write_sounds(library, sounds, "wav", seconds)
    time.sleep(2.5)  # so that states are old enough to stand for contents
    done = {"a tenth": run(bundle, small, work / "small index"), "full": run(bundle, library, index)}

    def after(name: str, alter: Callable[[], object]) -> None:
        alter()
        done[name] = run(bundle, library, index)

    after("unchanged", lambda: None)
    after("1 % changed", lambda: change(files, 0.01, seconds))
    after("all renamed", lambda: rename(library))
    after("all labelled", lambda: label(library))
    return done


def table_of(done: dict[str, dict[str, float]], sounds: int) -> list[dict[str, Any]]:
    """The rows of the runs, with their share of the full one and whether that is what was aimed at."""
    full = done["full"]
    rows = [
        {
            "run": name,
            **one,
            "share": one["seconds"] / full["seconds"],
            "goal": GOALS.get(name),
            "met": None if name not in GOALS else one["seconds"] <= GOALS[name] * full["seconds"],
        }
        for name, one in done.items()
    ]
    a_sound = (full["memory"] - done["a tenth"]["memory"]) / max(1, sounds - sounds // 10)
    return [*rows, {"run": "memory a sound", "memory": a_sound}]


@click.command()
@click.option("--sounds", default=10_000, show_default=True, help="Sounds of the library for the runs.")
@click.option("--seconds", default=1.0, show_default=True, help="Length of each.")
@click.option("--each", default=500, show_default=True, help="Sounds of each format for the rates.")
@click.option("--rounds", default=5, show_default=True, help="Rounds of the rates.")
@click.option("--bundle", type=click.Path(exists=True, path_type=Path), default=PRETRAINED)
@click.option("--only", type=click.Choice(["runs", "rates"]))
@click.option("--json", "json_file", type=click.Path(path_type=Path))
def main(
    sounds: int, seconds: float, each: int, rounds: int, bundle: Path, only: str | None, json_file: Path | None
) -> None:
    """Measure and print the tables."""
    found: dict[str, Any] = {"machine": machine(), "sounds": sounds, "seconds of each": seconds}
    print(f"{machine()}; {sounds:,} sounds of {seconds:g} s, 44.1 kHz, mono")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        if only != "rates":
            found["runs"] = table_of(runs(bundle, sounds, seconds, work), sounds)
            print(
                f"{'run':<14}{'seconds':>9}{'CPU s':>9}{'share':>8}{'goal':>6}{'met':>5}{'embedded':>10}{'MB':>7}"
            )
            for row in found["runs"][:-1]:
                goal, met = f"{row['goal'] or '':>6}", {None: "", True: "yes", False: "NO"}[row["met"]]
                print(
                    f"{row['run']:<14}{row['seconds']:>9.2f}{row['cpu']:>9.2f}{row['share']:>8.4f}{goal}{met:>5}"
                    f"{row['embedded']:>10,}{row['memory'] / 1e6:>7.0f}"
                )
            print(f"memory that grows with the library: {found['runs'][-1]['memory']:,.0f} bytes a sound")
        if only != "runs":
            opened, found["rates"] = load_bundle(bundle), {}
            print(
                f"{'format':<8}{'indexed/s':>11}{'bare tower/s':>14}{'ratio':>7}{'goal':>6}{'met':>5}"
                f"{'indexed CPU ms':>16}{'bare':>7}{'ratio':>7}"
            )
            for extension, least in RATES.items():
                files = write_sounds(work / extension, each, extension, seconds)
                row = rates(opened, files, work / "rate", rounds)
                found["rates"][extension] = row | {"goal": least}
                print(
                    f"{extension:<8}{row['indexed a second']:>11.1f}{row['bare tower a second']:>14.1f}"
                    f"{row['ratio']:>7.3f}{least:>6}{'yes' if row['ratio'] >= least else 'NO':>5}"
                    f"{row['indexed CPU ms']:>16.2f}{row['bare tower CPU ms']:>7.2f}{row['CPU ratio']:>7.3f}"
                )
    if json_file is not None:
        json_file.write_text(json.dumps(found, indent=2) + "\n")


if __name__ == "__main__":
    main()
