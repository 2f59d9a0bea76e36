"""From logits to a token: temperature, top-k, top-p, and the draw.

Each filter takes logits and returns logits, so that they can be chained; a forbidden
token gets -inf. They equal the warpers of `transformers`.
"""

import torch
from torch import Tensor


def temperature(logits: Tensor, heat: float) -> Tensor:
    """Return logits / heat: below 1 the likely gets likelier, above 1 all get closer.

    Args:
        logits: (..., V).
        heat: above 0.

    Raises:
        ValueError: if heat is not above 0.
    """
    if heat <= 0:
        raise ValueError(f"temperature is {heat}; use a number above 0, or take argmax")
    return logits / heat


def top_k(logits: Tensor, k: int) -> Tensor:
    """Return the logits with all but the k largest (and their ties) at -inf.

    Args:
        logits: (..., V).
        k: at least 1; V or more keeps all.

    Raises:
        ValueError: if k is below 1.

    Source: Fan et al. (2018), Hierarchical Neural Story Generation.
    """
    if k < 1:
        raise ValueError(f"top_k is {k}; use at least 1")
    smallest = logits.topk(min(k, logits.shape[-1])).values[..., -1:]  # (..., 1)
    return logits.masked_fill(logits < smallest, -torch.inf)


def top_p(logits: Tensor, p: float) -> Tensor:
    """Return the logits of the fewest likely tokens with mass >= p; the rest at -inf.

    Args:
        logits: (..., V).
        p: from 0 (only the likeliest token) to 1 (all tokens).

    Raises:
        ValueError: if p is not between 0 and 1.

    Source: Holtzman et al. (2020), The Curious Case of Neural Text Degeneration.
    """
    if not 0 <= p <= 1:
        raise ValueError(f"top_p is {p}; use a number from 0 to 1")
    order = logits.argsort(dim=-1)  # the unlikely first
    tail = logits.gather(-1, order).softmax(-1).cumsum(-1)  # mass up to and with it
    is_cut = tail <= 1 - p
    is_cut[..., -1] = False
    return logits.masked_fill(is_cut.scatter(-1, order, is_cut), -torch.inf)


def probabilities(
    logits: Tensor, heat: float = 1.0, k: int | None = None, p: float = 1.0
) -> Tensor:
    """Return the distribution to draw from after temperature, top-k and top-p.

    Args:
        logits: (..., V).
        heat: temperature.
        k: number of tokens top-k keeps; None for all.
        p: mass that top-p keeps; 1 for all.
    """
    logits = temperature(logits, heat)
    if k is not None:
        logits = top_k(logits, k)
    if p < 1:
        logits = top_p(logits, p)
    return logits.softmax(-1)


def draw(probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return one id per row, drawn with its probability, (B, V) -> (B,)."""
    return torch.multinomial(probs, 1, generator=generator).squeeze(-1)
