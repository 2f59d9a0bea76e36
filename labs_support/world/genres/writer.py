"""A Writer states facts of one shop in one document, and notes what it stated."""

import functools
import random
import re

from labs_support.world import facts
from labs_support.world.english import capital
from labs_support.world.facts import Fact
from labs_support.world.genres.slots import Slots, entries
from labs_support.world.shops import Shop
from labs_support.world.wording import read_words

PREFIXES = ("as a rule,", "at present,", "in short,", "by the way,", "as ever,")
IMPERATIVES = (
    "allow ask beware bring call clean collect come dial do expect feel get have hold "
    "key keep leave lift look paint pay please put reach reckon remember ring settle "
    "show sorry spend take type tell wait without"
)
UNOPENED = (*PREFIXES, *(f"{verb} " for verb in IMPERATIVES.split()), "sorry,")


@functools.cache
def topics() -> dict[str, tuple[str, ...]]:
    """Return topic -> kinds of facts."""
    lines = read_words("stream_genres")["topics"]
    return {topic: tuple(kinds.split()) for topic, kinds in lines.items()}


@functools.cache
def topic_of(kind: str) -> str:
    """Return the first topic that holds a kind of fact."""
    return next(topic for topic, kinds in topics().items() if kind in kinds)


def related(first: Fact, second: Fact) -> bool:
    """Return whether two facts may share a sentence: one article, or one topic."""
    if "item" in first.slots or "item" in second.slots:
        one, two = first.slots.get("item"), second.slots.get("item")
        return one == two or first.kind == second.kind
    return topic_of(first.kind) == topic_of(second.kind)


@functools.cache
def events() -> dict[str, dict]:
    """Return the facts of every other kind (words/stream_events.yaml), split."""
    return {
        name: {
            "say": entries(event["say"]),
            "ask": {answer: entries(q) for answer, q in event["ask"].items()},
            "is_held": event.get("is_held", False),
        }
        for name, event in read_words("stream_events").items()
    }


