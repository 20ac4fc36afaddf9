"""Two processes give the loss and the weights of one with the same batches, and one of them writes."""

import socket
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.training.tiny import CPU, GRID, PAIRS, SQUEEZENET, recipe, start, train, write_recipe
from training.data.dataset import Dataset
from training.loop.checkpoint import BEST_FILE, CHECKPOINT_FILE, Checkpoint, load_checkpoint
from training.loop.distributed import joined
from training.loop.history import FOLDER

STILL: dict[str, Any] = SQUEEZENET | {"optimizer": "sgd", "momentum": 0.9, "epochs": 2, "batch_size": 15}
DISTRIBUTED = {
    "pairs": PAIRS | STILL | {"learning_rate": 0.02},
    "grid": GRID
    | STILL
    | {"learning_rate": 0.02, "pictures_per_batch": 7, "heads": 0.5, "balance": True, "average": 0.8},
    "corrected": GRID
    | STILL
    | {"learning_rate": 0.02, "pictures_per_batch": 9, "loss": "softmax", "log_q": 0.5, "epochs": 9, "patience": 1},
}


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def trained_by_two(dataset: Dataset, run: Path, file: Path) -> list[str]:
    """What each process said; both have ended well."""
    group = {
        "WORLD_SIZE": "2",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(free_port()),
        "GLOO_SOCKET_IFNAME": "lo",
    }
    command = ["-m", "thud", "train", dataset.folder, run, "--recipe", file, "--device", "cpu", "--seed", 5]
    processes = [start(*command, **group, RANK=str(rank), LOCAL_RANK=str(rank)) for rank in range(2)]
    try:
        outputs = [process.communicate(timeout=300)[0] for process in processes]
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert [process.returncode for process in processes] == [0, 0], outputs
    return outputs


def assert_alike(found: Checkpoint, wanted: Checkpoint, still: Checkpoint) -> None:
    """They differ by little of the way that each tensor went from where it is in `still`."""
    for record, other in zip(found.history, wanted.history, strict=True):
        assert record["step"] == other["step"]
        assert record["loss"] == pytest.approx(other["loss"], rel=1e-5)
        assert record["val"] == pytest.approx(other["val"], rel=1e-4, abs=1e-6)
    pairs = (found.system, wanted.system, still.system), (found.weights, wanted.weights, still.weights)
    for ours, theirs, before in pairs:
        assert ours.keys() == theirs.keys()
        for name, value in ours.items():
            # Sums in another order round differently; where that opens or shuts a ReLU, each step carries it on:
            # 0.012 of the way was seen. A learning rate of half a percent more makes 0.06.
            apart, way = (torch.linalg.vector_norm((a - theirs[name]).double()) for a in (value, before[name]))
            assert apart <= 0.03 * way + 1e-7, name


@pytest.mark.parametrize("name", DISTRIBUTED)
def test_two_processes_train_as_one(dataset: Dataset, tmp_path: Path, name: str) -> None:
    keys = DISTRIBUTED[name]
    run = tmp_path / "run"
    outputs = trained_by_two(dataset, run, write_recipe(tmp_path / "mine.toml", keys))
    found = load_checkpoint(run)
    wanted = train(dataset, recipe(keys), tmp_path / "one", seed=5)
    if name == "corrected":
        # Validation, which one process alone does, has ended both.
        assert len(wanted.history) < 9
    still = train(dataset, recipe(keys | {"learning_rate": 1e-12, "epochs": 1}), tmp_path / "still", seed=5)
    assert_alike(found, wanted, still)
    start_weights = train(dataset, recipe(keys, epochs=1), tmp_path / "start", seed=5, steps=1).system
    moved = [key for key, value in found.system.items() if not torch.allclose(value, start_weights[key], rtol=1e-3)]
    assert len(moved) > 10  # else weights that are alike would say nothing
    # One process alone says and writes.
    epochs = [[line for line in output.splitlines() if "validation accuracy" in line] for output in outputs]
    assert [len(lines) for lines in epochs] == [len(wanted.history), 0]
    assert sorted(path.name for path in run.iterdir()) == [BEST_FILE, CHECKPOINT_FILE, FOLDER]
    assert len(list((run / FOLDER).iterdir())) == 1


def test_alone_there_is_no_group(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    with joined(CPU) as (world, device):
        assert (world.rank, world.size, world.leads, device) == (0, 1, True, CPU)
        assert not torch.distributed.is_initialized()
        rows = torch.ones(3, requires_grad=True)
        assert world.gather(rows, 3) is rows
        assert world.broadcast("this") == "this"
