"""What Lume, the assistant of the shop, can do so far: find a page, find a product, draw.

Lesson 00 shows these skills finished; later lessons build what is inside them and add
more. Each skill is one function from words to something of the shop.
"""

import random
from dataclasses import fields
from functools import cache
from typing import NamedTuple

import numpy as np

from labs_support import shelf, vectors
from labs_support.world import handbook, render, store


class Found(NamedTuple):
    """One hit of a search.

    Attributes:
        item: the `handbook.Page` or the row of the catalogue.
        passage: the text that matched, a section of the page or a description.
        score: cosine of query and passage, from -1 to 1.
    """

    item: object
    passage: str
    score: float


def embed(texts: list[str]) -> np.ndarray:
    """Return one unit vector per text, shape (len(texts), 384)."""
    model = shelf.text_encoder()
    return model.encode(texts, batch_size=8, normalize_embeddings=True)


@cache
def _handbook_index() -> tuple[list, np.ndarray]:
    passages = [
        (page, f"{page.title}. {heading}\n{text}")
        for page in handbook.pages()
        for heading, text in handbook.sections(page)
    ]
    texts = [text for _, text in passages]
    return passages, vectors.kept("pages", texts, embed)


@cache
def _catalogue_index() -> tuple[list, np.ndarray]:
    passages = [
        (row, f"{row['name']}. {row['description']}") for row in store.rows("catalogue")
    ]
    texts = [text for _, text in passages]
    return passages, vectors.kept("products", texts, embed)


def _search(query: str, index: tuple[list, np.ndarray], n: int) -> list[Found]:
    """Return the n best different items of an index, best first."""
    if not query.strip():
        raise ValueError("The question is empty: write a few words.")
    passages, unit_vectors = index
    scores = unit_vectors @ embed([query])[0]
    found: dict[int, Found] = {}
    for i in np.argsort(-scores, kind="stable"):
        item, passage = passages[i]
        found.setdefault(id(item), Found(item, passage, float(scores[i])))
        if len(found) == n:
            break
    return list(found.values())


def find_pages(question: str, n: int = 3) -> list[Found]:
    """Return the n handbook pages nearest to a question, best first.

    A page is as near as the nearest of its sections.

    Raises:
        ValueError: for an empty question.
    """
    return _search(question, _handbook_index(), n)


def find_products(description: str, n: int = 3) -> list[Found]:
    """Return the n products whose descriptions are nearest to a text, best first.

    Raises:
        ValueError: for an empty text.
    """
    return _search(description, _catalogue_index(), n)


def draw(
    kind: str, colour: str, *, seed: int = 0, size: int = 128, **look
) -> np.ndarray:
    """Return a picture of a product, uint8 of shape (size, size, 3).

    Args:
        kind: one of `looks.KINDS`.
        colour: one of `looks.COLOURS`.
        seed: chooses pose, light and what is not fixed.
        size: side in pixels.
        **look: pattern, background or pose, if they are to be fixed: any field of
            `render.Scene`.

    Raises:
        ValueError: if the shop has no such kind, colour, pattern or background, or if a
            picture has no such field.
    """
    named = ("kind", "colour", "seed")
    known = [f.name for f in fields(render.Scene) if f.name not in named]
    for name in look.keys() - set(known):
        raise ValueError(f"{name} cannot be fixed; use one of {', '.join(known)}.")
    rng = random.Random(f"draw-{seed}")
    scene = render.sample_scene(rng, kind=kind, colour=colour, **look)
    return render.render(scene, size)


@cache
def _picture_index():
    """Return one unit vector per product, (240, C), stored ones where they fit."""
    from safetensors.torch import load_file

    from labs_support import contrastive, pictures, settings

    clip = shelf.image_text()
    if settings.read().profile == "tiny":
        place = shelf.folder(shelf.role("image-text"))
        return load_file(place / "catalogue.safetensors")["pictures"].float()
    folder = store.DATA / "catalogue"
    rows = store.rows("catalogue")
    seen = [pictures.open_picture(folder / row["picture"]) for row in rows]
    return contrastive.embed_pictures(clip, seen)


def find_by_picture(picture, n: int = 3) -> list[Found]:
    """Return the n products that look most like a picture, best first.

    Args:
        picture: a path, a `PIL.Image`, or pixels as uint8 of shape (height, width, 3).
        n: how many products.

    Raises:
        pictures.UnusablePicture: if the file is no picture or cannot be used.
    """
    from PIL import Image

    from labs_support import contrastive, pictures

    if isinstance(picture, np.ndarray):
        picture = Image.fromarray(picture)
    elif not isinstance(picture, Image.Image):
        picture = pictures.open_picture(picture)
    (vector,) = contrastive.embed_pictures(shelf.image_text(), [picture])
    scores = _picture_index() @ vector
    best = scores.topk(min(n, len(scores))).indices.tolist()
    rows = store.rows("catalogue")
    return [Found(rows[i], rows[i]["name"], scores[i].item()) for i in best]
