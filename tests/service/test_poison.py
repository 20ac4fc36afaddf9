"""Half the clients send poison for some seconds, as `python -m benchmarks.poison` does for minutes."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.poison.clients import REFUSED, RIGHT, WRONG, Tally
from benchmarks.poison.requests import Poison
from benchmarks.poison.verdict import Poisoned, Watched
from tests.service.conftest import Encode

ROOT = Path(__file__).parents[2]


def test_the_good_do_not_notice_the_poison(tmp_path: Path) -> None:
    found = tmp_path / "poison.json"
    script = [sys.executable, "-m", "benchmarks.poison", "--seconds", "3", "--json", str(found)]

    ended = subprocess.run(script, capture_output=True, text=True, timeout=240, check=False, cwd=ROOT)

    assert ended.returncode == 0, ended.stdout + ended.stderr
    report = json.loads(found.read_text())
    assert report["failures"] == []
    # Each of the pictures was asked for once more at the end, so that more than those were answered meanwhile.
    assert report["good"]["outcomes"]["good"][RIGHT] > 12
    assert len(report["broken"]["outcomes"]) > 5
    assert report["watched"]["polls"] > 0
    assert len(report["watched"]["processes"]) == 1


def test_poison_repeats_and_has_every_kind(encode: Encode) -> None:
    poison, again = Poison([encode()]), Poison([encode()])
    found = [poison.request(number) for number in range(2000)]

    assert [again.request(number) for number in range(50, 0, -1)] == found[50:0:-1]
    assert {one.then for one in found} == {"answer", "wait", "end", "cut", "slow", "deaf"}
    assert len({one.kind for one in found}) == 22


def stood(good: dict[str, int], broken: dict[str, int] | None = None) -> Poisoned:
    watched = Watched(
        polls=9,
        unready=[],
        poll_milliseconds=[1.0] * 9,
        memory_start=200.0,
        memory_most=500.0,
        memory_end=250.0,
        processes=[7],
        faults=[],
        warnings=0,
    )
    poisoned = Tally({"lying PNG": broken if broken is not None else {"422": 5, "503": 2}})
    return Poisoned(1.0, Tally({"good": good}, [1.0]), poisoned, watched, memory_bound=2000.0)


def test_what_it_stands() -> None:
    run = stood({RIGHT: 5, REFUSED: 3})

    assert run.failures() == []
    assert "5 in 1 s, 5 answered right, refused with 503 and tried again 3 times" in run.as_text()
    assert json.loads(json.dumps(run.as_json()))["good"]["milliseconds"]["p50"] == 1.0


def with_watched(**changes: object) -> Poisoned:
    run = stood({RIGHT: 1})
    return replace(run, watched=replace(run.watched, **changes))  # type: ignore[arg-type]


def slow_unnoticed() -> Poisoned:
    run = stood({RIGHT: 1})
    return replace(run, seconds=60.0, broken=Tally({"a byte a second": {"no answer": 30}}))


@pytest.mark.parametrize(
    ("run", "why"),
    [
        (stood({REFUSED: 9}), "no good request was answered right"),
        (stood({RIGHT: 5, f"{WRONG}200": 1}), "good: 200 (1 times)"),
        (stood({RIGHT: 5}, {"422": 9, f"{WRONG}500": 2}), "lying PNG: 500 (2 times)"),
        (slow_unnoticed(), "a byte a second: none of 30 was answered 408"),
        (with_watched(unready=["503 late"]), "not ready at 1 of 9 polls, first: 503 late"),
        (with_watched(processes=[7, 8]), "served by the processes 7, 8"),
        (with_watched(memory_most=2001.0), "2001 MB of memory, at most 2000 are within its limits"),
        (with_watched(memory_end=1999.0), "1999 MB of memory at the end, at most 600 were wanted"),
        (with_watched(faults=["ValueError: x"]), "logged: ValueError: x"),
    ],
)
def test_what_it_does_not_stand(run: Poisoned, why: str) -> None:
    assert run.failures() == [why]
    assert f"FAILED           {why}" in run.as_text()
