"""The latencies of a queue that loses nothing: first come, first served, and every request takes as long.

    python benchmarks/ideal_queue.py

What arrives at random comes in crowds, and in a crowd it waits, however good the service is.
"""

import heapq
import random

import numpy as np

from model.threads import available_cpus

_WARM_UP = 1000


def p99_to_p50(servers: int, load: float = 0.8, requests: int = 100_000) -> float:
    """p99 / p50 of requests that arrive at random (a Poisson process) at `load` of what the `servers` can do."""
    rng = random.Random(0)
    free = [0.0] * servers
    latencies, now = [], 0.0
    for _ in range(requests):
        now += rng.expovariate(load * servers)
        done = max(now, heapq.heappop(free)) + 1.0
        heapq.heappush(free, done)
        latencies.append(done - now)
    p50, p99 = np.quantile(latencies[_WARM_UP:], (0.5, 0.99))
    return float(p99 / p50)


if __name__ == "__main__":
    cpus = available_cpus()
    print(f"{cpus} servers at 80 %: p99 / p50 {p99_to_p50(cpus):.2f}")
