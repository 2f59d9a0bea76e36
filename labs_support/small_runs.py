"""One small GPT trained on the stream of other shops, to draw scaling laws with.

    size = small_runs.SIZES["64 x 3"]
    run = small_runs.train(size, n_tokens=100_000, seed=0)
    run.loss                                  # nats per token on texts it has not read

Training texts are read once, in order: first data/stream, then more of the same kind.
"""

import itertools
import time
from collections.abc import Iterator
from functools import cache
from typing import NamedTuple

import torch

from labs_support import calculators, parameters
from labs_support.gpt import GPT, GPTConfig, train_gpt
from labs_support.tokens import library_twin
from labs_support.world import store, stream

VOCABULARY, CONTEXT, SEQUENCES = 512, 128, 16
MORE = 4_000_003  # seed of the texts behind data/stream
SIZES = {
    f"{width} x {n_layers}": GPTConfig(
        VOCABULARY, CONTEXT, width, n_layers, max(1, width // 32)
    )
    for width, n_layers in (
        (16, 1),
        (24, 2),
        (32, 2),
        (48, 2),
        (64, 3),
        (96, 3),
        (128, 4),
    )
}


class Run(NamedTuple):
    """What came out of one training run.

    Attributes:
        n_weights: of the model, embeddings included.
        n_tokens: read in training.
        flops: spent, attention included.
        seed: of the first weights.
        loss: on texts that were not read, in nats per token.
        seconds: of training.
    """

    n_weights: int
    n_tokens: int
    flops: float
    seed: int
    loss: float
    seconds: float


@cache
def tokenizer():
    """Return the byte-pair encoding of 512 tokens, learned from data/stream."""
    return library_twin(_join("train"), VOCABULARY)


def _join(split: str) -> str:
    return "\n\n".join(row["text"] for row in store.rows("stream", split))


@cache
def _source() -> tuple[list[int], Iterator[dict]]:
    """Return the ids made so far, and where more texts come from; both go on."""
    return tokenizer().encode(_join("train")).ids, stream.documents(seed=MORE)


def texts(n_tokens: int) -> torch.Tensor:
    """Return the first n_tokens + 1 token ids to train on, (n_tokens + 1,)."""
    ids, more = _source()
    while len(ids) <= n_tokens:
        some = "\n\n".join(d["text"] for d in itertools.islice(more, 200))
        ids += tokenizer().encode("\n\n" + some).ids
    return torch.tensor(ids[: n_tokens + 1])


@cache
def held_out_rows() -> torch.Tensor:
    """Return windows of texts that no run reads, (B, CONTEXT + 1)."""
    ids = tokenizer().encode(_join("validation")).ids
    return torch.tensor(ids)[: len(ids) // (CONTEXT + 1) * (CONTEXT + 1)].view(
        -1, CONTEXT + 1
    )


def description(size: GPTConfig) -> dict:
    """Return the configuration of the same model in `transformers`, as a dict."""
    return {
        "model_type": "gpt2",
        "vocab_size": size.vocabulary,
        "n_positions": size.context,
        "n_embd": size.width,
        "n_layer": size.n_layers,
        "n_head": size.n_heads,
    }


def flops_per_token(size: GPTConfig) -> float:
    """Return the operations of training on one token, attention included."""
    model = description(size)
    n_weights = parameters.count(model).total
    return calculators.training_flops(n_weights, 1, model=model, context=CONTEXT)


def rate(size: GPTConfig) -> float:
    """Return the largest learning rate: smaller for wider models."""
    return 0.02 * (16 / size.width) ** 0.5


def train(size: GPTConfig, n_tokens: int, seed: int = 0) -> Run:
    """Return what one run measured.

    The learning rate falls to zero with the last token: a run of another length is not
    a part of this one.

    Args:
        size: one of `SIZES`.
        n_tokens: to read; ValueError for less than ten steps.
        seed: of the first weights.
    """
    step = SEQUENCES * CONTEXT
    n_steps = n_tokens // step
    if n_steps < 10:
        raise ValueError(f"{n_tokens:,} tokens are under ten steps of {step:,} each.")
    ids = texts(n_steps * step)
    x, y = (part.view(n_steps, SEQUENCES, CONTEXT) for part in (ids[:-1], ids[1:]))
    torch.manual_seed(seed)
    model, begin = GPT(size), time.perf_counter()
    for _ in train_gpt(model, zip(x, y, strict=True), n_steps, rate(size)):
        pass
    seconds = time.perf_counter() - begin
    n_weights = sum(weight.numel() for weight in model.parameters())
    flops = flops_per_token(size) * n_steps * step
    return Run(n_weights, n_steps * step, flops, seed, held_out_loss(model), seconds)


@torch.inference_mode()
def held_out_loss(model: GPT) -> float:
    """Return the mean loss over every held-out token, in nats."""
    model.eval()
    parts = held_out_rows().split(64)
    total = sum(model.loss(p[:, :-1], p[:, 1:]).item() * len(p) for p in parts)
    return total / len(held_out_rows())
