"""Words of product descriptions with their labels, and vectors of words in context."""

import random
import re

import torch

from labs_support import shelf
from labs_support.world import store

LABELS = ("other", "maker", "material")
NEW_MAKERS = ("Tessitura Faro", "Legno & Sale")  # in no training text
MAKERS = ("Atelier Nordin", "Casa Pietra", "Marlow & Finch", "Studio Kestrel")
MAKERS += ("Forgia Luna", "Tamsin Reed", "Filatura Gelso", "Hadley & Sons")
MAKERS += ("Maison Corbeau", "Kiln Street", "Velda Arno", "Reed & Daughter")
MATERIALS = ("leather", "marble", "silk", "bamboo", "copper", "steel", "velvet")
MATERIALS += ("stone", "cork", "wicker", "pewter", "straw", "rubber", "bone")


def tagged(row: dict) -> tuple[list[str], list[int]]:
    """Return the words of a product's description and the label of each.

    Args:
        row: of the catalogue; its supplier and its material say what is what.
    """
    words = re.findall(r"\w+|[^\w\s]", row["description"])
    makers, labels = re.findall(r"\w+|[^\w\s]", row["supplier"]), []
    for i, word in enumerate(words):
        starts = range(max(0, i - len(makers) + 1), i + 1)
        is_maker = any(words[s : s + len(makers)] == makers for s in starts)
        is_material = word.lower() == row["material"]
        labels.append(1 if is_maker else 2 if is_material else 0)
    return words, labels


def exchanged(row: dict, rng: random.Random) -> dict:
    """Return a row whose maker and material are others, in its description too.

    A tagger that reads the same four names again and again learns the names; with ever
    new ones it has to learn from what stands around them.
    """
    maker, material = rng.choice(MAKERS), rng.choice(MATERIALS)
    text = row["description"].replace(row["supplier"], maker)
    text = re.sub(rf"\b{row['material']}\b", material, text)
    text = re.sub(rf"\b{row['material'].title()}\b", material.title(), text)
    return row | {"description": text, "supplier": maker, "material": material}


def split(n_times: int = 3) -> tuple[list[tuple], list[tuple]]:
    """Return tagged descriptions: to train on, and those of makers not met there.

    Args:
        n_times: how often each training text appears, with other names each time.
    """
    rng, learn, unseen = random.Random(0), [], []
    for row in store.rows("catalogue"):
        if row["supplier"] in NEW_MAKERS:
            unseen.append(tagged(row))
        else:
            learn += [tagged(exchanged(row, rng)) for _ in range(n_times)]
    return learn, unseen


@torch.inference_mode()
def word_vectors(texts: list[list[str]]) -> torch.Tensor:
    """Return the encoder's vector of every word in its context, (N words, C).

    The vector of a word is that of its first piece.

    Args:
        texts: each a list of words.
    """
    encoder = shelf.text_encoder()
    tokenizer, model = encoder.tokenizer, encoder[0].auto_model
    found = []
    for start in range(0, len(texts), 64):
        some = texts[start : start + 64]
        read = tokenizer(
            some, is_split_into_words=True, padding=True, truncation=True,
            return_tensors="pt",
        )  # fmt: skip
        hidden = model(**read.to(model.device)).last_hidden_state.cpu()  # (B, T, C)
        for i in range(len(some)):
            places = read.word_ids(i)
            firsts = [places.index(word) for word in range(len(some[i]))]
            found.append(hidden[i, firsts])
    return torch.cat(found)
