"""Manifests as people and spreadsheets write them, and which file each row means."""

import csv
import errno
import io
import os
import tempfile
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.library.finding import Library, find_library
from index.library.walk import is_no_library
from model.bundle import Bundle
from model.errors import ManifestError
from tests.index.commands import thud_text
from tests.index.conftest import Strike


def library_of(root: Path, manifest: str | bytes, *paths: str) -> Library:
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()
    content = manifest if isinstance(manifest, bytes) else manifest.encode()
    (root / "manifest.csv").write_bytes(content)
    return find_library(root)


def labels(library: Library) -> dict[str, str | None]:
    return {sound.path: sound.material for sound in library.sounds}


@pytest.mark.parametrize(
    "text",
    [
        "path;material\r\nTür.wav;glass\r\n",
        "Path\tMaterial\nTür.wav\tglass\n",
        "PATH|MATERIAL\nTür.wav|glass\n",
        "sep=;\r\nFile Name;Material\r\nTür.wav;glass\r\n",
        '"sep=|"\nfilename|material\nTür.wav|glass\n',
        'sep=\t\n"Datei"\t"Werkstoff"\n"Tür.wav"\t"glass"\n',
        " kind , Path , Material ,\nsound, Tür.wav , Glass ,\n,,,\n,,,,,\n",
        "\n\r\nfichier;matériau\n\nTür.wav;glass;;;\n",
        ";;;;\r\npath;material;note;;\r\n;;;;\r\nTür.wav;glass;;;\r\n",
        'sep=,\n"",,\npath,material,note\nTür.wav,glass,\n',
        'note;path;material\n"a, b; c\nd";Tür.wav;glass\n',
    ],
)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "cp1252"])
def test_dialects_and_encodings(tmp_path: Path, text: str, encoding: str) -> None:
    library = library_of(tmp_path, text.encode(encoding), "Tür.wav")
    assert labels(library) == {"Tür.wav": "glass"}
    assumed = [note for note in library.notes if "read as Windows-1252" in note]
    # All of ASCII is UTF-8 as well; the names in the table are not.
    assert bool(assumed) == (encoding == "cp1252")


CELLS = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=12).map(
    # An apostrophe in front is taken off where Thud may have put it there.
    lambda text: text.strip().replace("'", "")
)


@settings(max_examples=80, deadline=None)
@given(
    separator=st.sampled_from(",;\t|"),
    notes=st.lists(CELLS, min_size=3, max_size=3),
    columns=st.permutations(["path", "Material", "Author", "my note"]),
    quoting=st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    newline=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    sep=st.booleans(),
)
def test_any_table_that_a_spreadsheet_writes(
    separator: str, notes: list[str], columns: list[str], quoting: int, newline: str, encoding: str, sep: bool
) -> None:
    out = io.StringIO(f"sep={separator}{newline}" if sep else "", newline="")
    out.seek(0, io.SEEK_END)
    table = csv.writer(out, delimiter=separator, quoting=quoting, lineterminator=newline)  # type: ignore[arg-type]
    table.writerow(columns)
    for note, material in zip(notes, ["wood", "glass", ""], strict=True):
        row = {"path": f"{material or 'none'}.wav", "Material": material, "Author": note, "my note": note}
        table.writerow([row[column] for column in columns])
        table.writerow(["" for _ in columns])
    with tempfile.TemporaryDirectory() as scratch:
        library = library_of(Path(scratch), out.getvalue().encode(encoding), "wood.wav", "glass.wav", "none.wav")
    assert labels(library) == {"wood.wav": "wood", "glass.wav": "glass", "none.wav": None}
    said = {sound.material: sound.columns["author"] for sound in library.sounds}
    assert said == dict(zip(["wood", "glass", None], notes, strict=True))


NAMES = st.text(
    st.characters(exclude_categories=["Cs", "Cc"], exclude_characters="/\\%"), min_size=1, max_size=12
).filter(
    lambda name: not name.startswith(".") and name.strip() == name and "." not in name and not is_no_library(name)
)


@settings(max_examples=80, deadline=None)
@given(
    folder=NAMES, name=NAMES, written=st.sampled_from(["NFC", "NFD", "backslash", "%20", "upper", "lower", "dot"])
)
def test_a_name_is_found_however_it_is_written(folder: str, name: str, written: str) -> None:
    path = f"{folder}/{name}.wav"
    ways = {
        "NFC": unicodedata.normalize("NFC", path),
        "NFD": unicodedata.normalize("NFD", path),
        "backslash": path.replace("/", "\\"),
        "%20": path.replace(" ", "%20"),
        "upper": path.upper() if path.upper().casefold() == path.casefold() else path,
        "lower": path.lower() if path.lower().casefold() == path.casefold() else path,
        "dot": f"./{folder}/../{path}",
    }
    out = io.StringIO()
    csv.writer(out).writerows([["path", "material"], [ways[written], "glass"]])
    with tempfile.TemporaryDirectory() as scratch:
        library = library_of(Path(scratch), out.getvalue(), path)
    assert labels(library) == {path: "glass"}
    assert [one.path for one in library.skipped] == ["manifest.csv"]


