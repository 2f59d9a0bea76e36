"""Conversations for the chat model: reading with sources, and the shop's small tasks.

Nothing here comes from Bottega Lume's handbook or questions.
"""

import random
import re
from collections.abc import Callable, Iterator

from labs_support.chat import (
    ANSWER_FROM_SOURCES,
    REFUSAL,
    SYSTEM_PROMPTS,
    TOOL_PROMPT,
    sources_prompt,
)
from labs_support.reading import parts
from labs_support.recipes.pieces import occurrences
from labs_support.recipes.readings import (
    chosen,
    longest,
    several,
    shortened,
)
from labs_support.world import dialogues, replies, reviews, sums
from labs_support.world.english import tidy
from labs_support.world.genres import exams, tasks
from labs_support.world.genres import talks as spoken
from labs_support.world.genres.writer import Writer
from labs_support.world.shops import make_shop

SOURCES = (
    "Text:\n{}", "Passage:\n{}", "Sources:\n{}", "{}", "Read this.\n\n{}",
    "From the handbook:\n{}", "Context: {}",
)  # fmt: skip
ASKS = ("Question: {}", "Question: {}", "{}", "Q: {}", "The customer asks: {}")

Talk = list[dict]  # messages: role, content, and where in it the sources stand


def talks(seed: int, progress: Callable[[], float] = lambda: 1.0) -> Iterator[Talk]:
    """Yield conversations for the chat model without end.

    Args:
        seed: Which conversations.
        progress: Returns the share of the training done, 0-1: sources grow longer and
            more.
    """
    rng = random.Random(f"talks-{seed}")
    makers = {
        condensed_talk: 80, reading_talk: 30, shop_talk: 10, summary_talk: 4, sum_talk: 6,
        tool_talk: 5, mood_talk: 5, label_talk: 6, reply_talk: 4,
    }  # fmt: skip
    banks = {
        "dialogues": rows(dialogues, seed), "sums": rows(sums, seed),
        "reviews": rows(reviews, seed), "replies": rows(replies, seed),
    }  # fmt: skip
    while True:
        maker = rng.choices(list(makers), list(makers.values()))[0]
        yield maker(rng, banks | {"progress": progress()})


def rows(source, seed: int) -> Iterator[dict]:
    """Yield rows of the train split of a data set, generated anew each time round."""
    while True:
        seed += 101
        yield from source.generate(seed)["train"]


def message(role: str, content: str) -> dict[str, str]:
    """Return one message of a conversation."""
    return {"role": role, "content": content}


def reading_talk(rng: random.Random, banks: dict, *, held_out: bool = False) -> Talk:
    """Return sources, then questions with answers, citations and refusals."""
    progress = banks.get("progress", 1.0)
    if held_out or rng.random() < 0.25:
        number, most = rng.choice([1, 1, 1, 2, 3]), 99
    else:
        number, most = rng.choice([1, 1, 2, 3]), longest(rng, progress)
    found = several(rng, number, held_out=held_out)
    if len(found) > 1 and not held_out:
        most = rng.randint(1, 7)
    found = [shortened(rng, reading, most) for reading in found]
    pairs = chosen(rng, found, REFUSAL, most=8)
    numbers = {r.name: i for i, r in enumerate(found, 1)}
    asked = [(q, a, numbers[r.name] if r else 0) for q, a, r in pairs]
    return questioned(rng, [(r.title, r.text) for r in found], asked)


def condensed_talk(rng: random.Random, banks: dict) -> Talk:
    """Return the few sentences nearest to one question, and its answer.

    As `reading.condensed` makes them from the sections that were found: most often the
    answer is among them, else the right reply is a refusal. Up to three questions on
    the same sentences follow.
    """
    found = several(rng, rng.choice([1, 1, 2, 3]))
    about = rng.choice(found)
    if about.absent and rng.random() < 0.22:
        question, answer = rng.choice(about.absent), REFUSAL
    else:
        question, answer = rng.choice(about.pairs)
    most = rng.choice([1, 1, 2, 2, 3, 4, 5])
    ranked = sorted(
        ((likeness(rng, question, sentence), reading, sentence)
         for reading in found for sentence in parts(reading.text)),
        key=lambda row: -row[0],
    )  # fmt: skip
    kept = [(reading, sentence) for _, reading, sentence in ranked[:most]]
    holds = [
        (about, sentence)
        for sentence in parts(about.text)
        if occurrences(answer, sentence)
    ]
    if holds and not any(pair in kept for pair in holds) and rng.random() < 0.85:
        kept[-1] = rng.choice(holds)
    sources = [
        (r.title, " ".join(t for t in parts(r.text) if (r, t) in kept)) for r in found
    ]
    cited = 1 + next(i for i, reading in enumerate(found) if reading is about)
    if not any(pair in kept for pair in holds):
        answer, cited = REFUSAL, 0
    others = [
        (q, a, number)
        for number, (reading, (_, text)) in enumerate(
            zip(found, sources, strict=True), 1
        )
        for q, a in reading.pairs
        if q != question and occurrences(a, text)
    ]
    others += [(q, REFUSAL, 0) for q in about.absent if q != question][: len(others)]
    others = rng.sample(others, min(len(others), rng.choice([0, 0, 1, 2, 3])))
    return questioned(rng, sources, [(question, answer, cited), *others])


