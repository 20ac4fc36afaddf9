"""Broken files by the hundred, in processes of their own, so that a crash or a hang is an outcome too."""

import os
import time
from pathlib import Path

import pytest

from model.sound import decode_sound
from tests.fuzz.mutations import mutated
from tests.fuzz.run import DECODERS, failures, fuzz
from tests.fuzz.seeds import sound_seeds

# Other numbers than those of a run with the defaults.
FIRST = 10_000_000


@pytest.mark.parametrize(
    ("kind", "count", "error"), [("picture", 6000, "PictureError"), ("sound", 2000, "SoundError")]
)
def test_nothing_but_the_decoders_own_errors(kind: str, count: int, error: str) -> None:
    decode, make = DECODERS[kind]
    found = fuzz(decode, list(make().values()), count, FIRST, jobs=1)
    assert sorted(one[0] for one in found) == list(range(FIRST, FIRST + count))
    assert failures(found) == []
    # Were the mutations too weak or too strong, nothing would be tested.
    assert {"decoded", error} <= {one[1] for one in found}
    assert max(one[3] for one in found) < 600


def test_mutations_repeat() -> None:
    seeds = list(sound_seeds().values())
    broken = [mutated(seeds, number) for number in range(20)]
    assert broken == [mutated(seeds, number) for number in range(20)]
    assert len(set(broken)) == 20


@pytest.mark.parametrize("name", sound_seeds())
def test_every_sound_seed_is_whole(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_bytes(sound_seeds()[name])
    assert decode_sound(file, 16_000).seconds == pytest.approx(0.25, abs=0.1)


def misbehave(data: bytes) -> str:
    """A decoder with every fault, decided by the first byte."""
    if data[0] == 1:
        os.abort()
    if data[0] == 2:
        raise RuntimeError("odd")
    while data[0] == 3:
        time.sleep(1)
    return "decoded"


def test_what_dies_hangs_or_raises_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    seeds = [bytes((kind, *range(60, 250))) for kind in range(4)]
    numbers = range(8)
    firsts = {number: mutated(seeds, number)[:1] for number in numbers}
    found = fuzz(misbehave, seeds, len(numbers), 0, jobs=2, deadline=1)
    assert sorted(one[0] for one in found) == list(numbers)
    faults = {1: "DIED -6", 2: "RAISED RuntimeError: odd", 3: "HUNG"}
    for number, outcome, _, _ in found:
        first = firsts[number]
        wanted = faults.get(first[0], "decoded") if first else "RAISED IndexError: index out of range"
        assert outcome == wanted
    assert {one[1] for one in found} >= {"DIED -6", "RAISED RuntimeError: odd", "HUNG", "decoded"}
