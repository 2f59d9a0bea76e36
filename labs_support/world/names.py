"""Invented names of people, towns, streets and shops for the pre-training stream.

Most are put together from syllables, so that a model that reads them has to copy
them from the text. No name belongs to the world of Bottega Lume.
"""

import functools
import random
import re
from collections.abc import Callable

from labs_support.world.wording import read_words

BANNED = frozenset(
    "Lume Ferrante Lanterne Ansaldo Haddad Lind Marchetti Salis Conti Moretti Bellini "
    "Renzi Alba Onda Brezza Faro Marea Soffitta Corvo Stagno Gabbiano Ginepro Brigida "
    "Ada Nora Livia Samir Greta Teo Bruno Pia Elisa Rosa Pietro Marta Carla Tirra "
    "Officina Vetreria Ceramiche Legno Tessitura Porto Bottega Matteo Lucia".split()
)


@functools.cache
def pool(name: str) -> tuple[str, ...]:
    """Return a list of words/stream_names.yaml."""
    text = read_words("stream_names")[name]
    return tuple(text.split(";") if ";" in text else text.split())


def allowed(make: Callable[[random.Random], str]) -> Callable[[random.Random], str]:
    """Return the maker of names, repeated until no word of the name is banned."""

    @functools.wraps(make)
    def maker(rng: random.Random) -> str:
        while not BANNED.isdisjoint(re.split(r"\W+", name := make(rng))):
            pass
        return name

    return maker


def join(rng: random.Random, *pools: str) -> str:
    """Return one syllable of each pool put together, never three equal letters."""
    text = "".join(rng.choice(pool(name)) for name in pools)
    return re.sub(r"(\w)\1\1+", r"\1\1", text)


@allowed
def first_name(rng: random.Random) -> str:
    """Return a first name: one of a list, or one made of syllables."""
    if rng.random() < 0.5:
        return rng.choice(pool("first"))
    return join(rng, "first_a", "first_b")


@allowed
def surname(rng: random.Random) -> str:
    """Return a surname made of syllables."""
    return join(rng, "sur_a", "sur_b")


def person(rng: random.Random) -> str:
    """Return a first name and a surname."""
    return f"{first_name(rng)} {surname(rng)}"


@allowed
def town(rng: random.Random) -> str:
    """Return the name of a town."""
    prefix = rng.choice(["Great ", "Upper ", "Port ", "New ", "Little "])
    return (prefix if rng.random() < 0.15 else "") + join(rng, "town_a", "town_b")


@allowed
def street(rng: random.Random) -> str:
    """Return the name of a street."""
    front = rng.choice(pool("street_a")) if rng.random() < 0.5 else surname(rng)
    return f"{front} {rng.choice(pool('street'))}"


@allowed
def firm(rng: random.Random) -> str:
    """Return the name of a small firm that supplies shops."""
    name, other = surname(rng), surname(rng)
    place = join(rng, "town_a", "town_b")
    craft = rng.choice(["Works", "Mill", "Brothers", "Workshop", "Farm", "Trading"])
    return rng.choice(
        [f"{name} & {other}", f"{name} and Sons", f"{place} {craft}", f"{name} {craft}"]
    )


@allowed
def shop_name(rng: random.Random) -> str:
    """Return the name of a shop."""
    noun, other = rng.sample(pool("shop_noun"), 2)
    return rng.choice(
        [
            f"The {rng.choice(pool('shop_adj'))} {noun}",
            f"{noun} and {other}",
            f"{surname(rng)} & {surname(rng)}",
            join(rng, "first_a", "sur_b").capitalize(),
            f"{surname(rng)} and {noun}",
        ]
    )


def label(rng: random.Random) -> str:
    """Return an invented word that can stand for a label."""
    return join(rng, *["label_a"] * rng.choice([1, 1, 2]), "label_b")
