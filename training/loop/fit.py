"""Training a system by a recipe: epochs of steps, a checkpoint after each epoch, and going on where a run stopped.

Read from top to bottom: `fit` takes the run's folder, `Trainer` sets up what a run needs, `run_epochs` is the loop
over epochs, `_train` the loop over the steps of one, `_step` one step, and `Objective` what a step computes.
"""

import math
import time
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from model.errors import NoDataError, TrainingError
from model.locks import exclusive
from model.progress import progress
from training.data.dataset import Dataset
from training.data.pairs import concerns, hold_out
from training.loop.checkpoint import BEST_FILE, CHECKPOINT_FILE, Checkpoint, checkpoint_to_resume, save_checkpoint
from training.loop.device import enough_memory, memory_advice
from training.loop.device_data import DeviceData, Step
from training.loop.distributed import World, joined
from training.loop.fit_options import FitOptions
from training.loop.history import Curves, best_epoch, epoch_line, finished
from training.loop.optimizer import WeightAverage, build_optimizer, set_rate
from training.loop.plan import Batch, plan_epoch, samples
from training.measures.evaluate import measure_epoch
from training.measures.results import versions
from training.systems.recipe import Recipe
from training.systems.systems import System, VisualNetwork, build_system

CHECK_EVERY = 100
"""Steps between two looks at the loss; each look makes a GPU wait for the CPU."""

_NO_OUTPUTS = torch.empty(0)
"""Stands for the outputs of a network that the system does not have."""


def fit(dataset: Dataset, recipe: Recipe, run: Path, options: FitOptions, say: Callable[[str], None]) -> Checkpoint:
    """Train `recipe` on the dataset's training data; checkpoints and curves in `run`, the last one returned.

    Where `run` holds a checkpoint, training goes on after its last epoch, and ends in the same weights as a
    run that was never interrupted (bit for bit on a CPU with the same number of threads; on a GPU only up to
    the order of its atomic additions). Raises TrainingError if the checkpoint is of another recipe, seed or
    dataset, if there is nothing to train on, if the loss stops being a number, or if memory or disk run out.
    """
    with ExitStack() as stack:
        world, device = stack.enter_context(joined(options.device))
        if world.leads:
            stack.enter_context(exclusive(run))
            try:
                run.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise TrainingError(f"{run} cannot be made: {error.strerror}") from error
        stack.enter_context(enough_memory(memory_advice(recipe)))
        trainer = Trainer(dataset, recipe, run, options, world, device, say if world.leads else _silent)
        return trainer.run_epochs()


