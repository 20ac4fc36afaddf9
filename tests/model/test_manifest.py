"""The manifest: both kinds of table, and what is no manifest."""

from pathlib import Path

import pytest

from model.errors import ManifestError
from model.manifest import read_rows


def test_manifest_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("kind,path,material,source\nimage,a.jpg,wood;metal; felt,x\nsound,b.wav,,y\n")
    (tmp_path / "m.jsonl").write_text(
        '{"kind": "image", "path": "a.jpg", "material": "wood;metal; felt", "source": "x"}\n\n'
        '{"kind": "sound", "path": "b.wav", "material": null, "source": "y"}\n'
    )
    rows = [read_rows(tmp_path / name) for name in ("m.csv", "m.jsonl")]
    for image, sound in rows:
        assert [material.name for material in image.materials] == ["wood", "metal"]
        assert image.unknown == ("felt",)
        assert (sound.materials, sound.unknown) == ((), ())
        assert (image.get("source"), sound.get("licence")) == ("x", "")


@pytest.mark.parametrize("separator", [",", ";", "\t"])
def test_a_table_as_spreadsheets_write_it(tmp_path: Path, separator: str) -> None:
    head, filled = ["kind", "path", "material", ""], ['"sound"', '"a;b\tc, d.wav"', '"wood;metal"', ""]
    lines = [head, filled, ["", "", "", ""], ["sound", "e.wav", " Plastic Bag ", ""], ["", "", "", ""]]
    text = "\r\n".join(separator.join(line) for line in lines) + "\r\n"
    (tmp_path / "m.csv").write_bytes(b"\xef\xbb\xbf" + text.encode())
    first, second = read_rows(tmp_path / "m.csv")
    assert (first.path, [material.name for material in first.materials]) == ("a;b\tc, d.wav", ["wood", "metal"])
    assert (second.path, second.materials[0].name, second.line) == ("e.wav", "plastic-bag", 4)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "kind,material\n", "no column named path"),
        ("m.csv", "", "no column named path"),
        ("m.csv", "kind,path,material\nimage,,wood\n", "line 2: the path is empty"),
        ("m.csv", "kind,path,material\nimage,a.jpg,wood,more\n", "line 2: more values"),
        ("m.jsonl", "{\n", "line 1: not JSON"),
        ("m.jsonl", "3\n", "no field named path"),
        ("m.jsonl", '{"path": "a"}\n3\n', "line 2: not a JSON object"),
        ("m.jsonl", '{"path": 7}\n', "line 1: path is not text"),
        ("m.csv", b"kind,path,material\nimage,\x81,wood\n", "not UTF-8 text, nor Windows-1252; a spreadsheet"),
        ("m.csv", "kind path material\nimage a.jpg wood\n", "no column named path"),
        ("m.csv", ";;\nimage;a.jpg;wood\n", "no column named path"),
        ("m.csv", "path,material,Material \na.wav,wood,\n", "two columns named material"),
        ("m.jsonl", '{"path": "a.wav", "Path": "b.wav"}\n', "two columns named path"),
        ("m.csv", "path,material\na.wav,wood\nb.wav,wood,x\n", "line 3: more values than columns"),
    ],
)
def test_a_bad_manifest_names_its_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ManifestError, match=message):
        read_rows(tmp_path / name)


def test_materials_are_understood_in_the_languages_of_the_columns(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text('Datei;Werkstoff\na.wav;Holz\nb.wav;Gläser\nc.wav;vidrio\nd.wav;Filz\n"e.wav";"Holz; bois"\n')
    rows = read_rows(file)
    assert [[one.name for one in row.materials] for row in rows] == [["wood"], ["glass"], ["glass"], [], ["wood"]]
    assert [row.unknown for row in rows] == [(), (), (), ("Filz",), ()]


def test_what_was_added_for_spreadsheets_is_taken_off(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text("path,title,tags,description\n'-a.wav,'=1,a;'-b,'quoted'\n")
    (row,) = read_rows(file)
    assert row.path == "'-a.wav", "a file's name may begin like this"
    assert (row.get("title"), row.get("tags"), row.get("description")) == ("=1", "a;-b", "'quoted'")


def test_capitals_and_spaces_around_the_names_of_columns_do_not_matter(tmp_path: Path) -> None:
    file = tmp_path / "m.csv"
    file.write_text(" Path ,MATERIAL,Mine\na.wav,wood,x\n")
    (row,) = read_rows(file)
    assert (row.path, [one.name for one in row.materials], row.get("Mine")) == ("a.wav", ["wood"], "x")
