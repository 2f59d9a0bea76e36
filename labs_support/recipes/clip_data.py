"""What lume-clip is trained on: fresh pictures, and texts that are true of them.

No product of the catalogue is among them: its four attributes together occur in no
picture and no full caption, its look in no description.
"""

import random
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file, save_file

from labs_support import shelf
from labs_support.world import captions, queries, render, store

N_PICTURES = 40_000
SIZE = 64  # pixels
NOT_NAMED = -1
NAMES = tuple(captions.ATTRIBUTES)
NUMBERS = {
    name: {value: i for i, value in enumerate(values)}
    for name, values in captions.ATTRIBUTES.items()
}
# texts made of each form, and the share of a batch that is of it
FORMS = {
    "full": (13_000, 0.24),
    "look": (13_000, 0.18),
    "description": (6_000, 0.22),
    "kind_colour": (5_000, 0.06),
    "kind_pattern": (2_000, 0.04),
    "kind_background": (2_000, 0.04),
    "colour_pattern": (1_500, 0.03),
    "kind": (5_000, 0.09),
    "colour": (3_000, 0.05),
    "pattern": (900, 0.03),
    "background": (700, 0.02),
}


def catalogue_looks() -> set[tuple[int, ...]]:
    """Return the four attributes of every product as numbers."""
    return {number_of(row) for row in store.rows("catalogue")}


def number_of(look: dict[str, str], named: tuple[str, ...] = NAMES) -> tuple[int, ...]:
    """Return a look as four numbers, `NOT_NAMED` for what is not in `named`."""
    return tuple(
        NUMBERS[name][look[name]] if name in named else NOT_NAMED for name in NAMES
    )


def make_texts(seed: int) -> dict[str, torch.Tensor]:
    """Return the MiniLM vectors of all training texts, and what each text names."""
    rng, left_out = random.Random(f"clip-texts-{seed}"), catalogue_looks()
    looks_left_out = {look[:3] for look in left_out}
    found: dict[tuple, None] = {}
    for form, (number, _) in FORMS.items():
        for _ in range(number):
            look = {name: rng.choice(v) for name, v in captions.ATTRIBUTES.items()}
            whole = number_of(look)
            if form == "full" and whole in left_out:
                continue
            if form == "description" and whole[:3] in looks_left_out:
                continue
            text = queries.query(form, look, rng)
            found[text, number_of(look, queries.NAMED[form]), form] = None
    texts, looks, forms = zip(*found, strict=True)
    vectors = shelf.text_encoder().encode(list(texts), batch_size=128)
    return {
        "vectors": torch.tensor(vectors, dtype=torch.float16),
        "looks": torch.tensor(looks, dtype=torch.int16),
        "forms": torch.tensor([list(FORMS).index(form) for form in forms]),
    }


def make_pictures(number: int, seed: int) -> dict[str, torch.Tensor]:
    """Return fresh pictures, uint8 (number, 3, 64, 64), and the look of each."""
    rng, left_out = random.Random(f"clip-train{seed or ''}"), catalogue_looks()
    pictures = np.empty((number, SIZE, SIZE, 3), dtype=np.uint8)
    looks: list[tuple] = []
    while len(looks) < number:
        scene = render.sample_scene(rng)
        look = number_of({name: getattr(scene, name) for name in NAMES})
        if look not in left_out:
            pictures[len(looks)] = render.render(scene, SIZE)
            looks.append(look)
    return {
        "pixels": torch.tensor(pictures).permute(0, 3, 1, 2).contiguous(),
        "looks": torch.tensor(looks, dtype=torch.int16),
    }


def kept(path: Path, make) -> dict[str, torch.Tensor]:
    """Return the tensors in a file, made first if they are not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(make(), path)
    return load_file(path)


class Matcher:
    """Finds for a picture a text that is true of it."""

    def __init__(self, texts: dict[str, torch.Tensor], seed: int):
        self.looks = texts["looks"].long()
        self.rows: dict[tuple, list[int]] = defaultdict(list)
        looks, forms = texts["looks"].tolist(), texts["forms"].tolist()
        for row, (look, form) in enumerate(zip(looks, forms, strict=True)):
            self.rows[form, *look].append(row)
        self.rng = random.Random(f"clip-matches-{seed}")
        self.forms = list(range(len(FORMS)))
        self.shares = [share for _, share in FORMS.values()]

    def text_for(self, look: list[int]) -> int:
        """Return the row of a text of a random form that is true of a look."""
        while True:
            (form,) = self.rng.choices(self.forms, self.shares)
            named = queries.NAMED[list(FORMS)[form]]
            key = [
                value if name in named else NOT_NAMED
                for name, value in zip(NAMES, look, strict=True)
            ]
            if rows := self.rows.get((form, *key)):
                return self.rng.choice(rows)

    def matches(self, texts: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        """Return 1 where a text is true of a picture, (pictures, texts)."""
        said = self.looks[texts]  # (texts, 4)
        agrees = (said == NOT_NAMED) | (said == looks[:, None])  # (pictures, texts, 4)
        return agrees.all(-1).float()
