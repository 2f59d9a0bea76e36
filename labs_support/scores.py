"""Scores of short answers: exact match and the F1 of their words.

Both compare answers after `normalise`: case, articles, punctuation, the ways to write
an amount of money and a number in words do not count.
"""

import re
from collections import Counter

from labs_support.world.english import in_words

NUMBERS = {in_words(value): str(value) for value in range(101)}
MONEY = re.compile(
    r"(?:€|eur|euros?)\s*(\d+(?:[.,]\d+)?)"
    r"|(\d+(?:[.,]\d+)?)\s*(?:€|(?:euros?|eur)\b)"
)
CITATION = re.compile(r"\s*\[\d+\]")


def without_citations(answer: str) -> str:
    """Return an answer without its marks such as [2]."""
    return CITATION.sub("", answer).strip()


def citations(answer: str) -> list[int]:
    """Return the numbers of the sources that an answer names, in order."""
    return [int(mark) for mark in re.findall(r"\[(\d+)\]", answer)]


def normalise(answer: str) -> str:
    """Return an answer as it is compared: €5.90, 5.90 euros and EUR 5,90 are the same.

    Source: Rajpurkar et al. (2016), SQuAD, with amounts and numbers in words added.
    """
    text = answer.lower().strip()
    text = MONEY.sub(lambda m: f" {(m[1] or m[2]).replace(',', '.')} euro ", text)
    text = re.sub(r"(\d)[.:]00\b", r"\1", text)
    text = re.sub(r"\s*(%|per ?cent)", " % ", text)
    text = re.sub(r"(?<=\d),(?=\d{3}\b)", "", text)
    text = re.sub(r"(?<!\d)[.:](?!\d)|[.:](?!\d)|[^\w\s.:%]", " ", text)
    words = [NUMBERS.get(word, word) for word in text.split()]
    return " ".join(word for word in words if word not in ("a", "an", "the"))


def exact_match(answer: str, gold: str) -> float:
    """Return 1.0 if an answer equals the right one after `normalise`, else 0.0."""
    return float(normalise(answer) == normalise(gold))


def word_f1(answer: str, gold: str) -> float:
    r"""Return the F1 of the words of an answer, 0-1: $2PR/(P+R)$.

    Source: Rajpurkar et al. (2016), SQuAD.
    """
    found, wanted = normalise(answer).split(), normalise(gold).split()
    shared = sum((Counter(found) & Counter(wanted)).values())
    if not shared:
        return float(found == wanted)
    precision, recall = shared / len(found), shared / len(wanted)
    return 2 * precision * recall / (precision + recall)