class Trainer:
    """One training run in one process: what `fit` does, epoch by epoch."""

    def __init__(
        self,
        dataset: Dataset,
        recipe: Recipe,
        run: Path,
        options: FitOptions,
        world: World,
        device: torch.device,
        say: Callable[[str], None],
    ) -> None:
        self.recipe, self.run, self.options = recipe, run, options
        self.world, self.device, self.say = world, device, say
        self.info = dataset.info
        self.dataset = hold_out(dataset, options.validation)
        for concern in concerns(self.dataset):
            say(concern)
        self.history: list[dict[str, Any]] = []
        self.unmeasured = ""
        """Why validation could not be measured, once that was said."""
        self.checkpoint = checkpoint_to_resume(run, recipe, dataset.info.id, options)
        self.system = self._build_system()
        self.average = WeightAverage(self.system, recipe.average) if recipe.average else None
        self.optimizer = build_optimizer(recipe, self.system, device)
        if self.checkpoint is not None:
            self._resume(self.checkpoint)
        self.objective = self._build_objective()

    def _build_system(self) -> System:
        """The system on its device, with the weights that it begins with."""
        system = new_system(self.dataset, self.recipe, self.options.seed, pretrained=self.checkpoint is None)
        system.to(self.device).to(memory_format=torch.channels_last)
        if self.device.type == "cuda" and self.world.size > 1:
            # In place: the modules are replaced inside `system`.
            nn.SyncBatchNorm.convert_sync_batchnorm(system)  # type: ignore[no-untyped-call]
        return system

    def _resume(self, checkpoint: Checkpoint) -> None:
        """Go on from a checkpoint of this run."""
        self.system.load_weights(checkpoint.system)
        self.optimizer.load_state_dict(checkpoint.optimizer)
        if self.average is not None:
            assert checkpoint.average is not None
            self.average.load(checkpoint.average)
        self.history = list(checkpoint.history)
        self.say(f"going on after epoch {checkpoint.epoch} of {self.recipe.epochs}")

    def _build_objective(self) -> nn.Module:
        """What a step computes, its networks compiled and its gradients shared among processes where asked for."""
        objective = Objective(self.system, self.world, self.options.bf16)
        if may_compile(self.options, objective, self.say):
            for tower in (self.system.image, self.system.sound):
                if tower is not None:
                    tower.network.compile()
        if self.world.size == 1:
            return objective
        if self.device.type == "cuda":
            return DistributedDataParallel(objective, device_ids=[self.device])
        if any(isinstance(module, nn.BatchNorm2d) for module in objective.modules()):
            self.say(
                "each process normalises its own part of a batch: together they do not learn quite what one would"
            )
        return DistributedDataParallel(objective)

    def run_epochs(self) -> Checkpoint:
        """Train until the recipe's epochs are done, or validation has not become better for its patience."""
        data: DeviceData | None = None
        steps = self.history[-1]["step"] if self.history else 0
        with Curves(self.run, steps, self.say, self.world.leads) as curves:
            while not finished(self.recipe, self.history):
                epoch = len(self.history)
                data = data or DeviceData(self.dataset, self.device)
                # All randomness of an epoch comes from the seed and its number; a checkpoint need not hold more.
                # Dropout alone differs between processes, as it does between the rows of a batch.
                torch.manual_seed((self.options.seed * 100_003 + epoch) * 1009 + self.world.rank)
                batches = plan_epoch(self.dataset, self.recipe, self.options.seed, epoch)[: self.options.steps]
                record: dict[str, Any] = {"epoch": epoch + 1, "step": (epoch + 1) * len(batches)}
                record |= self._train(data, batches, epoch, curves)
                if self.world.leads:
                    record |= self._validate()
                # All must know what validation said: it can end the run.
                self.history.append(self.world.broadcast(record))
                self.say(epoch_line(record, self.recipe.epochs))
                if self.world.leads:
                    self._save()
                    curves.epoch(record)
        assert self.checkpoint is not None or not self.world.leads
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
        with progress(title, samples(batches), "sample", quiet=not self.world.leads) as bar:
            for at, step in enumerate(data.steps(batches, self.world)):
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
        """The loss does not show what the last step did to the weights; broken ones must not be saved."""
        for system in (self.system, self.trained):
            finite = [value.isfinite().all() for value in system.state_dict().values() if value.is_floating_point()]
            if not bool(torch.stack(finite).all()):
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
        average = None if self.average is None else self.average.system.weights()
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
            system=self.system.weights(),
            average=average,
            optimizer=self.optimizer.state_dict(),
            history=self.history,
        )

    def _save(self) -> None:
        self.checkpoint = self._state()
        # The best first: if the run is killed between the two, it repeats this epoch and writes its best again.
        if best_epoch(self.history) == len(self.history):
            save_checkpoint(self.checkpoint, self.run / BEST_FILE)
        save_checkpoint(self.checkpoint, self.run / CHECKPOINT_FILE)


class Objective(nn.Module):
    """What one step computes: this process sees and hears its part, and judges the whole batch by all outputs."""

    def __init__(self, system: System, world: World, bf16: bool) -> None:
        super().__init__()
        self.system = system
        self.world = world
        self.bf16 = bf16

    def forward(self, step: Step) -> Tensor:
        """The loss of the whole batch, a scalar, the same on every process."""
        system = self.system
        with torch.autocast(step.truth.present.device.type, torch.bfloat16, enabled=self.bf16):
            images = system.see(step.pictures, step.picture_draws) if system.image is not None else _NO_OUTPUTS
            sounds = system.hear(step.clips, step.clip_draws) if system.sound is not None else _NO_OUTPUTS
        # Cosines and losses in float32.
        images = self.world.gather(images.float(), step.seen) if system.image is not None else images
        sounds = self.world.gather(sounds.float(), step.heard) if system.sound is not None else sounds
        return system.objective(images, sounds, step.truth)


def new_system(dataset: Dataset, recipe: Recipe, seed: int, *, pretrained: bool = True) -> System:
    """The recipe's system with the weights that it begins with (see `build_system`).

    A visual network whose recipe is weighted has a `pos_weight` for each material: negative by positive training
    pictures, at most 100.
    """
    system = build_system(recipe, dataset.info, seed, pretrained=pretrained)
    if isinstance(system, VisualNetwork) and recipe.weighted:
        present = dataset.labels.picture_materials[dataset.pictures_of("train")]
        positive = torch.from_numpy(present.sum(axis=0))
        system.pos_weight.copy_(((len(present) - positive) / positive.clamp_min(1)).clamp(max=100.0))
    return system


def may_compile(options: FitOptions, network: nn.Module, say: Callable[[str], None]) -> bool:
    """Whether to compile the `network`: as the options say, but not with synchronised batch normalisation.

    torch cannot compile that inside DistributedDataParallel. Raises TrainingError where it was asked for.
    """
    synchronised = any(isinstance(module, nn.SyncBatchNorm) for module in network.modules())
    if synchronised and options.compile:
        raise TrainingError(
            "several GPUs normalise a batch together, which torch.compile cannot do: leave out --compile, or train "
            "on one GPU"
        )
    if synchronised and options.compiles:
        say("not compiled: several GPUs normalise a batch together, which torch.compile cannot do")
    return options.compiles and not synchronised


def _silent(line: str) -> None:
    pass
