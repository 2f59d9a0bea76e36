"""Find the nearest of many vectors: compare all, some cells, or walk along a graph.

Built in view in lesson 08. All vectors have length one, so that a dot product is a
cosine. Every search returns the places of the nearest vectors, the best first, and how
many vectors it compared with the query.
"""

import heapq
import itertools
import math
import time
from array import array
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

BLOCK = 128  # vectors whose links are chosen at a time, to save memory


def nearest(vectors: np.ndarray, query: np.ndarray, k: int) -> tuple[list[int], int]:
    """Return the k vectors nearest to a query, after comparing with all of them.

    Args:
        vectors: (N, C).
        query: (C,).
        k: how many, at most N.
    """
    scores = vectors @ query  # (N,)
    best = np.argpartition(-scores, k - 1)[:k]
    return best[np.argsort(-scores[best], kind="stable")].tolist(), len(vectors)


def recall(found: list[int], wanted: list[int]) -> float:
    """Return the share of the wanted places that were found, 0-1."""
    return len(set(found) & set(wanted)) / len(wanted)


class Measured(NamedTuple):
    """What a search costs and finds: comparisons, milliseconds (median), recall (mean)."""

    n_compared: float
    milliseconds: float
    recall: float


def measured(search: Callable, queries: np.ndarray, wanted: list) -> Measured:
    """Return what a search costs and finds, over several queries.

    Args:
        search: called with a query (C,), returns places and how many it compared.
        queries: (Q, C).
        wanted: the places that each query should find.
    """
    spent, n_compared, met = [], [], []
    for query, places in zip(queries, wanted, strict=True):
        start = time.perf_counter()
        found, n = search(query)
        spent.append(1000 * (time.perf_counter() - start))
        n_compared.append(n)
        met.append(recall(found, places))
    return Measured(np.mean(n_compared), np.median(spent), np.mean(met))


def exponent(sizes, counts) -> float:
    r"""Return the $b$ of $\text{count} \approx a N^b$, fitted in logarithms."""
    return float(np.polyfit(np.log(sizes), np.log(counts), 1)[0])


def crowd(vectors: np.ndarray, n: int, seed: int, strength: float = 0.3) -> np.ndarray:
    """Return n unit vectors made from few: one real vector each, moved a little.

    The move is the difference of two other real vectors, so that it points where real
    texts differ and not into all 384 directions alike.

    Args:
        vectors: real embeddings, (M, C).
        n: how many to make.
        seed: of the draw.
        strength: length of the move against that of the difference.
    """
    rng = np.random.default_rng(seed)
    made = np.empty((n, vectors.shape[1]), vectors.dtype)
    for i in range(0, n, 10_000):  # in blocks, to save memory
        block = made[i : i + 10_000]
        start, plus, minus = rng.integers(len(vectors), size=(3, len(block)))
        block[:] = vectors[start] + strength * (vectors[plus] - vectors[minus])
        block /= np.linalg.norm(block, axis=1, keepdims=True)
    return made


