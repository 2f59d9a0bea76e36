"""Measures the language models on Bottega Lume, which they have never seen.

python -m labs_support.recipes.evaluation runs/chat/model
"""

import random
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from labs_support.chat import ANSWER_FROM_SOURCES, REFUSAL, generate, sources_prompt
from labs_support.rag import holds
from labs_support.reading import condensed
from labs_support.recipes import labelling
from labs_support.scores import exact_match, normalise, without_citations, word_f1
from labs_support.shelf import Language, language_model
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
        there = [i for i in of_pages if holds(every[i][2], row["answer"])]
        chosen = there[:1] if row["pages"] else of_pages[:1]
        for slug in row["pages"]:
            if slug not in [every[i][0] for i in chosen]:
                chosen.append(next(i for i in of_pages if every[i][0] == slug))
        found.append([every[i][1:] for i in sorted(chosen)])
    return found


def talk_about(sources: list[tuple[str, str]], question: str) -> list[dict]:
    """Return the conversation that asks a question about sources."""
    return [
        {"role": "system", "content": ANSWER_FROM_SOURCES},
        {"role": "user", "content": sources_prompt(sources, question)},
    ]


def measure(answer_all: Callable[[list[list[dict]]], list[str]]) -> dict[str, float]:
    """Return the scores on the course's 240 questions and on passages never seen.

    Args:
        answer_all: returns the answer to each of a list of conversations.

    Returns:
        Shares from 0 to 1. Given the sections that a question is about, of which the
        nearest sentences are kept: exact match, F1, abstaining; the same given the
        whole sections; exact match without any source; and on held-out passages.
    """
    rows = [r for split in store.SPLITS for r in questions.load(split)]
    sources = gold_sources(rows)
    short = [condensed(s, r["question"]) for s, r in zip(sources, rows, strict=True)]
    scores = summary(rows, answer_all(talks_about(short, rows)))
    whole = summary(rows, answer_all(talks_about(sources, rows)))
    scores |= {f"{name}_whole_sections": value for name, value in whole.items()}
    closed = answer_all([[{"role": "user", "content": r["question"]}] for r in rows])
    scores["closed_book"] = summary(rows, closed)["exact_match"]
    held = held_out_readings(200)
    found = answer_all([talk for talk, _ in held])
    right = [
        exact_match(without_citations(answer), without_citations(gold))
        for answer, (_, gold) in zip(found, held, strict=True)
    ]
    return scores | {"held_out_passages": sum(right) / len(right)}


def talks_about(sources: list[list], rows: list[dict]) -> list[list[dict]]:
    """Return the conversations that ask each question about its sources."""
    return [
        talk_about(found, row["question"])
        for found, row in zip(sources, rows, strict=True)
    ]


def summary(rows: list[dict], answers: list[str]) -> dict[str, float]:
    """Return the mean scores of the answers to some questions."""
    plain = [without_citations(answer) for answer in answers]
    pairs = list(zip(rows, plain, strict=True))
    asked = [(r, a) for r, a in pairs if r["answer"]]
    single = [(r, a) for r, a in asked if r["type"] == "single"]
    missing = [(r, a) for r, a in pairs if not r["answer"]]

    def is_right(row, answer):
        return exact_match(answer, row["answer"])

    def abstains(row, answer):
        return normalise(answer) == normalise(REFUSAL)

    def mean(score, kept):
        return sum(score(row, answer) for row, answer in kept) / len(kept)

    return {
        "exact_match": mean(is_right, asked),
        "exact_match_one_page": mean(is_right, single),
        "f1": mean(lambda row, answer: word_f1(answer, row["answer"]), asked),
        "abstains_unanswerable": mean(abstains, missing),
        "abstains_answerable": mean(abstains, asked),
    }


def load(folder: Path) -> Language:
    """Return model and tokenizer of a folder."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return Language(model.eval(), tokenizer)


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


def chat_scores() -> dict[str, float]:
    """Return the scores of the chat model on the shelf; see `measure`."""
    language = language_model("chat-model")
    return measure(lambda talks: generate(language, talks))


def base_scores() -> dict[str, float]:
    """Return the scores of the base model on the shelf.

    The loss on texts of the stream that training never saw, in nats per token, and the
    accuracy of labelling with invented labels after 0, 1, 2, 4 and 8 examples.
    """
    language = language_model()
    scores = {"validation_loss": stream_loss(language)}
    for shots in (0, 1, 2, 4, 8):
        scores[f"labelling_{shots}_shot"] = labelling.accuracy(language, shots)
    return scores


@torch.no_grad()
def stream_loss(language: Language, split: str = "validation") -> float:
    """Return the mean loss on a split of data/stream, in nats per token."""
    model, tokenizer = language
    total = count = 0
    for row in store.rows("stream", split):
        ids = tokenizer(
            tokenizer.bos_token + row["text"], add_special_tokens=False,
            truncation=True, return_tensors="pt",
        ).input_ids.to(model.device)  # fmt: skip
        loss = model(input_ids=ids, labels=ids).loss
        total += loss.item() * (ids.shape[1] - 1)
        count += ids.shape[1] - 1
    return total / count


def main(folder: str) -> None:
    """Print the scores of the chat model in a folder."""
    language = load(Path(folder))
    scores = measure(lambda talks: generate(language, talks))
    for name, value in scores.items():
        print(f"{name:24} {value:.3f}")


if __name__ == "__main__":
    main(sys.argv[1])
