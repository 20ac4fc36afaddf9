"""How near the sounds of a library are to recordings: by numbers, and by what a classifier takes them for.

    thud synthesize library demo/sounds
    python -m benchmarks.plausibility demo/sounds RECORDINGS --json plausibility.json

LIBRARY and RECORDINGS are manifests or folders with manifest.csv (columns kind, path, material and, for
recordings, source). For each material with at least ten recordings the median of each number over the library's
sounds stands beside the quartiles of recordings; a source of n recordings weighs as the square root of n, as when
the sound head is fitted, so that one room with hundreds of files does not decide. The classifier is the sound head
of `thud pretrain`, fitted on the recordings alone. The numbers are explained in statistics.py.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory

import click
import numpy as np
import numpy.typing as npt

from benchmarks.plausibility.statistics import STATISTICS, sound_statistics
from benchmarks.plausibility.told import Told, tell
from model.atomic import atomic_file
from model.errors import SoundError, ThudError, TrainingError
from model.materials import MATERIALS
from model.progress import progress
from model.sound import decode_sound
from training.pretraining.material_files import MaterialFiles, check_groups, read_material_files

Values = npt.NDArray[np.float64]

LEAST = 10
"""The fewest recordings of a material that are compared."""
_RATE = 44_100


@click.command()
@click.argument("library", type=click.Path(exists=True, path_type=Path))
@click.argument("recordings", type=click.Path(exists=True, path_type=Path))
@click.option("--json", "out", type=click.Path(dir_okay=False, path_type=Path), help="also write all numbers here")
@click.option("--work", type=click.Path(file_okay=False, path_type=Path), help="keep the features of sounds here")
def main(library: Path, recordings: Path, out: Path | None, work: Path | None) -> None:
    """Print how near the sounds of LIBRARY are to RECORDINGS of the same materials, as Markdown."""
    try:
        made, of_made = measured(library, "library")
        recorded, of_recorded = measured(recordings, "recordings")
        check_groups(recorded, "recordings")
        with TemporaryDirectory() as scratch:
            told = tell(made, recorded, work or Path(scratch))
        found = compare(made, of_made, recorded, of_recorded, told)
    except ThudError as error:
        raise click.ClickException(str(error)) from error
    if out is not None:
        with atomic_file(out) as aside:
            aside.write_text(json.dumps(found, indent=1, allow_nan=False) + "\n", encoding="utf-8")
    click.echo(as_markdown(found))


def measured(folder: Path, what: str) -> tuple[MaterialFiles, Values]:
    """The sounds of the manifest `folder`, but those that cannot be read or are silent, and their numbers `[N, 9]`.

    How many are left out is printed on stderr. Raises TrainingError as `read_material_files`, and where none is
    left.
    """
    files = read_material_files(folder, "sound")
    rows = []
    with progress(what, len(files), "file") as bar:
        for path in files.paths:
            try:
                row = sound_statistics(decode_sound(path, _RATE).samples, _RATE)
            except SoundError:
                row = dict.fromkeys(STATISTICS, float("nan"))
            rows.append(list(row.values()))
            bar.update()
    numbers = np.array(rows, np.float64)
    usable = np.asarray(np.isfinite(numbers).all(axis=1))
    if not usable.any():
        raise TrainingError(f"none of the {len(files):,} sounds of {folder} can be read and heard")
    if not usable.all():
        click.echo(f"{what}: {np.sum(~usable):,} sounds that cannot be read or are silent are left out", err=True)
    return files.only(usable), numbers[usable]


def compare(
    made: MaterialFiles, of_made: Values, recorded: MaterialFiles, of_recorded: Values, told: Told
) -> dict[str, dict[str, object]]:
    """For each material what `as_markdown` prints, ready for JSON; `of_made [N, 9]`, `of_recorded [M, 9]`."""
    found: dict[str, dict[str, object]] = {}
    for material in MATERIALS:
        mine, real = made.material == material.id, recorded.material == material.id
        if not mine.any():
            continue
        weight = source_weights(recorded.source[real])
        numbers: dict[str, object] = {}
        for column, name in enumerate(STATISTICS):
            values = of_made[mine, column]
            entry: dict[str, object] = {
                "library": _quartiles(values, np.ones(len(values))),
                "recordings": None,
                "inside": None,
            }
            if real.sum() >= LEAST:
                low, middle, high = _quartiles(of_recorded[real, column], weight)
                entry["recordings"] = [low, middle, high]
                entry["inside"] = bool(low <= float(np.median(values)) <= high)
                plain = _quartiles(of_recorded[real, column], np.ones(int(real.sum())))
                entry["files_weigh_the_same"] = plain
                entry["inside_them"] = bool(plain[0] <= float(np.median(values)) <= plain[2])
            numbers[name] = entry
        row = told.counts[material.id]
        found[material.name] = {
            "sounds": int(mine.sum()),
            "recordings": int(real.sum()),
            "sources": len(set(recorded.source[real].tolist())),
            "told": told.share[material.name],
            "recordings_told": told.recordings.get(material.name),
            "taken_for": {MATERIALS[other].name: int(row[other]) for other in np.argsort(-row) if row[other]},
            "numbers": numbers,
        }
    return found


def source_weights(source: npt.NDArray[np.str_]) -> Values:
    """Weights `[N]` of recordings from the sources `[N]`: a source of n weighs as the square root of n."""
    _, which, counts = np.unique(source, return_inverse=True, return_counts=True)
    weights: Values = counts[which].astype(np.float64) ** -0.5
    return weights


def _quartiles(values: Values, weight: Values) -> list[float]:
    """The lower quartile, the median and the upper quartile of `values [n]` with `weight [n]`."""
    order = np.argsort(values, kind="stable")
    share = (np.cumsum(weight[order]) - 0.5 * weight[order]) / weight.sum()
    return [round(float(np.interp(q, share, values[order])), 4) for q in (0.25, 0.5, 0.75)]


def as_markdown(found: Mapping[str, Mapping[str, object]]) -> str:
    """Two tables: the numbers of each material, in bold where they are outside; and what sounds are taken for."""
    names = [f"{name}, {unit}" for name, unit in STATISTICS.items()]
    lines = [f"| material | {' | '.join(names)} |", "|---|" + "---:|" * len(names)]
    inside, compared = 0, 0
    for material, entry in found.items():
        numbers = entry["numbers"]
        assert isinstance(numbers, dict)
        cells = []
        for name in STATISTICS:
            one = numbers[name]
            digits = 2 if name in ("tonality", "duration") else 0
            middle = f"{one['library'][1]:.{digits}f}"
            if one["inside"] is None:
                cells.append(middle)
                continue
            compared, inside = compared + 1, inside + one["inside"]
            low, _, high = one["recordings"]
            cells.append(f"{middle if one['inside'] else f'**{middle}**'} ({low:.{digits}f} to {high:.{digits}f})")
        lines.append(f"| {material} | {' | '.join(cells)} |")
    lines += ["", f"Inside: {inside} of {compared}.", ""]
    lines += [
        "| material | recordings | sources | told | recordings told | taken for |",
        "|---|---:|---:|---:|---:|---|",
    ]
    means: list[list[float]] = [[], []]
    for material, entry in found.items():
        taken = entry["taken_for"]
        told, other, recordings = entry["told"], entry["recordings_told"], entry["recordings"]
        assert isinstance(taken, dict)
        assert isinstance(told, float)
        assert isinstance(recordings, int)
        if recordings >= LEAST:
            assert isinstance(other, float)
            means[0].append(told)
            means[1].append(other)
        lines.append(
            f"| {material} | {recordings} | {entry['sources']} | {told:.2f} | "
            f"{'-' if other is None else f'{other:.2f}'} | "
            f"{', '.join(f'{name} {count}' for name, count in list(taken.items())[:4])} |"
        )
    if means[0]:
        lines.append(
            f"| mean, of {len(means[0])} with {LEAST} recordings | | | {np.mean(means[0]):.2f} | "
            f"{np.mean(means[1]):.2f} | |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
