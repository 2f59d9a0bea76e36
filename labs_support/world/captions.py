"""Captions of pictures, in words that all splits share and words held out for test."""

import random

from labs_support.world.english import with_articles
from labs_support.world.looks import BACKGROUNDS, COLOURS, KINDS, PATTERNS
from labs_support.world.render import Scene
from labs_support.world.wording import read_words

SIZES = {"train": 3000, "validation": 300, "test": 600}
ATTRIBUTES = {
    "kind": KINDS,
    "colour": COLOURS,
    "pattern": PATTERNS,
    "background": BACKGROUNDS,
}


def generate(seed: int = 0) -> dict[str, list[dict]]:
    """Return the captions; every second row of the test split has a held-out word."""
    splits = {}
    for split, size in SIZES.items():
        rng = random.Random(f"captions-{split}-{seed}")
        is_test = split == "test"
        splits[split] = [_row(rng, is_test and i % 2 == 1) for i in range(size)]
    return splits


def caption(scene: Scene, rng: random.Random, held_out: bool = False) -> str:
    """Return a fresh caption of a scene that names all four of its attributes.

    Args:
        scene: what the picture shows.
        rng: chooses the wording and the words.
        held_out: whether at least one word is one that only the test split uses.
    """
    look = {name: getattr(scene, name) for name in ATTRIBUTES}
    return _caption(look, rng, held_out)[0]


def synonyms(attribute: str, value: str, held_out: bool | None = None) -> list[str]:
    """Return the words for a value, such as those for the colour "red".

    Args:
        attribute: "kind", "colour", "pattern" or "background".
        value: one of its values.
        held_out: only held-out words (True), only shared ones (False), or both (None).
    """
    pool = read_words("captions")
    entries = [pool[attribute][value]]
    if attribute == "pattern":
        entries.append(pool["adorned"][value])
    names = {None: ("known", "held_out"), True: ("held_out",), False: ("known",)}
    return [
        word for entry in entries for name in names[held_out] for word in entry[name]
    ]


def _row(rng: random.Random, held_out: bool) -> dict:
    look = {name: rng.choice(values) for name, values in ATTRIBUTES.items()}
    text, wording = _caption(look, rng, held_out)
    return look | {"caption": text, "wording": wording, "is_held_out_word": held_out}


def _caption(look: dict, rng: random.Random, held_out: bool) -> tuple[str, str]:
    """Return the caption and the id of its template."""
    pool = read_words("captions")
    number = rng.randrange(len(pool["templates"]))
    template = pool["templates"][number]
    rare = {name for name in ATTRIBUTES if held_out and rng.random() < 0.4}
    if held_out and not rare:
        rare = {rng.choice(list(ATTRIBUTES))}
    slots = {}
    for name, value in look.items():
        chosen = "held_out" if name in rare else "known"
        slots[name] = _word(pool[name][value][chosen], rng)
        if name == "pattern":
            slots["adorned"] = rng.choice(pool["adorned"][value][chosen])
    text = with_articles(template.format(**slots).replace("a~ ", "a "))
    return text, f"caption-{number:02d}"


def _word(options: list[str], rng: random.Random) -> str:
    """Return the first, everyday word half of the time, else any of them."""
    return options[0] if rng.random() < 0.5 else rng.choice(options)
