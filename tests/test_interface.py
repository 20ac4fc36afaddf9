"""The public interface: `from thud import …`, as the README and the docstrings show it."""

import ast
import doctest
import io
import json
import math
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import soundfile
from PIL import Image

import index.answers.recommender
import thud
from index.answers.inputs import PictureSource
from index.building.build import build_index
from model import PRETRAINED
from model.errors import (
    BundleError,
    BusyError,
    LibraryError,
    PictureError,
    PictureFormatError,
    PictureTooLargeError,
)
from model.picture_format import PictureLimits
from model.region import Region
from thud import Bundle, Recommender, SoundIndex
from training.synthesis.textures import texture

ROOT = Path(__file__).parents[1]
SOUNDS = 4


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as `make demo` leaves it, with four sounds, and photo.jpg in it."""
    folder = tmp_path_factory.mktemp("home")
    time = np.arange(16_000) / 32_000
    for number, material in enumerate(("metal", "wood", "glass", "others")):
        path = folder / "demo" / "sounds" / material / f"hit_{number}.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, 0.5 * np.sin(2 * np.pi * (300 + 400 * number) * time) * np.exp(-20 * time), 32_000)
    build_index(Bundle.open(PRETRAINED), folder / "demo" / "sounds", folder / "demo" / "index")
    picture = Image.linear_gradient("L").resize((120, 90))
    Image.merge("RGB", (picture, picture.rotate(180), Image.new("L", picture.size, 90))).save(folder / "photo.jpg")
    return folder


@pytest.fixture(scope="module")
def recommender(folder: Path) -> Iterator[Recommender]:
    with Recommender.open(index=folder / "demo" / "index") as recommender:
        yield recommender


def test_the_readme_shows_lines_that_run(folder: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(encoding="utf-8"), re.DOTALL)
    assert len([line for line in example.splitlines() if line.strip()]) <= 4
    done = subprocess.run(
        [sys.executable, "-c", example], cwd=folder, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) == 3
    assert done.stdout.count("hit ") == 3


@pytest.mark.parametrize("module", [thud, index.answers.recommender])
def test_the_docstrings_show_lines_that_run(
    folder: Path, monkeypatch: pytest.MonkeyPatch, module: ModuleType
) -> None:
    monkeypatch.chdir(folder)
    failed, attempted = doctest.testmod(module)
    assert (failed, attempted > 0) == (0, True)


def test_the_public_names() -> None:
    assert set(thud.__all__) == {
        "Bundle",
        "PictureLimits",
        "PictureMap",
        "Recommendation",
        "Recommender",
        "Region",
        "SoundFilter",
        "SoundIndex",
        "Spot",
        "ThudError",
        "__version__",
    }
    assert set(thud.__all__) <= set(dir(thud))
    assert all(getattr(thud, name).__doc__ for name in thud.__all__)
    assert re.fullmatch(r"\d+\.\d+\.\d+", thud.__version__)
    with pytest.raises(AttributeError, match="module 'thud' has no attribute 'Nonsense'"):
        thud.Nonsense  # type: ignore[attr-defined]  # noqa: B018
    stub = ast.parse((ROOT / "thud-stubs" / "__init__.pyi").read_text(encoding="utf-8")).body
    typed = {alias.asname for line in stub if isinstance(line, ast.ImportFrom) for alias in line.names}
    typed |= {ast.unparse(line.target) for line in stub if isinstance(line, ast.AnnAssign)}
    assert typed == set(thud.__all__)


def test_a_name_is_imported_when_it_is_used() -> None:
    code = (
        "import sys, thud\n"
        "from thud import __version__, Bundle\n"
        "print(sorted({'faiss', 'onnxruntime', 'index'} & set(sys.modules)))\n"
        "from thud import *\n"
        "assert Recommender and SoundIndex\n"
        "print(sorted({'torch', 'fastapi', 'service', 'training'} & set(sys.modules)))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines() == ["[]", "[]"]


def test_a_path_its_content_and_a_pillow_image_are_answered_alike(folder: Path, recommender: Recommender) -> None:
    photo = folder / "photo.jpg"
    answer = recommender.recommend(photo)
    assert recommender.recommend(str(photo)) == answer
    assert recommender.recommend(photo.read_bytes()) == answer
    with Image.open(photo) as image:
        assert recommender.recommend(image) == answer
    buffer = io.BytesIO()
    Image.open(photo).save(buffer, "GIF")
    with Image.open(buffer) as image:  # a format that is no file of ours, but a picture all the same
        assert [one.id for one in recommender.recommend(image).results] == [one.id for one in answer.results]


def test_a_pillow_image_is_turned_upright(folder: Path, recommender: Recommender, tmp_path: Path) -> None:
    image = Image.open(folder / "photo.jpg")
    exif = Image.Exif()
    exif[0x0112] = 6  # its first row is the right edge
    image.save(tmp_path / "turned.png", exif=exif)
    with Image.open(tmp_path / "turned.png") as turned:
        answer = recommender.recommend(turned)
    assert answer == recommender.recommend(tmp_path / "turned.png")
    assert answer == recommender.recommend(image.transpose(Image.Transpose.ROTATE_270))
    assert answer != recommender.recommend(image)


def test_what_is_answered(folder: Path, recommender: Recommender) -> None:
    answer = recommender.recommend(folder / "photo.jpg", k=100)
    assert (answer.model, answer.index) == (Bundle.open(PRETRAINED).id, recommender.index.id)
    assert (answer.k, answer.returned, answer.library) == (100, SOUNDS, SOUNDS)
    assert [one.rank for one in answer.results] == [1, 2, 3, 4]
    assert answer.materials is not None
    likely = {one.name: one.probability for one in answer.materials}
    assert len(likely) == 17
    for one in answer.results:
        assert Path(recommender.index.root / one.path).is_file()
        assert one.match is not None
        assert one.match == likely[one.material.name] if one.material else 0 <= one.match <= 1
    assert all(seconds >= 0 for seconds in vars(answer.stages).values())
    assert answer.stages.network > 0
    part = recommender.recommend(folder / "photo.jpg", region=Region(0, 0, 0.5, 0.5))
    assert part.materials != answer.materials


@pytest.mark.parametrize("k", [0, -1, 2.5, float("nan"), float("inf")])
def test_k_is_a_whole_number(folder: Path, recommender: Recommender, k: float) -> None:
    for ask in (recommender.recommend, recommender.map):
        with pytest.raises(ValueError, match="it must be a whole number of at least 1"):
            ask(folder / "photo.jpg", k)  # type: ignore[arg-type]


def test_a_map_has_the_sounds_of_each_place(folder: Path, recommender: Recommender) -> None:
    found = recommender.map(folder / "photo.jpg", k=2)
    assert (found.model, found.index, found.library) == (recommender.bundle.id, recommender.index.id, SOUNDS)
    assert [len(place.sounds) for place in found.places] == [2] * (found.columns * found.rows)
    assert found.stages.network > 0
    for sound in found.sounds:
        assert Path(recommender.index.root / sound.path).is_file()
    http, terminal = json.loads(found.json()), json.loads(found.json(for_terminal=True))
    assert [sound.pop("path") for sound in terminal["sounds"]] == [sound.path for sound in found.sounds]
    assert terminal == http
    under = json.loads(found.json("/thud"))["sounds"]
    assert [one["url"] for one in under] == [f"/thud/sounds/{one.id}" for one in found.sounds]
    with pytest.raises(ValueError, match="k is 0"):
        recommender.map(folder / "photo.jpg", k=0)
    with pytest.raises(ValueError, match="object_weight is 2"):
        recommender.map(folder / "photo.jpg", object_weight=2)


def test_the_places_of_a_mosaic_are_told_apart(recommender: Recommender) -> None:
    """By the bundle that ships: four drawn materials, each of which it tells alone, in one picture."""
    side, materials = 320, ("rock", "grass", "tile", "water")
    mosaic = Image.new("RGB", (2 * side, 2 * side))
    for number, material in enumerate(materials):
        drawn = Image.fromarray(texture(material, np.random.default_rng(0), side, side))
        alone = recommender.recommend(drawn).materials
        assert alone is not None
        assert alone[0].name == material
        mosaic.paste(drawn, (number % 2 * side, number // 2 * side))

    found = recommender.map(mosaic)

    told = [place.materials[0].name for place in found.places if place.materials]
    last = found.columns - 1
    assert [told[0], told[last], told[-1 - last], told[-1]] == list(materials)
    assert found.materials is not None
    assert sum(one.share for one in found.materials) == pytest.approx(1, abs=1e-5)


def test_one_serialiser_writes_for_http_and_for_the_terminal(folder: Path, recommender: Recommender) -> None:
    answer = recommender.recommend(folder / "photo.jpg", k=2)
    http, terminal = json.loads(answer.json()), json.loads(answer.json(for_terminal=True))
    paths = [result.pop("path") for result in terminal["results"]]
    assert terminal == http
    assert paths == [one.path for one in answer.results]
    known = asdict(answer)
    del known["stages"]
    for result in known["results"]:
        del result["path"]
        result["span"] = list(result["span"])
    assert http == known, "HTTP shows no path"
    under = json.loads(answer.json("/thud"))["results"]
    assert [one["url"] for one in under] == [f"/thud/sounds/{one.id}" for one in answer.results]
    assert json.loads(answer.json()) == http, "the answer itself is as it was"


def test_a_name_from_the_library_cannot_drive_the_terminal(folder: Path, recommender: Recommender) -> None:
    answer = recommender.recommend(folder / "photo.jpg", k=1)
    answer.results[0].title = "\x1b[2J\x9b ü"
    assert answer.json(for_terminal=True).isascii()
    assert b"\x1b" not in answer.json(for_terminal=True)
    assert json.loads(answer.json(for_terminal=True))["results"][0]["title"] == "\x1b[2J\x9b ü"


def test_a_bundle_and_an_index_of_ones_own(folder: Path, recommender: Recommender) -> None:
    bundle = Bundle.open(str(PRETRAINED))
    assert bundle == recommender.bundle
    with SoundIndex.open(str(folder / "demo" / "index"), bundle) as library:
        assert len(library) == SOUNDS
        assert library.id == recommender.index.id
    with pytest.raises(LibraryError):
        library.page()


def test_sounds_that_have_moved(folder: Path) -> None:
    with Recommender.open(index=folder / "demo" / "index", sounds=folder / "demo") as recommender:
        assert recommender.index.root == folder / "demo"
    with pytest.raises(LibraryError, match="is not a folder"):
        Recommender.open(index=folder / "demo" / "index", sounds=folder / "photo.jpg")


def test_what_cannot_be_opened(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(BundleError, match=r"is not a bundle: it has no bundle\.json"):
        Recommender.open(tmp_path)
    with pytest.raises(LibraryError, match="is not an index"):
        Recommender.open(index=tmp_path)


@pytest.mark.parametrize(
    ("picture", "kind", "message"),
    [
        (Path("/nowhere/a.jpg"), PictureError, r"^/nowhere/a\.jpg cannot be read: No such file or directory$"),
        ("/", PictureError, "^/ cannot be read: Is a directory$"),
        (b"", PictureError, "empty"),
        (b"no picture", PictureFormatError, "^not a JPEG, PNG, WebP or AVIF picture; convert it"),
        (Image.new("RGB", (8, 8)), PictureError, "8x8; each side must have at least 16 pixels"),
        (Image.new("1", (9000, 9000)), PictureTooLargeError, "at most 52,000,000"),
    ],
)
def test_a_picture_that_cannot_be_used(
    recommender: Recommender, picture: PictureSource, kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message):
        recommender.recommend(picture)


def test_a_pillow_image_that_was_closed(folder: Path, recommender: Recommender) -> None:
    with Image.open(folder / "photo.jpg") as image:
        pass
    with pytest.raises(PictureError, match="broken or cut short"):
        recommender.recommend(image)


def test_a_file_that_is_too_large_is_not_read(folder: Path, tmp_path: Path) -> None:
    with (tmp_path / "endless").open("wb") as file:
        file.truncate(2**40)
    limits = PictureLimits(max_bytes=2**20)
    with (
        Recommender.open(index=folder / "demo" / "index", limits=limits) as recommender,
        pytest.raises(PictureTooLargeError, match="more than 1,048,576 bytes"),
    ):
        recommender.recommend(tmp_path / "endless")


def test_other_arguments_that_are_wrong(folder: Path, recommender: Recommender) -> None:
    with pytest.raises(ValueError, match="k is 0; it must be a whole number of at least 1"):
        recommender.recommend(folder / "photo.jpg", k=0)
    with pytest.raises(ValueError, match="k is '3'; it must be a whole number of at least 1"):
        recommender.recommend(folder / "photo.jpg", k="3")  # type: ignore[arg-type]
    with pytest.raises(TypeError, match="ndarray"):
        recommender.recommend(np.zeros((64, 64, 3), np.uint8))  # type: ignore[arg-type]


class _OneAtATime:
    """A bound on pixels as an application may have one: a picture a time, and nobody waits."""

    def __init__(self) -> None:
        self.asked: list[tuple[int, float]] = []
        self.busy = False

    def take(self, pixels: int, until: float) -> AbstractContextManager[object]:
        self.asked.append((pixels, until))
        if self.busy:
            raise BusyError("another picture is being decoded", retry_after=1)
        return nullcontext()


def test_the_bound_on_pixels_is_handed_in(folder: Path) -> None:
    bound = _OneAtATime()
    picture = Image.new("RGB", (120, 90), "teal")
    with Recommender.open(index=folder / "demo" / "index", pixel_bound=bound) as recommender:
        recommender.recommend(picture)
        recommender.recommend(picture, until=123.0)
        bound.busy = True
        with pytest.raises(BusyError, match="another picture") as refused:
            recommender.recommend(picture)
    assert refused.value.retry_after == 1
    assert bound.asked == [(120 * 90, math.inf), (120 * 90, 123.0), (120 * 90, math.inf)]


def test_several_threads_may_ask(folder: Path, recommender: Recommender) -> None:
    answer = recommender.recommend(folder / "photo.jpg")
    gate = threading.Barrier(4)

    def ask(_: int) -> bool:
        gate.wait(30)
        return recommender.recommend(folder / "photo.jpg") == answer

    with ThreadPoolExecutor(4) as pool:
        assert all(pool.map(ask, range(4)))
