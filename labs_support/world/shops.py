"""Invented shops, each with its own trade, people, articles and ways of writing."""

import functools
import random
from dataclasses import dataclass

from labs_support.world import names
from labs_support.world.english import in_words, plural
from labs_support.world.wording import read_words

MONTHS = (
    "January February March April May June July August September October November "
    "December"
).split()
CURRENCIES = {"€": "euro", "£": "pound", "$": "dollar", "": "crown"}
CLASSES = (
    "sign painting; whittling; paper folding; calligraphy; basket weaving; origami; "
    "linocut; juggling; chess; drumming; sketching; mending; storytelling"
).split("; ")


@dataclass(frozen=True)
class Style:
    """How one shop writes money, times and numbers."""

    sign: str
    money_form: int
    time_form: int
    has_words: bool

    def money(self, cents: int) -> str:
        """Return an amount such as €4.50, 4.50 euros, or four euros."""
        figure = f"{cents / 100:.2f}" if cents % 100 else str(cents // 100)
        unit = CURRENCIES[self.sign] + ("" if cents == 100 else "s")
        if self.money_form == 2 and not cents % 100 and cents <= 2000:
            return f"{in_words(cents // 100)} {unit}"
        if self.money_form == 3 and self.sign == "€":
            return f"{figure} €"
        if self.money_form == 1 and self.sign:
            return self.sign + figure
        return f"{figure} {unit}"

    def number(self, value: int) -> str:
        """Return a number in figures or in words."""
        return in_words(value) if self.has_words and value <= 100 else str(value)

    def count(self, value: int, noun: str) -> str:
        """Return a number with its noun: 3 days, one point."""
        return f"{self.number(value)} {noun if value == 1 else plural(noun)}"

    def time(self, hour: int, minute: int) -> str:
        """Return a time of day; the minute is 0, 15, 30 or 45."""
        half = hour - 12 if hour > 12 else hour
        if self.time_form == 0:
            return f"{hour}:{minute:02d}"
        if self.time_form == 1:
            return (
                f"{half}{f'.{minute}' if minute else ''} {'pm' if hour > 11 else 'am'}"
            )
        if self.time_form == 2:
            return f"{hour:02d}.{minute:02d}"
        word, following = in_words(half), in_words(half % 12 + 1)
        return {
            0: f"{word} o'clock",
            15: f"a quarter past {word}",
            30: f"half past {word}",
            45: f"a quarter to {following}",
        }[minute]


@dataclass(frozen=True)
class Item:
    """An article of a shop; the price is in cents, the weight in grams."""

    name: str
    price: int
    weight: int

    @property
    def names(self) -> str:
        """The name in the plural."""
        return plural(self.name)


@dataclass(frozen=True)
class Shop:
    """A shop with what all texts about it share."""

    name: str
    town: str
    street: str
    trade: str
    owner: str
    year: int
    style: Style
    items: tuple[Item, ...]
    staff: tuple[str, ...]
    classes: tuple[str, str]

    @property
    def words(self) -> dict:
        """The vocabulary of the trade: lists of goods, stuff, do, care and others."""
        return trades()[self.trade]


@functools.cache
def trades() -> dict[str, dict]:
    """Return the vocabulary of every trade (words/stream_trades.yaml)."""
    table = read_words("stream_trades")
    lists = ("goods", "stuff", "do", "care", "good", "bad", "terms")
    for words in table.values():
        words.update({key: words[key].split("; ") for key in lists})
        words["shop"] = words["shop"].split("|")
    return table


def make_style(rng: random.Random) -> Style:
    """Return a random way to write numbers, most often in euros."""
    sign = rng.choices(list(CURRENCIES), [75, 13, 4, 8])[0]
    form = rng.choices(range(4), [35, 35, 20, 10])[0]
    return Style(sign, form, rng.randrange(4), rng.random() < 0.45)


def make_item(rng: random.Random, good: str, is_food: bool) -> Item:
    """Return an article: a good with an addition to its name, price and weight."""
    draw = rng.random()
    if draw < 0.4 and " of " not in good and not is_food:
        good = f"{rng.choice(names.pool('modifier'))} {good}"
    elif draw < 0.65 and " of " not in good:
        good = f"{names.join(rng, 'town_a', 'sur_b')} {good}"
    price = rng.choice([rng.randrange(1, 40) * 50, rng.randrange(2, 120) * 100])
    if rng.random() < 0.25:
        price += rng.choice([20, 40, 49, 80, 90, 95])
    weight = rng.choice([rng.randrange(3, 100) * 10, rng.randrange(10, 90) * 100])
    return Item(good, price, weight)


def make_shop(rng: random.Random) -> Shop:
    """Return a random shop."""
    trade = rng.choice(list(trades()))
    words = trades()[trade]
    goods = rng.sample(words["goods"], rng.randint(5, 8))
    return Shop(
        name=names.shop_name(rng),
        town=names.town(rng),
        street=names.street(rng),
        trade=trade,
        owner=names.person(rng),
        year=rng.randint(1780, 2021),
        style=make_style(rng),
        items=tuple(make_item(rng, good, "food" in words) for good in goods),
        staff=tuple(names.person(rng) for _ in range(6)),
        classes=(words["class"], rng.choice(CLASSES)),
    )
