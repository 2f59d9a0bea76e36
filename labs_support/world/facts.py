"""Facts about an invented shop: random values, and the many ways to say and ask them.

The wordings lie in words/stream_facts_*.yaml. A wording is named KIND/say/3 or
KIND/ask_held/0; the held ones appear in the test split only.
"""

import functools
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

from labs_support.world import names
from labs_support.world.english import DAYS
from labs_support.world.shops import CURRENCIES, MONTHS, Item, Shop
from labs_support.world.wording import read_words


@dataclass(frozen=True)
class Fact:
    """One fact: its kind, the value as it is written (the answer), and other slots."""

    kind: str
    value: str
    slots: dict[str, str] = field(default_factory=dict)

    @property
    def is_plural(self) -> bool:
        """Whether the value is a repeated day (Mondays), which needs "on" before it."""
        return self.kind in ("closing_day", "late_day", "class_day") and (
            self.value.endswith("s")
        )

    @property
    def key(self) -> tuple:
        """What the fact is about, whatever its value."""
        return (
            self.kind,
            *(self.slots.get(s) for s in ("item", "cls", "event", "task", "group")),
        )


@functools.cache
def wordings() -> dict[str, dict[str, tuple[str, ...]]]:
    """Return kind -> "say", "held", "ask" or "ask_held" -> wordings."""
    table = read_words("stream_facts_shop") | read_words("stream_facts_item")
    return {
        kind: {use: tuple(text.splitlines()) for use, text in uses.items()}
        for kind, uses in table.items()
    }


@functools.cache
def labels(kind: str) -> tuple[str, ...]:
    """Return the labels under which a kind of fact stands in a list or form."""
    return tuple(read_words("stream_values")["label"][kind].split("; "))


@functools.cache
def values(name: str) -> tuple[str, ...]:
    """Return a list of words/stream_values.yaml."""
    return tuple(read_words("stream_values")[name].split("; "))


def span(rng: random.Random, shop: Shop, *choices: tuple[str, int, int]) -> str:
    """Return a time span: unit, least and greatest number of one of the choices."""
    unit, low, high = rng.choice(choices)
    return shop.style.count(rng.randint(low, high), unit)


def money(rng: random.Random, shop: Shop, low: int, high: int) -> str:
    """Return an amount between two numbers of units, in steps of a half."""
    cents = rng.randint(2 * low, 2 * high) * 50
    return shop.style.money(cents - 10 if rng.random() < 0.15 else cents)


def times(rng: random.Random, shop: Shop) -> Iterator[Fact]:
    """Yield the facts about hours and days."""
    minute = rng.choice([0, 0, 15, 30, 30, 45])
    closed, late = rng.sample(DAYS, 2)
    yield Fact("opening_time", shop.style.time(rng.randint(7, 11), minute))
    minute = rng.choice([0, 0, 15, 30, 45])
    yield Fact("closing_time", shop.style.time(rng.randint(15, 21), minute))
    plural = "s" if rng.random() < 0.4 else ""
    yield Fact("closing_day", closed + plural)
    yield Fact("late_day", late + plural)
    yield Fact("holiday_closing", rng.choice(values("holiday")))


def terms(rng: random.Random, shop: Shop) -> Iterator[Fact]:
    """Yield the facts about delivery, returns and money."""
    days, weeks, months = ("day", 2, 60), ("week", 2, 8), ("month", 2, 6)
    short = (("day", 2, 9), ("working day", 2, 12), ("week", 2, 4), ("hour", 24, 96))
    yield Fact("delivery_fee", money(rng, shop, 2, 15))
    yield Fact("free_delivery", money(rng, shop, 20, 150))
    yield Fact("delivery_days", span(rng, shop, *short))
    yield Fact("return_days", span(rng, shop, days, weeks, months))
    yield Fact("refund_days", span(rng, shop, *short))
    yield Fact("warranty", span(rng, shop, ("year", 2, 12), ("month", 6, 40)))
    yield Fact("voucher_months", span(rng, shop, ("month", 3, 36), ("year", 2, 6)))
    yield Fact("hold_days", span(rng, shop, *short, days))
    yield Fact("wrapping_fee", money(rng, shop, 1, 6))
    yield Fact("deposit", rng.choice([money(rng, shop, 5, 60), percent(rng)]))
    yield Fact("min_order", money(rng, shop, 80, 600))
    yield Fact("payment", rng.choice(values("payment")))
    yield Fact("not_accepted", rng.choice(values("not_accepted")))
    unit = CURRENCIES[shop.style.sign]
    points = shop.style.count(rng.randint(2, 15), "point")
    yield Fact("loyalty_points", points, {"unit": unit})
    for group in rng.sample(values("group"), 2):
        yield Fact("discount", percent(rng), {"group": group})


