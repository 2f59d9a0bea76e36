"""Three ways to learn from plain text: fill in, go on, restore a gap.

Built in lesson 04. Texts are rows of word ids; a `make` function turns rows into a batch
for a model of `transformers`, whose loss does the rest.
"""

import random
from collections.abc import Callable, Iterator

import torch

from labs_support import shelf
from labs_support.gpt import warm_cosine
from labs_support.world import store

PAD, MASK, END = 0, 1, 2
MARKS = ("<pad>", "<mask>", "<end>")
IGNORED = -100  # a label that no loss counts
STEPS = 2000  # of the models on the shelf
FOLDER = store.DATA / "models" / "lume-objectives"


def lines(split: str) -> list[list[str]]:
    """Return phrases as lists of words, "english = french", 20 words at the most."""
    pairs = (
        f"{row['en']} = {row['fr']}".split() for row in store.rows("phrases", split)
    )
    return [line for line in pairs if len(line) <= 20]


def vocabulary() -> list[str]:
    """Return the marks, and then every word of the training lines in order."""
    return [*MARKS, *sorted({word for line in lines("train") for word in line})]


def rows(split: str) -> list[list[int]]:
    """Return the lines of a split as ids of the vocabulary."""
    number = {word: i for i, word in enumerate(vocabulary())}
    return [[number[word] for word in line] for line in lines(split)]


def pad(rows: list[list[int]], value: int = PAD) -> torch.Tensor:
    """Return rows of unlike length as one tensor, (B, T)."""
    T = max(map(len, rows))
    return torch.tensor([row + [value] * (T - len(row)) for row in rows])


def batch(x: list[list[int]], y: list[list[int]]) -> dict:
    """Return what the models of `transformers` are called with."""
    x = pad(x)  # (B, T)
    return {
        "input_ids": x,
        "attention_mask": (x != PAD).long(),
        "labels": pad(y, IGNORED),
    }


def blanks(rows: list[list[int]], rng: random.Random, share: float = 0.15) -> dict:
    """Return a batch with words hidden: autoencoding, as in BERT.

    Source: Devlin et al. (2018), BERT, section 3.1; without the 20 % of the chosen words
        that stay or are exchanged.
    """
    x, y = [], []
    for row in rows:
        hidden = rng.sample(range(len(row)), max(1, round(share * len(row))))
        x.append([MASK if i in hidden else w for i, w in enumerate(row)] + [END])
        y.append([w if i in hidden else IGNORED for i, w in enumerate(row)] + [IGNORED])
    return batch(x, y)


def continuations(rows: list[list[int]], rng: random.Random) -> dict:
    """Return a batch in which every next word is to be found: autoregressive, as in GPT.

    The model itself moves the labels by one place.
    """
    whole = [[END, *row, END] for row in rows]
    return batch(whole, whole)


def gaps(rows: list[list[int]], rng: random.Random, longest: int = 4) -> dict:
    """Return a batch with a run of words replaced by one mark: sequence to sequence.

    The decoder writes what is missing, however long it is.

    Source: Raffel et al. (2019), T5, section 3.1.4, with one gap for each text.
    """
    x, y = [], []
    for row in rows:
        size = rng.randint(1, longest)
        start = rng.randrange(len(row) - size + 1)
        x.append([*row[:start], MASK, *row[start + size :], END])
        y.append([*row[start : start + size], END])
    return batch(x, y)


def fit(model, texts, make: Callable, n_steps: int, rate: float = 3e-3) -> Iterator:
    """Train a model on batches of 64 texts, and yield the loss of every step in nats.

    Args:
        model: of `transformers`; its loss is what makes the objective.
        texts: rows of word ids.
        make: called with some rows and a generator, returns a batch.
        n_steps: steps to take; the learning rate warms up and falls to 0 with the last.
        rate: largest learning rate.
    """
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    rng = random.Random(0)
    model.train()
    for step in range(n_steps):
        optimiser.param_groups[0]["lr"] = rate * warm_cosine(step, n_steps, 50)
        loss = model(**make(rng.choices(texts, k=64), rng)).loss
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        yield loss.item()
    model.eval()


