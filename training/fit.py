"""Fitting TT_AGG by a recipe; the paper's (3.3, 3.4.2) is balanced pairs, binary cross entropy and SGD."""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from model.errors import TrainingError
from model.lock import exclusive
from model.progress import progress
from model.two_tower import TwoTower, build_two_tower
from training.checkpoint import CHECKPOINT_FILE, Checkpoint, load_checkpoint, save_checkpoint
from training.dataset import Dataset
from training.losses import build_loss
from training.metrics import PairMetrics, pair_metrics
from training.pairs import Pairs, draw_pairs
from training.recipe import Recipe

VALIDATION_DRAW = 1_000_003
"""Stands in for the epoch in the seed of validation pairs, so that every epoch is judged on the same ones."""

CHECK_EVERY = 100
"""Steps between two looks at the loss; each look makes a GPU wait for the CPU."""


def fit(
    dataset: Dataset,
    recipe: Recipe,
    run: Path,
    *,
    seed: int,
    device: torch.device,
    say: Callable[[str], None],
) -> Checkpoint:
    """Train `recipe` on the dataset's training pairs; a checkpoint in `run` after every epoch.

    Where `run` holds a checkpoint, training goes on after its last epoch, and ends in the same weights as a
    run that was never interrupted (bit for bit on a CPU with the same number of threads; on a GPU only up to
    the order of its atomic additions). Raises TrainingError if the checkpoint is of another recipe, seed or
    dataset, if there are no pairs, if the loss stops being a number, or if the device runs out of memory.
    """
    with exclusive(run):
        return _fit(dataset, recipe, run, seed, device, say)


def _fit(
    dataset: Dataset, recipe: Recipe, run: Path, seed: int, device: torch.device, say: Callable[[str], None]
) -> Checkpoint:
    try:
        run.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{run} cannot be made: {error.strerror}") from error
    towers = build_two_tower(
        recipe.image_network, recipe.sound_network, dataset.info.picture, dataset.info.clip, seed
    )
    checkpoint = _earlier(run, dataset, recipe, seed)
    if checkpoint is not None:
        towers.load_state_dict(checkpoint.towers)
        say(f"going on after epoch {checkpoint.epoch} of {recipe.epochs}")
    loss = build_loss(recipe.loss)
    if checkpoint is not None:
        loss.load_state_dict(checkpoint.loss)
    model = nn.ModuleDict({"towers": towers, "loss": loss}).to(device)
    optimizer = _optimizer(recipe, model)
    if checkpoint is not None:
        optimizer.load_state_dict(checkpoint.optimizer)
    history = [] if checkpoint is None else list(checkpoint.history)
    validation = _validation_pairs(dataset, seed, say)
    for epoch in range(len(history), recipe.epochs):
        # All randomness of an epoch comes from the seed and its number; nothing else need be remembered.
        torch.manual_seed(seed * 100_003 + epoch)
        pairs = draw_pairs(dataset, "train", (seed, epoch), recipe.clips_per_picture)
        record: dict[str, Any] = {"epoch": epoch + 1}
        record |= _train_epoch(towers, loss, optimizer, dataset, pairs, recipe, device, f"epoch {epoch + 1}")
        if validation is not None:
            record["val"] = asdict(score_pairs(towers, dataset, validation, device))
        history.append(record)
        say(_line(record, recipe.epochs))
        checkpoint = _checkpoint(towers, loss, optimizer, dataset, recipe, seed, history)
        save_checkpoint(checkpoint, run)
    assert checkpoint is not None
    return checkpoint


def score_pairs(
    towers: TwoTower, dataset: Dataset, pairs: Pairs, device: torch.device, batch_size: int = 64
) -> PairMetrics:
    """Accuracy, precision, recall and F1 of `pairs` at the threshold 0.5, and their loss (paper, Table 5)."""
    towers.eval()
    scores = []
    with torch.inference_mode():
        for batch in _batches(pairs, batch_size):
            pictures, clips = _load(dataset, batch, device)
            scores.append(towers(pictures, clips).float().cpu().numpy())
    return pair_metrics(np.concatenate(scores), pairs.match)


def _earlier(run: Path, dataset: Dataset, recipe: Recipe, seed: int) -> Checkpoint | None:
    """The run's checkpoint if there is one; it must be of the same recipe, seed and dataset."""
    if not (run / CHECKPOINT_FILE).exists():
        return None
    checkpoint = load_checkpoint(run)
    # More epochs of the same recipe is a run that goes on, not another recipe.
    before, now = dict(checkpoint.recipe), recipe.model_dump()
    epochs = (before.pop("epochs"), now.pop("epochs"))
    differing = [key for key in now if before.get(key) != now[key]]
    if differing:
        raise TrainingError(
            f"{run} holds a run of another recipe (it differs in {', '.join(differing)}); choose another folder"
        )
    if checkpoint.seed != seed or checkpoint.dataset_id != dataset.info.id:
        what = "seed" if checkpoint.seed != seed else "dataset"
        raise TrainingError(f"{run} holds a run with another {what}; choose another folder")
    if checkpoint.epoch > epochs[1]:
        raise TrainingError(f"{run} has {checkpoint.epoch} epochs behind it, more than the {epochs[1]} asked for")
    return checkpoint


