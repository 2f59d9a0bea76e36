"""Scores that count shared runs of words: ROUGE for summaries, BLEU for translations.

Built in lesson 05; they equal `rouge_score` and `sacrebleu`. Texts come as lists of
words; `words` makes them as `rouge_score` does.
"""

import math
import re
from collections import Counter
from typing import NamedTuple


class Rates(NamedTuple):
    """Precision, recall and F1 of one comparison, each 0-1."""

    precision: float
    recall: float
    f1: float


def rates(shared: int, found: int, wanted: int) -> Rates:
    r"""Return precision, recall and their harmonic mean, $2PR/(P+R)$.

    Args:
        shared: how many of the found ones are right.
        found: how many there are in what is judged.
        wanted: how many there are in what is right.

    Built in lesson 05.
    """
    precision, recall = shared / max(found, 1), shared / max(wanted, 1)
    if not shared:
        return Rates(0.0, 0.0, 0.0)
    return Rates(precision, recall, 2 * precision * recall / (precision + recall))


def words(text: str) -> list[str]:
    """Return the words of a text as `rouge_score` cuts it: a-z and 0-9 only.

    Any other letter parts a word in two, so it suits English and little else.
    """
    return re.findall("[a-z0-9]+", text.lower())


def n_grams(words: list[str], n: int) -> Counter:
    """Return how often each run of n words occurs, {tuple of n words: number}."""
    return Counter(zip(*(words[i:] for i in range(n)), strict=False))


def rouge_n(candidate: list[str], reference: list[str], n: int) -> Rates:
    """Return ROUGE-n: the runs of n words that a summary shares with a reference.

    A run counts at most as often as it occurs in each of the two.

    Source: Lin (2004), ROUGE. Built in lesson 05.
    """
    found, wanted = n_grams(candidate, n), n_grams(reference, n)
    return rates((found & wanted).total(), found.total(), wanted.total())


def longest_common(a: list[str], b: list[str]) -> int:
    """Return the length of the longest sequence that stands in a and in b, in order.

    Words between those of the sequence do not matter. Built in lesson 05.
    """
    best = [0] * (len(b) + 1)  # best[j]: of the words of a so far and the first j of b
    for word in a:
        above = best[:]
        for j, other in enumerate(b):
            best[j + 1] = above[j] + 1 if word == other else max(best[j], above[j + 1])
    return best[-1]


def rouge_l(candidate: list[str], reference: list[str]) -> Rates:
    """Return ROUGE-L: the longest common sequence of a summary and a reference.

    Source: Lin (2004), ROUGE. Built in lesson 05.
    """
    shared = longest_common(candidate, reference)
    return rates(shared, len(candidate), len(reference))


def brevity_penalty(n_candidate: int, n_reference: int) -> float:
    r"""Return BLEU's factor for short translations, 0-1: $e^{1 - r/c}$ where $c < r$.

    Args:
        n_candidate: words of the translation, c.
        n_reference: words of the reference, r.

    Source: Papineni et al. (2002), BLEU. Built in lesson 05.
    """
    if n_candidate >= n_reference:
        return 1.0
    return math.exp(1 - n_reference / n_candidate) if n_candidate else 0.0


def clipped(
    candidate: list[str], references: list[list[str]], n: int
) -> tuple[int, int]:
    """Return (how many runs of n words are right, how many there are).

    A run is right at most as often as it occurs in one of the references.
    """
    found, allowed = n_grams(candidate, n), Counter()
    for reference in references:
        allowed |= n_grams(reference, n)
    return (found & allowed).total(), found.total()


def corpus_bleu(
    candidates: list[list[str]], references: list[list[list[str]]], n_max: int = 4
) -> float:
    r"""Return the BLEU of a corpus, 0-100, without smoothing.

    The geometric mean of the clipped precisions of runs of 1 to n_max words, times the
    brevity penalty. Counts are summed over the corpus before anything is divided; the
    length that counts is that of the reference closest in length, the shorter of two.

    Args:
        candidates: translations as lists of words.
        references: for each translation, its references, at least one.
        n_max: the longest run.

    Raises:
        ValueError: if there are not as many lists of references as translations, or
            one of them is empty.

    Source: Papineni et al. (2002), BLEU. Built in lesson 05.
    """
    if len(candidates) != len(references) or not all(references):
        raise ValueError("give every translation a list of at least one reference")
    pairs = list(zip(candidates, references, strict=True))
    precisions = []
    for n in range(1, n_max + 1):
        right, found = zip(*(clipped(c, r, n) for c, r in pairs), strict=True)
        precisions.append(sum(right) / max(sum(found), 1))
    if not all(precisions):
        return 0.0
    mean = math.exp(sum(map(math.log, precisions)) / n_max)
    closest = [
        min(map(len, r), key=lambda n, c=c: (abs(n - len(c)), n)) for c, r in pairs
    ]
    return 100 * mean * brevity_penalty(sum(map(len, candidates)), sum(closest))
