"""The 240 products of Bottega Lume, the same on every machine."""

import random
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from labs_support.settings import DATA
from labs_support.world.english import article
from labs_support.world.looks import BACKGROUNDS, COLOURS, KINDS, PATTERNS
from labs_support.world.wording import read_words

if TYPE_CHECKING:
    import numpy as np

    from labs_support.world.render import Scene

PER_KIND = 15
PICTURE_SIZE = 128


def generate(seed: int = 0) -> dict[str, list[dict]]:
    """Return the catalogue as one split, "train", of 240 rows.

    Every kind occurs 15 times, every colour 20, every pattern 60, every background
    40 times, and no kind, colour and pattern occur together twice.
    """
    rng = random.Random(f"catalogue-{seed}")
    looks = [look for i in range(len(KINDS)) for look in _looks(i, rng)]
    rng.shuffle(looks)
    rows = [_row(number, look, rng) for number, look in enumerate(looks, start=1)]
    return {"train": rows}


def invent(look: dict[str, str], rng: random.Random) -> dict:
    """Return the row of a product that is not in the catalogue.

    Args:
        look: its kind, colour, pattern and background by name.
        rng: chooses everything else.
    """
    names = ("kind", "colour", "pattern", "background")
    return _row(0, tuple(look[name] for name in names), rng)


def product(sku: str) -> dict:
    """Return the catalogue row with this sku.

    Raises:
        KeyError: if there is no such product.
    """
    try:
        return _by_sku()[sku]
    except KeyError:
        message = f"no product {sku!r}: the skus run from LUM-001 to LUM-240"
        raise KeyError(message) from None


def scene(row: dict) -> "Scene":
    """Return the `Scene` drawn for a catalogue row, always the same one."""
    from labs_support.world.render import sample_scene

    rng = random.Random(f"picture-{row['sku']}")
    look = {key: row[key] for key in ("kind", "colour", "pattern", "background")}
    return sample_scene(rng, **look)


def picture(row: dict, size: int = PICTURE_SIZE) -> "np.ndarray":
    """Return the product's picture, uint8 of shape (size, size, 3)."""
    from labs_support.world.render import render

    return render(scene(row), size)


def write_pictures(folder: Path = DATA / "catalogue", seed: int = 0) -> None:
    """Draw the picture of every product into `folder/pictures`."""
    from PIL import Image

    for row in generate(seed)["train"]:
        path = Path(folder) / row["picture"]
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture(row)).save(path, optimize=True)


@lru_cache
def _by_sku() -> dict[str, dict]:
    return {row["sku"]: row for row in generate()["train"]}


def _looks(i: int, rng: random.Random) -> list[tuple[str, str, str, str]]:
    """Return 15 different looks of the i-th kind that keep the totals balanced."""
    n = len(COLOURS)
    colours = list(COLOURS) + [COLOURS[(3 * i + j) % n] for j in range(PER_KIND - n)]
    patterns = list(PATTERNS) * 4
    patterns.remove(PATTERNS[i % len(PATTERNS)])
    backgrounds = list(BACKGROUNDS) * 2
    backgrounds += BACKGROUNDS[:3] if i % 2 else BACKGROUNDS[3:]
    rng.shuffle(backgrounds)
    while len(set(zip(colours, patterns, strict=True))) < PER_KIND:
        rng.shuffle(patterns)
    rng.shuffle(colours_and_patterns := list(zip(colours, patterns, strict=True)))
    pairs = zip(colours_and_patterns, backgrounds, strict=True)
    return [(KINDS[i], c, p, background) for (c, p), background in pairs]


def _row(number: int, look: tuple[str, str, str, str], rng: random.Random) -> dict:
    kind, colour, pattern, background = look
    pool = read_words("catalogue")
    material = rng.choice(list(pool["materials"][kind]))
    light, heavy, cheap, dear = pool["materials"][kind][material]
    size = rng.random()  # a bigger piece is heavier and costs more
    weight = 5 * round((light + (heavy - light) * _near(size, rng)) / 5)
    price = int(cheap + (dear - cheap) * _near(size, rng)) + rng.choice((0.5, 0.9, 0.0))
    row = {
        "sku": f"LUM-{number:03d}",
        "name": f"{pattern.capitalize()} {colour} {kind}",
        "kind": kind,
        "colour": colour,
        "pattern": pattern,
        "background": background,
        "price": float(price),
        "material": material,
        "weight_g": weight,
        "stock": 0 if rng.random() < 0.08 else rng.randint(1, 40),
        "supplier": pool["suppliers"][material],
        "year": rng.randint(2009, 2025),
    }
    row["description"] = _description(row, pool, rng)
    return row | {"picture": f"pictures/{row['sku']}.png"}


def _near(size: float, rng: random.Random) -> float:
    return min(max(size + rng.uniform(-0.15, 0.15), 0.0), 1.0)


def _description(row: dict, pool: dict, rng: random.Random) -> str:
    """Return two or three sentences that say only what the row holds."""
    facts = [rng.choice(("material", "supplier"))]
    facts += rng.sample(("weight", "year", "use"), rng.choice((0, 1, 1)))
    noun = rng.choice(pool["nouns"][row["kind"]])
    slots = {
        "noun": noun,
        "a_noun": article(noun),
        "A_noun": article(noun).capitalize(),
        "plain_noun": row["kind"],
        "finish": rng.choice(pool["finish"][row["pattern"]]).format(**row),
        "material": row["material"],
        "Material": row["material"].capitalize(),
        "supplier": row["supplier"],
        "weight": row["weight_g"],
        "year": row["year"],
    }
    wordings = [pool["look"]]
    wordings += [pool[f][row["kind"]] if f == "use" else pool[f] for f in facts]
    return " ".join(rng.choice(options).format(**slots) for options in wordings)
