"""Training texts in pieces: how much each counts, and where its answer stands.

A piece is context, a source or an answer. `encode` returns for every token of an answer
the places in the sources that hold it; `model.pointing_loss` lets one attention head
look there, so that copying is learned from fewer texts.
"""

import bisect
import itertools
import math
import re
from typing import NamedTuple

from labs_support.scores import without_citations
from labs_support.world.genres.exams import NOT_STATED

CONTEXT, SOURCE, ANSWER = "context", "source", "answer"
MOST_PLACES = 4  # places of one answer that are looked at


class Piece(NamedTuple):
    """A part of a training text.

    Attributes:
        text: the text.
        weight: how much its tokens count in the loss; 0 is context only.
        kind: CONTEXT, SOURCE or ANSWER.
    """

    text: str
    weight: float
    kind: str = CONTEXT


class Row(NamedTuple):
    """An encoded training text.

    Attributes:
        ids: token ids, T of them.
        weights: weight of each token in the loss, T of them.
        pointers: (place that predicts a token of an answer, places of that token in the
            sources); a refusal points to place 0.
    """

    ids: list[int]
    weights: list[float]
    pointers: list[tuple[int, list[int]]]


def encode(tokenizer, pieces: list[Piece], most: int) -> Row:
    """Return the tokens of pieces in a row, at most `most` of them."""
    whole = "".join(piece.text for piece in pieces)
    found = tokenizer(whole, add_special_tokens=False, return_offsets_mapping=True)
    ends = list(itertools.accumulate(len(piece.text) for piece in pieces))
    owners = [bisect.bisect_right(ends, last - 1) for _, last in found.offset_mapping]
    weights = [pieces[owner].weight for owner in owners]
    starts = [0, *ends]
    sources = [(starts[i], ends[i]) for i, p in enumerate(pieces) if p.kind == SOURCE]
    pointers = []
    for i, piece in enumerate(pieces):
        if piece.kind != ANSWER:
            continue
        answer = without_citations(piece.text).strip()
        start = starts[i] + len(piece.text) - len(piece.text.lstrip())
        own = bisect.bisect_left(owners, i), bisect.bisect_right(owners, i)
        if answer in NOT_STATED:
            pointers.append((own[0] - 1, [0]))
            continue
        places = [
            begin + place
            for begin, end in sources
            for place in occurrences(answer, whole[begin:end])
        ]
        for token in range(*own) if places else ():
            offset = found.offset_mapping[token][0] - start  # -1: begins with a space
            if offset < len(answer):
                wanted = [p + max(offset, -(whole[p - 1] == " ")) for p in places]
                pointers.append((token - 1, holders(found.offset_mapping, wanted)))
    kept = [(query, keys) for query, keys in pointers if query < most - 1]
    return Row(found.input_ids[:most], weights[:most], kept)


def occurrences(answer: str, text: str) -> list[int]:
    """Return where a text holds an answer as whole words, whatever its case."""
    pattern = rf"(?<!\w){re.escape(answer.lower())}(?!\w)"
    return [m.start() for m in re.finditer(pattern, text.lower())][:MOST_PLACES]


def holders(offsets: list[tuple[int, int]], places: list[int]) -> list[int]:
    """Return the tokens that hold the characters at some places of a text."""
    return [bisect.bisect_right(offsets, (p, math.inf)) - 1 for p in places]
