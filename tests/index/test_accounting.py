"""Every file of a mixed folder stands in the summary and in skipped.tsv."""

import json
import os
import random
import re
import time
from pathlib import Path

import numpy as np
import soundfile

from model.bundle import Bundle
from tests.index.conftest import Strike
from tests.index.test_changes import skipped, summary, thud


def test_every_file_of_a_mixed_folder_is_accounted_for(tiny_bundle: Bundle, strike: Strike, tmp_path: Path) -> None:
    library, index, rng = tmp_path / "library", tmp_path / "index", random.Random(0)
    good = [
        strike(tmp_path / f"good/{number}.wav", 200 + 5 * number, seconds=0.06, rate=8000) for number in range(100)
    ]
    good += [strike(tmp_path / f"good/{number}.flac", 900 + 50 * number, seconds=0.06) for number in range(20)]
    silent = tmp_path / "silent.wav"
    soundfile.write(silent, np.zeros(800), 8000)
    with (tmp_path / "huge.wav").open("wb") as huge:
        # The header of a sound of 20 hours, and 10 GB of which nothing is on the disk.
        soundfile.write(huge, np.zeros(10), 44_100, format="WAV", subtype="PCM_16")
        for place in (4, 40):
            huge.seek(place)
            huge.write((4_000_000_000).to_bytes(4, "little"))
        huge.truncate(4_000_000_044)
    names = ["{}.wav", "line\nbreak {}.wav", "Ärger 玻璃 {}.WAV", "e\u0301 {}.wav", "tab\t{}.wav", "'[b]\" {}.wav"]
    for number in range(10_000):
        folder = library / f"{number % 40:02}"
        folder.mkdir(parents=True, exist_ok=True)
        kind = rng.random()
        name = names[number % len(names)].format(number)
        if kind < 0.55:
            source = good[number % len(good)] if number < 3000 else rng.choice(good)
            os.link(source, folder / f"{Path(name).stem}{source.suffix}")
        elif kind < 0.65:
            (folder / name).write_bytes(b"" if number % 2 else b"no sound" * 5)
        elif kind < 0.70:
            os.link(silent, folder / name)
        elif kind < 0.72:
            (folder / name).symlink_to(tmp_path / "huge.wav" if number % 2 else "nowhere.wav")
        elif kind < 0.722:
            os.link(tmp_path / "huge.wav", folder / name)
        elif kind < 0.82:
            (folder / f"{number}.txt").touch()
        elif kind < 0.90:
            (folder / f".hidden {number}.wav").touch()
        else:
            (folder / f"{number}").touch()
    total = sum(len(files) for _, _, files in os.walk(library))
    assert total == 10_000
    (library / "locked").mkdir()
    os.link(good[0], library / "locked/inside.wav")
    (library / "locked").chmod(0)
    unreadable = not os.access(library / "locked", os.R_OK)

    began = time.perf_counter()
    done = thud(tiny_bundle.folder, library, index)
    assert time.perf_counter() - began < 200
    (library / "locked").chmod(0o755)
    found = summary(done.stdout)
    assert found["embedded"] == found["indexed"] == len(good)
    assert found["indexed"] + found["duplicates"] + found["skipped"] == found["found"] == total + 1
    table = skipped(index)
    indexed = {one["path"] for one in map(json.loads, thud("list", index, "--json").stdout.splitlines())}
    everything = {
        Path(folder, name).relative_to(library).as_posix()
        for folder, _, names_ in os.walk(library)
        for name in names_
    }
    if unreadable:
        everything = (everything - {"locked/inside.wav"}) | {"locked"}
    assert indexed.isdisjoint(table)
    assert indexed | set(table) == everything
    told = [line for line in done.stderr.splitlines() if line.startswith(("skipped", "left out", "and "))]
    assert 5 < len(told) <= 20
    kinds = {re.sub(r"[\d,.]+|:.*", "", reason)[:30] for reason in table.values()}
    assert len(kinds) >= 8
    # All of it is known: the next run opens none of the files, and nothing changes.
    again = thud(tiny_bundle.folder, library, index)
    assert (summary(again.stdout)["embedded"], "nothing was published" in again.stdout) == (0, not unreadable)
