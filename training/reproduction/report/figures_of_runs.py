"""Figures 5, 7, 8 and 9: how the networks learn, err and recommend."""

from collections.abc import Sequence
from statistics import fmean

import numpy as np
import numpy.typing as npt
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from model.materials import MATERIALS
from training.measures.records import ClassMeasures, RetrievalMeasures
from training.reproduction.report.canvas import COLOURS, LINES, Plate, name_materials, new_figure
from training.reproduction.report.groups import Group, commonest_kind, of_paper
from training.reproduction.report.paper import FIGURE_8, NETWORKS

Floats = npt.NDArray[np.float64]


def confusion_matrices(groups: Sequence[Group]) -> Plate:
    """Figure 5: sound only above, FC_AGG below; each row of true materials sums to 1. Seeds are added up."""
    title = "Confusion of materials, sound only (top) and FC_AGG (bottom), test data"
    systems = {"sound": "Sound only", "fc_agg": "FC_AGG"}
    chosen = _of_commonest([group for system in systems for group in of_paper(groups, system)])
    panels = {
        (system, network): (group, counts)
        for system in systems
        for network in NETWORKS
        for group in of_paper(chosen, system, network)[:1]
        if (counts := _confusion(group)) is not None
    }
    missing = [f"{systems[s]}, {n}" for s in systems for n in NETWORKS if (s, n) not in panels]
    if not panels:
        return Plate(5, title, "Not run.")
    rows = [system for system in systems if any(key[0] == system for key in panels)]
    columns = [network for network in NETWORKS if any(key[1] == network for key in panels)]
    figure = new_figure(4.5 * len(columns) + 0.6, 4.2 * len(rows))
    colours = colormaps["Blues"].with_extremes(bad="#dddddd")
    image, drawn = None, []
    for (system, network), (group, counts) in panels.items():
        at = rows.index(system) * len(columns) + columns.index(network) + 1
        axes = figure.add_subplot(len(rows), len(columns), at)
        total = counts.sum(axis=1, keepdims=True)
        shares = np.divide(counts, total, out=np.full(counts.shape, np.nan), where=total > 0)
        image = axes.imshow(np.ma.masked_invalid(shares), cmap=colours, vmin=0, vmax=1)
        axes.set_title(f"{systems[system]}, {network} ({_seeds(group)})")
        name_materials(axes, rows=True)
        axes.set_xlabel("said")
        axes.set_ylabel("true")
        drawn.append(axes)
    assert image is not None
    figure.colorbar(image, ax=drawn, label="share of the true material's clips", shrink=0.6)
    used = [group for group, _ in panels.values()]
    return Plate(
        5,
        title,
        f"Validation: {used[0].kind}. Rows in grey: no test clip of the material.{_not_run(missing)}",
        f"{len(panels)} squares of 17 true by 17 said materials; the darker the diagonal, the more is told right.",
        figure,
        used,
    )


def sound_curves(groups: Sequence[Group]) -> Plate:
    """Figure 7: validation accuracy over epochs, sound only and FC_AGG, a panel a network."""
    title = "Validation accuracy over epochs, sound only and FC_AGG"
    systems = {"sound": "sound only", "fc_agg": "FC_AGG"}
    every = [group for system in systems for group in of_paper(groups, system)]
    chosen = _of_commonest([group for group in every if _points(group, "accuracy")])
    if not chosen:
        return Plate(7, title, "Not run.")
    networks = [network for network in NETWORKS if any(group.network == network for group in chosen)]
    missing = [f"{systems[s]}, {n}" for s in systems for n in NETWORKS if not of_paper(chosen, s, n)]
    figure = new_figure(4.5 * len(networks) + (len(networks) == 1), 3.1)
    first = None
    for at, network in enumerate(networks, start=1):
        axes = first = figure.add_subplot(1, len(networks), at, sharey=first)
        for index, (system, label) in enumerate(systems.items()):
            for group in of_paper(chosen, system, network)[:1]:
                _curve(axes, group, "accuracy", f"{label} ({_seeds(group)})", index)
        _finish_curves(axes, "validation accuracy", network)
    return Plate(
        7,
        title,
        f"Validation: {chosen[0].kind}. {_BAND}{_not_run(missing)}",
        f"Curves of sound only and FC_AGG over epochs for {' and '.join(networks)}.",
        figure,
        chosen,
    )


def picture_curves(groups: Sequence[Group]) -> Plate:
    """Figure 9: validation accuracy and F1 over epochs, TT_AGG and the visual networks, a row a network."""
    title = "Validation accuracy and F1 over epochs, TT_AGG and visual networks"
    systems = {
        "TT_AGG": ("tt_agg", False),
        "visual, unweighted": ("visual", False),
        "visual, weighted": ("visual", True),
    }
    every = [group for system, weighted in systems.values() for group in of_paper(groups, system, None, weighted)]
    chosen = _of_commonest([group for group in every if _points(group, "accuracy")])
    if not chosen:
        return Plate(9, title, "Not run.")
    networks = [network for network in NETWORKS if any(group.network == network for group in chosen)]
    missing = [
        f"{label}, {network}"
        for label, (system, weighted) in systems.items()
        for network in NETWORKS
        if not of_paper(chosen, system, network, weighted)
    ]
    figure = new_figure(9, 2.9 * len(networks))
    for row, network in enumerate(networks):
        for column, (measure, name) in enumerate({"accuracy": "accuracy", "f1": "F1"}.items()):
            axes = figure.add_subplot(len(networks), 2, 2 * row + column + 1)
            for index, (label, (system, weighted)) in enumerate(systems.items()):
                for group in of_paper(chosen, system, network, weighted)[:1]:
                    _curve(axes, group, measure, f"{label} ({_seeds(group)})", index)
            _finish_curves(axes, f"validation {name}", network)
    return Plate(
        9,
        title,
        f"Validation: {chosen[0].kind}. TT_AGG judges pairs, half of which belong together; the visual networks "
        f"judge 17 labels a picture, most of them 0: their accuracies do not compare. {_BAND}{_not_run(missing)}",
        f"Curves of accuracy and F1 over epochs for {' and '.join(networks)}.",
        figure,
        chosen,
    )


