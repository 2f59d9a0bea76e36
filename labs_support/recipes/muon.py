"""Muon in float32, for all matrices of one shape together.

The kernels of a convolution count as one matrix, a row for each output channel.

`torch.optim.Muon` computes in bfloat16, which is slow on a CPU without units for it.
"""

from collections import defaultdict

import torch

COEFFICIENTS = (3.4445, -4.7750, 2.0315)


def orthogonalized(gradients: torch.Tensor, steps: int = 5) -> torch.Tensor:
    """Return matrices (N, R, C) with all singular values near 1.

    Source: Jordan et al. (2024), Muon: five steps of a Newton-Schulz iteration.
    """
    a, b, c = COEFFICIENTS
    x = gradients
    if is_tall := x.shape[1] > x.shape[2]:
        x = x.mT
    x = x / (x.norm(dim=(1, 2), keepdim=True) + 1e-7)
    gram = x @ x.mT  # all steps happen in this small square, then x is turned once
    one = torch.eye(gram.shape[1], device=x.device, dtype=x.dtype)
    turn = one
    for _ in range(steps):
        factor = a * one + b * gram + c * gram @ gram
        turn = factor @ turn
        gram = factor @ gram @ factor
    x = turn @ x
    return x.mT if is_tall else x


class Muon(torch.optim.Optimizer):
    """Momentum whose update has no preferred direction; for matrices and kernels.

    Args:
        params: matrices, or kernels of convolutions.
        lr: learning rate, on the scale of AdamW's.
        momentum: share of the old direction that is kept.
        weight_decay: decoupled, as in AdamW.
    """

    def __init__(self, params, lr: float, momentum=0.95, weight_decay=0.1):
        """Start without momentum."""
        super().__init__(
            params, {"lr": lr, "momentum": momentum, "weight_decay": weight_decay}
        )

    @torch.no_grad()
    def step(self, closure=None):
        """Update the matrices; those of one shape together."""
        for group in self.param_groups:
            shapes = defaultdict(list)
            for parameter in group["params"]:
                if parameter.grad is not None:
                    shapes[parameter.flatten(1).shape].append(parameter)
            for shape, matrices in shapes.items():
                updates = orthogonalized(
                    torch.stack(
                        [
                            self.direction(p, group["momentum"]).flatten(1)
                            for p in matrices
                        ]
                    )
                )
                size = 0.2 * max(shape) ** 0.5  # the length of AdamW's updates
                for parameter, update in zip(matrices, updates, strict=True):
                    parameter.mul_(1 - group["lr"] * group["weight_decay"])
                    parameter.add_(update.view_as(parameter), alpha=-group["lr"] * size)

    def direction(self, parameter, momentum: float) -> torch.Tensor:
        """Return Nesterov's momentum for one matrix."""
        state = self.state[parameter]
        if "momentum" not in state:
            state["momentum"] = torch.zeros_like(parameter)
        state["momentum"].lerp_(parameter.grad, 1 - momentum)
        return parameter.grad.lerp(state["momentum"], momentum)