def test_a_material_in_german_is_the_label_and_not_unknown(tmp_path: Path) -> None:
    library = library_of(
        tmp_path, "Datei;Werkstoff\nHolz/a.wav;Holz\nHolz/b.wav;Vidrio\n", "Holz/a.wav", "Holz/b.wav"
    )
    assert labels(library) == {"Holz/a.wav": "wood", "Holz/b.wav": "glass"}
    assert not [note for note in library.notes if "not one of the 17" in note]


def test_names_that_may_mean_two_files_mean_none(tmp_path: Path) -> None:
    library = library_of(
        tmp_path,
        "path,material\nHIT.wav,glass\nexact.wav,wood\nTwice.wav,wood\nTWICE.wav,metal\n",
        *("hit.wav", "Hit.wav", "exact.wav", "Exact.wav", "twice.wav"),
    )
    assert labels(library) == {
        "Exact.wav": None, "Hit.wav": None, "exact.wav": "wood", "hit.wav": None, "twice.wav": None,
    }  # fmt: skip
    note = "paths of manifest.csv that may mean several files, so they label none: 2 (HIT.wav, twice.wav)"
    assert note in library.notes
    assert {one.path for one in library.skipped} == {"HIT.wav", "manifest.csv"}


def test_a_sign_that_is_really_in_a_name_goes_first(tmp_path: Path) -> None:
    library = library_of(
        tmp_path, "path,material\na%20b.wav,glass\nc\\d.wav,wood\n", "a%20b.wav", "a b.wav", "c\\d.wav", "c/d.wav"
    )
    assert labels(library) == {"a b.wav": None, "a%20b.wav": "glass", "c/d.wav": None, "c\\d.wav": "wood"}


def test_the_folder_too_may_be_written_in_other_case(tmp_path: Path) -> None:
    root = tmp_path / "Sounds Ä"
    (root / "sub").mkdir(parents=True)
    (root / "sub" / "hit.WAV").touch()
    (tmp_path / "labels.csv").write_text("path;material\nsounds%20a\u0308\\SUB\\Hit.wav;tile\n", encoding="utf-8")
    library = find_library(root, tmp_path / "labels.csv")
    assert labels(library) == {"sub/hit.WAV": "tile"}


def test_a_row_in_json_may_hold_anything(tmp_path: Path) -> None:
    (tmp_path / "a.wav").touch()
    (tmp_path / "manifest.jsonl").write_text(
        '{"File": "a.wav", "material": "wood", "Tags": ["oak", 3, {"x": 1}], "credit": "\\ud800", "x": null}\n'
    )
    (sound,) = find_library(tmp_path).sounds
    assert (sound.material, sound.columns["tags"]) == ("wood", "oak; 3")
    (tmp_path / "manifest.jsonl").write_text('{"path": ' + "[" * 100_000)
    with pytest.raises(ManifestError, match="line 1: not JSON"):
        find_library(tmp_path)


def test_labels_that_cannot_be_read_end_the_run_and_no_manifest_goes_on(
    tiny_bundle: Bundle, strike: Strike, tmp_path: Path
) -> None:
    strike(tmp_path / "sounds" / "metal" / "a.wav", 400)
    (tmp_path / "sounds" / "manifest.csv").write_text("datei;stoff\nmetal/a.wav;glass\n")
    command = ("index", tiny_bundle.folder, tmp_path / "sounds", tmp_path / "index")
    refused = thud_text(*command)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert "no column named material (columns found: path, stoff)" in line
    assert not (tmp_path / "index" / "current").exists()
    done = thud_text(*command, "--no-manifest")
    assert done.returncode == 0, done.stderr
    assert "labels: folder 1" in done.stderr
    both = ("--no-manifest", "--manifest", tmp_path / "sounds" / "manifest.csv")
    assert thud_text(*command, *both).returncode == 2


def test_a_manifest_is_found_in_a_folder_that_cannot_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A parent of mode 711, as homes often are: what is called exactly so is used, else it is said."""
    root = tmp_path / "sounds"
    root.mkdir()
    (root / "a.wav").touch()
    (tmp_path / "manifest.csv").write_text("path,material\nsounds/a.wav,glass\n")
    lists, listed = os.listdir, []

    def listdir(place: Path) -> list[str]:  # the superuser, as whom tests may run, is refused nothing
        listed.append(Path(place))
        if Path(place) == tmp_path:
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(place))
        return lists(place)

    monkeypatch.setattr("index.library.manifests.os.listdir", listdir)
    library = find_library(root)
    assert labels(library) == {"a.wav": "glass"}
    assert listed == [root, tmp_path]
    assert not [note for note in library.notes if "cannot be listed" in note]
    (tmp_path / "manifest.csv").rename(tmp_path / "Manifest.csv")
    library = find_library(root)
    assert labels(library) == {"a.wav": None}
    assert any(f"{tmp_path} cannot be listed (Permission denied): a manifest" in note for note in library.notes)
