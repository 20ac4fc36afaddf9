"""From a picture to the sounds that fit it: the one way that Python, the command line and HTTP share."""

import math
import os
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from types import TracebackType
from typing import Self

import numpy as np

from index import DEFAULT_INDEX, DIVERSITY, OBJECT_WEIGHT
from index.address import MilvusAddress
from index.answers.answer import Asked, recommendation, rounded
from index.answers.feedback import Feedback, told_materials, told_probabilities, towards_materials
from index.answers.inputs import PictureSource, SoundSource, digest_of, picture_data, probe_picture
from index.answers.mapping import picture_map
from index.answers.objects import shares
from index.answers.picture_map import MAP_K, PictureMap
from index.answers.pixel_room import PixelBound, Room, Unbounded
from index.answers.places import places_of
from index.answers.recommendation import Recommendation, Stages
from index.answers.search import SoundIndex
from index.answers.seen import seen
from index.answers.store import check_k
from index.catalogue.filters import SoundFilter
from model import PRETRAINED
from model.addresses import BucketAddress
from model.bundle import Bundle
from model.errors import BundleError, FilterError
from model.heads import MaterialHeads
from model.picture import Part, picture_array, picture_arrays
from model.picture_format import PictureLimits
from model.region import PLACE_SIZE, Grid, Spot
from model.runtime import TowerRuntime
from model.sound import SoundLimits
from model.threads import available_cpus


