"""Attention: every token takes what it needs from the others.

Built in lesson 02: scaled dot products, a mask, several heads. Equal to
`torch.nn.functional.scaled_dot_product_attention`.
"""

import math

import torch
from torch import Tensor, nn


def attention_weights(q: Tensor, k: Tensor, mask: Tensor | None = None) -> Tensor:
    r"""Return the share that each query takes of each value: softmax(q kᵀ / √C).

    Args:
        q: queries, (..., T, C).
        k: keys, (..., S, C).
        mask: True where a query may look, broadcastable to (..., T, S); None for all.

    Returns:
        Weights, (..., T, S), each row sums to one.

    Source: Vaswani et al. (2017), section 3.2.1. Built in lesson 02.
    """
    scores = q @ k.transpose(-2, -1) / math.sqrt(q.shape[-1])  # (..., T, S)
    if mask is not None:
        scores = scores.masked_fill(~mask, -torch.inf)
    return scores.softmax(dim=-1)


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Return for each query the values, mixed by its attention weights.

    Args:
        q: queries, (..., T, C).
        k: keys, (..., S, C).
        v: values, (..., S, C).
        mask: True where a query may look, broadcastable to (..., T, S); None for all.

    Returns:
        Mixed values, (..., T, C).
    """
    return attention_weights(q, k, mask) @ v


def causal_mask(T: int) -> Tensor:
    """Return which tokens each token may look at, (T, T): itself and those before."""
    return torch.ones(T, T, dtype=torch.bool).tril()


class MultiHeadAttention(nn.Module):
    """Attention in several heads of C / H channels each, side by side.

    Attributes:
        weights: attention weights of the last call, (B, H, T, S), to be looked at.

    Source: Vaswani et al. (2017), section 3.2.2. Built in lesson 02.
    """

    def __init__(self, C, H):
        super().__init__()
        self.H = H
        self.query, self.key, self.value = (nn.Linear(C, C) for _ in range(3))
        self.output = nn.Linear(C, C)

    def split(self, x):
        """Return x, (B, T, C), as heads, (B, H, T, C / H)."""
        return x.unflatten(-1, (self.H, -1)).transpose(1, 2)

    def forward(self, x, source, mask=None):
        """Return what the tokens x, (B, T, C), find in source, (B, S, C)."""
        q = self.split(self.query(x))  # (B, H, T, C / H)
        k = self.split(self.key(source))  # (B, H, S, C / H)
        v = self.split(self.value(source))  # (B, H, S, C / H)
        weights = attention_weights(q, k, mask)  # (B, H, T, S)
        self.weights = weights.detach()
        z = weights @ v  # (B, H, T, C / H)
        return self.output(z.transpose(1, 2).flatten(2))  # (B, T, C)


class Recaller(nn.Module):
    """One attention layer between an embedding and a head: can it find a word again?

    Args:
        V: size of the vocabulary.
        C: channels.
    """

    def __init__(self, V, C):
        super().__init__()
        self.embedding, self.head = nn.Embedding(V, C), nn.Linear(C, V)
        self.attention = MultiHeadAttention(C, H=8)

    def forward(self, x):
        """Return the logits after the last of the ids x, (B, T) -> (B, 1, V)."""
        z = self.embedding(x)  # (B, T, C)
        return self.head(self.attention(z[:, -1:], z))
