"""Break many files and decode them; report what came of it. Nothing but a decoder's own error may be raised.

    python -m tests.fuzz.run --pictures 50000 --sounds 10000 --jobs 2 --failures FOLDER

Each job is a process of its own. One that dies, or that is longer at one file than the deadline, is reported with
the file that it was at, and goes on after it in a new process. Files that fail are written to the folder.
"""

import argparse
import multiprocessing
import os
import resource
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from multiprocessing.queues import SimpleQueue
from pathlib import Path

from model.errors import PictureError, SoundError
from model.picture import picture_array
from model.picture_format import PictureLimits
from model.sound import SoundLimits, decode_sound
from tests.fuzz.mutations import mutated
from tests.fuzz.seeds import picture_seeds, sound_seeds

SECONDS = 20
"""The longest that one file may take. Most take a few milliseconds."""

# What the service's own defaults bound, at a size that keeps a run short.
PICTURE_LIMITS = PictureLimits(max_pixels=4_000_000)
SOUND_LIMITS = SoundLimits(max_seconds=30.0)

Outcome = tuple[int, str, float, int]
"""Number of the file, what came of it, the seconds it took, and the process's peak memory so far in MB."""


def decode_picture_bytes(data: bytes) -> str:
    """Decode a picture; "decoded" or the name of the decoder's error."""
    try:
        pixels = picture_array(data, 32, "squash", PICTURE_LIMITS)
    except PictureError as error:
        return type(error).__name__
    assert pixels.shape == (32, 32, 3)
    return "decoded"


def decode_sound_bytes(data: bytes) -> str:
    """Decode a sound; "decoded" or the name of the decoder's error."""
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            sound = decode_sound(Path(file.name), 16_000, SOUND_LIMITS)
        except SoundError as error:
            return type(error).__name__
    assert sound.samples.ndim == 1
    return "decoded"


Decoder = Callable[[bytes], str]
DECODERS: dict[str, tuple[Decoder, Callable[[], dict[str, bytes]]]] = {
    "picture": (decode_picture_bytes, picture_seeds),
    "sound": (decode_sound_bytes, sound_seeds),
}


def _work(
    decode: Decoder, seeds: list[bytes], numbers: range, deadline: int, outcomes: "SimpleQueue[Outcome]"
) -> None:
    for number in numbers:
        data = mutated(seeds, number)
        signal.alarm(deadline)  # ends the process, whatever C code it is in
        began = time.perf_counter()
        try:
            outcome = decode(data)
        except Exception as error:
            outcome = f"RAISED {type(error).__name__}: {error}"
        seconds = time.perf_counter() - began
        outcomes.put((number, outcome, seconds, peak_mb()))
    signal.alarm(0)


def fuzz(
    decode: Decoder, seeds: list[bytes], count: int, first: int, jobs: int, deadline: int = SECONDS
) -> list[Outcome]:
    """What came of the files `first` to `first + count` made from the seeds, in no particular order.

    `deadline` is in seconds. Both `decode` and the seeds are sent to other processes.
    """
    context = multiprocessing.get_context("spawn")
    waiting = [range(first + job, first + count, jobs) for job in range(jobs)]
    running: list[tuple[multiprocessing.process.BaseProcess, range, SimpleQueue[Outcome]]] = []
    found: list[Outcome] = []
    while waiting or running:
        while waiting:
            numbers = waiting.pop()
            outcomes: SimpleQueue[Outcome] = context.SimpleQueue()
            process: multiprocessing.process.BaseProcess = context.Process(
                target=_work, args=(decode, seeds, numbers, deadline, outcomes)
            )
            process.start()
            running.append((process, numbers, outcomes))
        for job in list(running):
            process, numbers, outcomes = job
            while not outcomes.empty():
                found.append(outcomes.get())
                numbers = numbers[1:]
            running[running.index(job)] = (process, numbers, outcomes)
            if process.is_alive() or not outcomes.empty():
                continue
            process.join()
            running = [one for one in running if one[0] is not process]
            if numbers:
                how = "HUNG" if process.exitcode == -signal.SIGALRM else f"DIED {process.exitcode}"
                found.append((numbers[0], how, 0.0, 0))
                waiting.append(numbers[1:])
        time.sleep(0.02)
    return found


def peak_mb() -> int:
    """Peak memory of this process in MB."""
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20
    # Not ru_maxrss: Linux counts in it what the process had in memory that started this one.
    return int(status.partition("VmHWM:")[2].split()[0]) // 2**10


def failures(found: list[Outcome]) -> list[Outcome]:
    """Those that are no picture or sound and no error of its decoder."""
    return [one for one in found if one[1].split()[0] in ("RAISED", "HUNG", "DIED")]


def main() -> None:
    """Fuzz and report; exits with 1 where something failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pictures", type=int, default=50_000)
    parser.add_argument("--sounds", type=int, default=10_000)
    parser.add_argument("--first", type=int, default=0, help="number of the first file")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--failures", type=Path, help="folder for the files that fail")
    arguments = parser.parse_args()
    bad = 0
    for kind, count in (("picture", arguments.pictures), ("sound", arguments.sounds)):
        if not count:
            continue
        began = time.perf_counter()
        decode, make = DECODERS[kind]
        seeds = list(make().values())
        found = fuzz(decode, seeds, count, arguments.first, arguments.jobs)
        slowest = max(found, key=lambda one: one[2])
        print(f"{len(found):,} broken {kind}s in {time.perf_counter() - began:.0f} s")
        for outcome, times in Counter(one[1].split(":")[0] for one in found).most_common():
            print(f"  {outcome:<24} {times:>8,}")
        print(f"  slowest: number {slowest[0]}, {slowest[2]:.2f} s; peak memory {max(one[3] for one in found)} MB")
        for number, outcome, _, _ in failures(found):
            bad += 1
            print(f"  number {number}: {outcome}")
            if arguments.failures:
                arguments.failures.mkdir(parents=True, exist_ok=True)
                (arguments.failures / f"{kind}-{number}").write_bytes(mutated(seeds, number))
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
