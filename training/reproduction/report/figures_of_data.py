"""Figures 1, 2 and 6: what the data are like."""

import numpy as np
import numpy.typing as npt
import torch

from model.materials import MATERIALS
from model.torch_towers.spectrogram import LogMel
from training.data.dataset import SPLITS, UNPAIRED, Dataset
from training.reproduction.report.canvas import COLOURS, NAMES, Plate, name_materials, new_figure

_SHOWN_CLIPS = 6
_TICKS_KHZ = np.array([0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 32.0])


def picture_and_clips(dataset: Dataset) -> Plate:
    """Figure 1: the first training picture with the most materials, and up to six of its clips as spectrograms."""
    title = "A picture and the log-mel spectrograms of its clips"
    labels = dataset.labels
    paired = labels.clip_picture[labels.clip_picture != UNPAIRED]
    candidates = np.unique(paired[labels.picture_split[paired] == SPLITS.index("train")])
    if not len(candidates):
        return Plate(1, title, "Not drawn: no training picture has a clip of its own.")
    heard = [len(np.unique(labels.clip_material[labels.clip_picture == picture])) for picture in candidates]
    picture = int(candidates[int(np.argmax(heard))])
    clips = _different_first(np.flatnonzero(labels.clip_picture == picture), labels.clip_material)
    spec = dataset.info.clip
    log_mel = LogMel(spec.sample_rate, spec.samples, dataset.info.picture.size)
    with torch.inference_mode():
        planes = log_mel(torch.from_numpy(dataset.clip_batch(clips)))[:, 0].numpy()

    figure = new_figure(9, 3.9)
    grid = figure.add_gridspec(2, 4, width_ratios=(2.1, 1, 1, 1))
    axes = figure.add_subplot(grid[:, 0])
    axes.imshow(dataset.pictures[picture])
    axes.set_title(", ".join(np.array(NAMES)[labels.picture_materials[picture]]))
    axes.set_axis_off()
    # Frames are centred on their time, so the first begins half a hop before the clip.
    hop = log_mel.hop / spec.sample_rate
    start, frames = -spec.before - hop / 2, spec.samples // log_mel.hop + 1
    heights = _heights(log_mel.filters.numpy(), spec.sample_rate)
    inside = (heights > 0) & (heights < 1)
    drawn, image = [], None
    for at, (clip, plane) in enumerate(zip(clips, planes, strict=True)):
        axes = figure.add_subplot(grid[at // 3, 1 + at % 3])
        extent = (start, start + frames * hop, 0.0, 1.0)
        image = axes.imshow(40 * (plane - 1), origin="lower", extent=extent, aspect="auto", cmap="magma")
        image.set_clim(-LogMel.FLOOR_DB, 0)
        axes.axvline(0, color="white", linewidth=0.7, linestyle=":")
        axes.set_yticks(heights[inside], [f"{tick:g}" for tick in _TICKS_KHZ[inside]])
        axes.set_title(f"{NAMES[labels.clip_material[clip]]} {labels.clip_action[clip]}".strip())
        if at % 3 == 0:
            axes.set_ylabel("frequency (kHz)")
        if at + 3 >= len(clips):
            axes.set_xlabel("time from the hit (s)")
        drawn.append(axes)
    assert image is not None  # a candidate has a clip
    figure.colorbar(image, ax=drawn, label="level (dB)", shrink=0.8)
    named = sorted({NAMES[labels.clip_material[clip]] for clip in clips})
    return Plate(
        1,
        title,
        f"A training picture at the size that the networks see, and {len(clips)} of its clips as they hear them. "
        "Each clip's level is relative to its own maximum; the dotted line is the annotated hit.",
        f"On the left the picture, on the right {len(clips)} spectrograms of sounds of {', '.join(named)}.",
        figure,
    )


def class_distribution(dataset: Dataset) -> Plate:
    """Figure 2: the share of clips of each material in each split."""
    labels = dataset.labels
    figure = new_figure(9, 3.2)
    axes = figure.add_subplot()
    width = 0.8 / len(SPLITS)
    for index, split in enumerate(SPLITS):
        counts = np.bincount(labels.clip_material[labels.clip_split == index], minlength=len(MATERIALS))
        places = np.arange(len(MATERIALS)) + (index - 1) * width
        total = counts.sum()
        shares = 100 * counts / max(1, total)
        axes.bar(places, shares, width, color=COLOURS[index], label=f"{split} ({total:,} clips)")
    name_materials(axes)
    axes.set_ylabel("share of the split's clips (%)")
    axes.grid(axis="y")
    axes.margins(x=0.01)
    axes.legend()
    overall = np.bincount(labels.clip_material, minlength=len(MATERIALS))
    return Plate(
        2,
        "Distribution of materials",
        "The share of each material among the clips of each split, as prepared.",
        f"Bars for 17 materials in three splits; the commonest is {NAMES[int(overall.argmax())]}.",
        figure,
    )


def co_appearance(dataset: Dataset) -> Plate:
    """Figure 6: how many training pictures hold both of two materials."""
    labels = dataset.labels
    held = labels.picture_materials[labels.picture_split == SPLITS.index("train")].astype(np.int64)
    together = held.T @ held
    alone = np.diag(together).copy()
    np.fill_diagonal(together, 0)
    figure = new_figure(7.5, 6.6)
    axes = figure.add_subplot()
    image = axes.imshow(together, cmap="Blues", vmin=0, vmax=max(1, int(together.max())))
    for row, column in np.argwhere(together):
        dark = together[row, column] > 0.6 * together.max()
        colour = "white" if dark else "black"
        axes.text(column, row, str(together[row, column]), ha="center", va="center", fontsize=6.5, color=colour)
    for at, count in enumerate(alone):
        axes.text(at, at, f"({count})", ha="center", va="center", fontsize=6.5, color="#666666")
    name_materials(axes, rows=True)
    figure.colorbar(image, label="training pictures with both", shrink=0.7)
    row, column = np.unravel_index(int(together.argmax()), together.shape)
    most = f"{NAMES[row]} with {NAMES[column]} in {together.max():,} pictures" if together.max() else "no two"
    return Plate(
        6,
        "Materials that appear together",
        "The number of training pictures that hold both materials, by the materials of their own clips. On the "
        "diagonal, in parentheses and without colour, the pictures that hold the material at all.",
        f"A square of 17 by 17 materials; most often together: {most}.",
        figure,
    )


def _different_first(clips: npt.NDArray[np.intp], material: npt.NDArray[np.int8]) -> npt.NDArray[np.intp]:
    """Up to six clips: one of each material, then further ones; in the order of the dataset."""
    _, first = np.unique(material[clips], return_index=True)
    rest = np.setdiff1d(np.arange(len(clips)), first)
    chosen: npt.NDArray[np.intp] = clips[np.sort(np.concatenate([first, rest])[:_SHOWN_CLIPS])]
    return chosen


def _heights(filters: npt.NDArray[np.float32], sample_rate: int) -> npt.NDArray[np.float64]:
    """Where the ticks stand on the mel axis, from 0 (bottom) to 1; outside of it where a frequency is."""
    bands, bins = filters.shape
    used = filters.sum(axis=1) > 0  # low bands can be narrower than a bin
    centres = (filters @ np.linspace(0, sample_rate / 2000, bins))[used] / filters.sum(axis=1)[used]
    places = (np.arange(bands)[used] + 0.5) / bands
    heights: npt.NDArray[np.float64] = np.interp(_TICKS_KHZ, centres, places, left=-1, right=2)
    return heights
