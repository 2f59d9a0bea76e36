"""What lume-diffusion is trained on: fresh pictures, and texts that are true of them.

Sixteen pairs of a kind and a colour, one for each kind, occur in no picture and no text
of the training: they show whether the model can combine what it saw apart.
"""

import random
from collections import defaultdict

import numpy as np
import torch

from labs_support import shelf, slots
from labs_support.recipes.clip_data import NAMES, NUMBERS, number_of
from labs_support.world import captions, queries, render
from labs_support.world.looks import COLOURS, KINDS

SIZE = 64  # pixels
N_PICTURES = {"any": 24_000, "shop": 10_000}
SCENES = {"any": "pictures", "shop": "shop"}  # names of the random streams
HELD_OUT = frozenset(
    (kind, COLOURS[(5 * i + 2) % len(COLOURS)]) for i, kind in enumerate(KINDS)
)
# texts made of each form; what a form does not name, the text leaves open
FORMS = {
    "full": 7_000,
    "look": 1_500,
    "kind_colour": 800,
    "kind_pattern": 500,
    "kind_background": 600,
    "colour_pattern": 300,
    "kind": 600,
    "colour": 300,
    "pattern": 200,
    "background": 300,
}


def is_held_out(look: dict[str, str]) -> bool:
    """Return whether training never shows this kind in this colour."""
    return (look["kind"], look["colour"]) in HELD_OUT


def sample_look(rng: random.Random, held_out: bool = False) -> dict[str, str]:
    """Return a random value for each attribute, from the held-out pairs or the others."""
    while True:
        look = {
            name: rng.choice(values) for name, values in captions.ATTRIBUTES.items()
        }
        if is_held_out(look) == held_out:
            return look


def shop_scene(rng: random.Random, **look) -> render.Scene:
    """Return a scene as a shop takes its pictures: in the middle, upright."""
    pose = {
        "scale": round(rng.uniform(0.38, 0.42), 4),
        "angle": round(rng.uniform(-3, 3), 3),
        "x": round(rng.uniform(0.48, 0.52), 4),
        "y": round(rng.uniform(0.48, 0.51), 4),
        "is_mirrored": False,
    }
    return render.sample_scene(rng, **pose, **look)


def make_pictures(kind: str, number: int, seed: int) -> dict[str, torch.Tensor]:
    """Return fresh pictures, uint8 (number, 3, 64, 64), and the look of each.

    Args:
        kind: "any" for the VAE, "shop" for the denoiser, which sees calmer poses.
        number: how many.
        seed: of the looks and poses.
    """
    rng = random.Random(f"diffusion-{SCENES[kind]}-{seed}")
    scene_of = shop_scene if kind == "shop" else render.sample_scene
    looks = [sample_look(rng) for _ in range(number)]
    pixels = np.empty((number, SIZE, SIZE, 3), dtype=np.uint8)
    for row, look in enumerate(looks):
        pixels[row] = render.render(scene_of(rng, **look), SIZE)
    return {
        "pixels": torch.tensor(pixels).permute(0, 3, 1, 2).contiguous(),
        "looks": torch.tensor([number_of(look) for look in looks], dtype=torch.int16),
    }


def make_texts(seed: int, forms: dict[str, int] = FORMS) -> dict[str, torch.Tensor]:
    """Return the token vectors of training texts, and what each text names.

    Returns:
        "tokens", float16 (N, T, 384); "is_token", bool (N, T); "looks", int16 (N, 4), with
        `NOT_NAMED` for what a text leaves open. The first text is the empty one.
    """
    rng, found = random.Random(f"diffusion-texts-{seed}"), {}
    found[""] = number_of({}, named=())
    for form, number in forms.items():
        for _ in range(number):
            look = sample_look(rng)
            text = queries.query(form, look, rng)
            if form == "full" and rng.random() < 0.5:
                scene = render.sample_scene(rng, **look)
                text = captions.caption(scene, rng)
            found[text] = number_of(look, queries.NAMED[form])
    tokens, is_token = slots.read_texts(shelf.text_encoder(), list(found))
    return {
        "tokens": tokens.half(),
        "is_token": is_token,
        "looks": torch.tensor(list(found.values()), dtype=torch.int16),
    }


class Matcher:
    """Finds for a picture a text that is true of it."""

    def __init__(self, looks: torch.Tensor, seed: int):
        """Sort the texts by what they name; `looks` is (N, 4)."""
        self.rows = defaultdict(list)
        for row, look in enumerate(looks.tolist()):
            self.rows[tuple(look)].append(row)
        self.rng = random.Random(f"diffusion-matches-{seed}")

    def text_for(self, look: list[int], partly: float = 0.12) -> int:
        """Return the row of a text that names a look, or `partly` only some of it."""
        if self.rng.random() < partly:
            named = queries.NAMED[self.rng.choice(list(FORMS)[1:])]
        else:
            named = NAMES
        values = dict(zip(NAMES, look, strict=True))
        key = tuple(values[name] if name in named else -1 for name in NAMES)
        rows = self.rows.get(key) or self.rows.get(tuple(look)) or [0]
        return self.rng.choice(rows)


def words_of(look: list[int]) -> dict[str, str]:
    """Return a look as words by attribute."""
    return {
        name: captions.ATTRIBUTES[name][value]
        for name, value in zip(NAMES, look, strict=True)
    }


N_VALUES = {name: len(values) for name, values in NUMBERS.items()}
