r"""Byte-pair encoding: text to token ids and back.

Built in lesson 02. A text is cut into pieces (a word with the space before it, or a run
of marks), a piece into bytes, and the most frequent neighbours are merged, again and
again. The ids are those of the `tokenizers` library trained on the same text, but for
text with combining marks (accents apart from their letter, Devanagari vowel signs):
Python's `\w` excludes these marks and the library's does not, so words that hold them
are cut differently.
"""

import re
from collections import Counter

PIECE = r" ?\w+| ?[^\w\s]+|\s+"
PRINTABLE = [*range(33, 127), *range(161, 173), *range(174, 256)]
ALPHABET = [*PRINTABLE, *range(33), *range(127, 161), 173]  # order of GPT-2's ids


def cut(text: str) -> list[str]:
    """Return the pieces of a text, none of which a token may cross."""
    return re.findall(PIECE, text)


def merge(ids: list, pair: tuple, new_id) -> list:
    """Return ids with every occurrence of the pair replaced, from left to right.

    Args:
        ids: token ids.
        pair: the two neighbouring ids to join.
        new_id: the id that takes their place.
    """
    merged = []
    for i in ids:
        if merged and (merged[-1], i) == pair:
            merged[-1] = new_id
        else:
            merged.append(i)
    return merged


def count_pairs(pieces: list[tuple[list, int]]) -> Counter:
    """Return how often each pair of neighbouring ids occurs.

    Args:
        pieces: list of (ids of the piece, how often the piece occurs).
    """
    counts = Counter()
    for ids, n_times in pieces:
        for pair in zip(ids, ids[1:], strict=False):
            counts[pair] += n_times
    return counts


class Tokenizer:
    """Byte-pair encoding: 256 bytes and the merges learned from a text.

    Args:
        text: the text to learn the merges from.
        size: number of tokens to end with, V, at least 256.

    Attributes:
        tokens: the bytes of every token, by id.
        merges: {pair of ids: id of the two joined}, in the order they were learned.

    Source: Sennrich, Haddow, Birch (2016), Neural Machine Translation of Rare Words
    with Subword Units; on bytes as in GPT-2. Built in lesson 02.
    """

    def __init__(self, text, size):
        self.tokens = [bytes([b]) for b in ALPHABET]
        self.ids = {token: i for i, token in enumerate(self.tokens)}
        self.merges = {}
        counted = Counter(cut(text))
        pieces = [(self.letters(piece), n_times) for piece, n_times in counted.items()]
        while len(self.tokens) < size and (counts := count_pairs(pieces)):
            pair = min(counts, key=lambda pair: (-counts[pair], pair))
            new_id = self.merges[pair] = self.join(*pair)
            pieces = [(merge(ids, pair, new_id), n_times) for ids, n_times in pieces]
        self.ranks = {pair: rank for rank, pair in enumerate(self.merges)}

    def letters(self, piece: str) -> list[int]:
        """Return one id per byte of a piece of text."""
        return [self.ids[bytes([b])] for b in piece.encode()]

    def join(self, left: int, right: int) -> int:
        """Return the id of two tokens joined, a new one if these bytes have none."""
        token = self.tokens[left] + self.tokens[right]
        if token not in self.ids:
            self.ids[token] = len(self.tokens)
            self.tokens.append(token)
        return self.ids[token]

    def encode(self, text: str) -> list[int]:
        """Return the ids of a text: in each piece, the earliest merges first."""
        return [i for piece in cut(text) for i in self.encode_piece(piece)]

    def encode_piece(self, piece: str) -> list[int]:
        """Return the ids of one piece."""
        ids = self.letters(piece)
        while pairs := self.ranks.keys() & zip(ids, ids[1:], strict=False):
            pair = min(pairs, key=self.ranks.get)
            ids = merge(ids, pair, self.merges[pair])
        return ids

    def decode(self, ids: list[int]) -> str:
        """Return the text of a list of ids."""
        return b"".join(self.tokens[i] for i in ids).decode(errors="replace")


def library_twin(text: str, size: int):
    """Return a tokenizer of the `tokenizers` library trained on the same text.

    Args:
        text: the text to learn from.
        size: number of tokens, V.
    """
    from tokenizers import Regex, models, pre_tokenizers, trainers
    from tokenizers import Tokenizer as LibraryTokenizer

    library = LibraryTokenizer(models.BPE())
    to_bytes = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    split = pre_tokenizers.Split(Regex(PIECE), "isolated")
    library.pre_tokenizer = pre_tokenizers.Sequence([split, to_bytes])
    trainer = trainers.BpeTrainer(
        vocab_size=size, initial_alphabet=to_bytes.alphabet(), show_progress=False
    )
    library.train_from_iterator([text], trainer)
    return library
