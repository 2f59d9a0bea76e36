"""Five sources of texts under control codes, and an independent judge of the source.

Built in lesson 04, where a small GPT learns them.
"""

import torch

from labs_support.tokens import library_twin
from labs_support.world import store

CODES = ("praise", "complaint", "sum", "dialogue", "french")
SIZE, LENGTH = 512, 40  # text tokens of the vocabulary, tokens of a window
END = SIZE + len(CODES)  # the token behind the end of a text
IGNORED = -100  # a target that no loss counts


def texts(split: str) -> dict[str, list[str]]:
    """Return {code: texts} of one split."""
    found = {code: [] for code in CODES}
    for row in store.rows("reviews", split):
        found["praise" if row["label"] == "positive" else "complaint"].append(
            row["text"]
        )
    found["sum"] = [row["question"] for row in store.rows("sums", split)]
    for row in store.rows("dialogues", split):
        lines = (f"{t['speaker']}: {t['text']}" for t in row["turns"])
        found["dialogue"].append("\n".join(lines))
    found["french"] = [row["fr"] for row in store.rows("phrases", split)]
    return found


def new_tokenizer():
    """Return a byte-pair encoding learned from the training texts."""
    from tokenizers import decoders

    every = (text for some in texts("train").values() for text in some[:800])
    tokenizer = library_twin("\n".join(every), SIZE)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def window(tokenizer, code: str, text: str) -> tuple[list[int], list[int]]:
    """Return what the model reads and what it has to find, LENGTH ids each.

    The code comes first, then the beginning of the text; END follows a text that is
    shorter than the window, and behind it nothing counts.
    """
    ids = [SIZE + CODES.index(code), *tokenizer.encode(text).ids, END][: LENGTH + 1]
    left = LENGTH + 1 - len(ids)
    return ids[:-1] + [END] * left, ids[1:] + [IGNORED] * left


def windows(tokenizer, split: str, n: int | None = None) -> tuple:
    """Return x and y of the first n texts of every code, both (B, LENGTH)."""
    pairs = [
        window(tokenizer, code, text)
        for code, some in texts(split).items()
        for text in some[:n]
    ]
    x, y = zip(*pairs, strict=True)
    return torch.tensor(x), torch.tensor(y)


def judge(tokenizer):
    """Return a function that names the code of texts: words counted, no neural network.

    It has learned from the validation split, which the models never see. It tells kinds of
    text apart; whether a review praises or complains often shows too late for it.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    pairs = [
        (text, code) for code, some in texts("validation").items() for text in some
    ]
    cut = [tokenizer.decode(tokenizer.encode(text).ids[:LENGTH]) for text, _ in pairs]
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True)
    judge = make_pipeline(words, LogisticRegression(C=10, class_weight="balanced"))
    return judge.fit(cut, [code for _, code in pairs]).predict
