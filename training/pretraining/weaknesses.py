"""The weaknesses of a bundle, from its training data and its scores on held-out groups, as lines for the card."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np

from model.materials import MATERIALS
from training.measures.means import mean_over
from training.measures.scoreboard import COMMONEST, RECOMMENDED, TOLD_PICTURES, TOLD_SOUNDS, parts
from training.measures.sources import FoldScores, Ids, Least, Scored

LINE = 116
"""The longest line of the card."""
_RIGHT = 0.5
"""Materials with a lower top-1 accuracy are named."""
_FITTING = 0.2
"""Materials whose pictures have a lower precision@10 are named."""
_PAIRS = 5
"""At most so many confusions are named."""
_OFTEN = 0.1
"""A confusion is named from this share of a material's files on."""


def weaknesses(shown: Ids, scores: Mapping[str, FoldScores], least: Least) -> str:
    """Lines of Markdown: materials with low accuracy, with unfitting sounds, confused, or with few pictures.

    `shown [N]` are the materials of the pictures that were fitted on. Only materials with at least `least` files
    are judged.
    """
    of_parts = parts(scores)
    pictures, sounds = (list(of_parts[part].values()) for part in (TOLD_PICTURES, TOLD_SOUNDS))
    recommended = list(of_parts[RECOMMENDED].values())
    lines = [
        f"- Pictures told right less than half the time: {_weak(pictures, 'top-1', _RIGHT, least.pictures)}.",
        f"- Sounds told right less than half the time: {_weak(sounds, 'top-1', _RIGHT, least.sounds)}.",
        "- Of ten recordings without labels that are recommended for a picture, fewer than two fit on average: "
        f"{_weak(recommended, 'P@10', _FITTING, least.pictures)}.",
        "- Groups for which recordings of the library's commonest material alone fit at least as often: "
        f"{_no_better(of_parts[RECOMMENDED], of_parts[COMMONEST])}.",
        f"- Pictures most often taken for another material: {_confused(pictures, least.pictures)}.",
        f"- Shown fewer than {least.pictures} pictures of: {_few(shown, least.pictures)}.",
        f"- Too few pictures to measure it on (below {least.pictures}): {_few(_of(pictures), least.pictures)}; "
        f"too few sounds (below {least.sounds}): {_few(_of(sounds), least.sounds)}.",
    ]
    right = [mean_over(of)["top-1 macro"] if of else np.nan for of in (pictures, sounds)]
    if not np.isnan(right).any():
        lines.append(
            f"- Of groups of sources that it has never met, {right[0]:.2f} of the pictures and {right[1]:.2f} of "
            "the sounds are told right (mean over groups, top-1 macro)."
        )
    return "\n".join(fill(line, LINE, subsequent_indent="  ", break_on_hyphens=False) for line in lines)


def _weak(scored: Sequence[Scored], number: str, enough: float, least: int) -> str:
    """Materials with at least `least` files whose mean `number` is below `enough`, the worst first."""
    material, right = _of(scored), np.concatenate([np.empty(0), *(one.each[number] for one in scored)])
    shares = {
        one.name: float(right[material == one.id].mean())
        for one in MATERIALS
        if (material == one.id).sum() >= least and right[material == one.id].mean() < enough
    }
    return _listed([f"{name} ({share:.2f})" for name, share in sorted(shares.items(), key=lambda item: item[1])])


def _no_better(ours: Mapping[str, Scored], commonest: Mapping[str, Scored]) -> str:
    """The groups where ours is not better: `trashnet (0.22 beside 0.25)`."""
    number = "P@10"
    beside = {
        source: (float(scored.each[number].mean()), float(commonest[source].each[number].mean()))
        for source, scored in ours.items()
        if source in commonest and len(scored.material)
    }
    return _listed([f"{source} ({a:.2f} beside {b:.2f})" for source, (a, b) in beside.items() if a <= b])


def _confused(scored: Sequence[Scored], least: int) -> str:
    """The most frequent confusions, with the share of the material's files: `plastic for glass (0.20)`."""
    material = _of(scored)
    each = (one.predicted for one in scored if one.predicted is not None)
    predicted = np.concatenate([np.empty(0, np.int64), *each])
    shares = {
        f"{own.name} for {other.name}": float((predicted[material == own.id] == other.id).mean())
        for own in MATERIALS
        if (material == own.id).sum() >= least
        for other in MATERIALS
        if other != own
    }
    often = sorted((item for item in shares.items() if item[1] >= _OFTEN), key=lambda item: -item[1])[:_PAIRS]
    return _listed([f"{pair} ({share:.2f})" for pair, share in often])


def _few(material: Ids, least: int) -> str:
    counts = np.bincount(material, minlength=len(MATERIALS))
    return _listed([f"{one.name} ({counts[one.id]})" for one in MATERIALS if counts[one.id] < least])


def _of(scored: Sequence[Scored]) -> Ids:
    """The materials of all files."""
    return np.concatenate([np.empty(0, np.int64), *(one.material for one in scored)])


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts) or "none"