class Cells:
    """An inverted file (IVF): vectors sorted into cells around k-means centres.

    Args:
        vectors: (N, C).
        seed: of k-means.

    Source: Sivic and Zisserman (2003), Video Google.
    """

    def __init__(self, vectors: np.ndarray, seed: int = 0):
        from sklearn.cluster import MiniBatchKMeans

        n_cells = round(math.sqrt(len(vectors)))
        sample = vectors[:: max(1, len(vectors) // (32 * n_cells))]
        means = MiniBatchKMeans(n_cells, random_state=seed, n_init=1, max_iter=20)
        self.vectors, self.centres = vectors, means.fit(sample).cluster_centers_
        self.cell_of = means.predict(vectors)
        order = np.argsort(self.cell_of, kind="stable")
        ends = np.cumsum(np.bincount(self.cell_of, minlength=n_cells))[:-1]
        self.members = np.split(order, ends)

    def search(self, query: np.ndarray, k: int, n_cells: int) -> tuple[list[int], int]:
        """Return the k nearest vectors in the n_cells cells nearest to the query."""
        cells, n_centres = nearest(self.centres, query, n_cells)
        places = np.concatenate([self.members[cell] for cell in cells])
        best, n_members = nearest(self.vectors[places], query, min(k, len(places)))
        return places[best].tolist(), n_centres + n_members


def diverse(vectors, place, candidates, n_links):
    """Return at most n_links candidates, none nearer to a chosen one than to place.

    Links that point in different directions let a walk leave a crowded corner.

    Args:
        vectors: (N, C).
        place: whose links are chosen.
        candidates: places near to it, the best first.
        n_links: the most to choose.

    Source: Malkov and Yashunin (2016), HNSW, algorithm 4.
    """
    chosen = []
    for candidate in candidates:
        nearness = vectors[candidate] @ vectors[place]
        if all(vectors[candidate] @ vectors[one] < nearness for one in chosen):
            chosen.append(candidate)
    return chosen[:n_links]


def walk(vectors, links, query, start, width):
    """Return the best places of a walk along links, and how many it looked at.

    Args:
        vectors: (N, C).
        links: {place: places it is linked with}.
        query: (C,).
        start: places where the walk begins.
        width: how many of the best places to keep in hand.
    """
    seen, ahead, best = set(), [], []
    fresh = list(start)
    while True:
        seen.update(fresh)
        scores = (vectors[fresh] @ query).tolist()
        for score, place in zip(scores, fresh, strict=True):
            if len(best) < width or score > best[0][0]:
                heapq.heappush(ahead, (-score, place))
                heapq.heappush(best, (score, place))
                if len(best) > width:
                    heapq.heappop(best)
        if not ahead or len(best) == width and -ahead[0][0] < best[0][0]:
            return [place for _, place in sorted(best, reverse=True)], len(seen)
        fresh = [other for other in links[heapq.heappop(ahead)[1]] if other not in seen]


class Graph:
    """A navigable graph in layers (HNSW): few far links above, many near ones below.

    HNSW inserts one vector after the other. Here all links of a layer are chosen at
    once, which is faster in numpy and gives the same kind of graph, and the walk takes
    all the places it has in hand down to the next layer, not only the best one.

    Args:
        vectors: (N, C).
        seed: of the layers.
        n_links: the most links that a vector chooses; it may be chosen by more.

    Source: Malkov and Yashunin (2016), HNSW.
    """

    SHRINK = 8  # each layer holds one in SHRINK of the vectors of the one below

    def __init__(self, vectors: np.ndarray, seed: int = 0, n_links: int = 16):
        order = np.random.default_rng(seed).permutation(len(vectors))
        self.vectors, self.layers = vectors, []
        while len(order):
            self.layers.append(linked(vectors, np.sort(order), seed, n_links))
            self.start = [int(order[0])]
            order = order[: len(order) // self.SHRINK]

    def search(self, query: np.ndarray, k: int, width: int) -> tuple[list[int], int]:
        """Return the k nearest vectors that a walk from the top layer down finds."""
        places, n_compared = self.start, 0
        for links in reversed(self.layers):
            places, n_seen = walk(self.vectors, links, query, places, width)
            n_compared += n_seen
        return places[:k], n_compared


def linked(vectors, places, seed, n_links) -> dict[int, array]:
    """Return {place: linked places} of one layer, every link in both directions.

    The links are those that `diverse` chooses among the nearest vectors in the cells
    around each vector, for all vectors of a cell at once.

    Args:
        vectors: (N, C).
        places: the vectors of the layer, sorted.
        seed: of the cells.
        n_links: the most links that a vector chooses.
    """
    whole = len(places) == len(vectors)
    own = vectors if whole else vectors[places]  # (n, C), the large layer is not copied
    cells = Cells(own, seed)
    around = np.argsort(-(cells.centres @ cells.centres.T), axis=1)[:, :6]
    n, numbers = len(places), [np.zeros(0, dtype=int)]  # a link is one number
    for cell, members in enumerate(cells.members):
        pool = np.concatenate([cells.members[other] for other in around[cell]])
        for start in range(0, len(members) if len(pool) > 1 else 0, BLOCK):
            block = members[start : start + BLOCK]
            rows, ends = _chosen(own, block, pool, n_links)
            numbers.append(block[rows] * n + ends)
    one_way = np.concatenate(numbers)
    both_ways = np.append(one_way, one_way % n * n + one_way // n)
    pairs = np.unique(both_ways)
    ends = places[pairs % n].astype("int32")
    cuts = np.searchsorted(pairs, np.arange(n + 1) * n).tolist()
    rows = (array("i", ends[a:b].tobytes()) for a, b in itertools.pairwise(cuts))
    return dict(zip(places.tolist(), rows, strict=True))


def _chosen(own, members, pool, n_links, n_candidates=32):
    """Return what `diverse` chooses for each member: rows of members, and places."""
    scores = own[members] @ own[pool].T  # (m, p)
    scores[members[:, None] == pool] = -np.inf  # not with itself
    n = min(n_candidates, len(pool) - 1)
    best = np.argpartition(-scores, n - 1, axis=1)[:, :n]  # (m, n), in no order
    near = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-near, axis=1, kind="stable")
    best, near = (np.take_along_axis(a, order, axis=1) for a in (best, near))
    others = own[pool[best]]  # (m, n, C)
    alike = others @ others.transpose(0, 2, 1)  # (m, n, n)
    chosen = np.zeros(best.shape, dtype=bool)
    for j in range(n):
        chosen[:, j] = ~(chosen & (alike[:, j] >= near[:, j : j + 1])).any(axis=1)
    chosen &= chosen.cumsum(axis=1) <= n_links
    rows, columns = np.nonzero(chosen)
    return rows, pool[best[rows, columns]]


def bits(vectors: np.ndarray) -> np.ndarray:
    """Return the signs of vectors, eight to a byte, (N, C / 8)."""
    return np.packbits(vectors > 0, axis=-1)


def bit_distances(codes: np.ndarray, query: np.ndarray) -> np.ndarray:
    """Return in how many bits each code differs from the query's, (N,)."""
    return np.bitwise_count(codes ^ query).sum(axis=-1)
