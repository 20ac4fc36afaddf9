"""The tables of what `sources` measured: bundles side by side, a row for each source or group, and their mean."""

from collections.abc import Mapping, Sequence

import numpy as np

from model.materials import MATERIALS
from training.measures.means import interval_over, mean_over
from training.measures.sources import FoldScores, Ids, Scored

CHANCE, COMMONEST = "chance", "always the commonest"

RECOMMENDED, TOLD_PICTURES, TOLD_SOUNDS = "recommended", "pictures", "sounds"
COLUMNS = {
    RECOMMENDED: (
        *("P@1", "P@5", "P@10", "nDCG@10"),
        *("P@1 macro", "P@5 macro", "P@10 macro", "nDCG@10 macro"),
        *("P@10 labelled", "P@10 labelled macro"),
        *("skew", "skew without biases"),
    ),
    TOLD_PICTURES: ("top-1", "probability", "top-3", "top-1 macro", "top-3 macro", "mAP", "ECE", "recognised"),
    TOLD_SOUNDS: ("top-1", "probability", "top-3", "top-1 macro", "top-3 macro", "ECE"),
}
TITLES = {
    RECOMMENDED: ("Sounds for pictures", "pictures"),
    TOLD_PICTURES: ("The material of pictures", "pictures"),
    TOLD_SOUNDS: ("The material of sounds", "sounds"),
}
WITH_INTERVAL = {RECOMMENDED: "P@10", TOLD_PICTURES: "top-1", TOLD_SOUNDS: "top-1"}


def parts(by_source: Mapping[str, FoldScores]) -> dict[str, dict[str, Scored]]:
    """What was measured, by part (`recommended`, `chance`, ...) and source; a part that no source has is empty."""
    found: dict[str, dict[str, Scored]] = {part: {} for part in (CHANCE, COMMONEST, *COLUMNS)}
    for source, scores in by_source.items():
        of_source = {
            RECOMMENDED: scores.recommended,
            CHANCE: scores.chance,
            COMMONEST: scores.commonest,
            TOLD_PICTURES: scores.pictures,
            TOLD_SOUNDS: scores.sounds,
        }
        for part, one in of_source.items():
            if one is not None:
                found[part][source] = one
    return found


def intervals(part: str, sources: Sequence[Scored], seed: int) -> dict[str, tuple[float, float]]:
    """The intervals (low, high) of a part's mean over sources, by the names of its numbers that get one."""
    return interval_over(sources, WITH_INTERVAL[part], seed) if part in WITH_INTERVAL else {}


def tables(scores: Mapping[str, Mapping[str, FoldScores]], seed: int = 0, each: str = "source") -> str:
    """Three tables of the scores by bundle and `each` source or group: recommendations, materials of both kinds."""
    by_bundle = {name: parts(by_source) for name, by_source in scores.items()}
    first = next(iter(by_bundle.values()))
    lines = []
    for part in COLUMNS:
        lines += _heading(part, each)
        rows = {name: of_parts[part] for name, of_parts in by_bundle.items()}
        if part == RECOMMENDED:
            rows = {CHANCE: first[CHANCE], COMMONEST: first[COMMONEST], **rows}
        lines += _rows(part, rows, _files(part, next(iter(scores.values()))), seed, each)
        lines.append("")
    return "\n".join(lines)


def material_table(name: str, by_source: Mapping[str, FoldScores]) -> str:
    """One bundle by material: all files of it, of whatever source, weigh the same here."""
    found = parts(by_source)
    pictures = np.concatenate([scores.picture_material for scores in by_source.values()])
    sounds = np.concatenate([scores.sound_material for scores in by_source.values()])
    lines = [
        f"## By material: {name}",
        "",
        "| material | pictures | sounds | P@10 | top-1 | recognised | sounds' top-1 |",
        "|---|" + "---:|" * 6,
    ]
    for material in MATERIALS:
        cells = [
            _of_material(found[part], number, material.id)
            for part, number in (
                (RECOMMENDED, "P@10"),
                (TOLD_PICTURES, "top-1"),
                (TOLD_PICTURES, "recognised"),
                (TOLD_SOUNDS, "top-1"),
            )
        ]
        counts = f"{(pictures == material.id).sum():,} | {(sounds == material.id).sum():,}"
        lines.append(f"| {material.name} | {counts} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _heading(part: str, each: str) -> list[str]:
    title, unit = TITLES[part]
    columns = COLUMNS[part]
    return [
        f"## {title}",
        "",
        f"| {each} | by | {unit} | " + " | ".join(columns) + " |",
        "|---|---|---:|" + "---:|" * len(columns),
    ]


def _files(part: str, by_source: Mapping[str, FoldScores]) -> dict[str, int]:
    """How many files each source has of what the part is about; sources without any are left out."""

    def materials(scores: FoldScores) -> Ids:
        return scores.sound_material if part == TOLD_SOUNDS else scores.picture_material

    return {source: count for source, scores in by_source.items() if (count := len(materials(scores)))}


def _rows(
    part: str, rows: Mapping[str, Mapping[str, Scored]], files: Mapping[str, int], seed: int, each: str
) -> list[str]:
    lines = []
    for source, count in files.items():
        for by, of_sources in rows.items():
            one = of_sources.get(source)
            shown = len(one.material) if one is not None else count
            lines.append(_line(source, by, f"{shown:,}", part, one.numbers if one is not None else {}, {}))
    for by, of_sources in rows.items():
        sources = list(of_sources.values())
        ends = intervals(by if by in (CHANCE, COMMONEST) else part, sources, seed)
        lines.append(_line(f"**mean of {each}s**", by, _counts(sources, each), part, mean_over(sources), ends))
    return lines


def _counts(sources: Sequence[Scored], each: str) -> str:
    """How many sources the means are over, and how many the macro means."""
    micro = sum(len(one.material) > 0 for one in sources)
    return f"{micro} {each}s, macro {sum(len(one.counted) > 0 for one in sources)}" if micro else "-"


def _line(
    source: str,
    by: str,
    files: str,
    part: str,
    numbers: Mapping[str, float],
    ends: Mapping[str, Sequence[float]],
) -> str:
    cells = []
    for column in COLUMNS[part]:
        cell = _number(numbers.get(column, np.nan))
        if column in ends:
            low, high = ends[column]
            cell += f" [{low:.3f}, {high:.3f}]"
        cells.append(cell)
    return f"| {source} | {by} | {files} | {' | '.join(cells)} |"


def _of_material(of_sources: Mapping[str, Scored], number: str, id_: int) -> str:
    values = [one.each[number][one.material == id_] for one in of_sources.values() if number in one.each]
    together = np.concatenate(values) if values else np.empty(0)
    return _number(float(together.mean()) if len(together) else np.nan)


def _number(value: float) -> str:
    return "-" if np.isnan(value) else f"{value:.3f}"
