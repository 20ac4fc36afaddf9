"""Building a dataset's label columns and splits from the rows of its journal."""

import hashlib
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np

from model.materials import MATERIALS
from training.data.dataset import SPLITS, UNPAIRED, Labels
from training.data.items import material_vector

Row = dict[str, Any]
"""One journal line: id, group, source, split, picture {id, materials} or None, clips [...], skipped [...]."""


def draw_groups(groups: Iterable[str], share: float, seed: int) -> set[str]:
    """Groups that together hold about `share` of the entries in `groups` (one entry a picture or clip).

    The order in which groups are tried depends only on their names and the seed, so that few of them move when data
    is added. A group that would overshoot by more than a tenth of that share stays out: one large group must not
    swallow a material on one side.
    """
    sizes = Counter(groups)
    total = sizes.total()
    wanted, slack = share * total, 0.1 * share * total
    chosen: set[str] = set()
    held = 0
    for group in sorted(sizes, key=lambda name: _order(name, seed)):
        if held >= wanted:
            break
        if held + sizes[group] <= wanted + max(slack, 1):
            chosen.add(group)
            held += sizes[group]
    return chosen


def _order(name: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}:{name}".encode()).digest()


def build_labels(rows: list[Row], val_share: float, test_share: float, seed: int) -> Labels:
    """Columns for all pictures and clips of `rows`; what has no split yet is drawn by group.

    A picture with own clips is labelled with their materials (paper, 3.3.2), an unpaired one with those listed.
    """
    used = [row for row in rows if row["picture"] is not None or row["clips"]]
    _draw_splits(used, val_share, test_share, seed)
    pictures = [row for row in used if row["picture"] is not None]
    # By the row itself: two rows may share a name.
    index_of = {id(row): index for index, row in enumerate(pictures)}
    clips = [(row, clip) for row in used for clip in row["clips"]]
    listed = [material_vector(row["picture"]["materials"]) for row in pictures]
    own = [material_vector([clip["material"] for clip in row["clips"]]) for row in pictures]
    chosen = [mine if mine.any() else all_ for mine, all_ in zip(own, listed, strict=True)]
    return Labels(
        picture_id=_strings(row["picture"]["id"] for row in pictures),
        picture_group=_strings(row["group"] for row in pictures),
        picture_source=_strings(row["source"] for row in pictures),
        picture_split=np.array([SPLITS.index(row["split"]) for row in pictures], np.int8),
        picture_materials=np.array(chosen, bool).reshape(-1, len(MATERIALS)),
        picture_all_materials=np.array(listed, bool).reshape(-1, len(MATERIALS)),
        clip_id=_strings(clip["id"] for _, clip in clips),
        clip_group=_strings(row["group"] for row, _ in clips),
        clip_source=_strings(row["source"] for row, _ in clips),
        clip_split=np.array([SPLITS.index(row["split"]) for row, _ in clips], np.int8),
        clip_material=np.array([clip["material"] for _, clip in clips], np.int8),
        clip_action=_strings(clip["action"] for _, clip in clips),
        clip_picture=np.array(
            [index_of[id(row)] if row["picture"] is not None else UNPAIRED for row, _ in clips], np.int32
        ),
        clip_peak=np.array([clip["peak"] for _, clip in clips], np.float32),
    )


def _draw_splits(rows: list[Row], val_share: float, test_share: float, seed: int) -> None:
    """Give every row without a split one: test first, then validation from what remains, by group.

    Clips without a picture are drawn apart, so that each split gets its share of both; those of a group that has
    pictures, too, go where these go. Where the source names its own test or validation data, none is drawn in
    addition, and what it divides stays divided.
    """
    named = {row["split"] for row in rows}
    shares = {"test": 0.0 if "test" in named else test_share, "val": 0.0 if "val" in named else val_share}
    for split, share in shares.items():
        open_rows = [row for row in rows if not row["split"]] if share > 0 else []
        pictured = [row["group"] for row in open_rows if row["picture"] is not None]
        chosen = draw_groups(pictured, share, seed)
        seen = set(pictured)
        chosen |= draw_groups((row["group"] for row in open_rows if row["group"] not in seen), share, seed)
        for row in open_rows:
            if row["group"] in chosen:
                row["split"] = split
    for row in rows:
        row["split"] = row["split"] or "train"


def _strings(values: Any) -> np.ndarray:
    strings = [str(value) for value in values]
    return np.array(strings, dtype=f"<U{max([1, *map(len, strings)])}")
