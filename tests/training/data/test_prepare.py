"""Preparing datasets from real files: what is in them, what is skipped, and what happens when it is interrupted."""

import json
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from model.bundle import ClipSpec, PictureSpec
from model.errors import ThudError, TrainingError
from model.locks import exclusive
from model.materials import MATERIALS
from tests.training.conftest import COLOURS
from tests.waiting import within
from training.data import prepare as prepare_module
from training.data.dataset import CLIPS_FILE, INFO_FILE, LABELS_FILE, Dataset, load_dataset
from training.data.greatest_hits import GreatestHits
from training.data.items import Item
from training.data.manifest_files import manifest_files
from training.data.manifest_source import ManifestSource
from training.data.prepare import PrepareOptions, prepare
from training.prepare_commands import prepare as prepare_command

OPTIONS = PrepareOptions(PictureSpec(size=32), ClipSpec(sample_rate=11_025, before=0.1, after=0.3))


def content(dataset: Dataset) -> dict[str, bytes]:
    files = sorted(dataset.folder.iterdir())
    return {file.name: file.read_bytes() for file in files if file.suffix != ".npz"}


def test_greatest_hits(greatest_hits: Path, tmp_path: Path) -> None:
    dataset = prepare(GreatestHits(greatest_hits, clips_per_video=4), tmp_path / "d", OPTIONS)
    labels = dataset.labels
    assert dataset.pictures.shape == (24, 32, 32, 3)
    assert dataset.clips.shape == (96, 4410)
    assert Counter(labels.picture_split.tolist()) == {0: 12, 1: 4, 2: 8}
    # Nothing of one recording lies on both sides.
    splits_of = {(group, split) for group, split in zip(labels.clip_group, labels.clip_split, strict=True)}
    assert len({group for group, _ in splits_of}) == len(splits_of)
    for clip in range(len(labels.clip_id)):
        picture = labels.clip_picture[clip]
        assert labels.clip_id[clip].startswith(labels.picture_id[picture])
        assert labels.picture_materials[picture, labels.clip_material[clip]]
    # The hit stands where the window says: quiet before, loud after.
    before, after = np.abs(dataset.clips[:, :1000]).mean(), np.abs(dataset.clips[:, 1110:2000]).mean()
    assert after > 10 * before
    for picture in range(24):
        material = MATERIALS[int(np.flatnonzero(labels.picture_materials[picture])[0])].name
        assert np.abs(dataset.pictures[picture].mean(axis=(0, 1)) - COLOURS[material]).max() < 12


def test_the_same_twice_and_with_any_number_of_workers(greatest_hits: Path, tmp_path: Path) -> None:
    source = GreatestHits(greatest_hits, clips_per_video=3)
    one = prepare(source, tmp_path / "one", OPTIONS)
    two = prepare(source, tmp_path / "two", PrepareOptions(OPTIONS.picture, OPTIONS.clip, workers=2))
    assert content(one) == content(two)
    other = prepare(GreatestHits(greatest_hits, clips_per_video=3, seed=1), tmp_path / "other", OPTIONS)
    assert one.labels.clip_id.tolist() != other.labels.clip_id.tolist()


def test_interrupted_it_goes_on_where_it_stopped(
    greatest_hits: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = GreatestHits(greatest_hits, clips_per_video=3)
    whole = prepare(source, tmp_path / "whole", OPTIONS)
    read: list[str] = []
    read_one = prepare_module._read_one

    def stop_after(count: int) -> None:
        def counted(reader: object, task: object, options: PrepareOptions) -> Item:
            if len(read) == count:
                raise KeyboardInterrupt
            read.append(task.id)  # type: ignore[attr-defined]
            return read_one(reader, task, options)

        monkeypatch.setattr(prepare_module, "_read_one", counted)

    stop_after(9)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "d", OPTIONS)
    assert not (tmp_path / "d").exists()
    building = tmp_path / "d.building"
    # A kill in the middle of writing leaves more bytes than the journal vouches for, and half a line.
    with (building / CLIPS_FILE).open("ab") as file:
        file.write(b"half a clip")
    with (building / "journal.jsonl").open("a") as journal:
        journal.write('{"id": "2015')
    stop_after(10_000)
    again = prepare(source, tmp_path / "d", OPTIONS)
    assert len(read) == len(set(read)) == 24
    assert content(again) == content(whole)
    assert not building.exists()