def _validation_pairs(dataset: Dataset, seed: int, say: Callable[[str], None]) -> Pairs | None:
    try:
        return draw_pairs(dataset, "val", (seed, VALIDATION_DRAW))
    except TrainingError as error:
        say(f"no validation: {error}")
        return None


def _optimizer(recipe: Recipe, model: nn.Module) -> torch.optim.Optimizer:
    rate, decay = recipe.learning_rate, recipe.weight_decay
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=decay)
    return torch.optim.SGD(model.parameters(), lr=rate, momentum=recipe.momentum, weight_decay=decay)


def _train_epoch(
    towers: TwoTower,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset,
    pairs: Pairs,
    recipe: Recipe,
    device: torch.device,
    title: str,
) -> dict[str, float]:
    towers.train()
    total = torch.zeros((), device=device)
    started = time.perf_counter()
    count, step = len(pairs.match), 0
    with progress(title, count, "pair") as bar:
        for batch in _batches(pairs, recipe.batch_size):
            if len(batch.match) == 1:
                continue  # batch normalisation needs two
            pictures, clips = _load(dataset, batch, device)
            belongs = _belongs(dataset, batch).to(device)
            flipped = torch.rand(len(pictures)) < recipe.flip
            pictures = torch.where(flipped.to(device)[:, None, None, None], pictures.flip(2), pictures)
            try:
                value: Tensor = loss(towers.image(pictures), towers.sound(clips), belongs)
                optimizer.zero_grad(set_to_none=True)
                value.backward()  # type: ignore[no-untyped-call]
                optimizer.step()
            except torch.OutOfMemoryError as error:
                raise TrainingError(
                    f"the device ran out of memory; lower batch_size (now {recipe.batch_size}) in the recipe"
                ) from error
            total += value.detach() * len(pictures)
            step += 1
            if step % CHECK_EVERY == 0:
                _checked(float(total), recipe, title)
            bar.update(len(pictures))
    mean = _checked(float(total) / count, recipe, title)
    seconds = time.perf_counter() - started
    return {"loss": mean, "seconds": seconds, "pairs_per_second": count / seconds}


def _checked(loss: float, recipe: Recipe, title: str) -> float:
    if not math.isfinite(loss):
        raise TrainingError(
            f"the loss is {loss} in {title}: lower learning_rate (now {recipe.learning_rate}) in the recipe; "
            "the checkpoint before it is kept"
        )
    return loss


def _batches(pairs: Pairs, size: int) -> Iterator[Pairs]:
    for start in range(0, len(pairs.match), size):
        part = slice(start, start + size)
        yield Pairs(pairs.picture[part], pairs.clip[part], pairs.match[part])


def _load(dataset: Dataset, batch: Pairs, device: torch.device) -> tuple[Tensor, Tensor]:
    """Pictures uint8 [B, size, size, 3] and clips float32 [B, samples] on the device."""
    pictures = torch.from_numpy(np.ascontiguousarray(dataset.pictures[batch.picture]))
    clips = torch.from_numpy(dataset.clip_batch(batch.clip))
    return pictures.to(device), clips.to(device)


def _belongs(dataset: Dataset, batch: Pairs) -> Tensor:
    """Whether the material of clip j is in picture i, bool [B, B]; its diagonal is the batch's `match`."""
    present = dataset.labels.picture_materials[batch.picture]
    return torch.from_numpy(present[:, dataset.labels.clip_material[batch.clip]])


def _checkpoint(
    towers: TwoTower,
    loss: nn.Module,
    optimizer: torch.optim.Optimizer,
    dataset: Dataset,
    recipe: Recipe,
    seed: int,
    history: list[dict[str, Any]],
) -> Checkpoint:
    return Checkpoint(
        epoch=len(history),
        recipe=recipe.model_dump(),
        seed=seed,
        dataset_id=dataset.info.id,
        source=dataset.info.source,
        picture=dataset.info.picture.model_dump(),
        clip=dataset.info.clip.model_dump(),
        towers=towers.state_dict(),
        loss=loss.state_dict(),
        optimizer=optimizer.state_dict(),
        history=history,
    )


def _line(record: dict[str, Any], epochs: int) -> str:
    text = f"epoch {record['epoch']}/{epochs}: loss {record['loss']:.4f}, {record['pairs_per_second']:.1f} pairs/s"
    if "val" in record:
        val = record["val"]
        text += f"; validation loss {val['loss']:.4f}, accuracy {val['accuracy']:.4f}, F1 {val['f1']:.4f}"
    left = (epochs - record["epoch"]) * record["seconds"]
    return f"{text}; {left / 60:.0f} min left" if left else text
