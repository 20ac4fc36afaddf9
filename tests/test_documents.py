"""The documents name only files that are there: a map with a wrong name on it leads astray."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DOCUMENTS = [ROOT / "README.md", ROOT / "ARCHITECTURE.md", *sorted((ROOT / "docs").glob("*.md"))]
DOCUMENTS += sorted((ROOT / "docs" / "decisions").glob("*.md"))
TOP = r"(?:benchmarks|docs|index|model|proxy|requirements|service|tests|training)"
NAMED = re.compile(rf"`({TOP}/[\w./-]*)`")
LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def names(document: Path) -> list[Path]:
    """The files that a document names: paths from the root in backticks, and links from where it lies."""
    text = document.read_text(encoding="utf-8")
    return [ROOT / name for name in NAMED.findall(text)] + [document.parent / link for link in LINK.findall(text)]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: str(document.relative_to(ROOT)))
def test_what_a_document_names_is_there(document: Path) -> None:
    assert [str(name.relative_to(ROOT)) for name in names(document) if not name.exists()] == []


def test_the_map_has_every_folder() -> None:
    """Each folder of code in a room has its line; a new one is put on the map."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    rooms = [ROOT / room for room in ("model", "index", "service", "training")]
    files = [file for room in rooms for file in room.rglob("*.py")]
    assert files
    folders = {file.parent for file in files}
    assert [str(folder.relative_to(ROOT)) for folder in sorted(folders) if f"`{folder.name}/`" not in text] == []


def test_every_decision_is_dated_and_listed() -> None:
    folder = ROOT / "docs" / "decisions"
    listed = set(LINK.findall((folder / "README.md").read_text(encoding="utf-8")))
    topics = [file for file in sorted(folder.glob("*.md")) if file.name != "README.md"]
    assert listed == {file.name for file in topics}
    for topic in topics:
        for section in topic.read_text(encoding="utf-8").split("\n## ")[1:]:
            title, _, body = section.partition("\n\n")
            assert re.match(r"\d{4}-\d{2}-\d{2}", body), f"{topic.name}: {title} has no date"
            assert "**Rules out.**" in body, f"{topic.name}: {title}"
