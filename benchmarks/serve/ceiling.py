"""The ceiling of a service: decode, network and search in a plain loop of one process, a thread a CPU.

    python -m benchmarks.serve.ceiling --bundle BUNDLE --index INDEX --seconds 4 PICTURE...

Prints the pictures a second as JSON.
"""

import argparse
import itertools
import json
import threading
import time
from pathlib import Path

from index.answers.search import SoundIndex
from model.bundle import load_bundle
from model.runtime import TowerRuntime
from model.threads import available_cpus

K = 10


def main() -> None:
    """Loop and print."""
    parser = argparse.ArgumentParser()
    parser.add_argument("pictures", type=Path, nargs="+")
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--index", type=Path, required=True)
    parser.add_argument("--seconds", type=float, default=4.0)
    arguments = parser.parse_args()
    bundle = load_bundle(arguments.bundle)
    towers = TowerRuntime(bundle)
    index = SoundIndex.open(arguments.index, bundle)
    pictures = [file.read_bytes() for file in arguments.pictures]
    for data in pictures[:2]:
        index.search(towers.embed_picture(data).embedding[0], K)
    counts = [0] * available_cpus()
    began = time.perf_counter()

    def work(worker: int) -> None:
        for number in itertools.count(worker):
            index.search(towers.embed_picture(pictures[number % len(pictures)]).embedding[0], K)
            counts[worker] += 1
            if time.perf_counter() - began > arguments.seconds:
                return

    threads = [threading.Thread(target=work, args=(worker,)) for worker in range(len(counts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(json.dumps({"rate": sum(counts) / (time.perf_counter() - began)}))


if __name__ == "__main__":
    main()
