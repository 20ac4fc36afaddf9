"""The same arithmetic on every processor, and the same features however much is computed at a time."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from training.pretraining.features import cached, features_of
from training.pretraining.kernels import fix_kernels, kernels_fixed
from training.pretraining.products import logits_of, product, solve

ROOT = Path(__file__).parents[3]
COMMAND = """
import sys
import thud
from training.pretraining import pretrain_commands
assert not {"numpy", "torch"} & sys.modules.keys()
assert pretrain_commands.fix_kernels()
import numpy, torch
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
assert not pretrain_commands.fix_kernels()
"""
MEMORY = """
import resource, sys
from training.pretraining.kernels import keep_memory
if sys.argv[1] == "kept" and not keep_memory():
    print("another C library")
    sys.exit()
for number in range(11):
    bytearray(2**25)  # written to, freed
    if number == 0:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""
ON_X86 = sys.platform == "linux" and platform.machine() == "x86_64"


@pytest.mark.skipif(not ON_X86, reason="kernels are fixed on x86-64 under Linux only")
def test_the_command_is_found_before_numpy_is_loaded_and_computes_with_avx2_on_one_thread() -> None:
    known = {name: os.environ[name] for name in ("PATH", "HOME", "VIRTUAL_ENV") if name in os.environ}
    ran = subprocess.run(
        [sys.executable, "-c", COMMAND],
        cwd=ROOT,
        env=known,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (ran.stdout.strip(), ran.stderr, ran.returncode) == ("AVX2 1", "", 0)


def test_nothing_is_changed_where_numpy_is_loaded_or_the_processor_is_another() -> None:
    environment = {"MKL_CBWR": "AUTO"}
    assert not fix_kernels(environment)
    assert environment == {"MKL_CBWR": "AUTO"}
    assert not kernels_fixed(environment)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("numpy", "torch"):
            patch.delitem(sys.modules, name)
        assert not fix_kernels(environment, "aarch64")
        assert environment == {"MKL_CBWR": "AUTO"}
        if ON_X86:
            environment["NPY_ENABLE_CPU_FEATURES"] = "AVX512F"
            assert fix_kernels(environment)
            assert kernels_fixed(environment)
            assert "NPY_ENABLE_CPU_FEATURES" not in environment


def test_features_are_the_same_however_many_batches_are_computed_at_a_time() -> None:
    pictures = np.random.default_rng(0).normal(size=(131, 3, 12, 12)).astype(np.float32)
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(3, 16, 3), nn.ReLU(), nn.Conv2d(16, 8, 3), nn.Flatten()).eval()

    def inputs() -> Iterator[np.ndarray | None]:
        yield from (None if number in (0, 70) else one for number, one in enumerate(pictures))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        one, many = (features_of(module, inputs(), len(pictures), "pictures", at_once) for at_once in (1, 5))
    finally:
        torch.set_num_threads(threads)
    assert torch.isnan(one).all(dim=1).nonzero()[:, 0].tolist() == [0, 70]
    assert torch.equal(one.nan_to_num(), many.nan_to_num())
    with torch.no_grad():
        torch.testing.assert_close(one[130], module(torch.from_numpy(pictures[130:]))[0])


def test_an_error_in_a_batch_ends_the_others() -> None:
    class Broken(nn.Module):
        def forward(self, rows: torch.Tensor) -> torch.Tensor:
            if int(rows[0, 0]) >= 64:
                raise ValueError("this batch")
            return rows

    rows = np.arange(32 * 40, dtype=np.float32)[:, None]
    threads = torch.get_num_threads()
    with pytest.raises(ValueError, match="this batch"):
        features_of(Broken(), iter(rows), len(rows), "rows", 2)
    assert torch.get_num_threads() == threads


def test_features_of_fixed_kernels_are_taken_by_all_and_others_not_by_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file, fixed, other = tmp_path / "features.npz", torch.ones(2, 3), torch.zeros(2, 3)

    def kept(fixes: bool, computed: torch.Tensor) -> torch.Tensor:
        monkeypatch.setattr("training.pretraining.features.kernels_fixed", lambda: fixes)
        return cached(file, {"files": ["one", "two"]}, 2, lambda: computed)

    assert torch.equal(kept(False, other), other)
    assert torch.equal(kept(True, fixed), fixed)
    assert torch.equal(kept(False, torch.full((2, 3), 5.0)), fixed)
    assert torch.equal(kept(True, torch.full((2, 3), 5.0)), fixed)
    # A file of another length is no traceback but computed anew.
    assert cached(file, {"files": ["one", "two"]}, 4, lambda: torch.ones(4, 3)).shape == (4, 3)


def test_products_and_their_gradient_are_those_of_pytorch() -> None:
    torch.manual_seed(0)
    features, weight = torch.randn(30, 7), torch.randn(5, 7, requires_grad=True)
    other = weight.detach().clone().requires_grad_()
    logits_of(features, weight).square().sum().backward()  # type: ignore[no-untyped-call]
    (features @ other.T).square().sum().backward()  # type: ignore[no-untyped-call]
    assert weight.grad is not None
    assert other.grad is not None
    torch.testing.assert_close(weight.grad, other.grad)
    torch.testing.assert_close(product(features, features.T), features @ features.T)
    matrix = features.T @ features
    torch.testing.assert_close(matrix @ solve(matrix, torch.eye(7)), torch.eye(7), atol=1e-4, rtol=0)


@pytest.mark.skipif(sys.platform != "linux", reason="only glibc can be told to keep memory")
def test_memory_that_was_freed_is_used_again_without_new_pages() -> None:
    pages = []
    for what in ("kept", "not"):
        ran = subprocess.run(
            [sys.executable, "-c", MEMORY, what], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
        )
        if ran.stdout.startswith("another"):
            pytest.skip("another C library than glibc")
        pages.append(int(ran.stdout))
    assert pages[0] < pages[1] / 10
