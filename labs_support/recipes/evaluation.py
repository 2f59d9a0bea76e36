"""Measures the chat model on Bottega Lume, which it has never seen.

python -m labs_support.recipes.evaluation runs/chat/model
"""

import random
import sys
from collections.abc import Callable, Iterable
from pathlib import Path

import torch

from labs_support.chat import ANSWER_FROM_SOURCES, REFUSAL, sources_prompt
from labs_support.scores import exact_match, normalise, without_citations, word_f1
from labs_support.skills import embed
from labs_support.world import handbook, questions, store


def sections() -> list[tuple[str, str, str]]:
    """Return (slug, title, text) of every section of the handbook."""
    return [
        (
            page.slug,
            heading if heading == page.title else f"{page.title}: {heading}",
            text,
        )
        for page in handbook.pages()
        for heading, text in handbook.sections(page)
    ]


def gold_sources(rows: list[dict]) -> list[list[tuple[str, str]]]:
    """Return for each question the sections that it is about, (title, text) each.

    For a single question: the section of its page that holds the answer, the nearest to
    the question if there are several. For two pages: the nearest section of each, and
    the nearest that holds the answer. Unanswerable: the nearest section there is.
    """
    every = sections()
    vectors = embed([f"{title}\n{text}" for _, title, text in every])
    nearest = embed([row["question"] for row in rows]) @ vectors.T
    found = []
    for row, scores in zip(rows, nearest, strict=True):
        ranked = sorted(range(len(every)), key=lambda i: -scores[i])
        of_pages = [i for i in ranked if every[i][0] in row["pages"]] or ranked
        holds = [i for i in of_pages if says(every[i][2], row["answer"])]
        chosen = holds[:1] if row["pages"] else of_pages[:1]
        for slug in row["pages"]:
            if slug not in [every[i][0] for i in chosen]:
                chosen.append(next(i for i in of_pages if every[i][0] == slug))
        found.append([every[i][1:] for i in sorted(chosen)])
    return found


def says(text: str, answer: str) -> bool:
    """Return whether a text holds an answer, as it is compared."""
    return bool(answer) and f" {normalise(answer)} " in f" {normalise(text)} "


def ask_all(
    model, tokenizer, talks: Iterable[list[dict]], batch: int = 16
) -> list[str]:
    """Return the model's greedy answer to each conversation."""
    prompts = [
        tokenizer.apply_chat_template(t, tokenize=False, add_generation_prompt=True)
        for t in talks
    ]
    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    answers = [""] * len(prompts)
    for start in range(0, len(order), batch):
        chosen = order[start : start + batch]
        inputs = tokenizer(
            [prompts[i] for i in chosen], return_tensors="pt", padding=True,
            padding_side="left", add_special_tokens=False,
        ).to(model.device)  # fmt: skip
        with torch.inference_mode():
            out = model.generate(
                input_ids=inputs.input_ids, attention_mask=inputs.attention_mask,
                max_new_tokens=24, do_sample=False,
            )  # fmt: skip
        for i, row in zip(chosen, out[:, inputs.input_ids.shape[1] :], strict=True):
            answers[i] = tokenizer.decode(row, skip_special_tokens=True).strip()
    return answers


def talk_about(sources: list[tuple[str, str]], question: str) -> list[dict]:
    """Return the conversation that asks a question about sources."""
    return [
        {"role": "system", "content": ANSWER_FROM_SOURCES},
        {"role": "user", "content": sources_prompt(sources, question)},
    ]


def measure(answer_all: Callable[[list[list[dict]]], list[str]]) -> dict:
    """Return the scores on the course's 240 questions and on passages never seen.

    Args:
        answer_all: returns the answer to each of a list of conversations.

    Returns:
        Shares from 0 to 1: exact match and F1 given the gold sections, abstaining,
        exact match without any source, and exact match on held-out passages.
    """
    rows = [r for split in store.SPLITS for r in questions.load(split)]
    sources = gold_sources(rows)
    answers = answer_all(
        [talk_about(s, r["question"]) for s, r in zip(sources, rows, strict=True)]
    )
    closed = answer_all([[{"role": "user", "content": r["question"]}] for r in rows])
    for row, answer, alone, source in zip(rows, answers, closed, sources, strict=True):
        row |= {"found": answer, "closed": alone, "sources": source}
    held = held_out_readings(200)
    found = answer_all([talk for talk, _ in held])
    right = [
        exact_match(without_citations(answer), without_citations(gold))
        for answer, (_, gold) in zip(found, held, strict=True)
    ]
    return summary(rows) | {"held_out_passages": sum(right) / len(right)}


def summary(rows: list[dict]) -> dict[str, float]:
    """Return the mean scores of answered rows."""
    asked = [r for r in rows if r["answer"]]
    missing = [r for r in rows if not r["answer"]]
    plain = {id(r): without_citations(r["found"]) for r in rows}

    def mean(score, kept):
        return sum(map(score, kept)) / len(kept)

    single = [r for r in asked if r["type"] == "single"]
    refused = normalise(REFUSAL)
    return {
        "exact_match": mean(lambda r: exact_match(plain[id(r)], r["answer"]), asked),
        "exact_match_single": mean(
            lambda r: exact_match(plain[id(r)], r["answer"]), single
        ),
        "f1": mean(lambda r: word_f1(plain[id(r)], r["answer"]), asked),
        "abstains_unanswerable": mean(
            lambda r: normalise(plain[id(r)]) == refused, missing
        ),
        "abstains_answerable": mean(
            lambda r: normalise(plain[id(r)]) == refused, asked
        ),
        "closed_book": mean(
            lambda r: exact_match(without_citations(r["closed"]), r["answer"]), asked
        ),
    }


def load(folder: Path):
    """Return model and tokenizer of a folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model.eval(), tokenizer


def held_out_readings(number: int, seed: int = 77) -> list[tuple[list[dict], str]]:
    """Return (conversation, answer) of passages that training never saw."""
    from labs_support.recipes import talks as made

    rng = random.Random(f"held-{seed}")
    talks = []
    while len(talks) < number:
        talk = made.reading_talk(rng, {}, held_out=True)
        body = [m for m in talk if m["role"] != "system"]
        talks.append((talk[: len(talk) - len(body) + 1], body[1]["content"]))
    return talks


def main(folder: str) -> None:
    """Print the scores of the chat model in a folder."""
    model, tokenizer = load(Path(folder))
    scores = measure(lambda talks: ask_all(model, tokenizer, talks))
    for name, value in scores.items():
        print(f"{name:24} {value:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
