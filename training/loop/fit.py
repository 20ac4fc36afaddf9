"""Fitting a system by a recipe: epochs of steps, a checkpoint after each, and going on where it stopped."""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.atomic import exclusive
from model.errors import NoDataError, TrainingError
from model.progress import progress
from training.data.dataset import Dataset
from training.data.pairs import concerns, hold_out
from training.loop.checkpoint import BEST_FILE, CHECKPOINT_FILE, Checkpoint, checkpoint_to_resume, save_checkpoint
from training.loop.curves import Curves, best_epoch, finished, told
from training.loop.device import enough_memory
from training.loop.device_data import DeviceData, Step
from training.loop.distributed import Share, joined
from training.loop.fit_options import FitOptions
from training.loop.optimizer import WeightAverage, build_optimizer, set_rate
from training.loop.plan import Batch, plan_epoch, samples
from training.measures.evaluate import measure_epoch
from training.measures.results import versions
from training.systems.recipe import Recipe
from training.systems.systems import System, build_system, weigh

CHECK_EVERY = 100
"""Steps between two looks at the loss; each look makes a GPU wait for the CPU."""


class Objective(nn.Module):
    """The loss of one step: this process's part is seen and heard, the outputs gathered, the whole batch judged."""

    def __init__(self, system: System, share: Share, bf16: bool) -> None:
        super().__init__()
        self.system = system
        self.share = share
        self.bf16 = bf16

    def forward(self, step: Step) -> Tensor:
        """The loss of the whole batch, a scalar, the same on every process."""
        system = self.system
        with torch.autocast(step.truth.present.device.type, torch.bfloat16, enabled=self.bf16):
            images = system.see(step.pictures, step.picture_draws) if system.image is not None else _NOTHING
            sounds = system.hear(step.clips, step.clip_draws) if system.sound is not None else _NOTHING
        # Cosines and losses in float32.
        images = self.share.gather(images.float(), step.seen) if system.image is not None else images
        sounds = self.share.gather(sounds.float(), step.heard) if system.sound is not None else sounds
        return system.objective(images, sounds, step.truth)


_NOTHING = torch.empty(0)


def fit(dataset: Dataset, recipe: Recipe, run: Path, options: FitOptions, say: Callable[[str], None]) -> Checkpoint:
    """Train `recipe` on the dataset's training data; checkpoints and curves in `run`, the last one returned.

    Where `run` holds a checkpoint, training goes on after its last epoch, and ends in the same weights as a
    run that was never interrupted (bit for bit on a CPU with the same number of threads; on a GPU only up to
    the order of its atomic additions). Raises TrainingError if the checkpoint is of another recipe, seed or
    dataset, if there is nothing to train on, if the loss stops being a number, or if memory or disk run out.
    """
    with ExitStack() as stack:
        share, device = stack.enter_context(joined(options.device))
        if share.leads:
            stack.enter_context(exclusive(run))
            try:
                run.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise TrainingError(f"{run} cannot be made: {error.strerror}") from error
        stack.enter_context(enough_memory(memory_advice(recipe)))
        fitting = Fitting(dataset, recipe, run, options, share, device, say if share.leads else _silent)
        return fitting.run_epochs()


