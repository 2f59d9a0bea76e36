"""Probes for what makes language hard: hand-written examples and a counter of readings.

Used in lesson 01. The examples are in data/probes/language.yaml.
"""

from collections import Counter, defaultdict

import yaml

from labs_support.settings import DATA

GRAMMAR = ("S = NP VP", "NP = Det N", "NP = NP PP", "VP = V NP", "VP = VP PP", "PP = P NP")
LEXICON = {"the": "Det", "taught": "V", "with": "P", "in": "P"}


def language() -> dict:
    """Return the examples: pairs of words, senses of a word, reversals, figures."""
    return yaml.safe_load((DATA / "probes/language.yaml").read_text(encoding="utf-8"))


def n_trees(sentence: str) -> int:
    """Return the number of parse trees of a sentence under GRAMMAR.

    The chart holds how many trees of each phrase type span each stretch of words, built
    from short stretches to long ones. A word that LEXICON does not list is a noun.

    Source: Cocke, Kasami and Younger; see Jurafsky and Martin, chapter 18.
    """
    words = sentence.split()
    rules = [rule.replace("=", "").split() for rule in GRAMMAR]
    chart = defaultdict(Counter)
    for i, word in enumerate(words):
        chart[i, i + 1][LEXICON.get(word, "N")] = 1
    for length in range(2, len(words) + 1):
        for i in range(len(words) - length + 1):
            for middle in range(i + 1, i + length):
                left, right = chart[i, middle], chart[middle, i + length]
                for parent, a, b in rules:
                    chart[i, i + length][parent] += left[a] * right[b]
    return chart[0, len(words)]["S"]
