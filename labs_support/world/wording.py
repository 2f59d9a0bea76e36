"""Fill clause templates: choices in square brackets, slots in braces.

A template such as "it [arrived|came] {days} days late" is one *wording*. A template
that starts with "~" is held out: data sets use it in their test split only.
"""

import functools
import random
import re
from pathlib import Path

import yaml

CHOICE = re.compile(r"\[([^\[\]]*)\]")
SLOT = re.compile(r"\{([^{}]+)\}")
HELD_MARK = "~"


@functools.cache
def read_words(name: str) -> dict:
    """Return the word lists of one data set (words/NAME.yaml)."""
    path = Path(__file__).parent / "words" / f"{name}.yaml"
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)


def choose(template: str, rng: random.Random) -> str:
    """Return the template with every [a|b] replaced by one of its choices."""
    while CHOICE.search(template):
        template = CHOICE.sub(lambda m: rng.choice(m[1].split("|")), template, count=1)
    return template


def fill(template: str, slots: dict[str, str], rng: random.Random) -> str:
    """Return the template with choices made and slots filled, slots within slots too.

    Raises:
        KeyError: if a slot has no value.
    """
    text = choose(template, rng)
    while SLOT.search(text):
        text = choose(SLOT.sub(lambda m: slots[m[1]], text, count=1), rng)
    return text


def is_held(template: str) -> bool:
    """Return whether a template belongs to the test split only."""
    return template.startswith(HELD_MARK)


def allowed(pool: list, split: str) -> list:
    """Return the templates of a pool that a split may use, without the mark."""
    return [t for t in pool if split == "test" or not is_held(t)]


def values(pool: list, split: str, share: float = 0.75) -> list:
    """Return slot values for a split: the end of the list is for the test split."""
    cut = round(len(pool) * share)
    return pool[cut:] if split == "test" else pool[:cut]