class Fitting:
    """One training run in one process: what `fit` does, epoch by epoch."""

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        run: Path,
        options: FitOptions,
        share: Share,
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        self.recipe, self.run, self.options = recipe, run, options
        self.share, self.device, self.say = share, device, say
        self.info = dataset.info
        self.dataset = hold_out(dataset, options.validation)
        for concern in concerns(self.dataset):
            say(concern)
        checkpoint = checkpoint_to_resume(run, recipe, dataset.info.id, options)
        self.system = build_system(recipe, dataset.info, options.seed, pretrained=checkpoint is None)
        weigh(self.system, self.dataset)
        if checkpoint is not None:
            self.system.load_state_dict(checkpoint.system)
            say(f"going on after epoch {checkpoint.epoch} of {recipe.epochs}")
        self.system.to(device).to(memory_format=torch.channels_last)
        objective = Objective(self.system, share, options.bf16)
        if device.type == "cuda" and share.count > 1:
            # In place: the modules are replaced inside `system`.
            nn.SyncBatchNorm.convert_sync_batchnorm(objective)  # type: ignore[no-untyped-call]
        elif share.count > 1 and any(isinstance(module, nn.BatchNorm2d) for module in objective.modules()):
            say("each process normalises its own part of a batch: together they do not learn quite what one would")
        self.average = WeightAverage(self.system, recipe.average) if recipe.average else None
        self.optimizer = build_optimizer(recipe, self.system, device)
        if checkpoint is not None:
            self.optimizer.load_state_dict(checkpoint.optimizer)
            if self.average is not None:
                assert checkpoint.average is not None
                self.average.load(checkpoint.average)
        if may_compile(options, objective, say):
            for network in (self.system.image, self.system.sound):
                if network is not None:
                    network.compile()
        self.objective: nn.Module = objective
        if share.count > 1:
            self.objective = DistributedDataParallel(
                objective, device_ids=[device] if device.type == "cuda" else None
            )
        self.history: list[dict[str, Any]] = [] if checkpoint is None else list(checkpoint.history)
        self.checkpoint = checkpoint
        self.unmeasured = ""
        """Why validation could not be measured, once that was said."""

    def run_epochs(self) -> Checkpoint:
        """Train until the recipe's epochs are done, or validation has not become better for its patience."""
        data: DeviceData | None = None
        steps = self.history[-1]["step"] if self.history else 0
        with Curves(self.run, steps, self.say, self.share.leads) as curves:
            while not finished(self.recipe, self.history):
                epoch = len(self.history)
                data = data or DeviceData(self.dataset, self.device)
                # All randomness of an epoch comes from the seed and its number; nothing else need be remembered.
                # Dropout alone differs between processes, as it does between the rows of a batch.
                torch.manual_seed((self.options.seed * 100_003 + epoch) * 1009 + self.share.rank)
                batches = plan_epoch(self.dataset, self.recipe, self.options.seed, epoch)[: self.options.steps]
                record: dict[str, Any] = {"epoch": epoch + 1, "step": (epoch + 1) * len(batches)}
                record |= self._train(data, batches, epoch, curves)
                if self.share.leads:
                    record |= self._validate()
                # All must know what validation said: it can end the run.
                self.history.append(self.share.told(record))
                self.say(told(record, self.recipe.epochs))
                if self.share.leads:
                    self._save()
                    curves.epoch(record)
        assert self.checkpoint is not None or not self.share.leads
        return self.checkpoint or self._state()

    @property
    def trained(self) -> System:
        """The system with the weights to use: averaged ones where the recipe averages."""
        return self.system if self.average is None else self.average.system

    def _train(self, data: DeviceData, batches: list[Batch], epoch: int, curves: Curves) -> dict[str, float]:
        self.objective.train()
        total, seen = torch.zeros((), device=self.device), 0
        started = time.perf_counter()
        title = f"epoch {epoch + 1}"
        with progress(title, samples(batches), "sample", quiet=not self.share.leads) as bar:
            for at, step in enumerate(data.steps(batches, self.share)):
                rate = set_rate(self.optimizer, self.recipe, (epoch + at / len(batches)) / self.recipe.epochs)
                total += self._step(step) * step.samples
                seen += step.samples
                if (at + 1) % CHECK_EVERY == 0:
                    mean = self._checked(float(total) / seen, title)
                    curves.step(epoch * len(batches) + at + 1, mean, rate * self.recipe.learning_rate)
                bar.update(step.samples)
        mean = self._checked(float(total) / seen, title)
        self._check_weights(title)
        seconds = time.perf_counter() - started
        return {"loss": mean, "seconds": seconds, "samples_per_second": seen / seconds}

    def _step(self, step: Step) -> Tensor:
        loss: Tensor = self.objective(step)
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        if self.average is not None:
            self.average.update()
        return loss.detach()

    def _checked(self, loss: float, title: str) -> float:
        if not math.isfinite(loss):
            raise self._diverged(f"the loss is {loss} in {title}")
        return loss

    def _check_weights(self, title: str) -> None:
        """The loss tells nothing of what the last step did to the weights; broken ones must not be kept."""
        for system in (self.system, self.trained):
            sound = [value.isfinite().all() for value in system.state_dict().values() if value.is_floating_point()]
            if not bool(torch.stack(sound).all()):
                raise self._diverged(f"weights are no longer finite after {title}")

    def _diverged(self, what: str) -> TrainingError:
        precision = ", or train with --precision fp32" if self.options.bf16 else ""
        kept = ", in another folder; the checkpoint before it is kept here" if self.history else ""
        return TrainingError(
            f"{what}: lower learning_rate (now {self.recipe.learning_rate}) in the recipe{precision}{kept}"
        )

    def _validate(self) -> dict[str, Any]:
        try:
            return {"val": measure_epoch(self.trained, self.dataset, self.device, self.options.seed)}
        except NoDataError as error:
            if str(error) != self.unmeasured:
                self.say(f"no validation: {error}")
            self.unmeasured = str(error)
            return {}
        except TrainingError as error:
            raise self._diverged(f"validation: {error}") from error

    def _state(self) -> Checkpoint:
        average = None if self.average is None else self.average.system.state_dict()
        return Checkpoint(
            epoch=len(self.history),
            recipe=self.recipe.model_dump(),
            seed=self.options.seed,
            validation=self.options.validation,
            precision="bf16" if self.options.bf16 else "fp32",
            device=str(self.device),
            versions=versions(),
            steps=self.options.steps,
            command=self.options.command,
            info=self.info.model_dump(),
            system=self.system.state_dict(),
            average=average,
            optimizer=self.optimizer.state_dict(),
            history=self.history,
        )

    def _save(self) -> None:
        self.checkpoint = self._state()
        # The best first: killed between the two, the run repeats this epoch and its best again.
        if best_epoch(self.history) == len(self.history):
            save_checkpoint(self.checkpoint, self.run / BEST_FILE)
        save_checkpoint(self.checkpoint, self.run / CHECKPOINT_FILE)


def may_compile(options: FitOptions, network: nn.Module, say: Callable[[str], None]) -> bool:
    """Whether to compile the `network`: as the options say, but not with synchronised batch normalisation.

    torch cannot compile that inside DistributedDataParallel. Raises TrainingError where it was asked for.
    """
    together = any(isinstance(module, nn.SyncBatchNorm) for module in network.modules())
    if together and options.compile:
        raise TrainingError(
            "several GPUs normalise a batch together, which torch.compile cannot do: leave out --compile, or train "
            "on one GPU"
        )
    if together and options.compiles:
        say("not compiled: several GPUs normalise a batch together, which torch.compile cannot do")
    return options.compiles and not together


def memory_advice(recipe: Recipe) -> str:
    """What to do when memory runs out."""
    also = f" or pictures_per_batch ({recipe.pictures_per_batch})" if recipe.sampling == "grid" else ""
    return (
        f"lower batch_size (now {recipe.batch_size}){also} in the recipe, or prepare smaller pictures; the "
        "checkpoint of the last epoch is kept"
    )


def _silent(line: str) -> None:
    pass