class Writer(Slots):
    """The state of one document: what it stated, wordings used, questions to ask."""

    def __init__(
        self, rng: random.Random, shop: Shop, *, held_out: bool = False, limit: int = 10
    ):
        """Start a document; `limit` is the greatest number of facts to state."""
        super().__init__(rng, shop)
        self.held_out, self.limit = held_out, limit
        self.facts = facts.make_facts(rng, shop)
        self.used: list[str] = []
        self.stated: list[Fact] = []
        self.events: list[str] = []
        self.questions: list[tuple[str, str]] = []
        self.has_pronouns = False

    def room(self) -> int:
        """Return how many facts may still be stated."""
        return self.limit - len(self.stated) - len(self.events)

    def filler(self, *pools: str, is_first: bool = True) -> str:
        """Return a sentence that states no fact."""
        pool = self.rng.choice(
            pools or ("interior", "crowd", "honesty", "history", "work", "work", "work")
        )
        text = self.fill("{" + pool + "}")
        if not is_first and self.chance(0.2):
            text = f"{self.opener('link')}, {text}"
        return capital(text) + "."

    def take(self, number: int, *wanted: str) -> list[Fact]:
        """Return facts not stated yet, of some kinds, at most as many as allowed.

        Half of the time several facts share a kind (the prices of three articles).
        """
        stated = {fact.key for fact in self.stated}
        pool = [f for f in self.facts if f.key not in stated]
        pool = [f for f in pool if f.kind in wanted] if wanted else pool
        number = min(number, self.room(), len(pool))
        kinds: dict[str, list[Fact]] = {}
        for fact in self.rng.sample(pool, len(pool)):
            kinds.setdefault(fact.kind, []).append(fact)
        chosen: list[Fact] = []
        while len(chosen) < number:
            kind = self.rng.choice(list(kinds))
            several = 3 if not chosen and self.chance(0.5) else 1
            chosen += kinds[kind][:several]
            kinds[kind] = kinds[kind][several:]
            if not kinds[kind]:
                del kinds[kind]
        chosen = chosen[: max(0, number)]
        self.rng.shuffle(chosen)
        return chosen

    def clause(self, fact: Fact) -> str:
        """Return the fact as a clause ("! " in front of one that must stand alone)."""
        use = "held" if self.held_out else "say"
        options = facts.wordings()[fact.kind][use]
        index = self.rng.choice(
            [i for i, o in enumerate(options) if not fact.is_plural or "on {v}" in o]
        )
        self.used.append(f"{fact.kind}/{use}/{index}")
        self.stated.append(fact)
        text = self.fill(options[index], v=fact.value, **fact.slots)
        if text.startswith(fact.value) and fact.value[0].islower():
            text = f"{self.rng.choice(PREFIXES)} {text}"
        return text

    def sentence(self, fact: Fact, openers: str = "open_fact") -> str:
        """Return the fact as a sentence, sometimes after an opening phrase."""
        text = self.clause(fact)
        if text.startswith("! "):
            return capital(text[2:])
        if openers and self.chance(0.25) and not text.startswith(UNOPENED):
            text = f"{self.opener(openers)}{',' * (openers == 'link')} {text}"
        if self.has_pronouns and "item" in fact.slots and self.chance(0.6):
            text = text.replace(f"the {fact.slots['item']}", "it")
            text = re.sub(r"\b(of|on|for) it\b", rf"\1 the {fact.slots['item']}", text)
        return capital(text) + "."

    def ask(self, fact: Fact) -> str:
        """Return a question about the fact."""
        use = "ask_held" if self.held_out else "ask"
        options = facts.wordings()[fact.kind][use]
        index = self.rng.randrange(len(options))
        self.used.append(f"{fact.kind}/{use}/{index}")
        return self.prefaced(capital(self.fill(options[index], **fact.slots)))

    def prefaced(self, question: str) -> str:
        """Return a question, sometimes with a sentence in front of it."""
        if self.chance(0.12):
            return f"{capital(self.fill('{preface}'))} {question}"
        return question

    def label(self, fact: Fact) -> str:
        """Return the fact as a line of a form: Delivery: 4 euros."""
        self.stated.append(fact)
        text = self.fill(self.rng.choice(facts.labels(fact.kind)), **fact.slots)
        return f"{capital(text)}: {fact.value}"

    def paragraph(
        self, chosen: list[Fact], fillers: int = 1, openers: str = "open_fact"
    ):
        """Return facts and fillers as sentences in random order, some facts joined."""
        sentences, rest = [], list(chosen)
        while rest:
            first = rest.pop()
            if rest and self.chance(0.5 if related(first, rest[-1]) else 0.06):
                sentences.append(self.pair(first, rest.pop()))
            else:
                sentences.append(self.sentence(first, openers))
        for _ in range(fillers):
            place = self.rng.randint(0, len(sentences))
            sentences.insert(place, self.aside(is_first=place == 0))
        return " ".join(dict.fromkeys(sentences))

    def pair(self, first: Fact, second: Fact) -> str:
        """Return two facts in one sentence where their clauses allow it."""
        one, two = self.clause(first), self.clause(second)
        if one.startswith("! ") or two.startswith("! "):
            parts = [p[2:] if p.startswith("! ") else p + "." for p in (one, two)]
            return " ".join(capital(p) for p in parts)
        if ": " in one + two or ";" in one + two:
            return f"{capital(one)}. {capital(two)}."
        joint = self.rng.choice([", and ", "; ", ", while ", "; besides, ", ", and "])
        if self.chance(0.06) and not (one + two).startswith(UNOPENED):
            return capital(f"while {one}, {two}.")
        return f"{capital(one)}{joint}{two}."

    def aside(self, *, is_first: bool = True) -> str:
        """Return a sentence about something else: an event, or one without a fact."""
        if self.room() > 0 and self.chance(0.3):
            return self.event()
        return self.filler(is_first=is_first)

    def event(self) -> str:
        """Return a sentence about an event; its questions are kept for an exam."""
        clause, pairs = self.event_of(self.rng.choice(self.free_events()))
        self.questions.extend(pairs)
        if self.chance(0.15) and not clause.startswith(UNOPENED):
            clause = f"{self.opener('open_third')} {clause}"
        return capital(clause) + "."

    def free_events(self) -> list[str]:
        """Return the names of the events that the document has not used."""
        free = (n for n, event in events().items() if event["is_held"] == self.held_out)
        return [name for name in free if name not in self.events]

    def event_of(self, name: str) -> tuple[str, list[tuple[str, str]]]:
        """Return an event as a clause, and a question with its answer for each part."""
        event = events()[name]
        index = self.rng.randrange(len(event["say"]))
        self.events.append(name)
        self.used.append(f"event-{name}/say/{index}")
        clause = self.fill(event["say"][index])
        line, pairs = self.line, []
        for answer, questions in event["ask"].items():
            index = self.rng.randrange(len(questions))
            question = self.fill(questions[index], **line)
            pairs.append((capital(question), self.fill(answer, **line)))
        return clause, pairs
