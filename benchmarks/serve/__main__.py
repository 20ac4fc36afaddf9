"""Thud beside the ceiling and beside the usual way, on one machine in one run, with load from other processes.

    python -m benchmarks.serve [PHOTOGRAPHS] [--before CHECKOUT] [--markdown docs/performance.md] [--quick]

`ceiling` is decode, network and search in a plain loop in one process with as many threads as CPUs. `Thud` is a
real `thud serve`. `usual way` is FastAPI, eager PyTorch in float32, torchvision's transforms, Pillow's full decode
and an exact index (benchmarks/serve/usual_way.py). Thud and the ceiling run with the same network as the usual
way, a ResNet-18, in INT8, and with the bundle that ships. `Thud before` is a real `thud serve` of another commit:

    git worktree add /tmp/before HEAD~1
    python -m benchmarks.serve --before /tmp/before

It runs in this environment, with this commit's bundle and index, so that only its code differs.

The sides take turns in every round, so that other work on the machine disturbs all of them alike; every figure is
the median over rounds, a ratio is of two sides in the same round. The load takes CPU from what it loads, about
0.1 ms for a request of 640x480. With the defaults it takes ten minutes on two cores. `python -m benchmarks.soak`
is the soak alone.
"""

import argparse
import tempfile
from pathlib import Path

from benchmarks.serve.measure import Plan, measure
from benchmarks.serve.report import as_markdown, as_text


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        "python -m benchmarks.serve", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("photographs", type=Path, nargs="?", help="folder of pictures; drawn ones without")
    parser.add_argument("--before", type=Path, help="checkout of another commit, as a further side")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    parser.add_argument("--sounds", type=int, default=100_000, help="vectors in the index")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=10_000, help="requests over which memory should stay flat")
    parser.add_argument(
        "--quick", action="store_true", help="some requests to each side, to try whether all of it works"
    )
    arguments = parser.parse_args()
    if arguments.before is not None and not (arguments.before / "thud.py").is_file():
        parser.error(f"{arguments.before} is no checkout of Thud: it has no thud.py")
    plan = Plan(
        photographs=arguments.photographs,
        before=arguments.before and arguments.before.resolve(),
        sounds=arguments.sounds,
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        soak=arguments.soak,
    )
    if arguments.quick:
        plan = Plan(
            plan.photographs,
            plan.before,
            sounds=2000,
            seconds=0.1,
            rounds=1,
            soak=10,
            requests=16,
            warm_up=0.0,
            pictures=2,
            concurrencies=(8,),
            large=(1024, 768),
        )
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(plan, Path(scratch))
    print(as_text(report))
    if arguments.markdown:
        arguments.markdown.write_text(as_markdown(report), encoding="utf-8")


if __name__ == "__main__":
    main()
