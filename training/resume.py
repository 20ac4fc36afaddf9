"""What a run's folder holds already: the checkpoint to go on with, if it is of the same run."""

from pathlib import Path

from model.errors import TrainingError
from training.checkpoint import CHECKPOINT_FILE, Checkpoint, load_checkpoint
from training.fit_options import FitOptions
from training.recipe import Recipe


def earlier(run: Path, recipe: Recipe, dataset_id: str, options: FitOptions) -> Checkpoint | None:
    """The checkpoint in `run`, None if there is none.

    Raises TrainingError if it is of another recipe, seed, validation, dataset, number of steps or precision: what
    a run reports must hold for all of its epochs. More epochs of a recipe whose learning rate is constant are
    the same run, going on.
    """
    if not (run / CHECKPOINT_FILE).exists():
        return None
    checkpoint = load_checkpoint(run)
    before, now = Recipe.model_validate(checkpoint.recipe).model_dump(), recipe.model_dump()
    epochs = (before.pop("epochs"), now.pop("epochs"))
    differing = [key for key in now if before[key] != now[key]]
    if differing:
        raise TrainingError(
            f"{run} holds a run of another recipe (it differs in {', '.join(differing)}); choose another folder"
        )
    for what, theirs, ours in (
        ("seed", checkpoint.seed, options.seed),
        ("way of holding out validation data", checkpoint.validation, options.validation),
        ("dataset", checkpoint.info["id"], dataset_id),
        ("number of steps an epoch", checkpoint.steps, options.steps),
    ):
        if theirs != ours:
            raise TrainingError(f"{run} holds a run with another {what}; choose another folder")
    precision = "bf16" if options.bf16 else "fp32"
    if checkpoint.precision != precision:
        raise TrainingError(
            f"{run} holds a run in {checkpoint.precision}, not {precision}; go on with --precision "
            f"{checkpoint.precision}, or choose another folder"
        )
    if epochs[0] != epochs[1] and (recipe.schedule != "constant" or recipe.warm_up):
        raise TrainingError(
            f"{run} was begun for {epochs[0]} epochs, over which its learning rate is scheduled, not for "
            f"{epochs[1]}; choose another folder"
        )
    if checkpoint.epoch > epochs[1]:
        raise TrainingError(f"{run} has {checkpoint.epoch} epochs behind it, more than the {epochs[1]} asked for")
    return checkpoint
