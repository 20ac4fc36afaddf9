"""What labels are worth: none, guesses, what the names of the files say, and labels from the top of a proposal.

    python -m benchmarks.quality.guessed_labels DATA WORK

DATA and WORK are those of `thud pretrain`. Every recording and picture is embedded, and every guess made, by heads
that never saw its group of sources. The library is all recordings, the numbers are means over groups of pictures.
`random`: as many labels of recordings drawn at random, mean over draws. `names, 50 % right`: as many labels as
names give, of which half are made wrong at random, mean over draws.
"""

from collections.abc import Iterator
from pathlib import Path

import click
import numpy as np
import numpy.typing as npt

from index.building.proposals import guess_materials, look_first
from index.library.finding import LibrarySound
from index.library.names import read_name
from model.heads import MaterialHeads, blend_labels
from model.materials import MATERIALS, material_named
from training.measures.means import mean_over
from training.measures.sources import Fold, score_fold
from training.pretraining.held_out import calibrate, hold_out
from training.pretraining.indexed_sounds import place
from training.pretraining.left_out_groups import group_weight, rare_materials
from training.pretraining.pretrain_recipe import PretrainingRecipe
from training.pretraining.pretraining_data import PretrainingData, gather
from training.pretraining.score import LEAST

COUNTS = (50, 100, 200, 500, 1000)
THRESHOLDS = (0.3, 0.5)
NAMES_RIGHT = (0.9, 0.75, 0.6, 0.5, 0.4, 0.3)
DRAWS = 5
_NONE = -1

Ids = npt.NDArray[np.int64]


class Library:
    """The recordings of `data` as an unlabelled library, and the pictures of each group to ask it about."""

    def __init__(self, data: PretrainingData, recipe: PretrainingRecipe) -> None:
        held_out = hold_out(data, recipe)
        self._data, self._strength = data, recipe.label_strength
        self._pictures, self._sounds = held_out.pictures.numpy(), held_out.sounds.numpy()
        groups = sorted({*data.pictures.group.tolist(), *data.sounds.group.tolist()})
        self._heads: dict[str, MaterialHeads] = {
            group: calibrate(data, held_out, recipe, without=group) for group in groups
        }
        self.material = data.sounds.material
        self.probabilities = np.zeros((len(self._sounds), len(MATERIALS)), np.float32)
        for group in set(data.sounds.group.tolist()):
            rows = data.sounds.group == group
            self.probabilities[rows] = self._heads[group].sounds(self._sounds[rows])

    def from_the_top(self) -> Ids:
        """The recordings in the order of a proposal; their names, which often say the material, are not used."""
        sounds = [LibrarySound(f"{row:06}.wav") for row in range(len(self._sounds))]
        guesses = guess_materials(sounds, self.probabilities)
        return np.array([int(sound.path[:6]) for sound, _ in look_first(sounds, guesses)])

    def names(self) -> Ids:
        """The materials that the recordings' file names say."""
        named = [material_named(read_name(path.name).material or "") for path in self._data.sounds.paths]
        return np.array([_NONE if one is None else one.id for one in named])

    def precision(self, labels: Ids) -> tuple[float, float]:
        """P@10 and P@10 macro where the recordings have the `labels [n]`, ids or -1 for none."""
        names = [None if label == _NONE else MATERIALS[label].name for label in labels]
        pictures = self._data.pictures
        scores = []
        for group in sorted(set(pictures.group.tolist())):
            seen = pictures.group == group
            library = place(blend_labels(self._sounds, names, self._heads[group], self._strength))
            fold = Fold(
                picture_material=pictures.material[seen],
                sound_material=self.material[:0],
                library_material=self.material,
                scores=library.scores(self._pictures[seen]),
                weight=group_weight(group),
                rare_pictures=tuple(rare_materials(pictures.material, pictures.group).tolist()),
            )
            if (scored := score_fold(fold, LEAST).recommended) is not None:
                scores.append(scored)
        found = mean_over(scores)
        return found["P@10"], found["P@10 macro"]


def rows(library: Library) -> Iterator[tuple[str, int, float, float, float]]:
    """Name, number of labels, share of them that is right (NaN without any), P@10, P@10 macro."""
    truth, guess = library.material, library.probabilities.argmax(axis=1)
    sure = library.probabilities.max(axis=1)
    none = np.full(len(truth), _NONE)
    labelled = {"none": none, "all guesses": guess}
    labelled |= {f"guesses from {least:g} on": np.where(sure >= least, guess, _NONE) for least in THRESHOLDS}
    order = library.from_the_top()
    counts = [count for count in COUNTS if count < len(truth)]
    labelled |= {f"{count} from the top": _some(none, truth, order[:count]) for count in counts}
    labelled["all"] = truth
    labelled["names"] = named = library.names()
    for name, labels in labelled.items():
        has = labels != _NONE
        right = float((labels == truth)[has].mean()) if has.any() else np.nan
        yield name, int(has.sum()), right, *library.precision(labels)
    draws = [np.random.default_rng(seed).permutation(len(truth)) for seed in range(DRAWS)]
    for count in counts:
        found = [library.precision(_some(none, truth, drawn[:count])) for drawn in draws]
        micro, macro = np.mean(found, axis=0).tolist()
        yield f"{count} random", count, 1.0, micro, macro
    for right in NAMES_RIGHT:
        found = [library.precision(_spoilt(named, right, seed)) for seed in range(DRAWS)]
        micro, macro = np.mean(found, axis=0).tolist()
        yield f"names, {right:.0%} right", int((named != _NONE).sum()), right, micro, macro


def _some(none: Ids, truth: Ids, which: Ids) -> Ids:
    labels = none.copy()
    labels[which] = truth[which]
    return labels


def _spoilt(labels: Ids, right: float, seed: int) -> Ids:
    """The labels, of which only the share `right` stays as it is: the others become other materials at random."""
    random = np.random.default_rng(seed)
    has = np.flatnonzero(labels != _NONE)
    which = random.permutation(has)[round(right * len(has)) :]
    spoilt = labels.copy()
    spoilt[which] = (labels[which] + random.integers(1, len(MATERIALS), len(which))) % len(MATERIALS)
    return spoilt


@click.command()
@click.argument("data", type=click.Path(exists=True, path_type=Path))
@click.argument("work", type=click.Path(file_okay=False, path_type=Path))
def main(data: Path, work: Path) -> None:
    """Print the table."""
    recipe = PretrainingRecipe()
    print("| labels | how many | right | P@10 | P@10 macro |\n|---|---:|---:|---:|---:|")
    for name, count, right, micro, macro in rows(Library(gather(data, work, recipe), recipe)):
        print(f"| {name} | {count:,} | {'-' if np.isnan(right) else f'{right:.2f}'} | {micro:.3f} | {macro:.3f} |")


if __name__ == "__main__":
    main()
