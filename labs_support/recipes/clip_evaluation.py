"""Measure lume-clip on what it has not seen: `labs evaluate lume-clip`."""

import random
from functools import cache

import torch
from PIL import Image

from labs_support import shelf
from labs_support.contrastive import embed_pictures, embed_texts, recall_at
from labs_support.judging import PLACES, PROMPTS
from labs_support.pictures import open_picture
from labs_support.world import captions, catalogue, queries, render, store
from labs_support.world.wording import read_words

LEAST = {  # what a release must reach
    "text to picture, full captions, recall@1": 0.95,
    "unseen words for the object, hit@1": 0.75,
    "picture to picture, fresh drawing, recall@1": 0.90,
    "zero-shot kind": 0.95,
    "zero-shot colour": 0.95,
    "zero-shot pattern": 0.95,
    "zero-shot background": 0.95,
}
N_DRAWN = 960


def evaluate(clip: shelf.ImageText | None = None) -> dict[str, float]:
    """Return the scores of the shelf's image-text model, shares from 0 to 1.

    Args:
        clip: another model of the same kind, such as one just trained.
    """
    clip = clip or shelf.image_text()
    rows, pictures = store.rows("catalogue"), catalogue_vectors(clip)
    return {
        **searched(clip, rows, pictures),
        **unseen(clip, rows, pictures),
        **drawn_again(clip, rows, pictures),
        **zero_shot(clip),
    }


def catalogue_vectors(clip: shelf.ImageText) -> torch.Tensor:
    """Return the vectors of the catalogue's pictures, (240, C)."""
    folder = store.DATA / "catalogue"
    files = [folder / row["picture"] for row in store.rows("catalogue")]
    return embed_pictures(clip, [open_picture(file) for file in files])


def searched(clip, rows: list[dict], pictures: torch.Tensor) -> dict[str, float]:
    """Return how often a product's own text finds it among all products."""
    rng, gold = random.Random("clip-evaluation"), torch.arange(len(rows))
    asked = {
        "full captions": [captions.caption(catalogue.scene(r), rng) for r in rows],
        "descriptions": [row["description"] for row in rows],
    }
    found = {}
    for name, texts in asked.items():
        scores = embed_texts(clip, texts) @ pictures.T
        for k in (1, 5):
            found[f"text to picture, {name}, recall@{k}"] = recall_at(scores, gold, k)
    return found


def unseen(clip, rows: list[dict], pictures: torch.Tensor) -> dict[str, float]:
    """Return how often the first hit is right for words that training never saw."""
    found = {}
    for attribute, values in captions.ATTRIBUTES.items():
        asked = [
            (PROMPTS[attribute].format(word), {attribute: value})
            for value in values
            for word in read_words("captions")[attribute][value]["held_out"]
        ]
        name = "the object" if attribute == "kind" else f"the {attribute}"
        found[f"unseen words for {name}, hit@1"] = share_right(
            clip, rows, pictures, asked
        )
    asked = [
        (PROMPTS["kind"].format(word), {"kind": value})
        for value in captions.ATTRIBUTES["kind"]
        for word in queries.fresh(value)
    ]
    found["words that tuning never saw either, hit@1"] = share_right(
        clip, rows, pictures, asked
    )
    asked = [(text, gold) for text, gold in read_words("queries")["test"]]
    found["customers' questions, everything right, hit@1"] = share_right(
        clip, rows, pictures, asked
    )
    kinds = [(text, {"kind": gold["kind"]}) for text, gold in asked]
    found["customers' questions, right object, hit@1"] = share_right(
        clip, rows, pictures, kinds
    )
    return found


def share_right(clip, rows, pictures, asked: list[tuple[str, dict]]) -> float:
    """Return the share of texts whose first hit has all that was asked for."""
    scores = embed_texts(clip, [text for text, _ in asked]) @ pictures.T
    best = [rows[i] for i in scores.argmax(dim=1).tolist()]
    return sum(
        all(row[name] == value for name, value in gold.items())
        for row, (_, gold) in zip(best, asked, strict=True)
    ) / len(asked)


def drawn_again(clip, rows: list[dict], pictures: torch.Tensor) -> dict[str, float]:
    """Return how often a fresh drawing of a product finds its catalogue picture."""
    rng, gold, found = random.Random("clip-fresh"), torch.arange(len(rows)), {}
    for name, fixed in (("fresh drawing", captions.ATTRIBUTES), ("other place", _LOOK)):
        scenes = [
            render.sample_scene(rng, **{key: row[key] for key in fixed}) for row in rows
        ]
        fresh = [Image.fromarray(render.render(scene, 128)) for scene in scenes]
        scores = embed_pictures(clip, fresh) @ pictures.T
        found[f"picture to picture, {name}, recall@1"] = recall_at(scores, gold)
    return found


_LOOK = ("kind", "colour", "pattern")


@cache
def _drawn() -> tuple[list, list]:
    rng = random.Random("clip-zero-shot")
    scenes = [render.sample_scene(rng) for _ in range(N_DRAWN)]
    return scenes, [Image.fromarray(render.render(scene, 64)) for scene in scenes]


def zero_shot(clip) -> dict[str, float]:
    """Return the accuracy of naming each attribute of fresh pictures."""
    scenes, drawn = _drawn()
    vectors, found = embed_pictures(clip, drawn), {}
    for attribute, values in captions.ATTRIBUTES.items():
        names = PLACES if attribute == "background" else {v: v for v in values}
        prompts = [PROMPTS[attribute].format(names[value]) for value in values]
        guesses = (vectors @ embed_texts(clip, prompts).T).argmax(dim=1).tolist()
        gold = [values.index(getattr(scene, attribute)) for scene in scenes]
        right = sum(a == b for a, b in zip(guesses, gold, strict=True))
        found[f"zero-shot {attribute}"] = right / len(gold)
    return found


def main() -> None:
    """Print the scores, and a mark where one is below what a release must reach."""
    for name, value in evaluate().items():
        is_short = value < LEAST.get(name, 0)
        print(f"{name:52} {value:.3f}{'  too low' if is_short else ''}")


if __name__ == "__main__":
    main()
