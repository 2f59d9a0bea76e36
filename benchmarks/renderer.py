"""Pictures per second of the renderer, on one thread: python benchmarks/renderer.py."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import random
import statistics
import time

from labs_support.world.looks import BACKGROUNDS, KINDS
from labs_support.world.render import render, sample_scene

PICTURES = 300
RUNS = 5


def pictures_per_second(size: int = 64) -> tuple[float, float]:
    """Return the median rates of fresh pictures, by wall clock and by CPU time."""
    rng = random.Random(0)
    scenes = [sample_scene(rng) for _ in range(PICTURES)]
    rates = []
    for _ in range(RUNS):
        wall, cpu = time.perf_counter(), time.process_time()
        for scene in scenes:
            render(scene, size)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
        rates.append((PICTURES / wall, PICTURES / cpu))
    wall_rate, cpu_rate = zip(*rates, strict=True)
    return statistics.median(wall_rate), statistics.median(cpu_rate)


def warm_up(size: int) -> float:
    """Return the seconds it takes to paint every sprite and panorama once."""
    rng, start = random.Random(1), time.perf_counter()
    for kind in KINDS:
        render(sample_scene(rng, kind=kind), size)
    for background in BACKGROUNDS:
        render(sample_scene(rng, background=background), size)
    return time.perf_counter() - start


def main() -> None:
    """Print one line per size."""
    for size in (64, 128):
        seconds = warm_up(size)
        wall, cpu = pictures_per_second(size)
        print(
            f"{size} px: {wall:.0f} pictures/s by the wall clock, "
            f"{cpu:.0f} by CPU time; first use {seconds:.1f} s"
        )


if __name__ == "__main__":
    main()
