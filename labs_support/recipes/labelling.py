"""Measures whether a language model learns a task from the examples in its prompt.

The labels are invented words, new in every prompt: nothing but the examples tells what
they mean. `accuracy` shows some solved examples and lets the model label one more.
"""

import random

import torch

from labs_support.shelf import Language
from labs_support.world import names
from labs_support.world.genres import tasks
from labs_support.world.genres.writer import Writer
from labs_support.world.shops import make_shop

LAYOUT = "{} -> {}"


def prompt(rng: random.Random, shots: int) -> tuple[str, tuple[str, str], int]:
    """Return a prompt, its two labels, and which of the two is right.

    Args:
        rng: draws task, texts and labels.
        shots: solved examples before the one to label, of both kinds in turn.
    """
    writer = Writer(rng, make_shop(rng), held_out=True)
    task = rng.choice(tasks.LABELLED)
    labels = names.label(rng) + "a", names.label(rng) + "o"
    kinds = [(i + rng.randint(0, 1)) % 2 if shots == 1 else i % 2 for i in range(shots)]
    rng.shuffle(kinds)
    solved = [LAYOUT.format(task(writer, kind), labels[kind]) for kind in kinds]
    kind = rng.randint(0, 1)
    last = LAYOUT.format(task(writer, kind), "").rstrip()
    return "\n".join([*solved, last]), labels, kind


@torch.no_grad()
def accuracy(language: Language, shots: int, *, n: int = 200, seed: int = 0) -> float:
    """Return the share of n prompts in which the right label is the likelier one.

    Chance is 0.5: the model chooses between the two labels of the prompt.
    """
    rng = random.Random(f"labels-{shots}-{seed}")
    return sum(is_right(language, *prompt(rng, shots)) for _ in range(n)) / n


def is_right(language: Language, text: str, labels: tuple[str, str], kind: int) -> bool:
    """Return whether the model finds the right label likelier, per token."""
    model, tokenizer = language
    begin = [] if tokenizer.bos_token_id is None else [tokenizer.bos_token_id]
    start = begin + tokenizer(text, add_special_tokens=False).input_ids
    means = []
    for label in labels:
        end = tokenizer(f" {label}", add_special_tokens=False).input_ids
        ids = torch.tensor([start + end], device=model.device)
        logs = model(ids).logits[0].float().log_softmax(-1)
        places = torch.arange(len(start) - 1, len(start) + len(end) - 1)
        means.append(logs[places, ids[0, len(start) :]].mean().item())
    return means[kind] > means[1 - kind]
