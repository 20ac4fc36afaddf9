"""How many of a video's materials its drawn clips name, by the number of clips: what "good" means in a report.

    python -m benchmarks.quality.label_coverage ANNOTATIONS [--clips 2 --clips 4 --clips 8 --clips 10]

ANNOTATIONS is the folder with `<id>_times.txt` and `test.txt`. A picture's own clips are those that
`thud prepare greatest-hits --clips N` draws of its video (paper, 3.1: ten); what is known of it are the materials
of all its events. *named* is the share of what is known that the own clips name: a sound of the rest is counted as
wrong by the own clips. *macro* is the mean of the materials' shares.
"""

from pathlib import Path

import click
import numpy as np

from model.materials import MATERIALS
from training.data.greatest_hits import TIMES_SUFFIX, VideoTask, draw_touches, read_events, read_split


@click.command()
@click.argument("annotations", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--clips", multiple=True, type=click.IntRange(min=1), default=(2, 4, 8, 10), show_default=True)
@click.option("--seed", default=0, show_default=True)
def main(annotations: Path, clips: tuple[int, ...], seed: int) -> None:
    """Print a table for the test videos."""
    print("| clips a video | named | named, macro | videos whose clips name all |")
    print("| ---: | ---: | ---: | ---: |")
    for count in clips:
        named, known, whole, videos = np.zeros(len(MATERIALS)), np.zeros(len(MATERIALS)), 0, 0
        for video in read_split(annotations / "test.txt"):
            events = [event for event in read_events(annotations / f"{video}{TIMES_SUFFIX}") if event.material]
            touches = [event for event in events if event.action]
            if not touches:
                continue
            task = VideoTask(video, str(annotations), "test", count, seed, ())
            own = {event.material for event in draw_touches(touches, task)}
            all_known = {event.material for event in events}
            for material in MATERIALS:
                named[material.id] += material.name in own
                known[material.id] += material.name in all_known
            whole += own == all_known
            videos += 1
        shares = named[known > 0] / known[known > 0]
        print(f"| {count} | {named.sum() / known.sum():.3f} | {shares.mean():.3f} | {whole / videos:.3f} |")


if __name__ == "__main__":
    main()
