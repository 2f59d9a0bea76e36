"""Prompts that teach by example, and which label a model finds likeliest after one.

Built in lesson 05: solved examples in a row, the room they need in the context, the
score of a label, and the search for test items that slipped into a prompt.
"""

import random
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from labs_support.chat import TooLong
from labs_support.shelf import Language
from labs_support.world import names
from labs_support.world.genres.writer import Writer
from labs_support.world.reviews import key
from labs_support.world.shops import make_shop

Shots = Sequence[tuple[str, str]]  # solved examples: text and label


def few_shot(shots: Shots, query: str, layout: str = "{} -> {}") -> str:
    """Return solved examples in a row, and one more text whose label is missing.

    Args:
        shots: none for a zero-shot prompt.
        query: the text to label.
        layout: how a text and its label are written.

    Built in lesson 05.
    """
    joint = "\n\n" if "\n" in layout else "\n"
    solved = [layout.format(text, label) for text, label in shots]
    return joint.join([*solved, layout.format(query, "").rstrip()])


def encode(tokenizer, prompt: str, room: int) -> list[int]:
    """Return the token ids of a prompt, with the mark for the start of a text.

    Args:
        tokenizer: of a model of the shelf.
        prompt: any text.
        room: tokens that must be left for the completion.

    Raises:
        TooLong: if the context has less room left; nothing is ever cut off.

    Built in lesson 05.
    """
    ids = tokenizer(prompt, add_special_tokens=False).input_ids
    if tokenizer.bos_token_id is not None:
        ids = [tokenizer.bos_token_id, *ids]
    if len(ids) + room > tokenizer.model_max_length:
        raise TooLong(
            f"The prompt has {len(ids)} tokens and the completion needs {room}, but the "
            f"model reads {tokenizer.model_max_length}: shorten it, or show fewer examples."
        )
    return ids


@torch.inference_mode()
def complete(
    language: Language,
    prompt: str,
    max_new_tokens: int,
    choose: Callable[[Tensor, Tensor], Tensor],
) -> str:
    """Return what a model writes after a prompt, without the prompt.

    Args:
        language: model and tokenizer.
        prompt: any text.
        max_new_tokens: the most tokens to add; the mark for the end stops earlier.
        choose: called with logits (1, V) and the ids so far (1, T); returns one id (1,).

    Raises:
        TooLong: if prompt and completion do not fit into the context.

    Built in lesson 05.
    """
    model, tokenizer = language
    ids = torch.tensor([encode(tokenizer, prompt, max_new_tokens)], device=model.device)
    start = ids.shape[1]
    for _ in range(max_new_tokens):
        new = choose(model(ids).logits[:, -1].float(), ids)
        if new.item() == tokenizer.eos_token_id:
            break
        ids = torch.cat([ids, new[None]], dim=1)
    return tokenizer.decode(ids[0, start:])


@torch.inference_mode()
def label_scores(
    language: Language,
    prompts: Sequence[str],
    labels: Sequence[Sequence[str]],
    *,
    batch: int = 16,
) -> Tensor:
    """Return how likely each label is after each prompt, mean log-probability per token.

    Args:
        language: model and tokenizer.
        prompts: N prompts that end where the label begins.
        labels: K labels of each prompt.
        batch: prompts at a time; those of similar length go together.

    Returns:
        (N, K) in nats, at most 0; argmax(dim=1) is the model's choice.

    Raises:
        TooLong: if a prompt and its longest label do not fit into the context.

    Used in lesson 05.
    """
    model, tokenizer = language
    ends = [
        [tokenizer(f" {label}", add_special_tokens=False).input_ids for label in row]
        for row in labels
    ]
    starts = [
        encode(tokenizer, prompt, max(map(len, row)))
        for prompt, row in zip(prompts, ends, strict=True)
    ]
    scores = torch.empty(len(starts), len(ends[0]) if ends else 0)
    for chosen in _batches(starts, batch):
        x, is_read = _padded([starts[i] for i in chosen], "left", model.device)
        y, is_label = _padded(
            [end for i in chosen for end in ends[i]], "right", x.device
        )
        n_labels = len(y) // len(x)
        places = (is_read.cumsum(1) - 1).clamp(min=0)
        out = model(x, attention_mask=is_read, position_ids=places, logits_to_keep=1)
        out.past_key_values.batch_repeat_interleave(n_labels)  # every label reads it
        is_read = is_read.repeat_interleave(n_labels, 0)
        after = model(
            y,
            attention_mask=torch.cat([is_read, is_label], dim=1),
            position_ids=is_read.sum(1, keepdim=True) + torch.arange(y.shape[1]).to(y),
            past_key_values=out.past_key_values,
        ).logits  # (B * K, E, V)
        first = out.logits.repeat_interleave(n_labels, 0)
        logs = torch.cat([first, after[:, :-1]], dim=1).float().log_softmax(-1)
        own = logs.gather(-1, y[..., None]).squeeze(-1) * is_label
        scores[chosen] = (own.sum(1) / is_label.sum(1)).view(-1, n_labels).cpu()
    return scores


def invented_labels(
    rng: random.Random,
    n_shots: int,
    n_queries: int,
    task: Callable[[Writer, int], str],
) -> tuple[list[tuple[str, str]], list[str], tuple[str, str]]:
    """Return a labelling task whose labels are invented words, new in every call.

    Args:
        rng: draws texts and labels.
        n_shots: solved examples, of both kinds in turn, in random order.
        n_queries: texts to label, the first of kind 0, the second of kind 1, and so on;
            none of them occurs in an example.
        task: called with a Writer and a kind, 0 or 1; returns a text of that kind.

    Returns:
        Examples (text, label), queries, and the labels of kind 0 and 1.
    """
    writer = Writer(rng, make_shop(rng), held_out=True)
    labels = names.label(rng) + "a", names.label(rng) + "o"
    kinds = [i % 2 for i in range(n_shots)]
    rng.shuffle(kinds)
    shots = [(task(writer, kind), labels[kind]) for kind in kinds]
    queries: list[str] = []
    while len(queries) < n_queries:
        text = task(writer, len(queries) % 2)
        if not leaked([few_shot(shots, "")], [text]):
            queries.append(text)
    return shots, queries, labels


def _batches(rows: list[list], size: int) -> Iterator[list[int]]:
    """Yield the places of rows, those of similar length together."""
    order = sorted(range(len(rows)), key=lambda i: len(rows[i]))
    yield from (order[i : i + size] for i in range(0, len(order), size))


def _padded(
    rows: list[list[int]], side: str, device: torch.device
) -> tuple[Tensor, Tensor]:
    """Return rows of ids filled up with 0, and where the ids are (1) and are not (0)."""
    texts = [torch.tensor(row) for row in rows]
    ids, is_there = (
        torch.nn.utils.rnn.pad_sequence(part, batch_first=True, padding_side=side)
        for part in (texts, [torch.ones_like(text) for text in texts])
    )
    return ids.to(device), is_there.to(device)


def leaked(prompts: Sequence[str], items: Sequence[str]) -> list[str]:
    """Return the items that occur in a prompt, whatever the case and punctuation.

    Args:
        prompts: what the model reads, without the item that is asked.
        items: texts that must not be in it, such as those of a test split.

    Built in lesson 05.
    """
    read = [f" {key(prompt)} " for prompt in prompts]
    return [item for item in items if any(f" {key(item)} " in text for text in read)]
