"""Batches for the language models: rows of similar length, padded on the right."""

import itertools
import random
from collections.abc import Iterator
from typing import NamedTuple

import torch

from labs_support.recipes import bpe, readings, talks
from labs_support.recipes.pieces import Row


def samples(stage: str, tokenizer, seed: int, progress) -> Iterator[Row]:
    """Yield rows without end; `progress` returns the share of the run that is done."""
    if stage != "base":
        for talk in talks.talks(seed, progress):
            yield bpe.encode_talk(tokenizer, talk)
    for part in itertools.count():
        made = readings.plain(seed + 1009 * part, progress())
        for pieces in itertools.islice(made, 200):
            yield bpe.encode_plain(tokenizer, pieces)


def batches(rows: Iterator[Row], seed: int, size: int) -> Iterator[list[Row]]:
    """Yield lists of rows of similar length with about `size` tokens each."""
    rng = random.Random(f"batches-{seed}")
    while pool := sorted(itertools.islice(rows, 200), key=lambda row: len(row.ids)):
        packed, batch = [], []
        for row in pool:
            if batch and len(row.ids) * (len(batch) + 1) > size:
                packed.append(batch)
                batch = []
            batch.append(row)
        packed.append(batch)
        rng.shuffle(packed)
        yield from packed


class Batch(NamedTuple):
    """Rows side by side, padded on the right.

    Attributes:
        ids: token ids, (B, T).
        weights: weight of each token in the loss, (B, T).
        pointers: for each row, the pairs of `pieces.Row`.
    """

    ids: torch.Tensor
    weights: torch.Tensor
    pointers: list[list[tuple[int, list[int]]]]


def collate(rows: list[Row], pad: int) -> Batch:
    """Return rows as one batch."""
    longest = max(len(row.ids) for row in rows)
    ids = torch.full((len(rows), longest), pad)
    weights = torch.zeros(len(rows), longest)
    for i, row in enumerate(rows):
        ids[i, : len(row.ids)] = torch.tensor(row.ids)
        weights[i, : len(row.ids)] = torch.tensor(row.weights)
    return Batch(ids, weights, [row.pointers for row in rows])
