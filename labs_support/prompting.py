"""Prompts that teach by example, and which label a model finds likeliest after one.

Built in lesson 05: solved examples in a row, the room they need in the context, the
score of a label, and the search for test items that slipped into a prompt. Below stand
the small tasks that the lesson measures prompts with.
"""

import operator
import random
import re
from collections.abc import Callable, Iterator, Sequence
from os.path import commonprefix
from typing import NamedTuple

import torch
from torch import Tensor

from labs_support import gpt
from labs_support.chat import TooLong
from labs_support.reading import parts
from labs_support.shelf import Language
from labs_support.world import handbook, names, questions
from labs_support.world.english import plural
from labs_support.world.genres.slots import table
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
        batch: prompts at a time; those of similar length go together, and the tokens
            that all of them begin with are read once.

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
        rows = [starts[i] for i in chosen]
        shared = commonprefix([row[:-1] for row in rows])  # is read once for all
        past = None
        if shared:
            ids = torch.tensor([shared], device=model.device)
            past = model(ids, logits_to_keep=1).past_key_values
            past.batch_repeat_interleave(len(rows))
        x, is_new = _padded([row[len(shared) :] for row in rows], "left", model.device)
        is_read = torch.cat([is_new.new_ones(len(rows), len(shared)), is_new], dim=1)
        places = (is_read.cumsum(1) - 1).clamp(min=0)[:, len(shared) :]
        out = model(
            x,
            attention_mask=is_read,
            position_ids=places,
            past_key_values=past,
            logits_to_keep=1,
        )
        y, is_label = _padded(
            [end for i in chosen for end in ends[i]], "right", x.device
        )
        n_labels = len(y) // len(x)
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


# --- tasks


class Asked(NamedTuple):
    """A question about the handbook.

    Attributes:
        question: as a customer writes it.
        answer: the right one.
        source: title of the page, and the first sentence that holds the answer.
    """

    question: str
    answer: str
    source: tuple[str, str]


def questions_with_sources(split: str) -> list[Asked]:
    """Return the questions of a split that a single sentence of one page answers.

    Args:
        split: "train", "validation" or "test".
    """
    pages = {page.slug: page for page in handbook.pages()}
    found = []
    for row in questions.load(split):
        if row["type"] == "single":
            page = pages[row["pages"][0]]
            held = [part for part in parts(page.text) if row["answer"] in part]
            if held:
                source = page.title, held[0]
                found.append(Asked(row["question"], row["answer"], source))
    return found


RULES: tuple[Callable[[str], str], ...] = (
    plural, str.upper, lambda word: f"{word} {word}", lambda word: word[::-1],
)  # fmt: skip


def rewriting(
    rng: random.Random, n_shots: int, n_queries: int
) -> tuple[list[tuple[str, str]], list[str], list[list[str]], int]:
    """Return a task that its examples define: rewrite words by one of four rules.

    Args:
        rng: draws the words and the rule.
        n_shots: solved examples.
        n_queries: words to rewrite, none of them in an example.

    Returns:
        Examples (word, rewritten); the words to rewrite; for each of them what every
        rule makes of it; and the place of the rule that the examples follow.
    """
    pool = table("pools", "animalword") + table("pools", "object")
    words = rng.sample(pool, n_shots + n_queries)
    place = rng.randrange(len(RULES))
    shots = [(word, RULES[place](word)) for word in words[:n_shots]]
    queries = words[n_shots:]
    return shots, queries, [[rule(word) for rule in RULES] for word in queries], place


VERB = re.compile(r"\b(is|are|can|will|was)\b")
HARMLESS = "also", "indeed", "still", "now"


class Variants(NamedTuple):
    """A statement, the same in other words, its negation, and with a harmless word."""

    said: str
    again: str
    negated: str
    harmless: str


def variants(rng: random.Random) -> Variants:
    """Return a statement about an invented shop in four variants."""
    while True:
        writer = Writer(rng, make_shop(rng))
        fact = rng.choice(writer.facts)
        said, again = writer.sentence(fact), writer.sentence(fact)
        if said != again and len(VERB.findall(said)) == 1 and ":" not in said:
            words = "not", rng.choice(HARMLESS)
            return Variants(said, again, *(VERB.sub(rf"\1 {w}", said) for w in words))


NUMBER = r"\d+(?:\.\d+)?"
STEP = re.compile(rf"({NUMBER}) ([-+x/]) ({NUMBER}) = ({NUMBER})")
SIGNS = {"+": operator.add, "-": operator.sub, "x": operator.mul, "/": operator.truediv}


def first_step(text: str, question: str) -> tuple[bool, bool]:
    """Return whether the first step of a solution is set up, and worked out, correctly.

    Args:
        text: a solution with steps such as "3 x 6.00 = 18.00".
        question: the sum in words; a step is set up if its two numbers stand there.

    Returns:
        (is_set_up, is_worked_out); both are False where there is no step.
    """
    step = STEP.search(text)
    if step is None:
        return False, False
    a, sign, b, result = step.groups()
    is_set_up = {float(a), float(b)} <= set(map(float, re.findall(NUMBER, question)))
    if sign == "/" and float(b) == 0:
        return is_set_up, False
    right = SIGNS[sign](float(a), float(b))
    return is_set_up, abs(right - float(result)) < 0.006


def train_writer(rows: Sequence[Tensor], n_read: int, seed: int) -> gpt.GPT:
    """Return a GPT of two blocks, trained to write the end of rows of digits.

    Args:
        rows: batches of ids from 0 to 10, (B, T); one training step each.
        n_read: tokens at the start that are given, so that no loss is taken on them.
        seed: draws the first weights.
    """

    def pair(ids: Tensor) -> tuple[Tensor, Tensor]:
        target = ids[:, 1:].clone()
        target[:, : n_read - 1] = -100
        return ids[:, :-1], target

    torch.manual_seed(seed)
    model = gpt.GPT(
        gpt.GPTConfig(11, rows[0].shape[1], width=64, n_layers=2, n_heads=4)
    )
    for _ in gpt.train_gpt(model, map(pair, rows), len(rows), rate=3e-3):
        pass
    return model.eval()
