"""Scaling laws: how the loss falls with weights, tokens and computation.

`power_law` and `parabola` fit measured runs; `chinchilla` is the rule that came out of the
large ones.
"""

import math
from typing import NamedTuple

from labs_support.calculators import training_flops
from labs_support.model_shape import positive

TOKENS_PER_WEIGHT = 20  # Chinchilla itself: 70 B weights, 1.4 T tokens


class Budget(NamedTuple):
    """How a computation is best spent.

    Attributes:
        n_weights: N of the model.
        n_tokens: D that it should read.
        flops: 6ND.
    """

    n_weights: float
    n_tokens: float
    flops: float


def chinchilla(*, n_weights: float | None = None, flops: float | None = None) -> Budget:
    r"""Return the compute-optimal budget for a size, or for a computation.

    $D = 20N$, and so $C = 120N^2$.

    Args:
        n_weights: N, if the model is given.
        flops: C, if the computation is given.

    Raises:
        ValueError: unless exactly one of them is given.

    Source: Hoffmann et al. (2022), Training compute-optimal large language models,
        table 3. Built in lesson 04.
    """
    if (n_weights is None) == (flops is None):
        raise ValueError("Give either n_weights or flops to chinchilla, not both.")
    if n_weights is None:
        positive(flops=flops)
        n_weights = math.sqrt(flops / (6 * TOKENS_PER_WEIGHT))
    positive(n_weights=n_weights)
    n_tokens = TOKENS_PER_WEIGHT * n_weights
    return Budget(n_weights, n_tokens, training_flops(n_weights, n_tokens))


def chinchilla_loss(n_weights: float, n_tokens: float) -> float:
    r"""Return the loss in nats per token that Chinchilla's fit predicts.

    $L = 1.69 + 406.4\,N^{-0.34} + 410.7\,D^{-0.28}$

    Args:
        n_weights: N.
        n_tokens: D.

    Source: Hoffmann et al. (2022), equation 10, for their data and tokenizer only.
    """
    positive(n_weights=n_weights, n_tokens=n_tokens)
    return 1.69 + 406.4 * n_weights**-0.34 + 410.7 * n_tokens**-0.28


class Fit(NamedTuple):
    r"""A power law $y = a\,x^b$, fitted in logarithms.

    Attributes:
        a: value at x = 1.
        b: exponent; below 0 where y falls.
        r2: share of the variance of log y that the law explains, 1 at the most.
    """

    a: float
    b: float
    r2: float

    def __call__(self, x):
        """Return the law at x, a number or an array."""
        return self.a * x**self.b


def power_law(x, y) -> Fit:
    r"""Return the power law nearest to points: a line through $(\log x, \log y)$.

    Args:
        x: at least three positive numbers.
        y: as many positive numbers.

    Source: Kaplan et al. (2020), Scaling laws for neural language models. Built in
        lesson 04.
    """
    import numpy as np

    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if len(x) < 3 or x.shape != y.shape or min(x.min(), y.min()) <= 0:
        raise ValueError(
            "A power law is fitted to at least three pairs of numbers above 0, not to "
            f"{x.tolist()} and {y.tolist()}."
        )
    b, log_a = np.polyfit(np.log(x), np.log(y), 1)
    residual = np.log(y) - (log_a + b * np.log(x))
    r2 = 1 - (residual**2).sum() / ((np.log(y) - np.log(y).mean()) ** 2).sum()
    return Fit(float(np.exp(log_a)), float(b), float(r2))


def best_size(n_weights, losses) -> float:
    """Return the size at the bottom of an IsoFLOP curve.

    A parabola is fitted to the losses over the logarithm of the size.

    Args:
        n_weights: at least four sizes, all trained with the same computation.
        losses: of the trained models.

    Raises:
        ValueError: if the parabola has no lowest point within the sizes: more sizes are
            needed then, on the side where the loss still falls.

    Source: Hoffmann et al. (2022), approach 2. Built in lesson 04.
    """
    import numpy as np

    sizes = np.log(np.asarray(n_weights, dtype=float))
    if len(sizes) < 4:
        raise ValueError(f"A curve needs at least four sizes, not {len(sizes)}.")
    a, b, _ = np.polyfit(sizes, np.asarray(losses, dtype=float), 2)
    bottom = -b / (2 * a) if a > 0 else -math.inf
    if not sizes.min() < bottom < sizes.max():
        raise ValueError(
            "The losses have no lowest point within these sizes; train larger or smaller "
            "models with the same computation."
        )
    return float(np.exp(bottom))
