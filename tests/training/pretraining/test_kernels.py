"""The same arithmetic on every processor, and the same features however much is computed at a time."""

import os
import platform
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import nn

from training.pretraining.features import features_of
from training.pretraining.kernels import fix_kernels, kernels_fixed
from training.pretraining.products import logits_of, product, solve

FIXED = """
from training.pretraining.kernels import fix_kernels, kernels_fixed
assert fix_kernels() and kernels_fixed()
import numpy, torch
print(torch.backends.cpu.get_cpu_capability(), torch.get_num_threads())
numbers = torch.linspace(-3, 3, 1001).double()
print((numbers[:1000].reshape(10, 100) @ numbers[1:].reshape(100, 10)).numpy().tobytes().hex()[:64])
print(numpy.exp(numbers.numpy()).tobytes().hex()[:64])
assert not fix_kernels() and kernels_fixed()
"""


@pytest.mark.skipif(platform.machine() not in ("x86_64", "AMD64"), reason="kernels are fixed on x86-64 only")
def test_kernels_are_those_of_avx2_on_one_thread() -> None:
    ran = subprocess.run([sys.executable, "-c", FIXED], capture_output=True, text=True, check=True, timeout=120)
    assert ran.stdout.splitlines()[0] == "AVX2 1"
    assert not ran.stderr


def test_nothing_is_changed_where_numpy_is_loaded() -> None:
    environment = {"MKL_CBWR": "AUTO"}
    assert not fix_kernels(environment)
    assert environment == {"MKL_CBWR": "AUTO"}
    assert not kernels_fixed(environment)
    assert kernels_fixed() == (os.environ.get("MKL_CBWR") == "COMPATIBLE")


def test_features_are_the_same_however_many_batches_are_computed_at_a_time() -> None:
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(131, 6)).astype(np.float32)
    layer = nn.Linear(6, 4).eval()

    def inputs() -> Iterator[np.ndarray | None]:
        yield from (None if number in (0, 70) else row for number, row in enumerate(rows))

    one, many = (features_of(layer, inputs(), len(rows), "rows", at_once) for at_once in (1, 5))
    assert torch.isnan(one).all(dim=1).nonzero()[:, 0].tolist() == [0, 70]
    assert torch.equal(one.nan_to_num(), many.nan_to_num())
    with torch.no_grad():
        torch.testing.assert_close(one[130], layer(torch.from_numpy(rows[130])))


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
