r"""Genres that read: a passage and short answers, a text and its summary.

Answers stand between the marks \x02 and \x03, which stream.documents turns into
character spans.
"""

from labs_support.world.english import DAYS, capital
from labs_support.world.facts import Fact
from labs_support.world.genres import goods, notices, talks
from labs_support.world.genres.slots import table
from labs_support.world.genres.writer import Writer

PASSAGES = {
    notices.plain: 34,
    notices.bullets: 10,
    notices.sheet: 6,
    talks.report: 16,
    goods.table_of: 6,
    notices.page: 14,
    notices.faq: 5,
    notices.news: 10,
    notices.note: 6,
    notices.letter: 5,
    goods.product: 7,
    talks.dialogue: 6,
    talks.mail: 4,
    talks.story: 7,
}
NOT_STATED = {
    "The text does not say.": 5,
    "Not in the text.": 2,
    "The passage does not say.": 1,
    "not stated": 1,
    "unknown": 1,
    "I cannot find that in the text.": 1,
}
LAYOUTS = (
    ("Q: {}", "A: {}"),
    ("Question: {}", "Answer: {}"),
    ("Question: {}", "Answer: {}"),
    ("{}", "{}"),
    ("- {}", "Answer: {}"),
    ("{}", "-> {}"),
    ("User: {}", "Assistant: {}"),
)
FRONTS = (
    "Text:\n",
    "Passage:\n",
    "Context: ",
    "Read this.\n\n",
    "",
    "",
    "Document:\n",
    "Source: ",
)
NEVER_MISSING = (
    "address",
    "manager",
    "founder",
    "founding_year",
    "duty",
    "best_seller",
)


def exam(w: Writer) -> str:
    """Return a passage, then questions with short answers, some not in the text."""
    maker = w.rng.choices(list(PASSAGES), list(PASSAGES.values()))[0]
    passage = maker(w)
    asked = story_questions(w) if maker is talks.story else fact_questions(w)
    w.rng.shuffle(asked)
    ask, answer = w.rng.choice(LAYOUTS)
    break_ = w.rng.choice(["\n", "\n", "\n\n"])
    blocks = [f"{ask.format(q)}\n{answer.format(mark(a))}" for q, a in asked]
    order = w.rng.choice(
        ["", "", "Answer the questions.\n", "Questions:\n", "Short answers, please.\n"]
    )
    return f"{w.rng.choice(FRONTS)}{passage}\n\n{order}{break_.join(blocks)}"


def mark(answer: str) -> str:
    """Return the answer between the marks of an answer."""
    return f"\x02{answer}\x03"


def story_questions(w: Writer) -> list[tuple[str, str]]:
    """Return one to three questions about a story."""
    return w.rng.sample(w.questions, w.rng.randint(1, len(w.questions)))


def fact_questions(w: Writer) -> list[tuple[str, str]]:
    """Return questions about stated facts, compared facts, and missing facts."""
    w.voice = w.rng.choice(["shop", "shop", "shop", "you", "they"])
    stated = list({f.key: f for f in w.stated}.values())
    chosen = w.rng.sample(stated, min(len(stated), w.rng.randint(1, 5)))
    pairs = [(w.ask(f), f.value) for f in chosen]
    others = w.rng.sample(w.questions, min(len(w.questions), w.rng.randint(1, 4)))
    pairs += [(w.prefaced(question), answer) for question, answer in others]
    pairs += compared(w, stated) * w.chance(0.5)
    pairs += yes_or_no(w, stated) * w.chance(0.5)
    if w.chance(0.45):
        refusal = w.rng.choices(list(NOT_STATED), list(NOT_STATED.values()))[0]
        if (free := w.free_events()) and w.chance(0.4):
            absent = w.rng.choice(w.event_of(w.rng.choice(free))[1])[0]
            pairs.append((w.prefaced(absent), refusal))
        else:
            pairs += [(w.ask(f), refusal) for f in missing(w, stated)]
    return pairs


def missing(w: Writer, stated: list[Fact]) -> list[Fact]:
    """Return one or two facts that the text does not hold, often of a stated kind."""
    keys = {f.key for f in stated}
    pool = [f for f in w.facts if f.key not in keys and f.kind not in NEVER_MISSING]
    kinds = {f.kind for f in stated}
    near = [f for f in pool if f.kind in kinds]
    pool = near if near and w.chance(0.5) else pool
    return w.rng.sample(pool, min(len(pool), w.rng.choice([1, 1, 2])))


def compared(w: Writer, stated: list[Fact]) -> list[tuple[str, str]]:
    """Return a question that compares the prices of two articles, if there are two."""
    prices = {i.name: i.price for i in w.shop.items}
    things = [f.slots["item"] for f in stated if f.kind == "item_price"]
    if len(things) < 2 or prices[things[0]] == prices[things[1]]:
        return []
    dear, cheap = sorted(things[:2], key=prices.get, reverse=True)
    more, answer = w.rng.choice(
        [
            ("costs more", dear),
            ("is dearer", dear),
            ("costs less", cheap),
            ("is cheaper", cheap),
        ]
    )
    first, second = w.rng.sample([dear, cheap], 2)
    return [(f"Which {more}, the {first} or the {second}?", f"the {answer}")]


def yes_or_no(w: Writer, stated: list[Fact]) -> list[tuple[str, str]]:
    """Return a question about the closing day that is answered by yes or no."""
    for fact in stated:
        if fact.kind == "closing_day":
            closed = fact.value.removesuffix("s")
            day = closed if w.chance(0.5) else w.rng.choice(DAYS)
            question = w.fill("{Are/Is} {we} [closed|shut] on {day}?", day=day)
            return [(question, "yes" if day == closed else "no")]
    return []


def summary(w: Writer) -> str:
    """Return a text and its summary, which says some of its facts in other words."""
    makers = [notices.plain, notices.news, notices.letter, talks.dialogue, talks.mail]
    text = w.rng.choice(makers)(w)
    stated = list({f.key: f for f in w.stated}.values())
    chosen = w.rng.sample(stated, min(len(stated), w.rng.randint(1, 3)))
    w.voice = "shop"
    if len(chosen) > 1 and w.chance(0.4):
        body = w.pair(*chosen[:2])
    else:
        body = " ".join(
            capital(w.clause(f).removeprefix("! ").rstrip(".")) + "." for f in chosen
        )
    label = w.rng.choice(table("genres", "summary", "label"))
    return f"{text}\n\n{label} {mark(body)}"
