"""The paper's Table 1, and the manifest that names its materials."""

from pathlib import Path

import pytest

from model.errors import ThudError
from model.manifest import read_manifest
from model.materials import MATERIALS, material_named


def test_ids_are_the_papers() -> None:
    table_1 = {"plastic": 0, "leaf": 4, "water": 7, "plastic-bag": 12, "dirt": 13, "wood": 15, "carpet": 16}
    assert len(MATERIALS) == 17
    for name, id_ in table_1.items():
        assert MATERIALS[id_] == (id_, name)
    for spelling in ("plastic-bag", "Plastic Bag", " plastic_bag "):
        assert material_named(spelling) == MATERIALS[12]
    assert material_named("leather") is None


def test_manifest_csv_and_jsonl_say_the_same(tmp_path: Path) -> None:
    (tmp_path / "m.csv").write_text("kind,path,material,source\nimage,a.jpg,wood;metal,x\nsound,b.wav,,y\n")
    (tmp_path / "m.jsonl").write_text(
        '{"kind": "image", "path": "a.jpg", "material": "wood;metal", "source": "x"}\n\n'
        '{"kind": "sound", "path": "b.wav", "material": null, "source": "y"}\n'
    )
    rows = [read_manifest(tmp_path / name) for name in ("m.csv", "m.jsonl")]
    for image, sound in rows:
        assert [material.name for material in image.materials] == ["wood", "metal"]
        assert sound.materials == ()
        assert (image.get("source"), sound.get("licence")) == ("x", "")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.csv", "kind,path\n", "missing: material"),
        ("m.csv", "", "missing: kind, path, material"),
        ("m.csv", "kind,path,material\nimage,../a.jpg,wood\n", "line 2: the path"),
        ("m.csv", "kind,path,material\nimage,/etc/passwd,wood\n", "line 2: the path"),
        ("m.csv", "kind,path,material\nvideo,a.mp4,wood\n", "line 2: kind 'video'"),
        ("m.csv", "kind,path,material\nimage,,wood\n", "line 2: no path"),
        ("m.csv", "kind,path,material\nimage,a.jpg,wood,more\n", "line 2: more values"),
        ("m.jsonl", "{\n", "line 1: not JSON"),
        ("m.jsonl", "3\n", "line 1: not a JSON object"),
        ("m.csv", b"kind,path,material\nimage,\xff,wood\n", "cannot be read"),
    ],
)
def test_a_bad_manifest_names_its_line(tmp_path: Path, name: str, content: str | bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ThudError, match=message):
        read_manifest(tmp_path / name)
