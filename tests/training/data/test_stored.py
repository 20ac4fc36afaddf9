"""Training data in an object store: prepared as those of a folder, and what goes wrong with them."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from PIL import Image

from model.bucket import Bucket, Object
from model.bundle import ClipSpec, PictureSpec
from model.errors import LibraryError, ManifestError, TrainingError
from tests.index.milvus.lite import nobody_listens
from tests.index.stored import Store, moto_server, new_store
from training.data import manifest_files as files_module
from training.data.dataset import CLIPS_FILE, PICTURES_FILE, load_dataset
from training.data.items import SourceAwayError
from training.data.manifest_files import manifest_files
from training.data.manifest_source import ManifestSource
from training.data.prepare import PrepareOptions, prepare
from training.prepare_commands import prepare as prepare_command

OPTIONS = PrepareOptions(PictureSpec(size=32), ClipSpec(sample_rate=11_025, before=0.1, after=0.3))


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    with moto_server() as url:
        yield url


@pytest.fixture
def store(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A bucket; connections are kept by their addresses, and the next test has another server under its own."""
    yield new_store(server, monkeypatch)
    files_module._bucket.cache_clear()


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """A manifest with sixteen pictures and as many sounds of two materials, of which one of each cannot be read."""
    folder = tmp_path / "data"
    (folder / "in").mkdir(parents=True)
    rows = ["kind,path,material,source,group"]
    random = np.random.default_rng(0)
    for number in range(16):
        material = ("wood", "metal")[number % 2]
        picture, sound = f"in/picture {number}.png", f"in/ton ä {number}.wav"
        Image.new("RGB", (60, 40), (10 * number, 90, 200)).save(folder / picture)
        samples = random.normal(0, 0.3, 11_025) * np.exp(-np.arange(11_025) / 900)
        soundfile.write(folder / sound, samples, 11_025, subtype="PCM_16")
        if number == 9:
            picture = f"./in//{picture.rpartition('/')[2]}"  # as a file system reads it
        rows += [f"image,{picture},{material},here,{number}", f"sound,{sound},{material},here,{number}"]
    (folder / "in" / "picture 3.png").write_bytes(b"no picture")
    (folder / "in" / "ton ä 4.wav").unlink()
    (folder / "manifest.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    return folder


def listed(store: Store, data: Path) -> ManifestSource:
    """The data in the store, once what there is has been asked for."""
    store.put_folder(data)
    source = ManifestSource(manifest_files(f"s3://{store.bucket}"))
    assert len(source.tasks) == 32
    return source


@pytest.mark.parametrize("workers", [1, 2])
def test_it_is_that_of_a_folder(store: Store, data: Path, tmp_path: Path, workers: int) -> None:
    store.put_folder(data, "some/where/")
    local = tmp_path / "local"
    arguments = ["--size", "32", "--sample-rate", "11025", "--before", "0.1", "--after", "0.3"]
    stored = tmp_path / "stored"
    for source, target in ((str(data), local), (f"s3://{store.bucket}/some/where/", stored)):
        done = CliRunner().invoke(
            prepare_command, ["manifest", source, str(target), *arguments, "--workers", str(workers)]
        )
        assert done.exit_code == 0, done.output
        assert "9 pictures" in done.output
    for name in (PICTURES_FILE, CLIPS_FILE):
        assert (stored / name).read_bytes() == (local / name).read_bytes()
    one, two = load_dataset(stored), load_dataset(local)
    for name, values in vars(one.labels).items():
        np.testing.assert_array_equal(values, getattr(two.labels, name))
    there, here = ((folder / "skipped.tsv").read_text().splitlines() for folder in (stored, local))
    assert len(there) == len(here) == 2
    assert "the sound cannot be read: it is not there" in there[1]


def test_a_manifest_of_another_name(store: Store, data: Path, tmp_path: Path) -> None:
    (data / "manifest.csv").rename(data / "all of it.tsv")
    text = (data / "all of it.tsv").read_text(encoding="utf-8").replace(",", "\t")
    (data / "all of it.tsv").write_text(text, encoding="utf-8")
    store.put_folder(data)
    of_folder = ManifestSource(manifest_files(data / "all of it.tsv"))
    of_store = ManifestSource(manifest_files(f"s3://{store.bucket}/all of it.tsv"))
    one, two = prepare(of_folder, tmp_path / "one", OPTIONS), prepare(of_store, tmp_path / "two", OPTIONS)
    assert one.info.source == two.info.source
    assert one.info.id == two.info.id


def test_it_goes_on_when_the_store_is_back(
    store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.put_folder(data)
    whole = prepare(ManifestSource(manifest_files(data)), tmp_path / "whole", OPTIONS)
    real, read = Bucket.download, []

    def away(self: object, wanted: object, file: Path) -> None:
        read.append(file)
        if len(read) == 9:
            raise OSError(5, "nobody answers")
        real(self, wanted, file)  # type: ignore[arg-type]

    monkeypatch.setattr(Bucket, "download", away)
    address, target, said = f"s3://{store.bucket}", tmp_path / "d", list[str]()
    with pytest.raises(SourceAwayError, match=r"in/.* cannot be read: nobody answers; what was read is kept"):
        prepare(ManifestSource(manifest_files(address)), target, OPTIONS)
    assert not target.exists()
    again = prepare(ManifestSource(manifest_files(address)), target, OPTIONS, said.append)
    assert said[0] == "going on after 7 items done before"
    assert again.info.id == whole.info.id
    assert not any(file.exists() for file in read)
    # An interrupted run does not go on from files that have changed since.
    before = ManifestSource(manifest_files(address)).tasks
    store.put("in/picture 5.png", (data / "in" / "picture 6.png").read_bytes())
    after = ManifestSource(manifest_files(address)).tasks
    assert [one.id for one, two in zip(before, after, strict=True) if repr(one) != repr(two)] == [
        "in/picture 5.png"
    ]


def test_a_full_disk_ends_it(store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    source = listed(store, data)
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "not there"))
    with pytest.raises(SourceAwayError, match="nothing can be put aside on this machine: No such"):
        prepare(source, tmp_path / "d", OPTIONS)


def test_a_store_that_other_processes_do_not_reach_ends_it(
    store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = listed(store, data)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody_listens()}")
    with pytest.raises(SourceAwayError, match=r"in/.* cannot be read: .*; what was read is kept, run it again$"):
        prepare(source, tmp_path / "d", PrepareOptions(OPTIONS.picture, OPTIONS.clip, workers=2))


def test_a_key_that_was_taken_back_ends_it(
    store: Store, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = listed(store, data)
    found = Bucket.object

    def refused(self: Bucket, name: str) -> Object:
        if name == "in/picture 0.png" or taken_back:
            raise PermissionError(13, "the store refuses it", name)
        return found(self, name)

    monkeypatch.setattr(Bucket, "object", refused)
    taken_back = False
    dataset = prepare(source, tmp_path / "one", OPTIONS)
    assert dataset.info.skipped["the picture cannot be read: the store refuses it"] == 1
    taken_back = True
    with pytest.raises(SourceAwayError, match=r"in/picture 0\.png cannot be read: the store refuses it; what"):
        prepare(source, tmp_path / "two", OPTIONS)


def test_a_dataset_lies_on_this_machine(store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for target in (f"s3://{store.bucket}/out", "s3:/out", "milvus://x/y"):
        done = CliRunner().invoke(prepare_command, ["manifest", f"s3://{store.bucket}", target])
        assert done.exit_code == 2
        assert "is an address; name a folder of this machine" in done.output
    assert not list(tmp_path.iterdir())


def test_half_of_a_character_is_named(store: Store, data: Path) -> None:
    row = b'{"kind": "image", "path": "\\ud800.png", "material": "wood"}\n'
    (data / "m.jsonl").write_bytes(row)
    store.put("m.jsonl", row)
    for where in (str(data / "m.jsonl"), f"s3://{store.bucket}/m.jsonl"):
        with pytest.raises(TrainingError, match=r"m\.jsonl, line 1: path has half of a character in it"):
            _ = ManifestSource(manifest_files(where)).tasks


def test_what_is_no_manifest_says_so(store: Store, data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    address = f"s3://{store.bucket}/x"
    with pytest.raises(ManifestError, match=rf"{address}/manifest.csv cannot be read: it is not there"):
        _ = ManifestSource(manifest_files(address)).tasks
    store.put("x/manifest.csv", b"kind,path\nimage\n")
    with pytest.raises(ManifestError, match=rf"^{address}/manifest.csv, line 2"):
        _ = ManifestSource(manifest_files(address)).tasks
    for wrong, why in (
        ("s3:/a/b", "is no address"),
        ("ftp://a/b", "is no manifest"),
        ("s3:///b", "names no bucket"),
    ):
        with pytest.raises(LibraryError, match=why):
            manifest_files(wrong)
    assert manifest_files("s3://sounds.csv").manifest == "s3://sounds.csv/manifest.csv"
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{nobody_listens()}")
    files_module._bucket.cache_clear()
    with pytest.raises(SourceAwayError, match=f"{address}/manifest.csv cannot be read"):
        _ = ManifestSource(manifest_files(address)).tasks
