"""What `thud train --dry-run` says: is the data fit to train on, and what would be done."""

import math
from pathlib import Path

from model.errors import NoDataError, TrainingError
from training.data.dataset import Dataset
from training.data.pairs import concerns, hold_out
from training.loop.checkpoint import checkpoint_to_resume
from training.loop.device import enough_memory
from training.loop.device_data import DeviceData
from training.loop.distributed import Share
from training.loop.fit import Objective, memory_advice
from training.loop.fit_options import FitOptions
from training.loop.plan import plan_epoch, samples
from training.measures.evaluate import measure_epoch
from training.systems.recipe import Recipe
from training.systems.systems import build_system, weigh


def describe(dataset: Dataset, recipe: Recipe, run: Path, options: FitOptions) -> str:
    """Check dataset and recipe against each other by one real step and one validation; tell what would be done.

    Nothing is written to `run` or elsewhere. Raises TrainingError for whatever would stop training at its start.
    """
    with enough_memory(memory_advice(recipe)):
        return _describe(dataset, recipe, run, options)


def _describe(dataset: Dataset, recipe: Recipe, run: Path, options: FitOptions) -> str:
    before = checkpoint_to_resume(run, recipe, dataset.info.id, options)
    held_out = hold_out(dataset, options.validation)
    batches = plan_epoch(held_out, recipe, options.seed, 0)[: options.steps]
    system = build_system(recipe, dataset.info, options.seed)
    weigh(system, held_out)
    system.to(options.device)
    data = DeviceData(held_out, options.device)
    step = next(data.steps(batches[:1], Share()))
    loss = Objective(system, Share(), options.bf16).train()(step)
    loss.backward()
    first = float(loss.detach())
    if not math.isfinite(first):
        raise TrainingError(f"the loss of the first step is {first}")
    weights = sum(parameter.numel() for parameter in system.parameters())
    window = system.window
    lines = [
        f"recipe {recipe.name}: {recipe.system}"
        + (f", pictures through {recipe.image_network}" if recipe.sees else "")
        + (f", sounds through {recipe.sound_network}" if recipe.hears else "")
        + f", {weights / 1e6:.1f} million weights, on {options.device} in {'bf16' if options.bf16 else 'fp32'}",
        f"sounds: {window.before:g} s before to {window.after:g} s after the hit at {window.sample_rate:,} Hz; "
        f"pictures: {dataset.info.picture.size} px",
        f"{recipe.epochs} epochs of {len(batches):,} steps, {samples(batches):,} samples each; "
        f"the data {'lies on the device' if data.resident else 'is streamed to the device'}",
        f"{run} holds {before.epoch} of them" if before else f"{run} holds no run yet",
        f"loss of a first step {first:.4f}",
        held_out.summary(),
        *concerns(held_out),
    ]
    try:
        measure_epoch(system, held_out, options.device, options.seed)
    except NoDataError as error:
        lines.append(f"no validation: {error}")
    return "\n".join(lines)
