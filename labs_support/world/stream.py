"""An endless stream of texts about invented shops, to pre-train a language model on.

Every document is about one of countless shops, none of them Bottega Lume, in one of
the GENRES. Names, numbers and facts are random; each kind of fact has many wordings,
some of which (WORDINGS: held out) appear in the test split only.

    for document in documents(seed=7):
        print(document["text"])

The pre-training streams may use any seed except those that `generate` uses for
validation and test.
"""

import random
import re
from collections.abc import Callable, Iterator, Mapping

from labs_support.world import facts
from labs_support.world.english import tidy
from labs_support.world.genres import exams, goods, notices, talks, tasks
from labs_support.world.genres.writer import Writer, events
from labs_support.world.shops import make_shop

GENRES: dict[str, tuple[Callable[[Writer], str], int]] = {
    "page": (notices.page, 6),
    "plain": (notices.plain, 4),
    "sheet": (notices.sheet, 2),
    "table": (goods.table_of, 2),
    "faq": (notices.faq, 5),
    "news": (notices.news, 4),
    "letter": (notices.letter, 3),
    "note": (notices.note, 4),
    "poster": (notices.poster, 3),
    "radio": (notices.radio, 2),
    "advert": (notices.advert, 2),
    "product": (goods.product, 4),
    "review": (goods.review, 5),
    "price_list": (goods.price_list, 3),
    "howto": (goods.howto, 3),
    "recipe": (goods.recipe, 2),
    "glossary": (goods.glossary, 2),
    "dialogue": (talks.dialogue, 6),
    "mail": (talks.mail, 4),
    "timeline": (talks.timeline, 2),
    "diary": (talks.diary, 3),
    "report": (talks.report, 3),
    "talk": (talks.talk, 3),
    "story": (talks.story, 3),
    "argument": (talks.argument, 2),
    "exam": (exams.exam, 16),
    "summary": (exams.summary, 5),
    "sums": (tasks.sums, 6),
    "few_shot": (tasks.few_shot, 6),
    "tool_call": (tasks.tool_call, 4),
}
SIZES = {"train": 950_000, "validation": 120_000, "test": 120_000}  # bytes of the files
OFFSETS = {"train": 0, "validation": 1_000_003, "test": 2_000_003}  # added to the seed
ANSWER = re.compile("\x02(.*?)\x03", re.DOTALL)


def documents(
    seed: int = 0,
    held_out: bool = False,
    *,
    max_facts: int = 10,
    weights: Mapping[str, float] | None = None,
) -> Iterator[dict]:
    """Yield documents without end: text, genre, shop, wordings and answers.

    Args:
        seed: Which stream; the same seed gives the same texts.
        held_out: Whether facts and questions use the held-out wordings only.
        max_facts: The most facts in one passage; small numbers make easy reading.
        weights: Genre -> weight, in place of the weights in GENRES.

    Yields:
        A dict; `answers` holds the [start, end] spans of answers, labels and calls.

    Raises:
        ValueError: if weights name an unknown genre or max_facts is below 1.
    """
    table = {genre: weight for genre, (_, weight) in GENRES.items()}
    if unknown := sorted(set(weights or table) - set(table)):
        raise ValueError(f"no genre {unknown[0]!r}; there are {', '.join(table)}")
    if max_facts < 1:
        raise ValueError(f"max_facts is {max_facts}; a text states at least 1 fact")
    rng = random.Random(f"stream-{seed}")
    genres, shares = zip(*(weights or table).items(), strict=True)
    while genre := rng.choices(genres, shares)[0]:
        yield document(rng, genre, held_out=held_out, max_facts=max_facts)


def document(
    rng: random.Random, genre: str, *, held_out: bool = False, max_facts: int = 10
) -> dict:
    """Return one document of a genre about a new shop."""
    shop = make_shop(rng)
    writer = Writer(rng, shop, held_out=held_out, limit=max_facts)
    marked = tidy(GENRES[genre][0](writer))
    answers, taken = [], 0
    for match in ANSWER.finditer(marked):
        answers.append([match.start() - taken, match.end() - taken - 2])
        taken += 2
    return {
        "text": ANSWER.sub(r"\1", marked),
        "genre": genre,
        "shop": shop.name,
        "wordings": writer.used,
        "answers": answers,
    }


def row(source: dict) -> dict:
    """Return the row of the data set for a document."""
    return {key: source[key] for key in ("text", "genre", "shop", "wordings")}


def generate(seed: int = 0) -> dict[str, list[dict]]:
    """Return the splits of data/stream; the test split has held-out wordings."""
    from labs_support.world.store import encode

    splits = {}
    for split, size in SIZES.items():
        rows, total = [], 0
        for source in documents(seed + OFFSETS[split], held_out=split == "test"):
            total += len(encode([row(source)]))
            if total > size:
                break
            rows.append(row(source))
        splits[split] = rows
    return splits


def held_out_of() -> dict[str, bool]:
    """Return wording -> whether it is held out of train and validation."""
    table = {
        f"{kind}/{use}/{i}": use in ("held", "ask_held")
        for kind, uses in facts.wordings().items()
        for use, lines in uses.items()
        for i in range(len(lines))
    }
    return table | {
        f"event-{name}/say/{i}": event["is_held"]
        for name, event in events().items()
        for i in range(len(event["say"]))
    }


WORDINGS = held_out_of()
