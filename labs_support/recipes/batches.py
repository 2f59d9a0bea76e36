"""Batches for the language models: rows of similar length, padded on the right."""

import itertools
import random
from collections.abc import Iterator

import torch

from labs_support.recipes import bpe, readings, talks


def samples(stage: str, tokenizer, seed: int, progress) -> Iterator[tuple]:
    """Yield (ids, weights) without end; `progress` returns the share done."""
    if stage == "chat":
        encoded = (bpe.encode_talk(tokenizer, t) for t in talks.talks(seed))
    else:
        encoded = (
            bpe.encode_parts(tokenizer, parts)
            for part in itertools.count()
            for parts in itertools.islice(
                readings.plain(seed + 1009 * part, progress()), 200
            )
        )
    for ids, weights in encoded:
        yield ids[: bpe.CONTEXT], weights[: bpe.CONTEXT]


def batches(rows: Iterator[tuple], seed: int, size: int) -> Iterator[list[tuple]]:
    """Yield lists of rows of similar length with about `size` tokens each."""
    rng = random.Random(f"batches-{seed}")
    while pool := sorted(itertools.islice(rows, 200), key=lambda row: len(row[0])):
        packed, batch = [], []
        for row in pool:
            if batch and len(row[0]) * (len(batch) + 1) > size:
                packed.append(batch)
                batch = []
            batch.append(row)
        packed.append(batch)
        rng.shuffle(packed)
        yield from packed


def collate(batch: list[tuple], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Return ids (B, T) and weights (B, T), padded on the right."""
    longest = max(len(ids) for ids, _ in batch)
    ids = torch.full((len(batch), longest), pad)
    weights = torch.zeros(len(batch), longest)
    for i, (row, weight) in enumerate(batch):
        ids[i, : len(row)] = torch.tensor(row)
        weights[i, : len(row)] = torch.tensor(weight)
    return ids, weights
