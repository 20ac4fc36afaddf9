"""The best split of the CPUs: how many requests at a time, and how many threads of ONNX Runtime for each.

    python benchmarks/threads.py [PHOTOGRAPHS] [--bundle BUNDLE] [--seconds 2] [--rounds 5]

Pictures of 640x480 are decoded and embedded without pause by so many workers of one process, for every split of
the CPUs that this process may use, and for some that take more than there are. `spin` is ONNX Runtime's own way
of waiting (session.intra_op.allow_spinning), `alone` the milliseconds of a request where there is no other.
Rounds of all splits follow each other, so that others on the machine disturb them alike; ratios are to one
thread a worker and one worker a CPU, the median over rounds.
"""

import argparse
import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import onnxruntime
from photographs import photographs
from tqdm import tqdm

from model import PRETRAINED
from model.bundle import IMAGE_TOWER, Bundle, load_bundle
from model.picture import picture_array
from model.runtime import session_options
from model.threads import available_cpus, share_threads


@dataclass
class Split:
    """One split, and what each round found: requests a second, and milliseconds of a request alone."""

    workers: int
    intra_op: int
    spinning: bool
    rates: list[float] = field(default_factory=list)
    alone: list[float] = field(default_factory=list)


class Side:
    """A split at work."""

    def __init__(self, split: Split, bundle: Bundle, pictures: list[bytes]) -> None:
        options = session_options(split.intra_op, spinning=split.spinning)
        tower = str(bundle.file(IMAGE_TOWER))
        self._session = onnxruntime.InferenceSession(tower, options, providers=["CPUExecutionProvider"])
        self._spec = bundle.spec.picture
        self._pictures = pictures
        self._split = split

    def answer(self, number: int) -> None:
        """Decode and embed one picture."""
        data = self._pictures[number % len(self._pictures)]
        pixels = picture_array(data, self._spec.size, self._spec.resize)
        self._session.run(None, {"pictures": pixels[None]})

    def measure(self, seconds: float) -> None:
        """Requests a second of all workers for so long, then some requests alone."""
        self.answer(0)
        counts = [0] * self._split.workers
        began = time.perf_counter()

        def work(worker: int) -> None:
            for number in itertools.count(worker):
                self.answer(number)
                counts[worker] += 1
                if time.perf_counter() - began > seconds:
                    return

        threads = [threading.Thread(target=work, args=(worker,)) for worker in range(self._split.workers)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        self._split.rates.append(sum(counts) / (time.perf_counter() - began))
        took = []
        for number in range(10):
            start = time.perf_counter()
            self.answer(number)
            took.append(time.perf_counter() - start)
        self._split.alone.append(1000 * float(np.median(took)))


def splits(cpus: int) -> Iterator[Split]:
    """Every number of workers that divides the CPUs and twice as many, with the threads that are left for each."""
    for workers in (count for count in range(1, cpus + 1) if cpus % count == 0):
        shares = share_threads(cpus, workers)
        yield Split(workers, shares.intra_op, False)
        if shares.intra_op > 1:
            yield Split(workers, shares.intra_op, True)
    yield Split(2 * cpus, 1, False)
    if cpus > 1:
        yield Split(cpus, cpus, False)
        yield Split(cpus, cpus, True)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, nargs="?")
    parser.add_argument("--bundle", type=Path, default=PRETRAINED)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each split in each round")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    cpus = available_cpus()
    pictures = photographs(arguments.photographs, 640, 480, 8)
    tried = list(splits(cpus))
    for _ in tqdm(range(arguments.rounds), desc="rounds", leave=False):
        for split in tried:
            Side(split, bundle, pictures).measure(arguments.seconds)
    base = next(split for split in tried if (split.workers, split.intra_op) == (cpus, 1))
    print(f"{cpus} CPUs, {bundle.spec.name}, ONNX Runtime {onnxruntime.__version__}, {arguments.rounds} rounds")
    print(f"{'workers':>7} {'intra-op':>8} {'spin':>4} {'requests/s':>10} {'ratio':>6} {'alone':>7} {'ratio':>6}")
    for split in tried:
        rates = np.array(split.rates) / base.rates
        alone = np.array(split.alone) / base.alone
        print(
            f"{split.workers:>7} {split.intra_op:>8} {'yes' if split.spinning else 'no':>4} "
            f"{np.median(split.rates):>10.1f} {np.median(rates):>6.2f} "
            f"{np.median(split.alone):>7.1f} {np.median(alone):>6.2f}"
        )


if __name__ == "__main__":
    main()
