"""What measuring gives, as records: each reads and writes its part of `result.json`.

Measures are shares in [0, 1] unless they say otherwise. A field `..._interval` is the 95 % bootstrap interval over
videos of the one it is named after; it is None, and not in the file, where no intervals were asked for.
"""

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

Interval = tuple[float, float]
Way = Literal["micro", "macro"]
Truth = Literal["own_clips", "all_events"]
"""What makes a sound good for a picture: the materials of its own clips, or of all events known of its video."""


class Measured(NamedTuple):
    """A measure and its interval, if it has one."""

    value: float
    interval: Interval | None = None


class Record(BaseModel):
    """Plain numbers by name; a field that is None is left out of the file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    @model_serializer(mode="wrap")
    def _without_none(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


class SplitMeasures(Record):
    """What one split of the data gave. Each system has its own fields; these tell them without asking which."""

    @property
    def rates(self) -> Mapping[str, Measured]:
        """Accuracy and the like by name."""
        return {}

    @property
    def counted(self) -> str:
        """What the rates are over, in words: "80 samples"."""
        return ""

    @property
    def recommended(self) -> "Recommendations | None":
        """What was measured of recommended sounds."""
        return None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why something could not be measured."""
        return ()

    def without_pictures(self) -> Self:
        """The same without what single pictures gave."""
        return self


class NotMeasured(SplitMeasures):
    """Nothing could be measured; `none` is the reason."""

    none: str

    @property
    def reasons(self) -> tuple[str, ...]:
        """The one reason."""
        return (self.none,)


class ClassMeasures(SplitMeasures):
    """One material predicted of each of `samples` (`classification.measure_classes`); `loss` is in nats.

    `confusion` has 17 rows of true material and 17 columns of predicted material, counts.
    """

    samples: int
    accuracy: float
    macro_accuracy: float
    loss: float
    accuracy_interval: Interval | None = None
    macro_accuracy_interval: Interval | None = None
    confusion: list[list[int]] | None = None

    @property
    def rates(self) -> Mapping[str, Measured]:
        """`accuracy` and `macro_accuracy`."""
        return {
            "accuracy": Measured(self.accuracy, self.accuracy_interval),
            "macro_accuracy": Measured(self.macro_accuracy, self.macro_accuracy_interval),
        }

    @property
    def counted(self) -> str:
        """The number of samples."""
        return f"{self.samples:,} samples"


class LabelMeasures(SplitMeasures):
    """All materials predicted of each of `pictures` (`classification.measure_labels`); `loss` is in nats."""

    pictures: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    map: float
    loss: float
    accuracy_interval: Interval | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None
    map_interval: Interval | None = None

    @property
    def rates(self) -> Mapping[str, Measured]:
        """`accuracy`, `precision`, `recall`, `f1` and `map`."""
        return {
            "accuracy": Measured(self.accuracy, self.accuracy_interval),
            "precision": Measured(self.precision, self.precision_interval),
            "recall": Measured(self.recall, self.recall_interval),
            "f1": Measured(self.f1, self.f1_interval),
            "map": Measured(self.map, self.map_interval),
        }

    @property
    def counted(self) -> str:
        """The number of pictures."""
        return f"{self.pictures:,} pictures"


class PairMeasures(Record):
    """Whether picture and clip belong together, for `pairs` (`classification.measure_pairs`); `loss` is in nats."""

    pairs: int
    accuracy: float
    precision: float
    recall: float
    f1: float
    loss: float
    accuracy_interval: Interval | None = None
    precision_interval: Interval | None = None
    recall_interval: Interval | None = None
    f1_interval: Interval | None = None

    @property
    def rates(self) -> Mapping[str, Measured]:
        """`accuracy`, `precision`, `recall` and `f1`."""
        return {
            "accuracy": Measured(self.accuracy, self.accuracy_interval),
            "precision": Measured(self.precision, self.precision_interval),
            "recall": Measured(self.recall, self.recall_interval),
            "f1": Measured(self.f1, self.f1_interval),
        }


