"""Where a bundle fails, from what it was fitted on and from its scores on sources left out: lines for its card."""

from collections.abc import Mapping, Sequence
from textwrap import fill

import numpy as np

from model.materials import MATERIALS
from training.pretraining.measures import FoldScores, Ids, Least, Scored, mean_over
from training.pretraining.scoreboard import TOLD_PICTURES, TOLD_SOUNDS, parts

LINE = 116
"""The card's lines are no longer."""
_RIGHT = 0.5
"""Materials that are told right less often are named."""
_PAIRS = 5
"""So many confusions are named."""
_OFTEN = 0.1
"""The least share of a material's files that a named confusion takes."""


def weaknesses(shown: Ids, scores: Mapping[str, FoldScores], least: Least) -> str:
    """Lines of Markdown: materials told badly, confused or hardly shown.

    `shown [N]` are the materials of the pictures that were fitted on; `least` files make a material count.
    """
    of_parts = parts(scores)
    pictures, sounds = (list(of_parts[part].values()) for part in (TOLD_PICTURES, TOLD_SOUNDS))
    lines = [
        f"- Pictures told right less than half the time: {_weak(pictures, least.pictures)}.",
        f"- Sounds told right less than half the time: {_weak(sounds, least.sounds)}.",
        f"- Pictures most often taken for another material: {_confused(pictures, least.pictures)}.",
        f"- Shown fewer than {least.pictures} pictures of: {_few(shown, least.pictures)}.",
        f"- Too few pictures to measure it on (below {least.pictures}): {_few(_of(pictures), least.pictures)}; "
        f"too few sounds (below {least.sounds}): {_few(_of(sounds), least.sounds)}.",
    ]
    right = [mean_over(of)["top-1 macro"] if of else np.nan for of in (pictures, sounds)]
    if not np.isnan(right).any():
        lines.append(
            f"- Of sources that it has never met, {right[0]:.2f} of the pictures and {right[1]:.2f} of the sounds "
            "are told right (mean over sources, top-1 macro)."
        )
    return "\n".join(fill(line, LINE, subsequent_indent="  ", break_on_hyphens=False) for line in lines)


def _weak(told: Sequence[Scored], least: int) -> str:
    """Materials with enough files that are told right too rarely, the worst first."""
    material, right = _of(told), np.concatenate([np.empty(0), *(one.each["top-1"] for one in told)])
    shares = {
        one.name: float(right[material == one.id].mean())
        for one in MATERIALS
        if (material == one.id).sum() >= least and right[material == one.id].mean() < _RIGHT
    }
    return _listed([f"{name} ({share:.2f})" for name, share in sorted(shares.items(), key=lambda item: item[1])])


def _confused(told: Sequence[Scored], least: int) -> str:
    """The wrong materials that take most of another's files: `plastic for glass (0.20)`."""
    material = _of(told)
    said = np.concatenate([np.empty(0, np.int64), *(one.told for one in told if one.told is not None)])
    shares = {
        f"{own.name} for {other.name}": float((said[material == own.id] == other.id).mean())
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


def _of(told: Sequence[Scored]) -> Ids:
    """The materials of all files."""
    return np.concatenate([np.empty(0, np.int64), *(one.material for one in told)])


def _listed(texts: Sequence[str]) -> str:
    return ", ".join(texts) or "none"
