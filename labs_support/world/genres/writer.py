"""A Writer fills the lines of one document about one shop and notes what it stated."""

import functools
import random
import re

from labs_support.world import facts, names
from labs_support.world.english import capital, in_words, plural
from labs_support.world.facts import Fact
from labs_support.world.shops import DAYS, MONTHS, Shop
from labs_support.world.wording import fill, read_words

PLURAL_VOICES = ("we", "you", "they")
PRONOUNS = {
    "we": {"we": "we", "our": "our", "us": "us"},
    "you": {"we": "you", "our": "your", "us": "you"},
    "they": {"we": "they", "our": "their", "us": "them"},
}
ALIASES = {
    "town_line": "town",
    "badly": "served_badly",
    "lunch": "food_lunch",
    "lunch_short": "food_lunch",
    "place1": "hideplace",
    "where": "stand",
}
PREFIXES = ("as a rule,", "at present,", "in short,", "by the way,", "as ever,")
IMPERATIVES = (
    "allow beware bring call collect come dial do expect feel get have hold key keep "
    "leave lift look paint pay please put reach reckon remember ring settle show sorry "
    "spend take tell wait without"
)
UNOPENED = (*PREFIXES, *(f"{verb} " for verb in IMPERATIVES.split()), "sorry,")
INLINE = {
    "smell": "[wax|pepper|fresh paint|lavender|sawdust|vanilla|wet wool|ink]",
    "well": "[well enough|better than ever|it has been worse|see for yourselves]",
    "pleased": "[delighted|relieved|thankful|cheerful|astonished|proud|speechless]",
    "cross": "[furious|puzzled|embarrassed|grumpy|lost for words|close to tears]",
    "gift": "[welcome|fine|thoughtful|splendid|practical]",
    "coat": "[raincoat|pullover|straw hat|scarf|pair of boots]",
    "does_hobby": "[dreams of|lives for|spends every free hour on|talks of] {hobby}",
}


def entries(text: str) -> tuple[str, ...]:
    """Return the entries of a text: its lines, or its parts between semicolons."""
    text = text.strip()
    parts = text.splitlines() if "\n" in text else text.split(";")
    return tuple(part.strip() for part in parts)


@functools.cache
def table(name: str, *path: str) -> tuple[str, ...]:
    """Return the entries at a path of words/stream_NAME.yaml."""
    return entries(
        functools.reduce(dict.__getitem__, path, read_words(f"stream_{name}"))
    )


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


