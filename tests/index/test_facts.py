"""What is known of a sound, put together from a manifest, a sidecar, tags and names."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from index.generation import CATALOGUE
from index.library.facts import Facts, facts_of
from index.library.finding import LibrarySound, find_library
from index.library.tags import read_tags
from model.bundle import Bundle
from tests.index.commands import thud_text
from tests.index.tagged import bext, comments, flac, id3, ixml, mp3, wav


def known(root: Path) -> dict[str, Facts]:
    library = find_library(root)
    return {sound.path: facts_of(sound, read_tags(Path(library.root / sound.path))) for sound in library.sounds}


def test_the_most_trustworthy_place_has_the_label(tmp_path: Path) -> None:
    tagged = bext(b"Glass bottle hit")
    for place in ("wood", "x"):
        (tmp_path / place).mkdir()
    for path in ("wood/plank.wav", "wood/listed.wav", "x/plank.wav", "x/listed.wav", "x/voice.wav"):
        wav(tmp_path / path, tagged)
    wav(tmp_path / "x" / "plank 2.wav")
    wav(tmp_path / "x" / "thing.wav")
    (tmp_path / "manifest.csv").write_text(
        "path,material\nwood/listed.wav,metal\nx/listed.wav,tile\nx/voice.wav,voice\nx/plank 2.wav,\n"
    )
    found = {path: (facts.material, facts.label_from) for path, facts in known(tmp_path).items()}
    assert found == {
        "wood/listed.wav": ("metal", "manifest"),
        "wood/plank.wav": ("wood", "folder"),
        "x/listed.wav": ("tile", "manifest"),
        "x/plank.wav": ("glass", "tag"),
        "x/plank 2.wav": ("wood", "name"),
        "x/thing.wav": (None, None),
        "x/voice.wav": (None, None),
    }


def test_each_field_comes_from_the_first_place_that_has_it(tmp_path: Path) -> None:
    wav(
        tmp_path / "a_b.wav",
        ixml("<USER><FXNAME>Tag</FXNAME><KEYWORDS>x, y</KEYWORDS><DESIGNER>Cy</DESIGNER></USER>"),
    )
    (tmp_path / "a_b.json").write_text(
        json.dumps({"name": "Sidecar", "tags": ["y", "z"], "username": "Bo", "license": "CC0", "url": "u", "id": 7})
    )
    (tmp_path / "manifest.csv").write_text(
        "File;Material;Creator;License;Origin;Action;Keywords;Copyright;Collection\n"
        "a_b.wav;wood;Ann;CC BY 4.0;https://example.org;Kratzer;w;© Ann;Yard\n"
    )
    assert known(tmp_path) == {
        "a_b.wav": Facts(
            title="Sidecar", description=None, tags=("w", "y", "z", "x"), material="wood", label_from="manifest",
            action="scratch", source="Yard", origin="https://example.org", author="Ann", licence="CC-BY-4.0",
            attribution="© Ann",
        )
    }  # fmt: skip


@pytest.mark.parametrize(
    ("make", "material", "action"),
    [
        (lambda path: wav(path, bext(b"Kies, Schritte")), "gravel", None),
        (lambda path: wav(path, ixml("<USER><CATID>METLFric</CATID></USER>")), "metal", "scratch"),
        (lambda path: wav(path, ixml("<ASWG><catId>WOODImpt</catId><library>x</library></ASWG>")), "wood", "hit"),
        (lambda path: mp3(path, id3(("TIT2", b"\0Holzbrett"))), "wood", None),
        (lambda path: mp3(path, id3(("TIT2", b"\0Heavy rock"), ("TCON", b"\0Rock"))), None, None),
        (lambda path: mp3(path, id3(("TXXX", b"\0Material\0Papier"))), "paper", None),
        (lambda path: flac(path, comments("KEYWORDS=foley, glass, clink")), "glass", "hit"),
        (lambda path: flac(path, comments("DESCRIPTION=a steel ball on a wooden floor")), None, None),
    ],
)  # fmt: skip
def test_labels_in_tags(
    make: Callable[[Path], Path], material: str | None, action: str | None, tmp_path: Path
) -> None:
    file = make(tmp_path / "0001.wav")
    facts = facts_of(LibrarySound("0001.wav"), read_tags(file))
    assert (facts.material, facts.action) == (material, action)
    assert facts.label_from == (None if material is None else "tag")


def test_sidecars_that_cannot_be_read_do_no_harm(tmp_path: Path) -> None:
    outside = tmp_path / "outside.json"
    outside.write_text('{"material": "glass"}')
    root = tmp_path / "sounds"
    root.mkdir()
    contents = {
        "list": "[1]",
        "deep": "[" * 100_000,
        "long": '{"title": "' + "x" * 300_000,
        "no": "{",
        "binary": "\udcff",
    }
    for name, content in contents.items():
        wav(root / f"{name}.wav")
        (root / f"{name}.wav.json").write_bytes(content.encode(errors="surrogateescape"))
    wav(root / "link.wav")
    (root / "link.json").symlink_to(outside)
    wav(root / "good.WAV")
    (root / "good.json").write_text('{"Material": "Glas", "title": "\\ud800\\u0007 A\\nB", "credits": {"x": 1}}')
    library = find_library(root)
    reasons = {one.path: one.reason for one in library.skipped}
    assert reasons.pop("good.json") == "what is known of the sound beside it"
    assert len(reasons) == 6
    assert all("cannot be read: " in reason for reason in reasons.values()), reasons
    assert "JSON files beside sounds that cannot be read: 6" in library.notes
    facts = known(root)["good.WAV"]
    assert (facts.material, facts.label_from, facts.title) == ("glass", "tag", "A B")


def test_by_command_a_library_without_a_manifest_is_labelled_all_the_same(
    tiny_bundle: Bundle, tmp_path: Path
) -> None:
    root = tmp_path / "sounds"
    (root / "Holz").mkdir(parents=True)
    wav(root / "Holz" / "1.wav")
    wav(root / "0001.wav", bext(b"Glass bottle hit"))
    wav(root / "METLImpt_Anvil_AB_Yard.wav", b"JUNK\2\0\0\0ab")
    wav(root / "glass bottle 03.wav", b"JUNK\2\0\0\0cd")
    mp3(root / "x.mp3", id3(("TPE1", b"\0Ann"), ("TIT2", b"\0Plank")))
    wav(root / "y.wav", b"JUNK\2\0\0\0ef")
    (root / "y.wav.json").write_text('{"material": "tile", "licence": "CC0", "author": "Bo"}')
    done = thud_text("index", tiny_bundle.folder, root, tmp_path / "index")
    assert done.returncode == 0, done.stderr
    assert "labels: folder 1, tag 3, name 2" in done.stderr
    (catalogue,) = (tmp_path / "index").rglob(CATALOGUE)
    with closing(sqlite3.connect(catalogue)) as database:
        rows = database.execute(
            "SELECT path, material, label_from, author, licence, action FROM sounds ORDER BY path"
        )
        assert rows.fetchall() == [
            ("0001.wav", "glass", "tag", None, None, None),
            ("Holz/1.wav", "wood", "folder", None, None, None),
            ("METLImpt_Anvil_AB_Yard.wav", "metal", "name", None, None, "hit"),
            ("glass bottle 03.wav", "glass", "name", None, None, None),
            ("x.mp3", "wood", "tag", "Ann", None, None),
            ("y.wav", "tile", "tag", "Bo", "CC0-1.0", None),
        ]


def test_the_title_of_a_name_of_two_parts_is_without_its_cat_id() -> None:
    assert facts_of(LibrarySound("METLHit_Pan.wav"), {}).title == "Pan"
    assert facts_of(LibrarySound("USTour_Take.wav"), {}).title == "USTour Take"
