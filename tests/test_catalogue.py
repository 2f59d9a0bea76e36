"""The catalogue and the captions: schema, balance, wording, files on disk."""

import random
import re
from collections import Counter

import numpy as np
import pytest
from PIL import Image

from labs_support.settings import DATA
from labs_support.world import captions, catalogue, render, store, wording

ROWS = catalogue.generate()["train"]
COLUMNS = {
    "sku": str,
    "name": str,
    "kind": str,
    "colour": str,
    "pattern": str,
    "background": str,
    "price": float,
    "material": str,
    "weight_g": int,
    "stock": int,
    "supplier": str,
    "year": int,
    "description": str,
    "picture": str,
}
CAPTIONS = captions.generate()
HELD_OUT = [
    word
    for attribute, values in captions.ATTRIBUTES.items()
    for value in values
    for word in captions.synonyms(attribute, value, held_out=True)
]


def _says(text: str, words: list[str]) -> bool:
    return any(re.search(rf"(?<!\w){re.escape(word)}(?!\w)", text) for word in words)


@pytest.mark.parametrize("name", ["catalogue", "captions"])
def test_files_are_what_the_generator_makes(name):
    for split, rows in store.generate(name).items():
        assert store.path(name, split).read_bytes() == store.encode(rows)
        assert store.path(name, split).stat().st_size < 1_000_000


def test_schema():
    for number, row in enumerate(ROWS, start=1):
        assert {key: type(value) for key, value in row.items()} == COLUMNS
        assert row["sku"] == f"LUM-{number:03d}"
        assert row["name"].lower() == f"{row['pattern']} {row['colour']} {row['kind']}"
        assert row["picture"] == f"pictures/{row['sku']}.png"
        assert row["price"] > 0 and row["weight_g"] > 0 and row["stock"] >= 0


def test_balance():
    assert len(ROWS) == 240
    vocabulary = captions.ATTRIBUTES.items()
    for attribute, values in vocabulary:
        expected = {value: 240 // len(values) for value in values}
        assert Counter(row[attribute] for row in ROWS) == expected
    looks = {(row["kind"], row["colour"], row["pattern"]) for row in ROWS}
    assert len(looks) == 240


def test_facts_agree():
    pool = wording.read_words("catalogue")
    for row in ROWS:
        light, heavy, cheap, dear = pool["materials"][row["kind"]][row["material"]]
        assert light - 5 <= row["weight_g"] <= heavy + 5
        assert cheap <= row["price"] <= dear + 0.9
        assert row["supplier"] == pool["suppliers"][row["material"]]


def test_descriptions_say_only_what_the_row_holds():
    pool = wording.read_words("catalogue")
    materials, suppliers = set(pool["suppliers"]), set(pool["suppliers"].values())
    for row in ROWS:
        text = row["description"]
        assert row["colour"] in text.lower()
        assert {m for m in materials if _says(text.lower(), [m])} <= {row["material"]}
        assert {s for s in suppliers if s in text} <= {row["supplier"]}
        assert set(re.findall(r"(\d+) g\b", text)) <= {str(row["weight_g"])}
        assert set(re.findall(r"\b20\d\d\b", text)) <= {str(row["year"])}
        assert 2 <= len(re.findall(r"[.](?: |$)", text)) <= 3
        assert not re.search(r"\b[Aa] [aeiou]|\b[Aa]n (?!hour)[^aeiou]|[{}]", text)


def test_descriptions_vary():
    pool = wording.read_words("catalogue")
    for fact in ("look", "material", "supplier", "weight", "year"):
        assert len(set(pool[fact])) >= 12
    assert len({row["description"] for row in ROWS}) == 240


def test_product_is_found_by_its_sku():
    assert catalogue.product("LUM-042") == ROWS[41]
    with pytest.raises(KeyError, match="no product 'LUM-999'"):
        catalogue.product("LUM-999")


def test_pictures_are_what_the_renderer_draws():
    """Float arithmetic differs between processors, hence the tolerance."""
    folder = DATA / "catalogue"
    files = sorted(folder.glob("pictures/*.png"))
    assert [f"pictures/{file.name}" for file in files] == [r["picture"] for r in ROWS]
    assert sum(file.stat().st_size for file in files) < 5_000_000
    for row in ROWS:
        stored = np.asarray(Image.open(folder / row["picture"])).astype(int)
        assert stored.shape == (catalogue.PICTURE_SIZE, catalogue.PICTURE_SIZE, 3)
        apart = np.abs(stored - catalogue.picture(row))
        assert (apart <= 2).mean() >= 0.999, row["sku"]


@pytest.mark.parametrize("split", captions.SIZES)
def test_captions_say_what_the_scene_shows(split):
    rows = CAPTIONS[split]
    assert len(rows) == captions.SIZES[split]
    for row in rows:
        for attribute in captions.ATTRIBUTES:
            words = captions.synonyms(attribute, row[attribute])
            assert _says(row["caption"], words), (attribute, row)
        assert not re.search(r"\ba (?!one)[aeiou]|\ban [^aeiou]|[{}~]", row["caption"])


def test_held_out_words_are_in_the_test_split_alone():
    for split in ("train", "validation"):
        assert not any(row["is_held_out_word"] for row in CAPTIONS[split])
        text = "\n".join(row["caption"] for row in CAPTIONS[split])
        assert [word for word in HELD_OUT if _says(text, [word])] == []
    for row in CAPTIONS["test"]:
        held = [
            word
            for attribute in captions.ATTRIBUTES
            for word in captions.synonyms(attribute, row[attribute], held_out=True)
        ]
        assert _says(row["caption"], held) == row["is_held_out_word"], row
    assert sum(row["is_held_out_word"] for row in CAPTIONS["test"]) == 300


def test_there_are_enough_words():
    pool = wording.read_words("captions")
    assert len(set(pool["templates"])) >= 40
    for attribute, values in captions.ATTRIBUTES.items():
        for value in values:
            assert len(set(captions.synonyms(attribute, value))) >= 6
            assert len(set(captions.synonyms(attribute, value, held_out=True))) >= 2
    words = [(a, w) for a, vs in captions.ATTRIBUTES.items() for v in vs
             for w in set(captions.synonyms(a, v))]  # fmt: skip
    assert len(words) == len(set(words)), "a word stands for two values"


def test_fresh_caption():
    rng = random.Random(3)
    scene = render.sample_scene(rng, kind="boat", colour="red")
    fresh = {captions.caption(scene, rng) for _ in range(50)}
    assert len(fresh) > 40
    assert not any(_says(text, HELD_OUT) for text in fresh)
    rare = [captions.caption(scene, rng, held_out=True) for _ in range(50)]
    assert all(_says(text, HELD_OUT) for text in rare)
    assert any("crimson" in text or "vessel" in text for text in rare)


def test_drawing_names_the_fields_that_can_be_fixed():
    from labs_support import skills

    picture = skills.draw("kite", "red", size=32, pattern="dotted", background="sky")
    assert picture.shape == (32, 32, 3)
    with pytest.raises(
        ValueError, match="patern cannot be fixed; use one of pattern, b"
    ):
        skills.draw("kite", "red", patern="dotted")
    with pytest.raises(ValueError, match="no pattern 'wavy'"):
        skills.draw("kite", "red", pattern="wavy")