class Recommender:
    """A bundle and an index together: pictures in, sounds out. Safe to use from several threads.

    Open it once, since that takes far longer than an answer; close it when done, or use it as a context manager:

    >>> from thud import Recommender
    >>> with Recommender.open(index="demo/index") as recommender:
    ...     answer = recommender.recommend("photo.jpg", k=3)
    >>> [result.rank for result in answer.results]
    [1, 2, 3]

    A picture is computed by the thread that calls `recommend`, and ONNX Runtime adds the threads that `towers` was
    given. `heads` are those of the bundle, None where it has none.
    """

    def __init__(
        self,
        towers: TowerRuntime,
        heads: MaterialHeads | None,
        index: SoundIndex,
        limits: PictureLimits = PictureLimits(),
        pixel_bound: PixelBound | None = None,
        object_weight: float = OBJECT_WEIGHT,
        diversity: float = DIVERSITY,
    ) -> None:
        self.towers = towers
        self.index = index
        self._heads = heads
        self._limits = limits
        self.pixel_bound = pixel_bound or Unbounded()
        self._object_weight = object_weight
        self._diversity = diversity

    @classmethod
    def open(
        cls,
        bundle: str | os.PathLike[str] = PRETRAINED,
        index: str | os.PathLike[str] | MilvusAddress = DEFAULT_INDEX,
        *,
        sounds: str | os.PathLike[str] | BucketAddress | None = None,
        limits: PictureLimits = PictureLimits(),
        threads: int | None = None,
        pixel_bound: PixelBound | None = None,
        object_weight: float = OBJECT_WEIGHT,
        diversity: float = DIVERSITY,
        before: "Recommender | None" = None,
    ) -> Self:
        """Open the folder of a bundle, by default the one that comes with Thud, and an index made with it.

        `index` is a folder or milvus://HOST:PORT/NAME; `sounds`, a folder or s3://BUCKET/PREFIX, is where the sound
        files are, if they have moved since the index was made. `limits` says which
        pictures are refused. `threads` is the number of threads that compute one picture, by default one for each
        CPU; where several pictures are computed at the same time, 1 gives the most pictures per second.
        `pixel_bound` limits the memory that decoding takes; without it nothing does. `object_weight` (0 to 1): the
        most that is added to the score of a sound that names an object in the picture. `diversity` (0 to 1): how
        much the sounds of an answer differ, see `index.answers.diversity`. `before`: one that this is to replace,
        whose towers, opened with as many `threads`, are used again where the bundle is still the same, and beside
        which the index is opened.

        Raises BundleError or LibraryError where one of the folders is missing or broken, or where they do not fit.
        """
        opened = Bundle.open(bundle)
        heads = MaterialHeads.load(opened)
        library = SoundIndex.open(index, opened, threads=1, sounds=sounds, beside=before is not None)
        try:
            if before is not None and before.bundle == opened:
                towers = before.towers
            else:
                towers = TowerRuntime(opened, available_cpus() if threads is None else threads)
            return cls(towers, heads, library, limits, pixel_bound, object_weight, diversity)
        except BaseException:
            library.close()
            raise

    @property
    def bundle(self) -> Bundle:
        """The bundle that embeds the pictures."""
        return self.towers.bundle

    def recommend(
        self,
        picture: PictureSource,
        k: int = 10,
        *,
        region: Part | None = None,
        until: float = math.inf,
        object_weight: float | None = None,
        only: SoundFilter | None = None,
        diversity: float | None = None,
        cursor: str | None = None,
        shows: Iterable[str] = (),
        more: Iterable[str] = (),
        less: Iterable[str] = (),
    ) -> Recommendation:
        """The `k` sounds nearest to `picture`, best first (all where the library has fewer), and what is in it.

        `picture` is the path of a JPEG, PNG, WebP or AVIF file, its bytes, or an image that Pillow has opened, of
        any format. With a `region`, the answer is about that part of it alone. Where there is a `pixel_bound`, a
        large picture may have to wait for others, at the latest until `until`, in seconds of `time.monotonic`.
        `object_weight` and `diversity` replace those of `open`. `only` leaves out all sounds that do not meet it.
        `cursor` is the `next` of the answer to the same picture, which goes on from there.

        `shows` are the names of the materials that a person says the picture shows, whatever Thud sees: the answer
        is about these. `more` and `less` are ids of sounds like which the answer should be, and should not be;
        those of `less` are not in it. Of each, a text alone is one name.

        Raises PictureError for a picture that cannot be used (as `model.picture.decode_picture`), BusyError for one
        that waited in vain, FilterError for a cursor, a material or an id that is none and for `shows` with a
        bundle that has no heads, DamagedIndexError where the index cannot be read, MemoryError, and ValueError for
        a `k` that is not whole or below 1.
        """
        check_k(k)
        weight = self._weight(object_weight)
        feedback, told = Feedback.of(more, less), told_materials(shows)
        if told and self._heads is None:
            raise FilterError("the bundle does not know materials, so that it cannot be told any", "shows")
        data = picture_data(picture, self._limits)
        spec = self.bundle.spec.picture
        room = Room(self.pixel_bound, until)
        began = perf_counter()
        pixels = picture_array(data, spec.size, spec.resize, self._limits, region, room.reserve)
        decoded = perf_counter()
        (found,) = seen(self.towers, self._heads, [pixels])
        embedded = perf_counter()
        query = found.embedding
        if told and self._heads is not None:
            query = towards_materials(query, told, self._heads)
            found = replace(found, materials=told_probabilities(told), recognised=True)
        matches = self.index.search(
            query,
            k,
            shares(found.objects or (), weight),
            found.fit(self._heads),
            only=only,
            diversity=self._diversity if diversity is None else diversity,
            cursor=cursor,
            feedback=feedback,
            asked=(
                "picture",
                digest_of(data if isinstance(data, bytes) else pixels.tobytes()),
                region,
                weight,
                told,
            ),
        )
        asked = Asked(k, found.materials, found.recognised, found.objects)
        answer = recommendation(self.bundle.id, self.index, self._heads, asked, matches)
        answer.stages = room.stages(began, decoded, embedded)
        return answer

    def map(
        self,
        picture: PictureSource,
        k: int = MAP_K,
        *,
        until: float = math.inf,
        object_weight: float | None = None,
        only: SoundFilter | None = None,
        diversity: float | None = None,
    ) -> PictureMap:
        """What is at each place of `picture`, and the `k` sounds nearest to each, best first: for touching it.

        All places are told from one decoding and one run of the image tower, on at most six squares (`places_of`);
        the rest as in `recommend`, which raises the same.
        """
        check_k(k)
        weight = self._weight(object_weight)
        data = picture_data(picture, self._limits)
        spec = self.bundle.spec.picture
        room = Room(self.pixel_bound, until)
        grids: list[Grid] = []

        def squares(width: int, height: int) -> tuple[Spot, ...]:
            grids.append(Grid.of(width, height, self._limits.min_side))
            return grids[-1].squares

        began = perf_counter()
        pixels = picture_arrays(data, spec.size, spec.resize, self._limits, PLACE_SIZE, squares, room.reserve)
        decoded = perf_counter()
        places = places_of(self.towers, self._heads, pixels, grids[-1])
        embedded = perf_counter()
        alike = places.alike()
        matches = [
            self.index.search(
                one.embedding,
                k,
                shares(one.objects or (), weight),
                one.fit(self._heads),
                only=only,
                diversity=self._diversity if diversity is None else diversity,
            )
            for one in map(places.together, alike)
        ]
        answer = picture_map(self.bundle.id, self.index, places, alike, matches)
        answer.stages = room.stages(began, decoded, embedded)
        return answer

    def recommend_by_sound(
        self,
        sound: SoundSource,
        k: int = 10,
        *,
        limits: SoundLimits = SoundLimits(),
        only: SoundFilter | None = None,
        diversity: float | None = None,
        cursor: str | None = None,
        more: Iterable[str] = (),
        less: Iterable[str] = (),
    ) -> Recommendation:
        """The `k` sounds nearest to `sound`, best first, and of what it may be: its likely materials.

        `sound` is the path of a sound file, or the bytes of one; of several hits in it the main one counts.
        `limits` says which are refused. The rest as in `recommend`; `recognised` and `objects` of the answer are
        None, and each `match` is the probability that both sounds are of one material.

        Raises SoundError for a sound that cannot be used, and otherwise as `recommend`.
        """
        check_k(k)
        began = perf_counter()
        embedding = self.towers.embed_main_hit(sound if isinstance(sound, bytes) else Path(sound), limits)
        embedded = perf_counter()
        matches = self.index.search(
            embedding,
            k,
            only=only,
            diversity=self._diversity if diversity is None else diversity,
            cursor=cursor,
            feedback=Feedback.of(more, less),
            asked=("sound", digest_of(sound)),
        )
        of_sound = None if self._heads is None else rounded(self._heads.sounds(embedding[None])[0])
        answer = recommendation(self.bundle.id, self.index, self._heads, Asked(k, of_sound, by_sound=True), matches)
        answer.stages = Stages(network=embedded - began, search=perf_counter() - embedded)
        return answer

    def recommend_like(
        self,
        sound_id: str,
        k: int = 10,
        *,
        only: SoundFilter | None = None,
        diversity: float | None = None,
        cursor: str | None = None,
        more: Iterable[str] = (),
        less: Iterable[str] = (),
    ) -> Recommendation:
        """The `k` sounds nearest to the sound of the library with this id, best first; it is not among them.

        The rest as in `recommend`; `materials`, `recognised`, `objects` and each `match` of the answer are None.
        Raises FilterError also where there is no such sound, and otherwise as `recommend`.
        """
        began = perf_counter()
        strength = self._diversity if diversity is None else diversity
        feedback = Feedback.of(more, less)
        found = self.index.similar(sound_id, k, only=only, diversity=strength, cursor=cursor, feedback=feedback)
        answer = recommendation(self.bundle.id, self.index, None, Asked(k, None, by_sound=True), found)
        answer.stages = Stages(search=perf_counter() - began)
        return answer

    def probe(self) -> None:
        """Embed a known picture and search for it. Raises BundleError or LibraryError where that fails."""
        self.index.health()
        answer = self.recommend(probe_picture(), 1)
        if len(answer.results) != 1 or not np.isfinite(answer.results[0].similarity):
            raise BundleError("the probe picture was answered without a usable result")

    def _weight(self, object_weight: float | None) -> float:
        weight = self._object_weight if object_weight is None else object_weight
        if not 0 <= weight <= 1:
            raise ValueError(f"object_weight is {weight}; it must be from 0 to 1")
        return weight

    def close(self) -> None:
        """Close the index."""
        self.index.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
