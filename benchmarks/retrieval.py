"""Chroma's HNSW against exact search in numpy: 100,000 vectors, ten nearest.

The vectors are made from real embeddings (`vector_search.crowd`), the questions are the
handbook's own and real. Both searches answer the same questions in one process on one
thread, in turns, so that a busy machine slows both; the table shows medians.

    OMP_NUM_THREADS=1 python benchmarks/retrieval.py [--n 100000] [--repeats 5] [--json]
"""

import argparse
import json
import os
import statistics
import tempfile
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")

import chromadb
import numpy as np

from labs_support import chunks, skills
from labs_support.vector_search import crowd, nearest, recall
from labs_support.world import questions

K, BATCH = 10, 5_000
WIDTH = 400  # ef_search; Chroma takes it when a collection is made, not afterwards
HNSW = {
    "space": "cosine",
    "ef_construction": 200,
    "ef_search": WIDTH,
    "max_neighbors": 32,
    "num_threads": 1,
}
WANTED = 0.95


def material(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n vectors made from the handbook's paragraphs, and 100 questions."""
    texts = [t for p in chunks.passages() for t in chunks.paragraphs(p.text)]
    asked = [row["question"] for row in questions.answerable("test")][:100]
    return crowd(skills.embed(texts), n, seed=0), skills.embed(asked)


def collection(folder: str, vectors: np.ndarray):
    """Return a Chroma collection of the vectors."""
    client = chromadb.PersistentClient(
        folder, settings=chromadb.Settings(anonymized_telemetry=False)
    )
    made = client.create_collection(
        "crowd",
        embedding_function=None,
        configuration={"hnsw": HNSW},
    )
    for start in range(0, len(vectors), BATCH):
        part = vectors[start : start + BATCH]
        made.add(ids=[str(start + i) for i in range(len(part))], embeddings=part)
    return made


def chroma(made, query: np.ndarray) -> list[int]:
    """Return the places that Chroma finds."""
    found = made.query(query_embeddings=[query], n_results=K, include=[])
    return [int(id) for id in found["ids"][0]]


def reached(made, asked, truth) -> float:
    """Return the recall of Chroma's ten nearest, mean over the questions."""
    pairs = zip(asked, truth, strict=True)
    return float(np.mean([recall(chroma(made, query), true) for query, true in pairs]))


def measure(made, vectors, asked, repeats: int) -> dict[str, float]:
    """Return median milliseconds a question of both searches, and of their ratio."""
    spent: dict[str, list[float]] = {"chroma": [], "exact": []}
    for _ in range(repeats):
        for name in spent:
            start = time.perf_counter()
            for query in asked:
                chroma(made, query) if name == "chroma" else nearest(vectors, query, K)
            spent[name].append((time.perf_counter() - start) / len(asked) * 1000)
    ratios = [a / b for a, b in zip(spent["exact"], spent["chroma"], strict=True)]
    return {
        "chroma_ms": statistics.median(spent["chroma"]),
        "exact_ms": statistics.median(spent["exact"]),
        "exact_over_chroma": statistics.median(ratios),
    }


def main() -> None:
    """Print recall and both times; the exit status is 1 below the recall wanted."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    vectors, asked = material(options.n)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = collection(folder, vectors)
        seconds = time.perf_counter() - start
        truth = [nearest(vectors, query, K)[0] for query in asked]
        met = reached(made, asked, truth)
        found = measure(made, vectors, asked, options.repeats)
    found |= {
        "vectors": options.n,
        "ef_search": WIDTH,
        "recall": met,
        "build_s": seconds,
    }
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{options.n:,} vectors of {vectors.shape[1]}, {len(asked)} questions, k = {K}"
    )
    print(f"indexing      {seconds:8.1f} s")
    print(f"recall@10     {found['recall']:8.3f}   (ef_search {WIDTH})")
    print(f"Chroma        {found['chroma_ms']:8.2f} ms a question")
    print(f"exact, numpy  {found['exact_ms']:8.2f} ms a question")
    print(f"exact over Chroma {found['exact_over_chroma']:4.1f} times")
    if met < WANTED:
        raise SystemExit(f"recall@10 is below {WANTED}")


if __name__ == "__main__":
    main()
