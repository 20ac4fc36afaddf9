"""An index that goes with its library, by command: what is embedded, add, remove, list, verify, stats."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from index.catalogue import Catalogue, reader
from model.bundle import Bundle
from tests.index.catalogues import damage_row
from tests.index.commands import THUD, thud_text
from tests.index.conftest import Strike


def thud(*arguments: str | Path, code: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    done = thud_text("index", *arguments, **environment)
    assert done.returncode == code, done.stderr
    assert "Traceback" not in done.stderr
    return done


def summary(output: str) -> dict[str, int]:
    found = re.findall(r"^ *(\w+) +([\d,]+)(?: |$)", output, re.MULTILINE)
    return {name: int(number.replace(",", "")) for name, number in found}


def listed(index: Path) -> dict[str, str]:
    """Materials by path."""
    rows = [line.split("\t") for line in thud("list", index).stdout.splitlines()]
    return {row[3]: row[1] for row in rows}


def skipped(index: Path) -> dict[str, str]:
    with (index / "skipped.tsv").open(encoding="utf-8", newline="") as handle:
        return {row["path"]: row["reason"] for row in csv.DictReader(handle, delimiter="\t")}


def test_what_is_renamed_copied_or_labelled_anew_is_not_embedded_again(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    command, index = (tiny_bundle.folder, sounds, tmp_path / "index"), tmp_path / "index"
    first = thud(*command).stdout
    assert (summary(first)["embedded"], summary(first)["found"]) == (9, 9)
    again = thud(*command).stdout
    assert (summary(again)["embedded"], summary(again)["reused"]) == (0, 9)
    assert "nothing was published" in again
    assert re.search(r"index (\w+)", again)[1] == re.search(r"index (\w+)", first)[1]  # type: ignore[index]
    (sounds / "metal/pan_0.wav").rename(sounds / "kitchen/renamed.wav")
    shutil.copy(sounds / "metal/pan_1.wav", sounds / "a copy.wav")
    (sounds / "manifest.csv").write_text("path,material\nkitchen/renamed.wav,glass\nunsorted/thing 0.ogg,paper\n")
    changed = summary(thud(*command).stdout)
    assert (changed["embedded"], changed["reused"], changed["duplicates"]) == (0, 9, 1)
    assert listed(index)["kitchen/renamed.wav"] == "glass"
    # A label alone, and a file that comes back after it was away for a while.
    (sounds / "manifest.csv").write_text("path,material\nkitchen/renamed.wav,metal\na copy.wav,water\n")
    (sounds / "unsorted/thing 0.ogg").rename(tmp_path / "away.ogg")
    labelled = thud(*command)
    assert summary(labelled.stdout)["embedded"] == 0
    assert (listed(index)["kitchen/renamed.wav"], listed(index)["a copy.wav"]) == ("metal", "water")
    assert "left out metal/pan_1.wav: has the same content as a copy.wav" in labelled.stderr
    (tmp_path / "away.ogg").rename(sounds / "unsorted/thing 0.ogg")
    strike(sounds / "new.wav", 1234)
    assert summary(thud(*command).stdout)["embedded"] == 1
    thud("verify", index)


def test_sounds_are_added_and_taken_out_by_name(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    index = tmp_path / "index"
    thud(tiny_bundle.folder, sounds, index, "--no-hubness")
    whole = listed(index)
    taken = thud("remove", index, "metal/pan_0.wav", sounds / "kitchen")
    gone = {"metal/pan_0.wav", "kitchen/wood/board-1.flac", "kitchen/wood/board-2.mp3"}
    assert set(listed(index)) == set(whole) - gone
    assert summary(taken.stdout)["skipped"] == 3
    assert {path for path, reason in skipped(index).items() if "thud index remove" in reason} == gone
    assert (sounds / "metal/pan_0.wav").exists()
    # A whole run keeps them out; another file that is new comes with a whole run, or by its name.
    assert summary(thud(tiny_bundle.folder, sounds, index).stdout)["indexed"] == 6
    one, two = strike(sounds / "glass/one.wav", 1500), strike(sounds / "glass/two.wav", 1700)
    added = summary(thud("add", index, one, sounds / "kitchen/wood").stdout)
    assert (added["embedded"], added["indexed"]) == (1, 9)
    assert set(listed(index)) == (set(whole) - {"metal/pan_0.wav"}) | {"glass/one.wav"}
    assert "not named" in skipped(index)["glass/two.wav"]
    assert summary(thud("add", index, sounds).stdout)["indexed"] == 11
    assert set(listed(index)) == set(whole) | {"glass/one.wav", "glass/two.wav"}
    refused = thud("remove", index, *sorted({path.partition("/")[0] for path in listed(index)}), code=1)
    assert "that would leave no sound in the index; nothing was changed" in refused.stderr
    assert len(listed(index)) == len(whole) + 2
    thud("remove", index, two)
    two.unlink()

    for command, reason in [
        (("remove", index, "nothing.wav"), "nothing.wav is not in the index"),
        (("add", index, tiny_bundle.folder / "bundle.json"), "is no file or folder in"),
        (("add", tmp_path / "no index", one), "has no library.json"),
        (("list", tmp_path / "no index"), "is not an index"),
    ]:
        refused = thud(*command, code=1)  # type: ignore[arg-type]
        assert reason in refused.stderr
        assert len(refused.stderr.splitlines()) == 1
    assert "Usage" in thud("add", index, code=2).stderr


def test_what_is_new_in_a_folder_that_was_taken_out_stays_out(
    tiny_bundle: Bundle, sounds: Path, strike: Strike, tmp_path: Path
) -> None:
    index, whole = tmp_path / "index", (tiny_bundle.folder, sounds, tmp_path / "index")
    thud(*whole)
    thud("remove", index, "metal", "kitchen/wood")
    strike(sounds / "metal/new.wav", 1500)
    (sounds / "metal/pan_0.wav").rename(sounds / "metal/renamed.wav")
    strike(sounds / "metal polish.wav", 1600)
    thud(*whole)
    found = {path for path in listed(index) if path.startswith(("metal", "kitchen"))}
    assert found == {"metal polish.wav"}
    assert "thud index remove" in skipped(index)["metal/renamed.wav"]
    # One file of the folder is taken in again; the folder itself stays out.
    thud("add", index, sounds / "metal/pan_1.wav", sounds / "kitchen")
    strike(sounds / "metal/newer.wav", 1700)
    thud(*whole)
    kitchen = {"kitchen/wood/board-1.flac", "kitchen/wood/board-2.mp3"}
    found = {path for path in listed(index) if path.startswith(("metal", "kitchen"))}
    assert found == {"metal polish.wav", "metal/pan_1.wav"} | kitchen
    thud("remove", index, "metal/pan_1.wav")
    assert "metal/pan_1.wav" not in listed(index)
    assert json.loads((index / "library.json").read_text())["removed"] == ["metal"]
    # What moves out of it is a new file.
    (sounds / "metal/renamed.wav").rename(sounds / "renamed.wav")
    assert summary(thud(*whole).stdout)["indexed"] == 10 - 2
    thud("add", index, sounds)
    options = json.loads((index / "library.json").read_text())
    assert (options["removed"], options["readmitted"]) == ([], [])
    assert "moved after it was taken out" in " ".join(thud("remove", "--help").stdout.split())


def test_files_that_are_used_are_not_skipped(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    (sounds / "manifest.csv").write_text("path,material\nunsorted/thing 0.ogg,glass\n")
    (sounds / "metal/manifest.csv").write_text("path,material\n")
    (sounds / "metal/pan_0.json").write_text('{"title": "a pan"}')
    (sounds / "metal/pan_1.json").write_text(f'{{"title": {"9" * 5000}}}')
    done = thud(tiny_bundle.folder, sounds, tmp_path / "index")
    found = summary(done.stdout)
    assert {name: found[name] for name in ("indexed", "read", "skipped", "found")} == {
        "indexed": 9, "read": 2, "skipped": 2, "found": 13,
    }  # fmt: skip
    assert [line for line in done.stderr.splitlines() if line.startswith("skipped")] == [
        "skipped metal/manifest.csv: a manifest, no sound",
        "skipped metal/pan_1.json: what is known of the sound beside it cannot be read: "
        "it has a number of too many digits",
    ]
    assert skipped(tmp_path / "index")["manifest.csv"] == "the manifest, read for what it says of sounds"
    assert json.loads(thud("stats", tmp_path / "index", "--json").stdout)["skipped"] == 2


def test_verify_and_stats(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    index = tmp_path / "index"
    shutil.copy(sounds / "metal/pan_1.wav", sounds / "metal/same.wav")
    thud(tiny_bundle.folder, sounds, index)
    assert thud("verify", index).stdout == "all is well\n"
    found = json.loads(thud("stats", index, "--json").stdout)
    assert (found["sounds"], found["duplicates"], found["skipped"]) == (9, 1, 0)
    assert found["materials"] == {"metal": 3, "plastic-bag": 1, "wood": 2, "unlabelled": 3}
    assert found["formats"] == {"WAV": 4, "OGG": 3, "FLAC": 1, "MP3": 1}
    assert found["bytes of sounds"] == sum(file.stat().st_size for file in sounds.rglob("*.*")) - (
        (sounds / "metal/same.wav").stat().st_size
    )
    assert "bytes of cache" in thud("stats", index).stdout
    records = [json.loads(line) for line in thud("list", index, "--json").stdout.splitlines()]
    assert {record["path"]: record["copies"] for record in records}["metal/pan_1.wav"] == ["metal/same.wav"]

    content = bytearray((sounds / "metal/pan_0.wav").read_bytes())
    content[-1] ^= 1
    (sounds / "metal/pan_0.wav").write_bytes(content)
    (sounds / "metal/same.wav").unlink()
    (sounds / "unsorted/thing 1.ogg").write_bytes(b"")
    wrong = thud("verify", index, code=1)
    assert wrong.stdout.splitlines() == [
        "metal/pan_0.wav: it has changed since it was indexed",
        "metal/same.wav: it is not there",
        "unsorted/thing 1.ogg: it has changed since it was indexed",
    ]
    assert wrong.stderr.startswith("thud: 3 problems")
    assert len(thud("verify", index, "--quick", code=1).stdout.splitlines()) == 2
    catalogue = next(index.glob("generations/*/catalogue.sqlite"))
    catalogue.write_bytes(catalogue.read_bytes()[:-1])
    assert "catalogue.sqlite is damaged" in thud("verify", index, code=1).stdout


def test_verify_checks_every_row(
    tiny_bundle: Bundle, sounds: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = tmp_path / "index"
    thud(tiny_bundle.folder, sounds, index)
    damage_row(index, 3)
    monkeypatch.setattr(reader, "EVERY_ROW_UP_TO", 0)  # `thud` is forked
    monkeypatch.setattr(reader, "_LOOKED_AT", 3)
    Catalogue(next(index.glob("generations/*/catalogue.sqlite"))).close()
    wrong = thud("verify", index, code=1)
    assert wrong.stdout == "row 3 of the catalogue is not what Thud writes; run thud index again\n"
    assert wrong.stderr.startswith("thud: 1 problem")


def test_watch_without_its_extra_says_what_to_install(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    code = "import sys; sys.modules['watchfiles'] = None; import thud; thud.main()"
    command = [sys.executable, "-c", code, "index", str(tiny_bundle.folder), str(sounds), str(tmp_path / "index")]
    without = subprocess.run(command, capture_output=True, text=True, check=False)
    assert without.returncode == 0, without.stderr
    done = subprocess.run([*command, "--watch"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr == "thud: --watch needs watchfiles; install it with: pip install 'thud[watch]'\n"


NO_LOCKS = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
int flock(int file, int operation) { errno = ENOSYS; return -1; }
#define WITHOUT(name) int name(int file, int command, ...) { \\
    va_list rest; va_start(rest, command); void *argument = va_arg(rest, void *); va_end(rest); \\
    if (command == F_SETLK || command == F_SETLKW || command == F_GETLK) { errno = ENOLCK; return -1; } \\
    return ((int (*)(int, int, ...))dlsym(RTLD_NEXT, #name))(file, command, argument); }
WITHOUT(fcntl)
WITHOUT(fcntl64)
"""


