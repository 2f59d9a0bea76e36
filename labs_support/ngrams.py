"""Language models that count: n-grams with Kneser-Ney smoothing, and perplexity.

Built in lesson 01, where a recurrent network then does better on the same words.
"""

import math
import re
from collections import Counter, defaultdict

import numpy as np

UNKNOWN, END = "<unknown>", "<end>"


def split_words(text: str) -> list[str]:
    """Return words and punctuation marks of a text, in lower case."""
    return re.findall(r"[\w'’-]+|[^\w\s]", text.lower())


def number_texts(train: list[str], test: list[str]) -> tuple[list[str], list, list]:
    """Return a vocabulary and both sets of texts as one list of word ids each.

    An end mark follows every text. Words seen once in training are UNKNOWN, id 0, so
    that all models share one vocabulary and their perplexities can be compared.
    """
    words = [
        [w for t in texts for w in (*split_words(t), END)] for texts in (train, test)
    ]
    seen = Counter(words[0])
    vocabulary = [UNKNOWN, *(word for word, count in seen.items() if count > 1)]
    number_of = {word: i for i, word in enumerate(vocabulary)}
    return vocabulary, *([number_of.get(w, 0) for w in text] for text in words)


class NGram:
    r"""A language model that looks back `order - 1` words: counts and a discount.

    .. math:: P_n(w \mid c) = \frac{\max(N(cw) - d, 0)}{N(c)}
              + \frac{d \, |\{w': N(cw') > 0\}|}{N(c)} \; P_{n-1}(w \mid c')

    Below the highest order, N(cw) counts in how many different contexts a gram was
    seen, not how often. Below order 1 all words are equally likely.

    Args:
        ids: the training text as a list of word ids.
        order: 1 for unigrams, 2 for bigrams, 3 for trigrams.
        n_words: size of the vocabulary, V.
        discount: what is taken off every count for the grams never seen, d in (0, 1).

    Source: Kneser and Ney (1995), Improved backing-off for m-gram language modeling.
        Built in lesson 01.
    """

    def __init__(self, ids, order, n_words, discount=0.75):
        self.order, self.n_words, self.discount = order, n_words, discount
        self.tables = {}
        grams = Counter(zip(*(ids[i:] for i in range(order)), strict=False))
        for length in reversed(range(order)):
            table = self.tables[length] = defaultdict(Counter)
            for gram, count in grams.items():
                table[gram[:-1]][gram[-1]] += count
            grams = Counter(gram[1:] for gram in grams)

    def distribution(self, context):
        """Return the probability of every word after the given ids, shape (V,)."""
        probs = np.full(self.n_words, 1 / self.n_words)
        for length in range(min(self.order, len(context) + 1)):
            seen = self.tables[length].get(tuple(context[len(context) - length :]))
            if seen is None:
                break
            total = seen.total()
            probs *= self.discount * len(seen) / total
            probs[list(seen)] += (np.array(list(seen.values())) - self.discount) / total
        return probs


def perplexity(probs) -> float:
    """Return the perplexity of a text from the probabilities its words were given.

    Args:
        probs: one probability per word of the text, each in (0, 1].

    Returns:
        exp of the mean negative log probability: 1 when every word was certain, V
        when every word of a vocabulary of V was held equally likely.
    """
    return math.exp(-np.log(probs).mean())
