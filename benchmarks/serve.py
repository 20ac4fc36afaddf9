"""Thud beside the ceiling and beside the usual way, on one machine in one run, with load from other processes.

    python benchmarks/serve.py [PHOTOGRAPHS] [--markdown docs/performance.md] [--soak 100000] [--quick]

`ceiling` is decode, network and search in a plain loop in one process with as many threads as CPUs. `Thud` is a
real `thud serve`. `usual way` is FastAPI, eager PyTorch in float32, torchvision's transforms, Pillow's full decode
and an exact index (benchmarks/usual_way.py). Thud and the ceiling run with the same network as the usual way, a
ResNet-18, in INT8, and with the bundle that ships. Rounds of all sides follow each other, so that whoever else
uses the machine disturbs them alike; every figure is the median over rounds, ratios of each round's own pair.
The load takes CPU from what it loads, some 0.1 ms a request of 640x480.

With the defaults it takes ten minutes on two cores; with `--soak 100000` ten more.
benchmarks/soak.py is the soak alone.
"""

import argparse
import tempfile
from pathlib import Path

from serve_measure import Plan, measure
from serve_report import as_markdown, as_text
from serve_results import Report


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("photographs", type=Path, nargs="?", help="folder of pictures; drawn ones without")
    parser.add_argument("--markdown", type=Path, help="write the tables to this file")
    parser.add_argument("--sounds", type=int, default=100_000, help="vectors in the index")
    parser.add_argument("--seconds", type=float, default=4.0, help="of each side in each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--soak", type=int, default=10_000, help="requests over which memory should stay flat")
    parser.add_argument(
        "--quick", action="store_true", help="a second of everything, the 12 megapixels being 2; tells nothing"
    )
    arguments = parser.parse_args()
    plan = Plan(
        photographs=arguments.photographs,
        sounds=arguments.sounds,
        seconds=arguments.seconds,
        rounds=arguments.rounds,
        soak=arguments.soak,
    )
    if arguments.quick:
        plan = Plan(
            arguments.photographs,
            sounds=2000,
            seconds=1.0,
            rounds=1,
            soak=50,
            pictures=2,
            concurrencies=(8,),
            large=(1600, 1200),
        )
    report: Report
    with tempfile.TemporaryDirectory() as scratch:
        report = measure(plan, Path(scratch))
    print(as_text(report))
    if arguments.markdown:
        arguments.markdown.write_text(as_markdown(report), encoding="utf-8")


if __name__ == "__main__":
    main()
