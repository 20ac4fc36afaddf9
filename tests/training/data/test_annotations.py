"""Labels are read as the dataset spells them; a broken line is named by file and number."""

from collections import Counter
from pathlib import Path

import pytest

from model.errors import TrainingError
from training.data.greatest_hits import Event, read_events, read_split, recording_of


def written(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "2015-01-01-00-00-00_times.txt"
    path.write_text(text, encoding="utf-8")
    return path


def test_reads_columns_and_none(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        "0.5 plastic-bag hit rigid-motion\n1.25 None None None\n\n2 wood scratch of words\n3 water None splash\n",
    )
    assert read_events(path) == [
        Event(0.5, "plastic-bag", "hit", "rigid-motion"),
        Event(1.25, None, None, None),
        Event(2.0, "wood", "scratch", "of words"),
        Event(3.0, "water", None, "splash"),
    ]


@pytest.mark.parametrize(
    ("line", "complaint"),
    [
        ("1.0 wood hit", "3 columns"),
        ("soon wood hit None", "'soon' is not a time"),
        ("-1 wood hit None", "'-1' is not a time"),
        ("nan wood hit None", "'nan' is not a time"),
        ("1.0 leather hit None", "'leather' is not one of the 17 materials"),
        ("1.0 wood kick None", "'kick' is not an action"),
    ],
)
def test_broken_lines_are_named(tmp_path: Path, line: str, complaint: str) -> None:
    path = written(tmp_path, f"0.5 wood hit None\n{line}\n")
    with pytest.raises(TrainingError, match=r"_times\.txt, line 2: ") as raised:
        read_events(path)
    assert complaint in str(raised.value)


def test_missing_and_binary_files_are_errors(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="cannot be read"):
        read_events(tmp_path / "no_times.txt")
    binary = tmp_path / "binary_times.txt"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrainingError, match="cannot be read"):
        read_events(binary)


def test_split_keeps_order_and_refuses_doubles(tmp_path: Path) -> None:
    path = tmp_path / "train.txt"
    path.write_text("b\na\n\nc\n", encoding="utf-8")
    assert read_split(path) == ["b", "a", "c"]
    path.write_text("b\na\nb\n", encoding="utf-8")
    with pytest.raises(TrainingError, match=r"train.txt, line 3: b stands in line 1"):
        read_split(path)


def test_recording_is_the_id_without_its_part() -> None:
    assert recording_of("2015-09-24-16-38-42-322") == "2015-09-24-16-38-42"
    assert recording_of("2015-02-16-16-49-06") == "2015-02-16-16-49-06"


def test_reads_all_real_annotations(shared: Path) -> None:
    folder = shared / "greatest_hits_annotations"
    files = sorted(folder.glob("*_times.txt"))
    events = [event for file in files for event in read_events(file)]
    assert len(files) == 977
    assert len(events) == 39_950
    assert sum(event.material == "wood" for event in events) == 4_005
    assert sum(event.material is None for event in events) == 15_559
    ids = [file.name.removesuffix("_times.txt") for file in files]
    cut = [i for i in ids if recording_of(i) != i]
    assert (len(cut), len({recording_of(i) for i in cut})) == (547, 98)
    train, test = read_split(folder / "train.txt"), read_split(folder / "test.txt")
    assert (len(train), len(test)) == (731, 242)
    assert not set(train) & set(test)


def test_the_real_annotations_are_read_as_counted(shared: Path) -> None:
    """Counts of ../shared/greatest_hits_annotations/README.md, through the parser that reads the real archive."""
    folder = shared / "greatest_hits_annotations"
    events = {path.name: read_events(path) for path in sorted(folder.glob("*_times.txt"))}
    counts = Counter(event.material for each in events.values() for event in each)
    assert len(events) == 977
    assert {name or "None": count for name, count in counts.items()} == ANNOTATED
    assert sum(counts.values()) == 39_950
    touches = [sum(bool(event.material and event.action) for event in each) for each in events.values()]
    assert (sum(count < 10 for count in touches), touches.count(0)) == (53, 2)
    assert (len(read_split(folder / "train.txt")), len(read_split(folder / "test.txt"))) == (731, 242)
    cut = [name.removesuffix("_times.txt") for name in events if recording_of(name[:-10]) != name[:-10]]
    assert (len(cut), len({recording_of(name) for name in cut})) == (547, 98)


ANNOTATED = {
    "None": 15559,
    "wood": 4005,
    "metal": 3543,
    "dirt": 2994,
    "rock": 2420,
    "leaf": 2309,
    "plastic": 1853,
    "cloth": 1789,
    "paper": 1405,
    "grass": 921,
    "water": 677,
    "drywall": 453,
    "gravel": 433,
    "plastic-bag": 383,
    "ceramic": 351,
    "tile": 313,
    "carpet": 281,
    "glass": 261,
}