def good_sounds(groups: Sequence[Group]) -> Plate:
    """Figure 8: the share of good sounds among the nearest K over all test pictures, a line a recipe."""
    title = "Share of good sounds among the K nearest"
    candidates = [
        group for group in groups if group.system == "tt_agg" and group.role != "ablation" and _retrieved(group)
    ]
    if not candidates:
        return Plate(8, title, f"Not run. In the paper, {FIGURE_8}.")
    commonest = commonest_kind(candidates)
    shown: dict[str, Group] = {}
    for group in sorted(candidates, key=lambda group: group.validation != commonest):
        shown.setdefault(group.name, group)
    lines = [group for group in candidates if shown[group.name] is group]
    figure = new_figure(7.5, 4.2)
    axes = figure.add_subplot()
    for index, group in enumerate(lines):
        found = _retrieved(group)
        share = 100 * np.mean([each.good_share for each in found], axis=0)
        low = 100 * np.mean([each.good_low for each in found], axis=0)
        high = 100 * np.mean([each.good_high for each in found], axis=0)
        k = np.arange(1, len(share) + 1)
        colour, dash = COLOURS[index % len(COLOURS)], LINES[index // len(COLOURS) % len(LINES)]
        axes.plot(k, share, dash, color=colour, label=f"{group.name} ({group.kind}, {_seeds(group)})")
        axes.fill_between(k, low, high, color=colour, alpha=0.15, linewidth=0)
    chance = fmean(each.chance.micro for group in lines for each in _retrieved(group))
    axes.axhline(100 * chance, color="#555555", linestyle=(0, (1, 2)), label="chance")
    axes.set_xlim(1, 50)
    axes.set_ylim(0, 100)
    axes.set_xticks([1, 5, 10, 20, 25, 30, 40, 50])
    axes.set_xlabel("K, number of recommended sounds")
    axes.set_ylabel("good sounds (%)")
    axes.grid()
    figure.legend(loc="outside lower center", ncols=1 if len(lines) > 2 else 3)
    return Plate(
        8,
        title,
        "Over all test pictures, among the training sounds, by the materials of the picture's own clips. The band "
        "is the 95 % interval over videos; of several seeds, line and band are means. In the paper, of one picture "
        f"and among all sounds, its own among them: {FIGURE_8}.",
        f"Curves over K from 1 to 50 for {', '.join(group.name for group in lines)}, and the line of chance.",
        figure,
        lines,
    )


_BAND = "Of several seeds, the line is the mean and the band the range."


def _of_commonest(groups: Sequence[Group]) -> list[Group]:
    kind = commonest_kind(groups)
    return [group for group in groups if group.validation == kind]


def _seeds(group: Group) -> str:
    return f"seed {group.seeds[0]}" if len(group.seeds) == 1 else f"{len(group.seeds)} seeds"


def _not_run(missing: Sequence[str]) -> str:
    return f" Not run: {'; '.join(missing)}." if missing else ""


def _confusion(group: Group) -> Floats | None:
    """Counts `[17, 17]` of all the group's runs together, None where none has them."""
    tests = [run.test for run in group.runs]
    found = [test.confusion for test in tests if isinstance(test, ClassMeasures) and test.confusion is not None]
    if not found:
        return None
    counts: Floats = np.sum(np.array(found, np.float64), axis=0)
    assert counts.shape == (len(MATERIALS), len(MATERIALS))
    return counts


def _retrieved(group: Group) -> list[RetrievalMeasures]:
    """How good the sounds are by the picture's own clips, of each run that says so."""
    return [found.own_clips for run in group.runs if (found := run.test.recommended) is not None]


def _points(group: Group, measure: str) -> dict[int, list[float]]:
    """A measure of validation data by epoch, of each run that got so far and has such data."""
    at: dict[int, list[float]] = {}
    for run in group.runs:
        for record in run.history:
            if record.val is not None and measure in record.val:
                at.setdefault(record.epoch, []).append(record.val[measure])
    return at


def _curve(axes: Axes, group: Group, measure: str, label: str, index: int) -> None:
    """A measure over epochs, mean and range over the runs."""
    at = _points(group, measure)
    epochs = sorted(at)
    means = [fmean(at[epoch]) for epoch in epochs]
    axes.plot(epochs, means, LINES[index], color=COLOURS[index], label=label, marker="o", markersize=2.5)
    low, high = ([end(at[epoch]) for epoch in epochs] for end in (min, max))
    axes.fill_between(epochs, low, high, color=COLOURS[index], alpha=0.15, linewidth=0)


def _finish_curves(axes: Axes, measure: str, network: str) -> None:
    axes.set_title(network)
    axes.set_xlabel("epoch")
    axes.set_ylabel(measure)
    axes.set_ylim(0, 1)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid()
    axes.legend()