def likeness(rng: random.Random, question: str, sentence: str) -> float:
    """Return how like a question a sentence is: shared beginnings of words, and chance."""
    words, others = (
        {w[:5] for w in re.findall(r"\w{3,}", text.lower())}
        for text in (question, sentence)
    )
    return len(words & others) + 1.5 * rng.random()


def shop_talk(rng: random.Random, banks: dict) -> Talk:
    """Return a passage of the stream, then questions about its facts."""
    writer = Writer(rng, make_shop(rng), limit=rng.randint(2, 10))
    maker = rng.choices(list(exams.PASSAGES), list(exams.PASSAGES.values()))[0]
    text = tidy(maker(writer))
    is_story = maker is spoken.story
    pairs = (exams.story_questions if is_story else exams.fact_questions)(writer)
    rng.shuffle(pairs)
    asked = [
        (tidy(q), REFUSAL, 0) if a in exams.NOT_STATED else (tidy(q), tidy(a), 1)
        for q, a in pairs
    ]
    return questioned(rng, [(writer.shop.name, text)], asked)


def questioned(
    rng: random.Random,
    sources: list[tuple[str, str]],
    asked: list[tuple[str, str, int]],
) -> Talk:
    """Return a conversation about sources, numbered and cited more often than not.

    Args:
        rng: draws the layout.
        sources: (title, text) of each.
        asked: (question, answer, number of its source or 0) in order.
    """
    talk = [] if rng.random() < 0.4 else [message("system", ANSWER_FROM_SOURCES)]
    if has_numbers := rng.random() < 0.6:
        opening = sources_prompt(sources, asked[0][0])
        body = opening.split("\n\n", 1)[1].rsplit("\n\n", 1)[0]
    else:
        body = "\n\n".join(f"{title}\n{x}".strip() for title, x in sources if x)
        question = rng.choice(ASKS).format(asked[0][0])
        opening = f"{rng.choice(SOURCES).format(body)}\n\n{question}"
        if rng.random() < 0.5:
            opening = f"{question}\n\n{opening}"
    start = opening.index(body)
    for i, (question, answer, number) in enumerate(asked):
        talk.append(message("user", question if i else opening))
        if not i:
            talk[-1]["source"] = (start, start + len(body))
        cited = f" [{number}]" if has_numbers and number else ""
        talk.append(message("assistant", answer + cited))
    return talk


def summary_talk(rng: random.Random, banks: dict) -> Talk:
    """Return a conversation between a customer and the shop, and its summary."""
    row = next(banks["dialogues"])
    text = "\n".join(f"{t['speaker'].capitalize()}: {t['text']}" for t in row["turns"])
    ask = rng.choice(
        ["Summarise this conversation.", "Summary, please.", "Sum this up in one line."]
    )
    return [
        message(
            "user", f"{ask}\n\n{text}" if rng.random() < 0.7 else f"{text}\n\n{ask}"
        ),
        message("assistant", row["summary"]),
    ]


def sum_talk(rng: random.Random, banks: dict) -> Talk:
    """Return a sum and its program, its steps, or its bare result."""
    row = next(banks["sums"])
    kind = rng.choice(["program", "program", "steps", "result"])
    answer = {
        "program": row["program"],
        "steps": f"{row['reasoning']} Answer: {row['answer']}",
        "result": row["answer"],
    }[kind]
    return [
        message("system", SYSTEM_PROMPTS[kind]),
        message("user", row["question"]),
        message("assistant", answer),
    ]


def tool_talk(rng: random.Random, banks: dict) -> Talk:
    """Return questions that are answered by calling tools, with their results."""
    writer = Writer(rng, make_shop(rng))
    talk = [message("system", TOOL_PROMPT)]
    for _ in range(rng.randint(1, 3)):
        maker = tasks.calculation if rng.random() < 0.25 else tasks.looked_up
        question, call, result, answer = map(tidy, maker(writer))
        talk += [
            message("user", question),
            message("assistant", call.strip("\x02\x03")),
            message("tool", result),
            message("assistant", answer),
        ]
    return talk


def mood_talk(rng: random.Random, banks: dict) -> Talk:
    """Return reviews and whether they are positive or negative."""
    talk = [message("system", SYSTEM_PROMPTS["mood"])]
    for _ in range(rng.randint(1, 5)):
        row = next(banks["reviews"])
        talk += [message("user", row["text"]), message("assistant", row["label"])]
    return talk


def label_talk(rng: random.Random, banks: dict) -> Talk:
    """Return solved examples with invented labels in one message, and one more."""
    lines = tidy(tasks.few_shot(Writer(rng, make_shop(rng))))
    shown, _, last = lines.rpartition("\x02")
    label, _, _ = last.partition("\x03")
    plain = shown.replace("\x02", "").replace("\x03", "")
    return [message("user", plain.rstrip()), message("assistant", label)]


def reply_talk(rng: random.Random, banks: dict) -> Talk:
    """Return a customer's message and a reply in the tone of the shop."""
    row = next(banks["replies"])
    return [
        message("system", SYSTEM_PROMPTS["clerk"]),
        message("user", row["prompt"]),
        message("assistant", row["chosen"]),
    ]