def small_models(n_words: int, width: int = 64, longest: int = 24) -> dict:
    """Return an untrained BERT, GPT and T5 of nearly the same number of weights.

    Args:
        n_words: size of the vocabulary, V.
        width: channels, C.
        longest: most words of a text.
    """
    from transformers import (
        BertConfig,
        BertForMaskedLM,
        GPT2Config,
        GPT2LMHeadModel,
        T5Config,
        T5ForConditionalGeneration,
    )

    ends = {"pad_token_id": PAD, "eos_token_id": END, "bos_token_id": END}
    bert = BertConfig(
        vocab_size=n_words, hidden_size=width, num_hidden_layers=3,
        num_attention_heads=2, intermediate_size=4 * width,
        max_position_embeddings=longest, hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0, **ends,
    )  # fmt: skip
    gpt = GPT2Config(
        vocab_size=n_words, n_embd=width, n_layer=3, n_head=2, n_positions=longest,
        resid_pdrop=0.0, embd_pdrop=0.0, attn_pdrop=0.0, **ends,
    )  # fmt: skip
    t5 = T5Config(
        vocab_size=n_words, d_model=width, d_kv=width // 2, d_ff=4 * width,
        num_layers=2, num_decoder_layers=1, num_heads=2, dropout_rate=0.0,
        decoder_start_token_id=END, **ends,
    )  # fmt: skip
    made = (BertForMaskedLM(bert), GPT2LMHeadModel(gpt), T5ForConditionalGeneration(t5))
    return dict(zip(("BERT", "GPT", "T5"), made, strict=True))


def trained(n_words: int) -> dict:
    """Return the models of `small_models`, as the recipe trained them for STEPS steps.

    Raises:
        DamagedModel: if a weight file is missing or damaged.

    Source: `labs_support/recipes/objectives.py`; data/models/lume-objectives/README.md is
        the card.
    """
    from safetensors.torch import load_file

    models, published = small_models(n_words), store.published()
    for name, model in models.items():
        file = FOLDER / f"{name.lower()}.safetensors"
        digest = published.get(file.relative_to(store.DATA).as_posix(), "")
        shelf.check(file, digest, "git checkout data")
        weights = {k: v.float() for k, v in load_file(file).items()}
        model.load_state_dict(weights, strict=False)
        model.tie_weights()
        model.eval()
    return models


def tasks(row: list[int], rng: random.Random) -> dict[str, tuple]:
    """Return {task: (before, after, wanted, length)} for a line of more than 5 words.

    "blank": one hidden word, all else in sight. "next": the line breaks off before it.
    "gap": two to four words are missing, and the length is None: nobody says it.
    """
    size = rng.randint(2, 4)
    start = rng.randrange(1, len(row) - size + 1)
    word, end = row[start : start + 1], start + size
    return {
        "blank": (row[:start], row[start + 1 :], word, 1),
        "next": (row[:start], [], word, 1),
        "gap": (row[:start], row[end:], row[start:end], None),
    }


@torch.inference_mode()
def answer(
    name: str, model, before: list[int], after: list[int], n: int | None
) -> list:
    """Return the words that a model puts between two parts of a line.

    A GPT sees only what stands before, and writes 3 words where the number is unknown. A
    BERT is asked with 2, 3 and 4 marks, and the answer it finds most probable counts.

    Args:
        name: "BERT", "GPT" or "T5".
        model: the model of that kind.
        before: ids in front of the hole.
        after: ids behind it.
        n: number of words; None if the model has to find it.
    """
    if name == "GPT":
        ids = torch.tensor([[END, *before]])
        new = model.generate(ids, max_new_tokens=n or 3, do_sample=False)
        return new[0, ids.shape[1] :].tolist()
    if name == "T5":
        ids = torch.tensor([[*before, MASK, *after, END]])
        new = model.generate(ids, max_new_tokens=5, do_sample=False)[0, 1:].tolist()
        return (new[: new.index(END)] if END in new else new)[:n]
    tried = {}
    for size in [n] if n else [2, 3, 4]:
        ids = torch.tensor([[*before, *[MASK] * size, *after, END]])
        logits = model(ids).logits[0, len(before) : len(before) + size]
        probs, found = logits.softmax(-1).max(-1)
        tried[probs.log().mean().item()] = found.tolist()
    return tried[max(tried)]


def scores(models: dict, test: list[list[int]], seed: int = 0) -> dict:
    """Return {model: {task: share of exact answers}} on lines, the same for all models."""
    right = {name: {"blank": 0.0, "next": 0.0, "gap": 0.0} for name in models}
    for name, model in models.items():
        rng = random.Random(seed)
        for row in test:
            for task, (before, after, wanted, n) in tasks(row, rng).items():
                hit = answer(name, model, before, after, n) == wanted
                right[name][task] += hit / len(test)
    return right
