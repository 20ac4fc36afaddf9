"""Indexing beside the bare sound tower, on the same cores, in turns."""

import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from index.building.build import build_index
from model.bundle import Bundle
from model.hit import cut_clip, find_hit
from model.runtime import TowerRuntime
from model.sound import Samples, decode_sound
from model.threads import available_cpus


@dataclass(frozen=True)
class Side:
    """Sounds a second, and CPU seconds of all threads for one."""

    rate: float
    cpu: float


def rates(bundle: Bundle, files: list[Path], work: Path, rounds: int) -> dict[str, float]:
    """Sounds a second that are indexed, clips a second that the tower embeds, and the median ratio of the rounds.

    The tower gets the clips of the same sounds, one at a time on each of as many threads. Both are warm. Also the
    CPU milliseconds of both and the median of their ratios, which say more where others use the machine too. What
    a run over a library of a single sound costs is not counted in them.
    """
    runtime = TowerRuntime(bundle, threads=1)
    clips = [_clip(bundle, file) for file in files]
    runtime.embed_clips(clips[0])
    single = work.with_name("single")
    single.mkdir(exist_ok=True)
    shutil.copy(files[0], single / files[0].name)
    indexed, bare = [], []
    for _ in range(rounds):
        before = _tower(runtime, clips)
        least, all_of_them = (_index(bundle, one, work) for one in (single, files[0].parents[1]))
        indexed.append(Side(all_of_them.rate, (all_of_them.cpu - least.cpu) / (len(files) - 1)))
        after = _tower(runtime, clips)
        bare.append(Side((before.rate + after.rate) / 2, (before.cpu + after.cpu) / 2))
    shutil.rmtree(work)
    shutil.rmtree(single)
    rounds_of_both = list(zip(indexed, bare, strict=True))
    return {
        "indexed a second": statistics.median(one.rate for one in indexed),
        "bare tower a second": statistics.median(one.rate for one in bare),
        "ratio": statistics.median(one.rate / tower.rate for one, tower in rounds_of_both),
        "indexed CPU ms": 1000 * statistics.median(one.cpu for one in indexed),
        "bare tower CPU ms": 1000 * statistics.median(one.cpu for one in bare),
        "CPU ratio": statistics.median(tower.cpu / one.cpu for one, tower in rounds_of_both),
    }


def _index(bundle: Bundle, folder: Path, work: Path) -> Side:
    """The rate of a run, and its whole CPU time."""
    shutil.rmtree(work, ignore_errors=True)
    cpu = time.process_time()
    return Side(build_index(bundle, folder, work).rate, time.process_time() - cpu)


def _clip(bundle: Bundle, file: Path) -> Samples:
    spec = bundle.spec.clip
    samples = decode_sound(file, spec.sample_rate).samples
    hit = find_hit(samples, spec.sample_rate)
    clip: Samples = cut_clip(samples, spec.sample_rate, hit, spec.before, spec.after)[None]
    return clip


def _tower(runtime: TowerRuntime, clips: list[Samples]) -> Side:
    began, cpu = time.perf_counter(), time.process_time()
    with ThreadPoolExecutor(available_cpus()) as pool:
        for _ in pool.map(runtime.embed_clips, clips):
            pass
    return Side(len(clips) / (time.perf_counter() - began), (time.process_time() - cpu) / len(clips))