class Writer:
    """The state of one document: shop, facts, voice, wordings used, facts stated.

    It is also the table of slots for `wording.fill`: `writer["person"]` is a random
    person, and the same one until the line is complete.
    """

    def __init__(
        self, rng: random.Random, shop: Shop, *, held_out: bool = False, limit: int = 10
    ):
        """Start a document; `limit` is the greatest number of facts to state."""
        self.rng, self.shop, self.held_out, self.limit = rng, shop, held_out, limit
        self.facts = facts.make_facts(rng, shop)
        self.voice = "we"
        self.used: list[str] = []
        self.stated: list[Fact] = []
        self.questions: list[tuple[str, str]] = []
        self.has_pronouns = False
        self.drawn: set[str] = set()  # what a document has already used
        self.line: dict[str, str] = {}

    def __getitem__(self, slot: str) -> str:
        """Return the text for a slot of a template."""
        if "/" in slot:
            left, right = slot.split("/")
            return left if self.voice in PLURAL_VOICES else right
        if slot in ("we", "our", "us"):
            return self.pronoun(slot)
        if slot not in self.line:
            self.line[slot] = self.draw(slot)
        return self.line[slot]

    def pronoun(self, slot: str) -> str:
        """Return we, our or us in the voice of the text."""
        if self.voice in PRONOUNS:
            return PRONOUNS[self.voice][slot]
        if slot == "our":
            return self.rng.choice(["the shop's", "its"])
        return self.rng.choice(["the shop", self.shop.name, f"the {self['place']}"])

    def draw(self, slot: str) -> str:
        """Return a random text for a slot; `good2` differs from `good`."""
        base = slot.rstrip("0123456789") if slot != "goods2" else slot
        base = slot if slot in ALIASES or slot in self.given_slots() else base
        text = self.draw_base(base)
        if base in self.given_slots():
            return text
        for _ in range(12):
            if text not in self.drawn:
                break
            text = self.draw_base(base)
        self.drawn.add(text)
        return text

    def given_slots(self) -> dict[str, str]:
        """Return the slots that are fixed for a shop."""
        shop = self.shop
        return {
            "name": shop.name,
            "short": shop.name,
            "town": shop.town,
            "trader": shop.words["person"],
            "sells": shop.words["sells"],
            "class": shop.words["class"],
        }

    def draw_base(self, slot: str) -> str:
        """Return a random text for a slot without a number."""
        rng, words = self.rng, self.shop.words
        if slot in (given := self.given_slots()):
            return given[slot]
        if slot in MAKERS:
            return MAKERS[slot](rng)
        if slot in TRADE_LISTS:
            return rng.choice(words[TRADE_LISTS[slot]])
        if slot in ("goods2", "animals", "jobs", "traders"):
            single = {"goods2": "good", "animals": "animalword"}.get(slot, slot[:-1])
            return plural(self.draw_base(single))
        if slot == "item":
            return rng.choice(self.shop.items).name
        if slot == "price":
            return self.shop.style.money(rng.randint(2, 60) * 50)
        if slot in INLINE:
            return INLINE[slot]
        return rng.choice(table("pools", ALIASES.get(slot, slot)))

    def fill(self, template: str, **given: str) -> str:
        """Return a template with choices made and slots filled."""
        self.line = given
        return fill(template, self, self.rng)

    def say(self, *path: str, **given: str) -> str:
        """Return a random line of stream_genres.yaml, filled, with a capital."""
        return self.say_many(1, *path, **given)[0]

    def say_many(self, number: int, *path: str, **given: str) -> list[str]:
        """Return different random lines, filled, each with a capital."""
        lines = table("genres", *path)
        chosen = self.rng.sample(lines, min(number, len(lines)))
        return [capital(self.fill(line, **given)) for line in chosen]

    def opener(self, pool: str) -> str:
        """Return an opening phrase that this document has not used yet."""
        return self.draw(pool)

    def filler(self, *pools: str, is_first: bool = True) -> str:
        """Return a sentence that states no fact."""
        pool = self.rng.choice(
            pools or ("interior", "crowd", "honesty", "history", "work", "work", "work")
        )
        text = self.fill("{" + pool + "}")
        if not is_first and self.chance(0.2):
            text = f"{self.opener('link')}, {text}"
        return capital(text) + "."

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.rng.random() < probability

    def take(self, number: int, *wanted: str) -> list[Fact]:
        """Return facts not stated yet, of some kinds, at most as many as allowed.

        Half of the time several facts share a kind (the prices of three articles).
        """
        stated = {fact.key for fact in self.stated}
        pool = [f for f in self.facts if f.key not in stated]
        pool = [f for f in pool if f.kind in wanted] if wanted else pool
        number = min(number, self.limit - len(self.stated), len(pool))
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
        question = capital(self.fill(options[index], **fact.slots))
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
            sentences.insert(place, self.filler(is_first=place == 0))
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


def spell(low: int, high: int):
    """Return a maker of numbers in words or figures."""

    def number(rng: random.Random) -> str:
        value = rng.randint(low, high)
        return in_words(value) if rng.random() < 0.6 else str(value)

    return number


MAKERS = {
    "person": names.person,
    "first": names.first_name,
    "village": names.town,
    "day": lambda rng: rng.choice(DAYS),
    "month": lambda rng: rng.choice(MONTHS),
    "n": spell(2, 30),
    "event": lambda rng: rng.choice(facts.values("event")),
    "EVENT": lambda rng: rng.choice(facts.values("event")).upper(),
    "trait": lambda rng: rng.choice(facts.values("trait")),
    "perk": lambda rng: rng.choice(facts.values("perk")),
}
TRADE_LISTS = {
    "place": "shop",
    "good": "goods",
    "do": "do",
    "care": "care",
    "good_point": "good",
    "bad_point": "bad",
    "bad": "bad",
    "stuff": "stuff",
}
