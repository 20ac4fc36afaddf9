"""What Liu & Zhao, "Interaction-Based Material Recognition with Multimodal Audio-Visual Datasets", print."""

from dataclasses import dataclass
from typing import Literal

Network = Literal["ResNet", "VGG"]
NETWORKS: tuple[Network, ...] = ("ResNet", "VGG")

EPOCHS = 30  # 3.3
PICTURE_SIZE = 224  # 3.3.2, both sides resized alike
CLIP_BEFORE, CLIP_AFTER = 0.5, 0.5  # 3.1, seconds around the hit
CLIPS_PER_VIDEO = 10  # 3.1
VIDEOS = {"train": 586, "val": 147, "test": 244}  # 3.1
SETTINGS = {"optimizer": "sgd", "learning_rate": 0.01, "pictures.flip": 0.5}  # 3.3 and 3.3.2, by recipe key

# 4.4.1
FIGURE_8 = "the first 25 sounds of one test picture are all good, and the lowest share up to K = 50 is around 75 %"


@dataclass(frozen=True)
class Row:
    """One line of a table of the paper: its measures by our name for them, on validation and test data."""

    network: Network
    val: dict[str, float]
    test: dict[str, float]
    weighted: bool = False


@dataclass(frozen=True)
class Table:
    """One table of the paper, of one of its systems; `label` is the system's name in words."""

    number: int
    title: str
    system: str
    label: str
    measures: tuple[str, ...]
    rows: tuple[Row, ...]


_ACCURACY = ("accuracy",)
_FOUR = ("accuracy", "precision", "recall", "f1")


def _row(network: Network, val: tuple[float, ...], test: tuple[float, ...], weighted: bool = False) -> Row:
    names = _FOUR if len(val) == len(_FOUR) else _ACCURACY
    return Row(network, dict(zip(names, val, strict=True)), dict(zip(names, test, strict=True)), weighted)


TABLES: tuple[Table, ...] = (
    Table(
        2,
        "Sound network: one of 17 materials from a clip",
        "sound",
        "sound",
        _ACCURACY,
        (_row("ResNet", (0.9449,), (0.5501,)), _row("VGG", (0.7978,), (0.5450,))),
    ),
    Table(
        3,
        "Visual network: all materials in a picture",
        "visual",
        "visual",
        _FOUR,
        (
            _row("ResNet", (0.8148, 0.4081, 0.9665, 0.5739), (0.7623, 0.2899, 0.7107, 0.4118)),
            _row("ResNet", (0.8148, 0.4026, 0.8996, 0.5563), (0.7728, 0.3018, 0.6954, 0.4209), weighted=True),
            _row("VGG", (0.7918, 0.3557, 0.9518, 0.5179), (0.7580, 0.2898, 0.7437, 0.4171)),
            _row("VGG", (0.7661, 0.3265, 0.9407, 0.4847), (0.7363, 0.2707, 0.7792, 0.4018), weighted=True),
        ),
    ),
    Table(
        4,
        "FC_AGG: one of 17 materials from a picture and a clip",
        "fc_agg",
        "FC_AGG",
        _ACCURACY,
        (_row("ResNet", (0.9526,), (0.5425,)), _row("VGG", (0.9066,), (0.5480,))),
    ),
    Table(
        5,
        "TT_AGG: whether a picture and a clip belong together",
        "tt_agg",
        "TT_AGG",
        _FOUR,
        (
            _row("ResNet", (0.8040, 0.7563, 0.8959, 0.8202), (0.7124, 0.6897, 0.8048, 0.7428)),
            _row("VGG", (0.6634, 0.6424, 0.7536, 0.6936), (0.546, 0.5305, 0.8019, 0.6385)),
        ),
    ),
)