@pytest.mark.usefixtures("unmeasured")
@pytest.mark.skipif(shutil.which("cc") is None or sys.platform != "linux", reason="it needs a C compiler")
def test_a_file_system_without_locks_holds_an_index(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    (tmp_path / "no_locks.c").write_text(NO_LOCKS)
    shim = tmp_path / "no_locks.so"
    subprocess.run(["cc", "-shared", "-fPIC", "-o", shim, tmp_path / "no_locks.c", "-ldl"], check=True)
    command, index = (tiny_bundle.folder, sounds, tmp_path / "index"), tmp_path / "index"
    for embedded in (9, 0):
        assert summary(thud(*command, LD_PRELOAD=str(shim)).stdout)["embedded"] == embedded
    assert not list(index.glob(".lock.*"))
    # One that was killed; one that is alive; one on another machine.
    held = index / ".lock.held"
    held.write_text(json.dumps({"pid": 2**22 + 1, "host": os.uname().nodename, "started": None}))
    assert summary(thud(*command, LD_PRELOAD=str(shim)).stdout)["indexed"] == 9
    for holder in ({"pid": os.getpid(), "host": os.uname().nodename}, {"pid": 1, "host": "elsewhere"}):
        started = Path(f"/proc/{holder['pid']}/stat").read_text().rpartition(")")[2].split()[19]
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        held.write_text(json.dumps({**holder, "started": f"{boot} {started}"}))
        refused = thud(*command, LD_PRELOAD=str(shim), code=1)
        assert "another thud index is at work" in refused.stderr.splitlines()[-1]
        assert f"remove {held}" in refused.stderr
        held.unlink()


def test_a_log_has_lines_and_no_bars(tiny_bundle: Bundle, sounds: Path, tmp_path: Path) -> None:
    for number in range(3):
        (sounds / f"bad{number}.wav").write_bytes(b"no sound" * 10)
    done = subprocess.run(
        [*THUD, "index", tiny_bundle.folder, sounds, tmp_path / "index"],
        capture_output=True,
        check=True,
        timeout=120,
    )
    assert [line for line in done.stderr.split(b"\n") if line.startswith(b"skipped")] == [
        line for line in done.stderr.split(b"\n") if b"bad" in line
    ]
    assert done.stderr.count(b"skipped bad") == 3
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]", done.stderr + done.stdout)
