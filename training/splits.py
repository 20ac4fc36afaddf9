"""Drawing a split by groups, so that what shares a recording or an object stays on one side."""

import hashlib
from collections import Counter
from collections.abc import Iterable


def draw_groups(groups: Iterable[str], share: float, seed: int) -> set[str]:
    """Groups that together hold about `share` of the entries in `groups` (one entry a picture or clip).

    The order in which groups are tried depends only on their names and the seed, so that adding data moves
    few of them. A group that would overshoot by more than a tenth of that share stays out: one large group
    must not swallow a material on one side.
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
