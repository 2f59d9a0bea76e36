"""Time of a search in the catalogue by lume-clip, on one thread, all in one run.

    OMP_NUM_THREADS=1 python benchmarks/catalogue_search.py

A search with stored vectors against one that embeds all 240 pictures anew, and the
parts of the first: reading the words, and comparing with 240 and with 24,000 vectors.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import statistics
import time
from collections.abc import Callable

import torch

from labs_support import settings, shelf
from labs_support.contrastive import embed_pictures, embed_texts
from labs_support.pictures import open_picture
from labs_support.world import store

QUERY = "a striped red kite on the beach"
RUNS = 7


def seconds(run: Callable[[], object], runs: int = RUNS) -> float:
    """Return the median wall time of a call, after one that does not count."""
    run()
    spent = []
    for _ in range(runs):
        start = time.perf_counter()
        run()
        spent.append(time.perf_counter() - start)
    return statistics.median(spent)


def measure() -> dict[str, float]:
    """Return seconds by what is measured."""
    settings.seed_everything()
    clip = shelf.image_text()
    folder = store.DATA / "catalogue"
    files = [folder / row["picture"] for row in store.rows("catalogue")]
    pictures = [open_picture(file) for file in files]
    vectors = embed_pictures(clip, pictures)
    large = vectors.repeat(100, 1)
    (query,) = embed_texts(clip, [QUERY])

    def search(vectors: torch.Tensor) -> list[int]:
        return (vectors @ embed_texts(clip, [QUERY])[0]).topk(5).indices.tolist()

    return {
        "search, vectors stored": seconds(lambda: search(vectors)),
        "search, pictures embedded anew": seconds(
            lambda: search(embed_pictures(clip, pictures)), runs=3
        ),
        "reading the words": seconds(lambda: embed_texts(clip, [QUERY])),
        "comparing with 240 vectors": seconds(lambda: (vectors @ query).topk(5)),
        "comparing with 24,000 vectors": seconds(lambda: (large @ query).topk(5)),
    }


def main() -> None:
    """Print one line for each measurement, and the ratio of the two searches."""
    times = measure()
    for name, value in times.items():
        print(f"{name:32} {1000 * value:9.2f} ms")
    first, second = list(times.values())[:2]
    print(f"stored vectors make a search {second / first:.0f} times as fast")


if __name__ == "__main__":
    main()
