"""Reading on: what a language model knows of texts, and how it learns from more of them.

Built in lesson 04, and used there on lume-lm.
"""

import math
import random

import torch
from torch.nn import functional as F


def encode(tokenizer, texts: list[str], longest: int = 128) -> dict:
    """Return texts as a batch of a causal model; filling is not counted in the loss."""
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    found = tokenizer(
        texts, return_tensors="pt", padding=True, truncation=True, max_length=longest
    )
    labels = found["input_ids"].masked_fill(found["attention_mask"] == 0, -100)
    mask = found["attention_mask"]
    return {"input_ids": found["input_ids"], "attention_mask": mask, "labels": labels}


def read_on(model, tokenizer, texts: list[str], n_steps: int, rate: float = 1e-3):
    """Train a causal model on texts, eight at a time, and leave it in evaluation mode.

    Args:
        model: of `transformers`; it is changed.
        tokenizer: its tokenizer.
        texts: plain texts; each is cut after 128 tokens.
        n_steps: steps to take.
        rate: largest learning rate, from which it falls in a line.
    """
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    rng = random.Random(0)
    model.train()
    for step in range(n_steps):
        some = encode(tokenizer, rng.sample(texts, min(8, len(texts))))
        loss = model(**{k: v.to(model.device) for k, v in some.items()}).loss
        optimiser.param_groups[0]["lr"] = rate * (1 - step / n_steps)
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
    model.eval()


@torch.inference_mode()
def surprise(model, tokenizer, texts: list[str], starts: list[str] | None = None):
    """Return the nats of each text and its number of tokens, both (B,).

    Args:
        model: a causal model of `transformers`.
        tokenizer: its tokenizer.
        texts: plain texts.
        starts: beginnings of the texts, whose own nats do not count.
    """
    batch = encode(tokenizer, texts)
    labels = batch.pop("labels")[:, 1:]  # (B, T - 1)
    if starts:
        for row, start in zip(labels, starts, strict=True):
            row[: len(tokenizer(start)["input_ids"]) - 1] = -100
    logits = model(**{k: v.to(model.device) for k, v in batch.items()}).logits.cpu()
    nats = F.cross_entropy(logits[:, :-1].mT.float(), labels, reduction="none")
    return nats.sum(dim=1), (labels != -100).sum(dim=1)


def perplexity(model, tokenizer, texts: list[str], size: int = 16) -> float:
    r"""Return $e$ to the mean nats per token, over all tokens of all texts.

    Args:
        model: a causal model of `transformers`.
        tokenizer: its tokenizer.
        texts: plain texts.
        size: texts at a time; the result does not depend on it.
    """
    n_nats, n_tokens = 0.0, 0
    for start in range(0, len(texts), size):
        nats, counts = surprise(model, tokenizer, texts[start : start + size])
        n_nats, n_tokens = n_nats + nats.sum().item(), n_tokens + counts.sum().item()
    return math.exp(n_nats / n_tokens)


def choose(model, tokenizer, starts: list[str], endings: list[str]) -> list[int]:
    """Return for each start the place of the ending that surprises the model least."""
    chosen = []
    for start in starts:
        whole = [f"{start} {ending}" for ending in endings]
        nats, _ = surprise(model, tokenizer, whole, [start] * len(endings))
        chosen.append(nats.argmin().item())
    return chosen


@torch.inference_mode()
def go_on(model, tokenizer, starts: list[str], n_new: int = 12) -> list[str]:
    """Return the most probable text behind each start, one line of it at the most.

    Args:
        model: a causal model of `transformers`.
        tokenizer: its tokenizer.
        starts: beginnings; they are filled up on the left to one length.
        n_new: most tokens to write.
    """
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token
    read = tokenizer(starts, return_tensors="pt", padding=True, padding_side="left")
    read = {key: read[key].to(model.device) for key in ("input_ids", "attention_mask")}
    new = model.generate(**read, max_new_tokens=n_new, do_sample=False)
    texts = tokenizer.batch_decode(new[:, read["input_ids"].shape[1] :], True)
    return [text.strip().split("\n")[0] for text in texts]
