"""Indexing beside the bare sound tower, on the same cores, in turns."""

import shutil
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from index.building.build import build_index
from model.bundle import Bundle
from model.hit import cut_clip, find_hit
from model.runtime import TowerRuntime
from model.sound import Samples, decode_sound
from model.threads import available_cpus


def rates(bundle: Bundle, files: list[Path], work: Path, rounds: int) -> dict[str, float]:
    """Sounds a second that are indexed, clips a second that the tower embeds, and the median ratio of the rounds.

    The tower gets the clips of the same sounds, one at a time on each of as many threads. Both are warm.
    """
    runtime = TowerRuntime(bundle, threads=1)
    clips = [_clip(bundle, file) for file in files]
    runtime.embed_clips(clips[0])
    indexed, bare = [], []
    for _ in range(rounds):
        bare.append(_tower(runtime, clips))
        shutil.rmtree(work, ignore_errors=True)
        report = build_index(bundle, files[0].parents[1], work)
        indexed.append(report.rate)
        bare.append(_tower(runtime, clips))
    shutil.rmtree(work)
    ratios = [one * 2 / (before + after) for one, before, after in zip(indexed, bare[::2], bare[1::2], strict=True)]
    return {
        "indexed a second": statistics.median(indexed),
        "bare tower a second": statistics.median(bare),
        "ratio": statistics.median(ratios),
    }


def _clip(bundle: Bundle, file: Path) -> Samples:
    spec = bundle.spec.clip
    samples = decode_sound(file, spec.sample_rate).samples
    hit = find_hit(samples, spec.sample_rate)
    clip: Samples = cut_clip(samples, spec.sample_rate, hit, spec.before, spec.after)[None]
    return clip


def _tower(runtime: TowerRuntime, clips: list[Samples]) -> float:
    began = time.perf_counter()
    with ThreadPoolExecutor(available_cpus()) as pool:
        for _ in pool.map(runtime.embed_clips, clips):
            pass
    return len(clips) / (time.perf_counter() - began)