class Mean(Record):
    """A measure's mean over pictures (micro) and over materials of the mean over their pictures (macro)."""

    micro: float
    micro_interval: Interval | None = None
    macro: float
    macro_interval: Interval | None = None

    def by(self, way: Way) -> Measured:
        """One of the two."""
        if way == "micro":
            return Measured(self.micro, self.micro_interval)
        return Measured(self.macro, self.macro_interval)


class MaterialMeasures(Record):
    """The pictures of one material: how many, their P@10 with its interval, and what chance would give."""

    pictures: int
    chance: float
    p_at_10: float | None = None
    interval: Interval | None = None


class PictureMeasures(Record):
    """What each of N pictures gave, to six decimals: lists of N. `materials` are ids, `group` names the video."""

    group: list[str | int]
    materials: list[list[int]]
    p_at_10: list[float] | None = None
    ndcg_at_10: list[float]
    map: list[float]


class RetrievalMeasures(Record):
    """How good recommended sounds are; `retrieval.measure_retrieval` says what each field means."""

    p_at: dict[str, Mean]
    map: Mean
    ndcg_at_10: Mean
    coverage_at: dict[str, Mean]
    chance: Mean
    good_share: list[float]
    good_low: list[float]
    good_high: list[float]
    by_material: dict[str, MaterialMeasures]
    without_good: int
    by_picture: PictureMeasures | None = None

    def without_pictures(self) -> Self:
        """The same without `by_picture`, which is many times as long as the rest."""
        return self.model_copy(update={"by_picture": None})


class Recommendations(Record):
    """Sounds recommended to `pictures` of a split, of a `library` of that many training sounds, by each truth."""

    pictures: int
    library: int
    hubness_skew: float
    own_clips: RetrievalMeasures
    all_events: RetrievalMeasures

    def by(self, truth: Truth) -> RetrievalMeasures:
        """How good they are by one truth."""
        return self.own_clips if truth == "own_clips" else self.all_events

    def without_pictures(self) -> Self:
        """The same without what single pictures gave."""
        shorter = {"own_clips": self.own_clips.without_pictures(), "all_events": self.all_events.without_pictures()}
        return self.model_copy(update=shorter)


class TowerMeasures(SplitMeasures):
    """What TT_AGG gave: `pairs` (paper, Table 5), or `none` with the reason, and `recommend`."""

    none: str | None = None
    pairs: PairMeasures | None = None
    recommend: Recommendations | NotMeasured

    @property
    def rates(self) -> Mapping[str, Measured]:
        """The rates of the pairs."""
        return {} if self.pairs is None else self.pairs.rates

    @property
    def counted(self) -> str:
        """The number of pairs."""
        return "" if self.pairs is None else f"{self.pairs.pairs:,} pairs"

    @property
    def recommended(self) -> Recommendations | None:
        """The measures of the recommended sounds."""
        return self.recommend if isinstance(self.recommend, Recommendations) else None

    @property
    def reasons(self) -> tuple[str, ...]:
        """Why there are no pairs, and why nothing could be searched."""
        return (() if self.none is None else (self.none,)) + (
            self.recommend.reasons if isinstance(self.recommend, NotMeasured) else ()
        )

    def without_pictures(self) -> Self:
        """The same without what single pictures gave."""
        found = self.recommended
        return self if found is None else self.model_copy(update={"recommend": found.without_pictures()})


AnySplit = ClassMeasures | LabelMeasures | TowerMeasures | NotMeasured


class Epoch(Record):
    """One epoch of a run: `epoch` from 1, its mean loss and its speed.

    `val` are the measures of validation data by name, without intervals, as `evaluate.measure_epoch` gives them.
    It is None where they could not be measured.
    """

    epoch: int
    step: int | None = None
    loss: float
    seconds: float
    samples_per_second: float
    val: dict[str, int | float] | None = None