def percent(rng: random.Random) -> str:
    """Return a share such as 15 %, 15% or 15 per cent."""
    return str(rng.randint(3, 40)) + rng.choice(["%", " %", " per cent", " per cent"])


def people(rng: random.Random, shop: Shop) -> Iterator[Fact]:
    """Yield the facts about the people and the place."""
    founder = shop.owner if rng.random() < 0.2 else names.person(rng)
    yield Fact("founder", founder)
    yield Fact("founding_year", str(shop.year))
    yield Fact("manager", shop.staff[0])
    yield Fact("address", f"{rng.randint(1, 180)} {shop.street}")
    yield Fact("phone_extension", str(rng.randint(10, 899)))
    yield Fact("parking", rng.choice(values("parking")))
    yield Fact("nearest_stop", names.street(rng))
    spoken = rng.sample(values("language"), rng.choice([1, 2, 2, 3]))
    if len(spoken) == 1:
        spoken.append("English")
    yield Fact("languages", f"{', '.join(spoken[:-1])} and {spoken[-1]}")
    yield Fact("former_trade", rng.choice(values("former")))
    pet = {"pet": rng.choice(values("pet"))}
    yield Fact("animal", rng.choice([*names.pool("pet"), names.first_name(rng)]), pet)
    for person, task in zip(
        shop.staff[1:5], rng.sample(values("task"), 4), strict=True
    ):
        yield Fact("duty", person, {"task": task})
    if "repair" in shop.words:
        yield Fact("repair_time", span(rng, shop, ("day", 2, 20), ("week", 2, 6)))
        yield Fact("repair_person", shop.staff[5])


def occasions(rng: random.Random, shop: Shop) -> Iterator[Fact]:
    """Yield the facts about classes and events."""
    for topic in shop.classes:
        cls = {"cls": topic}
        day = rng.choice(DAYS) + rng.choice(["", "", "s", "s", " evening", " evenings"])
        group = rng.choice(["person", "learner", "pupil", "beginner", "guest"])
        yield Fact("class_price", money(rng, shop, 8, 80), cls)
        yield Fact("class_day", day, cls)
        size = rng.randint(3, 20)
        people = "people" if group == "person" else f"{group}s"
        yield Fact("class_size", f"{shop.style.number(size)} {people}", cls)
        yield Fact("class_teacher", names.person(rng), cls)
    for event in rng.sample(values("event"), 2):
        yield Fact("event_month", rng.choice(MONTHS), {"event": event})
        yield Fact("event_place", rng.choice(values("event_place")), {"event": event})


def grams(rng: random.Random, weight: int) -> str:
    """Return a weight such as 250 g or 1.2 kilograms."""
    if weight < 1000:
        return f"{weight} {rng.choice(['g', 'grams'])}"
    return f"{weight / 1000:g} {rng.choice(['kg', 'kilograms'])}"


def about_item(rng: random.Random, shop: Shop, item: Item) -> Iterator[Fact]:
    """Yield the facts about one article."""
    words, style = shop.words, shop.style
    made = words.get("made", "made of")
    source = made.split()[-1].replace("of", "from")
    slots = {"item": item.name, "items": item.names, "made": made, "from": source}
    table: dict[str, Callable[[], str]] = {
        "item_price": lambda: style.money(item.price),
        "item_weight": lambda: grams(rng, item.weight),
        "item_stock": lambda: style.number(rng.randint(2, 90)),
        "item_supplier": lambda: names.firm(rng),
        "item_designer": lambda: names.person(rng),
        "item_place": lambda: rng.choice(values("item_place")),
        "item_year": lambda: str(rng.randint(max(shop.year, 1900), 2025)),
    }
    if "made" in words:
        table["item_material"] = lambda: rng.choice(words["stuff"])
    if "food" in words:
        table["item_allergen"] = lambda: rng.choice(values("allergen"))
    else:
        table["item_allergen"] = lambda: rng.choice(values("irritant"))
        table["item_colour"] = lambda: rng.choice(names.pool("colours"))
        table["item_age"] = lambda: style.number(rng.randint(2, 16))
        table["item_size"] = lambda: (
            f"{rng.randint(3, 150)} {rng.choice(['cm', 'centimetres'])}"
        )
    slots["dim"] = rng.choice(["long", "wide", "tall", "across", "high"])
    for kind, make in table.items():
        yield Fact(kind, make(), slots)


def make_facts(rng: random.Random, shop: Shop) -> list[Fact]:
    """Return all facts of a shop, the same kind never twice about the same thing."""
    facts = [f for make in (times, terms, people, occasions) for f in make(rng, shop)]
    facts.append(Fact("best_seller", rng.choice(shop.items).name))
    for item in shop.items:
        facts.extend(about_item(rng, shop, item))
    return facts
