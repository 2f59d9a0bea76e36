"""What a picture shows according to CLIP, and how different pictures are from each other.

The judge is lume-clip of lesson 09, in every profile: it has no part in the training of
what it judges.
"""

import torch

from labs_support import shelf
from labs_support.contrastive import embed_pictures, embed_texts
from labs_support.world import captions

PROMPTS = {
    "kind": "a photo of a {}",
    "colour": "a photo of a {} object",
    "pattern": "a photo of a {} object",
    "background": "a photo taken {}",
}
PLACES = {
    "table": "on a table",
    "beach": "on the beach",
    "sky": "in the sky",
    "meadow": "in a meadow",
    "night": "at night",
    "studio": "in a studio",
}


def seen(vectors, attribute: str) -> list[str]:
    """Return the value of an attribute that is nearest to each picture.

    Args:
        vectors: of `contrastive.embed_pictures`, (N, C).
        attribute: "kind", "colour", "pattern" or "background".
    """
    values = captions.ATTRIBUTES[attribute]
    asked = [PROMPTS[attribute].format(PLACES.get(value, value)) for value in values]
    scores = vectors @ embed_texts(shelf.image_text(is_own=True), asked).T
    return [values[i] for i in scores.argmax(dim=1).tolist()]


def obeyed(vectors, looks) -> torch.Tensor:
    """Return whether each picture shows what was asked for, 0 or 1, (N, 4).

    Args:
        vectors: of `contrastive.embed_pictures`, (N, C).
        looks: N objects with a field for each attribute, such as `render.Scene`.
    """
    columns = [
        [float(value == getattr(look, attribute)) for value, look in pairs]
        for attribute in captions.ATTRIBUTES
        for pairs in [zip(seen(vectors, attribute), looks, strict=True)]
    ]
    return torch.tensor(columns).T


def spread(vectors, n: int) -> torch.Tensor:
    """Return the mean distance between pictures of one prompt, one number a prompt.

    Args:
        vectors: of length 1, those of each prompt in a row, (prompts * n, C).
        n: pictures of each prompt.
    """
    groups = vectors.unflatten(0, (-1, n))  # (prompts, n, C)
    return torch.cdist(groups, groups).sum(dim=(1, 2)) / (n * (n - 1))


def look_at(images) -> torch.Tensor:
    """Return the vectors of pictures, (N, C), of `PIL.Image`."""
    return embed_pictures(shelf.image_text(is_own=True), images, size=32)