def test_what_cannot_be_used_is_skipped_with_its_reason(greatest_hits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vis-data"
    shutil.copytree(greatest_hits, folder)
    ids = sorted(path.name.removesuffix("_times.txt") for path in folder.glob("*_times.txt"))
    (folder / f"{ids[0]}_denoised.mp4").write_bytes(b"not a video")
    (folder / f"{ids[1]}_denoised.wav").unlink()
    (folder / f"{ids[2]}_times.txt").write_text("0.5 wood\n")
    (folder / f"{ids[3]}_times.txt").write_text("0.5 None None None\n")
    (folder / f"{ids[4]}_times.txt").write_text("0.5 leather hit static\n")
    (folder / f"{ids[5]}_times.txt").write_text("0.4 wood hit static\n99.0 wood hit static\n")
    (folder / f"{ids[7]}_times.txt").write_text("0.5 wood None static\n1.0 None hit static\n")
    train = [name for name in (folder / "train.txt").read_text().split() if name != ids[6]]
    (folder / "train.txt").write_text("\n".join(train))
    dataset = prepare(GreatestHits(folder, 6), tmp_path / "d", OPTIONS)
    assert len(dataset.pictures) == 24 - 7
    rows = [line.split("\t") for line in (tmp_path / "d" / "skipped.tsv").read_text().splitlines()]
    reasons = {name: [reason for other, reason in rows if other == name] for name, _ in rows}
    wanted = {
        0: ["cannot be decoded"],
        1: ["No such file"],
        2: ["line 1"],
        3: ["no event with a material and an action"],
        4: ["leather"],
        5: ["fewer than the 6 events asked for", "ends before it"],
        6: ["neither train.txt nor test.txt"],
        7: ["no event with a material and an action"],
    }
    assert reasons.keys() == {ids[index] for index in wanted}
    for index, words in wanted.items():
        for reason, part in zip(reasons[ids[index]], words, strict=True):
            assert part in reason
    assert sum(dataset.info.skipped.values()) == len(rows) == 9
    assert dataset.info.skipped["the video has no event with a material and an action"] == 2


def test_videos_with_fewer_events_than_asked_for_give_all_they_have(greatest_hits: Path, tmp_path: Path) -> None:
    dataset = prepare(GreatestHits(greatest_hits, 7), tmp_path / "d", OPTIONS)
    assert len(dataset.clips) == 24 * 6
    reason = "the video has fewer than the 7 events asked for; all that it has are taken"
    assert dataset.info.skipped == {reason: 24}
    assert f"skipped or short, 24: {reason}" in dataset.summary()
    assert len((tmp_path / "d" / "skipped.tsv").read_text().splitlines()) == 24


def test_synthetic_media_are_told_from_recorded_ones(greatest_hits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vis-data"
    shutil.copytree(greatest_hits, folder)
    assert "synthesis" not in prepare(GreatestHits(folder, 1), tmp_path / "recorded", OPTIONS).info.source
    (folder / "synthesis.json").write_text('{"seed": 4}')
    assert prepare(GreatestHits(folder, 1), tmp_path / "made", OPTIONS).info.source["synthesis"] == {"seed": 4}
    (folder / "synthesis.json").write_text('{"seed": ')
    with pytest.raises(TrainingError, match=r"synthesis\.json cannot be read"):
        prepare(GreatestHits(folder, 1), tmp_path / "broken", OPTIONS)


def test_a_video_that_a_list_names_and_the_folder_lacks_is_counted(greatest_hits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vis-data"
    shutil.copytree(greatest_hits, folder)
    gone = (folder / "train.txt").read_text().split()[0]
    for file in folder.glob(f"{gone}_*"):
        file.unlink()
    prepare(GreatestHits(folder), tmp_path / "d", OPTIONS)
    assert (tmp_path / "d" / "skipped.tsv").read_text().startswith(f"{gone}\t")
    (folder / "test.txt").write_text((folder / "train.txt").read_text())
    with pytest.raises(TrainingError, match=r"in both train\.txt and test\.txt"):
        prepare(GreatestHits(folder), tmp_path / "e", OPTIONS)


def test_after_a_failure_the_same_command_works_on_mended_files(greatest_hits: Path, tmp_path: Path) -> None:
    folder = tmp_path / "vis-data"
    shutil.copytree(greatest_hits, folder, ignore=shutil.ignore_patterns("*.mp4"))
    with pytest.raises(TrainingError, match="left to train on"):
        prepare(GreatestHits(folder, 1), tmp_path / "d", OPTIONS)
    shutil.copytree(greatest_hits, folder, dirs_exist_ok=True)
    assert len(prepare(GreatestHits(folder, 1), tmp_path / "d", OPTIONS).pictures) == 24


def test_two_at_once_are_refused(greatest_hits: Path, tmp_path: Path) -> None:
    with exclusive(tmp_path / "d"), pytest.raises(ThudError, match="another thud is at work"):
        prepare(GreatestHits(greatest_hits, 1), tmp_path / "d", OPTIONS)
    assert prepare(GreatestHits(greatest_hits, 1), tmp_path / "d", OPTIONS).info.clips == 24


def test_folders_that_are_no_greatest_hits(tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"holds no <id>_times\.txt"):
        prepare(GreatestHits(tmp_path), tmp_path / "d", OPTIONS)
    (tmp_path / "d").mkdir()
    with pytest.raises(TrainingError, match="exists already"):
        prepare(GreatestHits(tmp_path), tmp_path / "d", OPTIONS)


def write_manifest(folder: Path, header: str, lines: list[str]) -> Path:
    (folder / "manifest.csv").write_text("\n".join([header, *lines]) + "\n")
    return folder / "manifest.csv"


def write_media(folder: Path, count: int = 10) -> None:
    for index in range(count):
        for name in ("wood", "metal"):
            Image.new("RGB", (40, 40), (index, 100, 50)).save(folder / f"{name}-{index:02}.png")
            t = np.arange(6000) / 22_050
            hertz = (300 if name == "wood" else 3000) + index
            soundfile.write(
                folder / f"{name}-{index:02}.wav", np.sin(2 * np.pi * hertz * t) * np.exp(-t * 40), 22_050
            )


def test_an_unpaired_manifest(tmp_path: Path) -> None:
    write_media(tmp_path)
    lines = []
    for index in range(10):
        source = "studio" if index < 7 else "street"
        for name in ("wood", "metal"):
            lines.append(f"image,{name}-{index:02}.png,{name},{source},{name}{index}")
            lines.append(f"sound,{name}-{index:02}.wav,{name},{source},{name}{index}")
    lines += [
        "sound,gone.wav,wood,studio,x",
        "sound,wood-00.wav,,studio,x",
        "sound,wood-00.wav,wood;metal,studio,x",
    ]
    lines.append("image,wood-00.png,leather,studio,x")
    file = write_manifest(tmp_path, "kind,path,material,source,group", lines)
    dataset = prepare(ManifestSource(manifest_files(file), test_sources=("street",)), tmp_path / "d", OPTIONS)
    labels = dataset.labels
    assert (labels.clip_picture == -1).all()
    assert {str(s) for s in labels.clip_source[labels.clip_split == 2]} == {"street"}
    assert {str(s) for s in labels.picture_source[labels.picture_split != 2]} == {"studio"}
    assert (len(dataset.pictures_of("test")), len(dataset.clips_of("test"))) == (6, 6)
    assert len(dataset.clips_of("val")) > 0
    assert dataset.info.skipped == {
        "cannot be read: No such file or directory": 1,
        "no material is given": 1,
        "a sound has more than one material": 1,
        "'leather' is not one of the 17 materials": 1,
    }
    assert dataset.info.source["sources"]["street"]["files"] == 12
    with pytest.raises(TrainingError, match="no source 'stret'; it has street, studio"):
        prepare(ManifestSource(manifest_files(file), test_sources=("stret",)), tmp_path / "e", OPTIONS)


def test_a_paired_manifest_with_times(tmp_path: Path) -> None:
    write_media(tmp_path)
    lines = []
    for index in range(10):
        split = "train" if index < 8 else "test"
        lines.append(f"image,wood-{index:02}.png,wood;metal,{split},scene{index},")
        lines.append(f"sound,wood-{index:02}.wav,wood,{split},scene{index},0.05")
        lines.append(f"sound,metal-{index:02}.wav,metal,{split},scene{index},")
    file = write_manifest(tmp_path, "kind,path,material,split,pair,time", lines)
    dataset = prepare(ManifestSource(manifest_files(file)), tmp_path / "d", OPTIONS)
    assert dataset.labels.clip_picture.tolist() == [index // 2 for index in range(20)]
    assert (len(dataset.pictures_of("train")), len(dataset.pictures_of("test"))) == (8, 2)
    assert dataset.labels.picture_materials.sum(axis=1).tolist() == [2] * 10
    lines.append("image,wood-00.png,wood,train,scene0,")
    write_manifest(tmp_path, "kind,path,material,split,pair,time", lines)
    with pytest.raises(TrainingError, match="exactly one image"):
        prepare(ManifestSource(manifest_files(file)), tmp_path / "e", OPTIONS)


def test_a_group_lies_in_one_split_whatever_it_holds(tmp_path: Path) -> None:
    write_media(tmp_path)
    lines = [f"image,{name}-{at:02}.png,{name},{name}{at}" for name in ("wood", "metal") for at in range(8)]
    lines += [f"sound,{name}-{at:02}.wav,{name},{name}{at}" for name in ("wood", "metal") for at in range(2, 10)]
    file = write_manifest(tmp_path, "kind,path,material,group", lines)
    labels = prepare(ManifestSource(manifest_files(file)), tmp_path / "d", OPTIONS).labels
    sides: dict[str, set[int]] = {}
    groups = (*labels.picture_group, *labels.clip_group)
    for group, split in zip(groups, (*labels.picture_split, *labels.clip_split), strict=True):
        sides.setdefault(str(group), set()).add(int(split))
    assert all(len(found) == 1 for found in sides.values())
    for splits in (labels.picture_split, labels.clip_split):
        assert set(splits.tolist()) == {0, 1}


@pytest.mark.parametrize("header", ["split", "source"])
def test_a_pair_lies_in_one_split(tmp_path: Path, header: str) -> None:
    write_media(tmp_path, 1)
    for first, second in (("test", "train"), ("train", "test")):
        lines = [f"image,wood-00.png,wood,p,{first}", f"sound,wood-00.wav,wood,p,{second}"]
        file = write_manifest(tmp_path, f"kind,path,material,pair,{header}", lines)
        with pytest.raises(TrainingError, match="line 2: pair 'p' lies in more than one split"):
            prepare(
                ManifestSource(manifest_files(file), test_sources=("test",) if header == "source" else ()),
                tmp_path / "d",
                OPTIONS,
            )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("video,a.mp4,wood", "line 2: kind 'video'"),
        (",a.mp4,wood", "line 2: kind ''"),
        ("image,../a.jpg,wood", "leads out"),
    ],
)
def test_a_row_that_cannot_be_meant_names_its_line(tmp_path: Path, line: str, message: str) -> None:
    file = write_manifest(tmp_path, "kind,path,material", [line])
    with pytest.raises(TrainingError, match=message):
        prepare(ManifestSource(manifest_files(file)), tmp_path / "d", OPTIONS)


def test_two_pairs_may_share_a_picture(tmp_path: Path) -> None:
    write_media(tmp_path)
    lines = []
    for index in range(4):
        for name in ("wood", "metal"):
            lines.append(f"image,wood-{index:02}.png,{name},train,{name}{index},")
            lines.append(f"sound,{name}-{index:02}.wav,{name},train,{name}{index},nan")
    file = write_manifest(tmp_path, "kind,path,material,split,pair,time", lines)
    with pytest.raises(TrainingError, match="not a number of seconds"):
        prepare(ManifestSource(manifest_files(file)), tmp_path / "d", OPTIONS)
    write_manifest(tmp_path, "kind,path,material,split,pair,time", [line.replace("nan", "") for line in lines])
    labels = prepare(ManifestSource(manifest_files(file)), tmp_path / "d", OPTIONS).labels
    assert labels.clip_picture.tolist() == list(range(8))
    assert labels.picture_materials[labels.clip_picture, labels.clip_material].all()


def test_nothing_to_train_on_says_why(tmp_path: Path) -> None:
    file = write_manifest(tmp_path, "kind,path,material", ["image,gone.png,wood", "sound,gone.wav,wood"])
    with pytest.raises(TrainingError, match=r"left to train on.*cannot be read"):
        prepare(ManifestSource(manifest_files(file)), tmp_path / "d", OPTIONS)


def test_a_damaged_dataset_is_refused(greatest_hits: Path, tmp_path: Path) -> None:
    prepare(GreatestHits(greatest_hits, clips_per_video=1), tmp_path / "d", OPTIONS)
    with (tmp_path / "d" / CLIPS_FILE).open("ab") as file:
        file.write(b"x")
    with pytest.raises(TrainingError, match=r"clips\.i16 has"):
        load_dataset(tmp_path / "d")
    with (tmp_path / "d" / CLIPS_FILE).open("rb+") as file:
        file.truncate(file.seek(-1, 2))
    whole = (tmp_path / "d" / LABELS_FILE).read_bytes()
    with np.load(tmp_path / "d" / LABELS_FILE) as stored:
        columns = dict(stored)
    clips = len(columns["clip_split"])
    for column, change, message in (
        ("clip_split", columns["clip_split"][:-3], rf"clip_split is \[{clips - 3}\], not \[{clips}\]"),
        ("clip_material", columns["clip_material"] + 17, "clip_material has values outside 0 to 16"),
        ("clip_picture", columns["clip_picture"] - 2, "clip_picture has values outside -1 to"),
    ):
        np.savez(tmp_path / "d" / LABELS_FILE, **columns | {column: change})
        with pytest.raises(TrainingError, match=rf"is damaged: labels\.npz: {message}"):
            load_dataset(tmp_path / "d")
    (tmp_path / "d" / LABELS_FILE).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(TrainingError, match=r"is damaged: labels\.npz: it is no NumPy archive"):
        load_dataset(tmp_path / "d")
    (tmp_path / "d" / LABELS_FILE).write_bytes(whole)
    assert load_dataset(tmp_path / "d").labels.clip_split.tolist() == columns["clip_split"].tolist()
    info = json.loads((tmp_path / "d" / INFO_FILE).read_text())
    (tmp_path / "d" / INFO_FILE).write_text(json.dumps({**info, "format_version": 9}))
    with pytest.raises(TrainingError, match="format 9"):
        load_dataset(tmp_path / "d")
    with pytest.raises(TrainingError, match="not a prepared dataset"):
        load_dataset(tmp_path)


def test_the_command(greatest_hits: Path, tmp_path: Path) -> None:
    arguments = ["greatest-hits", str(greatest_hits), str(tmp_path / "d"), "--size", "32", "--sample-rate", "8000"]
    result = CliRunner().invoke(prepare_command, arguments, catch_exceptions=False)
    assert result.exit_code == 0
    assert "clips per material: plastic 0, drywall 0, rock 0, metal 36" in result.output


def test_processes_end_with_the_one_that_started_them(greatest_hits: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "thud", "prepare", "greatest-hits", str(greatest_hits), str(tmp_path / "d")]
    with subprocess.Popen([*command, "--workers", "2"], stderr=subprocess.PIPE) as process:
        journal = tmp_path / "d.building" / "journal.jsonl"
        within(60, lambda: journal.exists() and journal.stat().st_size > 0)
        process.kill()
        assert process.stderr is not None
        process.stderr.read()  # ends when nobody has it open any more
