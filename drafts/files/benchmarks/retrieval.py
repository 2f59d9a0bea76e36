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
HNSW = {
    "space": "cosine",
    "ef_construction": 200,
    "max_neighbors": 32,
    "num_threads": 1,
}
WIDTHS = (50, 100, 200, 400, 800)  # ef_search
WANTED = 0.95


def material(n: int) -> tuple[np.ndarray, np.ndarray]:
    """Return n vectors made from the handbook's paragraphs, and 100 questions."""
    texts = [t for p in chunks.passages() for t in chunks.paragraphs(p.text)]
    asked = [row["question"] for row in questions.answerable("test")][:100]
    return crowd(skills.embed(texts), n, seed=0), skills.embed(asked)


def collection(folder: str, vectors: np.ndarray, width: int):
    """Return a Chroma collection of the vectors that searches with this width."""
    client = chromadb.PersistentClient(
        folder, settings=chromadb.Settings(anonymized_telemetry=False)
    )
    made = client.create_collection(
        f"width{width}",
        embedding_function=None,
        configuration={"hnsw": HNSW | {"ef_search": width}},
    )
    for start in range(0, len(vectors), BATCH):
        part = vectors[start : start + BATCH]
        made.add(ids=[str(start + i) for i in range(len(part))], embeddings=part)
    return made


def measure(made, vectors, asked, repeats: int) -> dict:
    """Return recall, and median milliseconds of both searches and of their ratio."""

    def chroma(query):
        found = made.query(query_embeddings=[query], n_results=K, include=[])
        return [int(id) for id in found["ids"][0]]

    def exact(query):
        return nearest(vectors, query, K)[0]

    truth = [exact(query) for query in asked]
    met = [recall(chroma(q), true) for q, true in zip(asked, truth, strict=True)]
    spent = {"chroma": [], "exact": []}
    for _ in range(repeats):
        for name, search in (("chroma", chroma), ("exact", exact)):
            start = time.perf_counter()
            for query in asked:
                search(query)
            spent[name].append((time.perf_counter() - start) / len(asked) * 1000)
    ratios = [a / b for a, b in zip(spent["exact"], spent["chroma"], strict=True)]
    return {
        "recall": float(np.mean(met)),
        "chroma_ms": statistics.median(spent["chroma"]),
        "exact_ms": statistics.median(spent["exact"]),
        "exact_over_chroma": statistics.median(ratios),
    }


def main() -> None:
    """Widen the search until the recall is reached, and print both times."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=100_000)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    vectors, asked = material(options.n)
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        made = collection(folder, vectors, WIDTHS[0])
        seconds = time.perf_counter() - start
        for width in WIDTHS:
            made.modify(configuration={"hnsw": {"ef_search": width}})
            found = measure(made, vectors, asked, options.repeats)
            if found["recall"] >= WANTED:
                break
    found |= {"vectors": options.n, "ef_search": width, "build_s": seconds}
    if options.json:
        print(json.dumps(found))
        return
    print(
        f"{options.n:,} vectors of {vectors.shape[1]}, {len(asked)} questions, k = {K}"
    )
    print(f"indexing      {seconds:8.1f} s")
    print(f"recall@10     {found['recall']:8.3f}   (ef_search {width})")
    print(f"Chroma        {found['chroma_ms']:8.2f} ms a question")
    print(f"exact, numpy  {found['exact_ms']:8.2f} ms a question")
    print(f"exact over Chroma {found['exact_over_chroma']:4.1f} times")
    if found["recall"] < WANTED:
        raise SystemExit(f"recall@10 stays below {WANTED} up to ef_search {width}")


if __name__ == "__main__":
    main()
