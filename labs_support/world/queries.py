"""What people write when they look for a product: texts to train lume-clip with.

A text names some of the four attributes of a picture, from the bare object to a whole
description. The words are those of words/captions.yaml that all splits share, and many
more of words/queries.yaml; a word that captions.yaml holds out never occurs.
"""

import random
from functools import cache

from labs_support.world import captions, catalogue
from labs_support.world.english import with_articles
from labs_support.world.wording import read_words

ATTRIBUTES = tuple(captions.ATTRIBUTES)
NAMED = {
    "full": ATTRIBUTES,
    "look": ("kind", "colour", "pattern"),
    "description": ("kind", "colour", "pattern"),
    "kind_colour": ("kind", "colour"),
    "kind_pattern": ("kind", "pattern"),
    "kind_background": ("kind", "background"),
    "colour_pattern": ("colour", "pattern"),
    "kind": ("kind",),
    "colour": ("colour",),
    "pattern": ("pattern",),
    "background": ("background",),
}


@cache
def words(slot: str, value: str) -> tuple[str, ...]:
    """Return the training words of a value, those of the captions first.

    Args:
        slot: "kind", "colour", "pattern", "background", or "adorned" for the pattern as
            a phrase after the noun.
        value: such as "red".
    """
    shared = read_words("captions")[slot][value]["known"]
    return (*shared, *read_words("queries")[slot][value])


def fresh(value: str) -> tuple[str, ...]:
    """Return words for a kind that neither training nor its tuning ever saw."""
    return tuple(read_words("queries")["fresh"][value])


@cache
def wordings(form: str) -> tuple[str, ...]:
    """Return the sentence patterns of one form, such as "look"."""
    own = tuple(read_words("queries")["templates"][form])
    return (*own, *read_words("captions")["templates"]) if form == "full" else own


def query(form: str, look: dict[str, str], rng: random.Random) -> str:
    """Return a text of one form for a look.

    Args:
        form: one of `NAMED`, which also says what the text names.
        look: value by attribute.
        rng: chooses wording and words.
    """
    if form == "description":
        return catalogue.invent(look, rng)["description"]
    slots = {name: _word(words(name, value), rng) for name, value in look.items()}
    slots["adorned"] = rng.choice(words("adorned", look["pattern"]))
    text = rng.choice(wordings(form)).format(**slots)
    return with_articles(text.replace("a~ ", "a "))


def _word(options: tuple[str, ...], rng: random.Random) -> str:
    """Return the first, everyday word a third of the time, else any of them."""
    return options[0] if rng.random() < 1 / 3 else rng.choice(options)
