"""Which rows of a manifest are fitted on, which are skipped."""

from pathlib import Path

import pytest

from model.errors import TrainingError
from training.pretraining.material_files import MaterialFiles, read_material_files


def read(folder: Path, *rows: str) -> MaterialFiles:
    """The pictures of a manifest with `rows`, each `path,material,source,licence,open_licence,note`."""
    for row in rows:
        (folder / row.split(",")[0]).touch()
    head = "kind,path,material,source,licence,open_licence,note"
    (folder / "manifest.csv").write_text("\n".join([head, *(f"image,{row}" for row in rows)]) + "\n")
    return read_material_files(folder, "image")


@pytest.mark.parametrize(
    ("licence", "note", "fitted"),
    [
        ("CC0 1.0 (LICENSE)", "", True),
        ("none stated (web images)", "made with the sync tool", True),
        ("none stated - do not redistribute", "", True),
        ("GPL-2+ / CC BY 3.0", "", True),
        ("non-commercial research only (README)", "", False),
        ("Noncommercial use", "", False),
        ("CC BY-NC 4.0", "", False),
        ("cc-by-nc-sa-3.0", "", False),
        ("CC BY NC", "", False),
        ("see there", "not for commercial use", False),
    ],
)
def test_what_is_not_for_commercial_use_is_not_fitted_on(
    tmp_path: Path, licence: str, note: str, fitted: bool
) -> None:
    found = read(tmp_path, f"a.png,wood,one,{licence},1,{note}")
    assert found.fitted.tolist() == [fitted]
    assert len(found) == 1


def test_open_files_alone(tmp_path: Path) -> None:
    found = read(tmp_path, "a.png,wood,one,CC0,1,", "b.png,wood,two,none stated,0,", "c.png,wood,two,CC BY-NC,1,")
    assert found.fitted.tolist() == [True, True, False]
    assert found.open_only().fitted.tolist() == [True, False, False]
    assert found.only(found.source == "two").fitted.tolist() == [True, False]


def test_rows_without_one_known_material_are_skipped_and_counted(tmp_path: Path) -> None:
    found = read(
        tmp_path, "a.png,wood,roads,,1,", "b.png,lava,one,,1,", "c.png,wood;metal,one,,1,", "d.png,,one,,1,"
    )
    assert (len(found), found.skipped) == (1, 3)
    assert (found.source.tolist(), found.group.tolist()) == (["roads"], ["outdoor"])


def test_a_manifest_without_a_known_material_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="lists no image of one of the 17 materials"):
        read(tmp_path, "a.png,lava,one,,1,")
