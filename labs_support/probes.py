"""Probes for what makes language hard: hand-written examples and a counter of readings.

Used in lesson 01. The examples are in data/probes/language.yaml.
"""

from collections import Counter, defaultdict

import yaml

from labs_support.settings import DATA

GRAMMAR = (
    "S = NP VP",
    "NP = Det N",
    "NP = NP PP",
    "VP = V NP",
    "VP = VP PP",
    "PP = P NP",
)
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


def word_layers(encoder, sentence: str, word: str):
    """Return the vectors of a word in a sentence, from layer to layer.

    Args:
        encoder: a `SentenceTransformer` with a BERT-like model inside.
        sentence: a sentence that holds the word.
        word: a word that is one token of the encoder.

    Returns:
        tensor of shape (n_layers + 1, C): first the static vector, the row of the
        embedding table, then the contextual vector after every layer.
    """
    import torch

    model = encoder[0].auto_model
    x = encoder.tokenizer(sentence, return_tensors="pt").to(encoder.device)
    token = encoder.tokenizer.convert_tokens_to_ids(word)
    place = x["input_ids"][0].tolist().index(token)
    with torch.no_grad():
        states = model(**x, output_hidden_states=True).hidden_states
        static = model.get_input_embeddings().weight[x["input_ids"][0, place]]
        return torch.stack([static, *(state[0, place] for state in states[1:])]).cpu()
