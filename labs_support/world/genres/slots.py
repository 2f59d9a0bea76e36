"""The slots of the templates of one document: random, consistent within a line."""

import functools
import random

from labs_support.world import facts, names
from labs_support.world.english import DAYS, capital, in_words, plural
from labs_support.world.shops import MONTHS, Shop
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


class Slots:
    """The table of slots for `wording.fill`, for one document about one shop.

    `slots["person"]` is a random person, and the same one until the line is complete.
    """

    def __init__(self, rng: random.Random, shop: Shop):
        """Start a document."""
        self.rng, self.shop = rng, shop
        self.voice = "we"
        self.line: dict[str, str] = {}
        self.drawn: set[str] = set()  # what the document has already used

    def chance(self, probability: float) -> bool:
        """Return True with this probability."""
        return self.rng.random() < probability

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


UNITS = ("hour", "day", "week", "month", "year", "working day")


def spell(low: int, high: int):
    """Return a maker of numbers in words or figures."""

    def number(rng: random.Random) -> str:
        value = rng.randint(low, high)
        return in_words(value) if rng.random() < 0.6 else str(value)

    return number


def between(low: int, high: int):
    """Return a maker of numbers in figures."""
    return lambda rng: str(rng.randint(low, high))


def time_span(rng: random.Random, units: tuple[str, ...] = UNITS) -> str:
    """Return a time span such as 24 hours or three weeks."""
    unit = rng.choice(units)
    number = 24 * rng.randint(1, 4) if unit == "hour" else rng.randint(2, 14)
    return f"{spell(number, number)(rng)} {unit}s"


def hours(rng: random.Random) -> str:
    """Return two times of day such as 13:00 to 15:00."""
    start = rng.randint(6, 18)
    end = start + rng.randint(1, 4)
    return f"{start}:{rng.choice(['00', '30'])} {rng.choice(['to', 'until'])} {end}:00"


MAKERS = {
    "number": between(13, 900),
    "small": between(2, 60),
    "few": between(3, 90),
    "soon": lambda rng: time_span(rng, ("hour", "day", "working day")),
    "year": between(1650, 2025),
    "street": names.street,
    "firm": names.firm,
    "label": names.label,
    "pet": lambda rng: rng.choice(names.pool("pet")),
    "span": time_span,
    "hours": hours,
    "clock": lambda rng: f"{rng.randint(6, 20)}:{rng.choice(['00', '15', '30', '45'])}",
    "percent": lambda rng: f"{rng.randint(3, 40)} %",
    "colour": lambda rng: rng.choice(names.pool("colours")),
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
