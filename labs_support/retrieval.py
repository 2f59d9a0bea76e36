"""Find the passages that a question is about: by meaning, by words, and by both.

Built in view in lesson 08. A ranking is a list of places in a list of passages, the best
first; `fuse` makes one of several.
"""

import re
from collections.abc import Iterable, Sequence

import numpy as np

from labs_support import reading
from labs_support.chunks import Passage

WORD = re.compile(r"[a-z0-9]+(?:[.'][a-z0-9]+)*")
STOP_WORDS = frozenset(
    "a an and are as at be by can do does for from have how i if in is it me my of on or"
    " our so that the there this to we what when where which who with you your".split()
)
ORDERS = ("meaning", "words", "both")


def euclidean(a: np.ndarray, b: np.ndarray) -> float:
    r"""Return the length of the straight way, $\sqrt{\sum (a - b)^2}$."""
    return float(np.sqrt(((a - b) ** 2).sum()))


def manhattan(a: np.ndarray, b: np.ndarray) -> float:
    r"""Return the length of the way along the axes, $\sum |a - b|$."""
    return float(np.abs(a - b).sum())


def cosine_similarity(a: np.ndarray, b: np.ndarray) -> float:
    r"""Return the cosine of the angle, $a \cdot b / (|a| |b|)$: 1 same way, 0 square."""
    return float(a @ b / np.sqrt((a @ a) * (b @ b)))


def hamming(a: np.ndarray, b: np.ndarray) -> int:
    """Return in how many places two lists of bits differ."""
    return int((a != b).sum())


def jaccard(a: set, b: set) -> float:
    r"""Return the distance of two sets, $1 - |a \cap b| / |a \cup b|$."""
    return 1 - len(a & b) / len(a | b)


def words(text: str) -> list[str]:
    """Return the words of a text for BM25: lower case, bare stems, no stop words."""
    found = (word for word in WORD.findall(text.lower()) if word not in STOP_WORDS)
    return [re.sub(r"(?<=\w\w\w)(?:ing|ed|es|s)$", "", word) for word in found]


def fuse(rankings: Iterable[Sequence[int]], k: int = 60) -> list[int]:
    r"""Return one ranking made of several: $\sum 1 / (k + \text{rank})$.

    Source: Cormack, Clarke and Buettcher (2009), Reciprocal Rank Fusion.
    """
    points = {}
    for ranking in rankings:
        for rank, place in enumerate(ranking, 1):
            points[place] = points.get(place, 0.0) + 1 / (k + rank)
    return sorted(points, key=lambda place: (-points[place], place))


def hit_at(ranks: Sequence[int], k: int) -> float:
    """Return the share of questions whose right passage is among the first k.

    Args:
        ranks: rank of the right passage for each question, from 1.
        k: how many passages are read.
    """
    return sum(rank <= k for rank in ranks) / len(ranks)


def mean_reciprocal_rank(ranks: Sequence[int]) -> float:
    r"""Return the MRR, the mean of $1 / \text{rank}$; ranks count from 1."""
    return sum(1 / rank for rank in ranks) / len(ranks)


class Index:
    """Passages with their vectors and word counts, ready to be asked.

    Args:
        passages: what can be found.
        vectors: their unit vectors (N, C); made here if not given.
    """

    def __init__(self, passages: list[Passage], vectors: np.ndarray | None = None):
        from rank_bm25 import BM25Okapi

        texts = [f"{passage.title}\n{passage.text}" for passage in passages]
        self.passages = passages
        self.vectors = reading.embed(texts) if vectors is None else vectors  # (N, C)
        self.bm25 = BM25Okapi([words(text) for text in texts])

    def cosines(self, question: str) -> np.ndarray:
        """Return the cosine of a question and every passage, (N,)."""
        return self.vectors @ reading.embed([question])[0]

    def rank(
        self, question: str, by: str = "both", cosines: np.ndarray | None = None
    ) -> list[int]:
        """Return the places of all passages, the best first.

        Args:
            question: what is looked for.
            by: "meaning" compares vectors, "words" is BM25, "both" fuses the two.
            cosines: of the question and every passage, if they are known.
        """
        if by not in ORDERS:
            raise ValueError(f"by is {by!r}; it can be {', '.join(ORDERS)}")
        found = []
        if by != "words":
            cosines = self.cosines(question) if cosines is None else cosines
            found.append(np.argsort(-cosines, kind="stable"))
        if by != "meaning":
            points = self.bm25.get_scores(words(question))
            found.append(np.argsort(-points, kind="stable"))
        return fuse(ranking.tolist() for ranking in found)
