"""Checks of answers that are tensors, and random ones to ask with."""

import torch

from labs_support.checks import expect


def random_tensor(*shape: int, seed: int = 0) -> torch.Tensor:
    """Return normally distributed numbers, the same ones for the same seed."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def expect_tensor(got, shape: tuple[int, ...], what: str) -> None:
    """Raise `checks.Wrong` unless an answer is a tensor of a shape."""
    expect(
        isinstance(got, torch.Tensor),
        f"{what}: return a tensor, not a {type(got).__name__}",
    )
    expect(
        tuple(got.shape) == tuple(shape),
        f"{what}: the shape should be {tuple(shape)}, not {tuple(got.shape)}",
    )
