"""What a computation costs: steps that wait for each other, and seconds."""

import time
from collections.abc import Callable

import torch


def longest_chain(result: torch.Tensor) -> int:
    """Return the number of operations in a row that led to a tensor.

    Each operation of the chain needs the result of the one before it, so that no number
    of processors could do them at the same time.

    Args:
        result: a tensor that was computed with gradients switched on.
    """
    depth, todo = {}, [result.grad_fn]
    while todo:
        before = [node for node, _ in todo[-1].next_functions if node]
        waiting = [node for node in before if node not in depth]
        if not waiting:
            depth[todo.pop()] = 1 + max((depth[node] for node in before), default=0)
        todo += waiting
    return depth[result.grad_fn]


@torch.inference_mode()
def seconds(function: Callable, *args, repeats: int = 7) -> float:
    """Return the wall time of the fastest of several calls, in seconds.

    The fastest is the one that other programs disturbed least.
    """
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        function(*args)
        times.append(time.perf_counter() - begin)
    return min(times)


def times_longer(slow: Callable, fast: Callable, repeats: int = 3) -> float:
    """Return how many times longer one function takes than another.

    The two are called in turns, so that other programs disturb both alike, and the
    fastest call of each counts.

    Args:
        slow: called without arguments.
        fast: called without arguments.
        repeats: calls of each.
    """
    pairs = [[seconds(f, repeats=1) for f in (slow, fast)] for _ in range(repeats)]
    longer, shorter = (min(times) for times in zip(*pairs, strict=True))
    return longer / shorter
