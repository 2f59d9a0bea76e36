"""From logits to a token: repetition penalty, temperature, top-k, top-p, and the draw.

Used in lesson 02, built in lesson 05. Each filter takes logits and returns logits, so
that they can be chained; a forbidden token gets -inf. They equal the logits processors
of `transformers`.
"""

import torch
from torch import Tensor


def heat(logits: Tensor, temperature: float) -> Tensor:
    """Return logits / temperature: below 1 the likely gains, above 1 the unlikely.

    Args:
        logits: (..., V).
        temperature: above 0.

    Raises:
        ValueError: if the temperature is not above 0.
    """
    if temperature <= 0:
        raise ValueError(
            f"temperature is {temperature}; use a number above 0, or take the argmax"
        )
    return logits / temperature


def keep_k(logits: Tensor, top_k: int) -> Tensor:
    """Return the logits with all but the top_k largest (and their ties) at -inf.

    Args:
        logits: (..., V).
        top_k: at least 1; V or more keeps all.

    Raises:
        ValueError: if top_k is below 1.

    Source: Fan et al. (2018), Hierarchical Neural Story Generation.
    """
    if top_k < 1:
        raise ValueError(f"top_k is {top_k}; use 1 or more")
    smallest = logits.topk(min(top_k, logits.shape[-1])).values[..., -1:]  # (..., 1)
    return logits.masked_fill(logits < smallest, -torch.inf)


def keep_p(logits: Tensor, top_p: float) -> Tensor:
    """Return the logits of the fewest tokens with mass top_p, the others at -inf.

    Args:
        logits: (..., V).
        top_p: from 0 (only the likeliest token) to 1 (all tokens).

    Raises:
        ValueError: if top_p is not between 0 and 1.

    Source: Holtzman et al. (2020), The Curious Case of Neural Text Degeneration.
    """
    if not 0 <= top_p <= 1:
        raise ValueError(f"top_p is {top_p}; use a number from 0 to 1")
    ordered, ids = logits.sort()  # the unlikely first
    is_tail = ordered.softmax(-1).cumsum(-1) <= 1 - top_p  # mass up to and with it
    is_tail[..., -1] = False  # the likeliest always stays
    return logits.masked_fill(is_tail.scatter(-1, ids, is_tail), -torch.inf)


def penalise(logits: Tensor, ids: Tensor, penalty: float) -> Tensor:
    """Return the logits with those of the tokens already there made less likely.

    Positive ones are divided by the penalty, negative ones multiplied. So its strength
    depends on where the zero of the logits lies, which the softmax does not see.

    Args:
        logits: (B, V).
        ids: the tokens so far, prompt included, (B, T).
        penalty: above 0; 1 changes nothing, above 1 repeats less.

    Raises:
        ValueError: if the penalty is not above 0.

    Source: Keskar et al. (2019), CTRL.
    """
    if penalty <= 0:
        raise ValueError(f"the repetition penalty is {penalty}; use a number above 0")
    seen = logits.gather(-1, ids)  # (B, T)
    seen = torch.where(seen < 0, seen * penalty, seen / penalty)
    return logits.scatter(-1, ids, seen)


def probabilities(
    logits: Tensor,
    temperature: float = 1.0,
    top_k: int | None = None,
    top_p: float = 1.0,
) -> Tensor:
    """Return the distribution to draw from, (..., V): heat, then top-k, then top-p.

    Args:
        logits: (..., V).
        temperature: above 0; 1 changes nothing.
        top_k: number of tokens to keep; None for all.
        top_p: mass to keep, from 0 to 1; 1 for all.

    Raises:
        ValueError: if one of the three is out of its range.
    """
    logits = heat(logits, temperature)
    if top_k is not None:
        logits = keep_k(logits, top_k)
    if top_p != 1:
        logits = keep_p(logits, top_p)
    return logits.softmax(-1)


def sample(probs: Tensor, generator: torch.Generator | None = None) -> Tensor:
    """Return one id per row, drawn with its probability, (B, V) -> (B,)."""
    return torch.multinomial(probs, 1, generator=generator).squeeze(-1)
