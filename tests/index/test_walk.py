"""Every file of a library is accounted for: as a sound, or with the reason why it is none."""

import csv
import os
from pathlib import Path

import pytest

from index.library.finding import find_library
from model.bundle import Bundle
from model.errors import ManifestError
from tests.index.commands import thud_text
from tests.index.conftest import Strike

LFS = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 345678\n"
ANNEX = "/annex/objects/SHA256E-s1234--" + "0" * 64 + ".wav\n"


def write(root: Path, **files: str) -> Path:
    for name, content in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(content)
    return root


def reasons(root: Path) -> dict[str, str]:
    library = find_library(root)
    accounted = [sound.path for sound in library.sounds] + [one.path for one in library.skipped]
    assert len(accounted) == len(set(accounted)), "nothing is told twice"
    return {one.path: one.reason for one in library.skipped}


def test_pointers_in_place_of_sounds_say_what_brings_the_sounds(tmp_path: Path) -> None:
    root = write(tmp_path, **{"lfs.wav": LFS, "annex.wav": ANNEX, "sub/x.wav.dvc": "outs:\n- path: x.wav\n"})
    (root / "locked.wav").symlink_to("../.git/annex/objects/aa/bb/SHA256E-s9--0.wav/SHA256E-s9--0.wav")
    (root / "dvc.wav").symlink_to("../.dvc/cache/files/md5/00/11")
    assert reasons(root) == {
        "lfs.wav": "a git-lfs pointer in place of the file; run git lfs pull",
        "annex.wav": "a git-annex pointer in place of the file; run git annex get",
        "locked.wav": "a git-annex link to content that is not here; run git annex get",
        "dvc.wav": "a DVC link to content that is not here; run dvc pull",
        "sub/x.wav.dvc": "a DVC pointer to a file that is not here; run dvc pull",
    }


@pytest.mark.parametrize("place", ["", ".."])
def test_a_pointer_in_place_of_a_manifest_ends_the_run(tmp_path: Path, place: str) -> None:
    root = write(tmp_path / "sounds", **{"a.wav": "x"})
    folder = root / place
    (folder / "manifest.csv").write_text(LFS)
    with pytest.raises(ManifestError, match=r"manifest.csv is a git-lfs pointer .* run git lfs pull"):
        find_library(root)
    (folder / "manifest.csv").unlink()
    (folder / "manifest.csv").symlink_to(".git/annex/objects/a/b/c")
    with pytest.raises(ManifestError, match="run git annex get"):
        find_library(root)
    (folder / "manifest.csv").unlink()
    (folder / "manifest.csv.dvc").write_text("outs:\n")
    with pytest.raises(ManifestError, match="only its DVC pointer; run dvc pull"):
        find_library(root)
    assert len(find_library(root, use_manifest=False).sounds) == 1


def test_recycle_bins_snapshots_and_previews_are_not_entered(tmp_path: Path) -> None:
    folders = [
        "#recycle", "@eaDir", "$RECYCLE.BIN", "#snapshot", ".snapshot", "System Volume Information", "lost+found",
        ".Trash-1000", "__MACOSX", "@Recycle", ".zfs", ".@__thumb", "sub/@eaDir", "sub/#Recycle",
    ]  # fmt: skip
    for folder in folders:
        write(tmp_path / "sounds", **{f"{folder}/metal/deleted.wav": "x"})
    root = write(tmp_path / "sounds", **{"metal/kept.wav": "x", "recycled glass/kept.wav": "x"})
    assert reasons(root) == dict.fromkeys(folders, "a recycle bin, snapshot or the like, not entered")
    library = find_library(root)
    assert [sound.path for sound in library.sounds] == ["metal/kept.wav", "recycled glass/kept.wav"]
    assert f"recycle bins, snapshots and the like, not entered: {len(folders)}" in library.notes


def test_a_folder_of_all_there_is(tiny_bundle: Bundle, strike: Strike, tmp_path: Path) -> None:
    """By command: 1,000 files, of which each stands in the index or in skipped.tsv."""
    root = tmp_path / "sounds"
    for number in range(5):
        strike(root / "wood" / f"good {number}.wav", 300 + 100 * number)
    good = (root / "wood" / "good 0.wav").read_bytes()
    wanted = {f"wood/good {number}.wav" for number in range(5)}
    for name in (
        "UPPER.WAV",
        "new\nline.wav",
        "tab\tand\rreturn.wav",
        'quote".wav',
        "Grüße 木.Wav",
        "\u202eleft.wav",
    ):
        (root / name).write_bytes(good + name.encode())
        wanted.add(name)
    left_out = {"silent.txt", "no extension", ".hidden.wav", "._good.wav", "table.csv", "manifest.csv", "good.json"}
    write(root, **dict.fromkeys(left_out - {"manifest.csv"}, "x"))
    write(
        root,
        **{"manifest.csv": "path,material\nUPPER.WAV,glass\n", "wood/good 0.wav.json": "{}", ".git/x.wav": "x"},
    )
    left_out |= {"wood/good 0.wav.json", ".git", "broken.wav", "gone.wav", "out.wav", "a pipe.wav", "zcopy.wav"}
    left_out |= {f"many/{number}.txt" for number in range(970)}
    write(root, **{f"many/{number}.txt": "x" for number in range(970)})
    (root / "broken.wav").write_bytes(b"RIFF")
    (root / "zcopy.wav").write_bytes(good)
    (root / "gone.wav").symlink_to("nothing.wav")
    (root / "out.wav").symlink_to(tmp_path / "elsewhere.wav")
    os.mkfifo(root / "a pipe.wav")
    odd = os.fsencode(root) + b"/\xff.wav"
    Path(os.fsdecode(odd)).write_bytes(good)
    left_out.add("\\udcff.wav")
    done = thud_text("index", tiny_bundle.folder, root, tmp_path / "index")
    assert done.returncode == 0, done.stderr
    with (tmp_path / "index" / "skipped.tsv").open(encoding="utf-8", newline="") as handle:
        rows = list(csv.reader(handle, delimiter="\t"))[1:]
    assert all(reason for _, reason in rows)
    assert sorted(path for path, _ in rows) == sorted(left_out)
    files = sum(len(names) for folder, _, names in os.walk(root) if ".git" not in folder)
    assert files == len(wanted) + len(left_out) - 1, "the hidden folder is one of them"
    assert f"{len(wanted):,}" in done.stdout


def test_an_index_in_the_library_is_no_part_of_it(tmp_path: Path) -> None:
    root = write(tmp_path, **{"a.wav": "x", "index/current": "1", "index/skipped.tsv": "", "index/x.wav": "x"})
    assert reasons(root) == {"index": "an index of Thud, not entered"}
