"""The phrases, reviews, sums, dialogues and replies keep what their modules promise."""

import ast
import importlib
import operator
import re
from collections import Counter
from functools import cache

import pytest

from labs_support.world import store
from labs_support.world.grammar import Thing, noun_phrase, piece, words
from labs_support.world.looks import COLOURS, KINDS, PATTERNS
from labs_support.world.wording import fill, read_words, values

NAMES = ("phrases", "reviews", "sums", "dialogues", "replies")
KEYS = {
    "phrases": ["en", "fr", "alignment", "wording"],
    "reviews": ["text", "label", "kind", "stars", "aspect", "wording"],
    "sums": ["question", "reasoning", "program", "answer", "n_steps", "wording"],
    "dialogues": ["id", "turns", "summary", "topic", "wording"],
    "replies": ["prompt", "chosen", "rejected", "reason", "wording"],
}
BIGGEST = 1_000_000  # bytes of a data file


@cache
def rows(name):
    """Return {split: rows} of a data set, as it lies in data/."""
    return {split: store.rows(name, split) for split in store.SPLITS}


def every_row(name):
    return [row for split in rows(name).values() for row in split]


def identity(name, row):
    """Return the text that must not occur in two splits, without case and marks."""
    if name == "dialogues":
        text = " ".join(turn["text"] for turn in row["turns"])
    else:
        text = row[KEYS[name][0]]
    return " ".join(re.findall(r"\w+", text.lower()))


def texts(name, row):
    """Return every text of a row that people read."""
    found = [v for k, v in row.items() if isinstance(v, str) and k != "wording"]
    return found + [turn["text"] for turn in row.get("turns", [])]


@pytest.mark.parametrize("name", NAMES)
def test_generating_again_gives_the_files(name):
    assert store.generate(name) == rows(name)


@pytest.mark.parametrize("name", NAMES)
def test_sizes_and_keys(name):
    sizes = importlib.import_module(f"labs_support.world.{name}").SIZES
    assert {split: len(found) for split, found in rows(name).items()} == sizes
    assert all(list(row) == KEYS[name] for row in every_row(name))
    for split in store.SPLITS:
        assert store.path(name, split).stat().st_size < BIGGEST


@pytest.mark.parametrize("name", NAMES)
def test_no_row_of_one_split_in_another(name):
    seen = {s: {identity(name, r) for r in found} for s, found in rows(name).items()}
    assert not seen["train"] & seen["test"]
    assert not seen["train"] & seen["validation"]
    assert not seen["validation"] & seen["test"]


@pytest.mark.parametrize("name", NAMES)
def test_texts_are_filled_in_and_clean(name):
    for row in every_row(name):
        for text in texts(name, row):
            assert text and text == text.strip()
            assert not re.search(r"[{}\[\]|~]|  | [.,;:]", text), text
            assert not re.search(r"\b[Aa] (umbrella|orange|uncle)", text), text


@pytest.mark.parametrize("name", NAMES)
def test_no_fact_of_bottega_lume(name):
    for row in every_row(name):
        for text in texts(name, row):
            assert not re.search(r"Lume|Ferrante|Lanterne 7|1987", text), text


# phrases


def test_phrase_words_are_those_of_the_shop():
    assert set(words()["kinds"]) == set(KINDS)
    assert set(words()["colours"]) == set(COLOURS)
    assert set(words()["patterns"]) == set(PATTERNS)


@pytest.mark.parametrize(
    ("noun", "adjectives", "determiner", "plural", "french"),
    [
        ("bird", {"before": "old"}, "the", False, "le vieil oiseau"),
        ("bird", {"before": "old"}, "the", True, "les vieux oiseaux"),
        ("star", {"colours": "white"}, "this", False, "cette étoile blanche"),
        ("tree", {"before": "beautiful"}, "a", False, "un bel arbre"),
        ("fan", {}, "this", False, "cet éventail"),
        ("clock", {}, "my", False, "mon horloge"),
        ("clock", {"before": "new"}, "my", False, "ma nouvelle horloge"),
        ("clock", {"colours": "teal"}, "the", False, "l' horloge bleu canard"),
        ("kite", {"before": "small"}, "some", True, "de petits cerfs-volants"),
        ("kite", {"colours": "orange"}, "some", True, "des cerfs-volants orange"),
    ],
)
def test_french_agrees(noun, adjectives, determiner, plural, french):
    group = "kinds" if noun in words()["kinds"] else "others"
    thing = Thing(group, noun, plural, adjectives)
    assert " ".join(noun_phrase(thing, [determiner]).fr) == french


def test_french_contracts():
    near = piece("near", "près de", [[0, 0], [0, 1]])
    counter = noun_phrase(Thing("places", "counter"), ["the"])
    said = near + counter
    assert " ".join(said.fr) == "près du comptoir"
    assert sorted(said.links) == [(0, 0), (0, 1), (1, 1), (2, 2)]


def test_french_elides_everywhere():
    wrong = re.compile(
        r"\b(le|la|ce|ma|je|ne|de|beau|nouveau) [aeéêiouhœ]|\bde les? |\bde le\b"
    )
    faults = [row["fr"] for row in every_row("phrases") if wrong.search(row["fr"])]
    assert faults == []


def test_every_word_of_a_phrase_is_aligned():
    for row in every_row("phrases"):
        en, fr = row["en"].split(), row["fr"].split()
        assert {i for i, _ in row["alignment"]} == set(range(len(en))), row
        assert {j for _, j in row["alignment"]} == set(range(len(fr))), row
        assert 3 <= len(en) <= 12 and 3 <= len(fr) <= 12


def test_colours_are_aligned_with_colours():
    for row in rows("phrases")["test"]:
        en, fr = row["en"].split(), row["fr"].split()
        for i, j in row["alignment"]:
            if en[i] in COLOURS:
                forms = " ".join(words()["colours"][en[i]]).split()
                assert fr[j] in forms, row


@pytest.mark.parametrize("language", ["en", "fr"])
def test_words_are_frequent_in_training(language):
    splits = rows("phrases")
    counts = Counter(w for r in splits["train"] for w in r[language].split())
    assert min(counts.values()) >= 20
    assert 120 <= len(counts) <= 240
    assert {w for r in splits["test"] for w in r[language].split()} <= set(counts)


def combinations(english):
    """Return the (noun, colour, adjective) triples of a phrase, read from its text."""
    table = words()
    groups = ("kinds", "others", "parts", "places", "people")
    nouns = {n: n for g in groups for n in table[g]}
    nouns |= {table[g][n][0]: n for g in groups for n in table[g]}
    others = {
        w for g in ("patterns", "materials", "before", "states") for w in table[g]
    }
    found, adjectives, subject = set(), [], None
    for word in [*english.split(), "."]:
        if word in COLOURS or word in others:
            adjectives.append(word)
        elif word in nouns:
            subject = (nouns[word], adjectives)
            found |= triples(*subject, others)
            adjectives = []
        elif word == "." and adjectives:  # said with "is" or "are"
            found |= triples(subject[0], subject[1] + adjectives, others)
    return found


def triples(noun, adjectives, others):
    colours = [w for w in adjectives if w in COLOURS]
    return {(noun, c, w) for c in colours for w in adjectives if w in others}


def test_combinations_are_read_from_text():
    assert combinations("the small red lamp") == {("lamp", "red", "small")}
    assert combinations("this old lamp is not green") == {("lamp", "green", "old")}


@pytest.mark.parametrize("split", ["validation", "test"])
def test_phrases_hold_an_unseen_product_name(split):
    known = set().union(*(combinations(r["en"]) for r in rows("phrases")["train"]))
    for row in rows("phrases")[split]:
        assert combinations(row["en"]) - known, row["en"]


# reviews


@pytest.mark.parametrize("split", store.SPLITS)
def test_reviews_are_balanced(split):
    labels = Counter(row["label"] for row in rows("reviews")[split])
    assert labels["positive"] == labels["negative"]


def test_reviews_are_varied():
    found = every_row("reviews")
    assert len({r["wording"] for r in found}) >= 60
    kinds_of_word = {
        w for r in found for w in re.findall(r"[a-z']+", r["text"].lower())
    }
    assert len(kinds_of_word) >= 1200
    assert {r["kind"] for r in found} == set(KINDS)


def test_stars_follow_the_label():
    for row in every_row("reviews"):
        assert row["stars"] in ((3, 4, 5) if row["label"] == "positive" else (1, 2, 3))


@pytest.mark.parametrize("name", ["reviews", "replies"])
def test_held_out_wordings_are_in_the_test_split_only(name):
    splits = rows(name)
    held = {s: [r["wording"].startswith("held/") for r in splits[s]] for s in splits}
    assert not any(held["train"]) and not any(held["validation"])
    assert 0.15 < sum(held["test"]) / len(held["test"]) < 0.5


def test_a_bag_of_words_is_good_but_not_perfect():
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    train, test = rows("reviews")["train"], rows("reviews")["test"]
    model = make_pipeline(TfidfVectorizer(), LogisticRegression(C=10))
    model.fit([r["text"] for r in train], [r["label"] for r in train])
    accuracy = model.score([r["text"] for r in test], [r["label"] for r in test])
    assert 0.85 < accuracy < 0.96


# sums

OPERATIONS = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
}


def evaluate(node):
    """Return the value of a program that holds numbers, + - * / // and round or int."""
    if isinstance(node, ast.Expression):
        return evaluate(node.body)
    if isinstance(node, ast.Constant) and isinstance(node.value, int | float):
        return node.value
    if isinstance(node, ast.BinOp):
        return OPERATIONS[type(node.op)](evaluate(node.left), evaluate(node.right))
    assert isinstance(node, ast.Call) and not node.keywords, ast.dump(node)
    return {"round": round, "int": int}[node.func.id](*map(evaluate, node.args))


def test_programs_give_the_answers():
    for row in every_row("sums"):
        value = evaluate(ast.parse(row["program"], mode="eval"))
        is_money = "." in row["answer"]
        assert row["answer"] == (f"{value:.2f}" if is_money else str(value)), row
        assert value > 0


def test_reasonings_end_with_the_answer():
    for row in every_row("sums"):
        last = re.split(r"(?<=\.) ", row["reasoning"])[-1]
        assert row["answer"] in re.findall(r"\d+(?:\.\d\d)?", last), row
        assert 1 <= row["n_steps"] <= 5


def test_sums_are_varied_and_disjoint():
    splits = rows("sums")
    assert len({r["wording"].split("-")[0] for r in splits["train"]}) >= 40
    programs = [r["program"] for r in every_row("sums")]
    assert len(set(programs)) == len(programs)
    hidden = values(read_words("sums")["customers"], "test")
    for row in splits["train"] + splits["validation"]:
        assert not any(re.search(rf"\b{who}\b", row["question"]) for who in hidden)


# dialogues


def test_conversations_take_turns():
    found = every_row("dialogues")
    assert len({row["id"] for row in found}) == len(found)
    assert len({row["topic"] for row in found}) >= 12
    for row in found:
        assert 4 <= len(row["turns"]) <= 10
        speakers = [turn["speaker"] for turn in row["turns"]]
        assert speakers == (["customer", "assistant"] * 5)[: len(speakers)]


def test_summaries_are_short_and_not_copied():
    for row in every_row("dialogues"):
        sentences = re.findall(r"[^.]+\.", row["summary"])
        assert 1 <= len(sentences) <= 3
        said = " ".join(turn["text"] for turn in row["turns"])
        assert not any(sentence.strip() in said for sentence in sentences), row


@pytest.mark.parametrize("slot", ["shop", "customer", "noun", "flaw", "person"])
def test_conversations_share_no_names_or_products(slot):
    hidden = values(read_words("dialogues")["slots"][slot], "test")
    pattern = re.compile("|".join(rf"\b{re.escape(value)}\b" for value in hidden))
    for row in rows("dialogues")["train"]:
        for text in texts("dialogues", row):
            assert not pattern.search(text), text


def test_conversations_share_no_order_numbers():
    numbers = {
        split: {n for r in found for t in texts("", r) for n in re.findall(r"\d{4}", t)}
        for split, found in rows("dialogues").items()
    }
    assert numbers["test"] and not numbers["train"] & numbers["test"]


# replies


@pytest.mark.parametrize("split", store.SPLITS)
def test_length_does_not_give_the_preference_away(split):
    by_reason = {}
    for row in rows("replies")[split]:
        longer = len(row["chosen"]) > len(row["rejected"])
        by_reason.setdefault(row["reason"], []).append(longer)
    assert set(by_reason) == {"helpful", "truthful", "harmless", "tone"}
    for longer in by_reason.values():
        assert 0.4 <= sum(longer) / len(longer) <= 0.6


def test_replies_differ_and_every_flaw_occurs():
    assert all(row["chosen"] != row["rejected"] for row in every_row("replies"))
    flaws = {row["wording"].split("/")[-1] for row in rows("replies")["train"]}
    assert flaws == set(read_words("replies")["flaws"])


# wording


def test_fill_names_a_missing_slot():
    import random

    with pytest.raises(KeyError, match="colour"):
        fill("a {colour} hat", {}, random.Random(0))


def without_an(text):
    """Return the text with "a" for "an", which depends on what fills a slot."""
    return re.sub(r"\b([Aa])n ", r"\1 ", text)


def pattern_of(template):
    """Return the regular expression of the texts that a template can become."""
    parts = re.split(r"(\{[^{}]+\}|[\[\]|])", without_an(template))
    marks = {"[": "(?:", "]": ")", "|": "|"}
    return "".join(
        ".+" if p.startswith("{") else marks.get(p) or re.escape(p) for p in parts
    )


@pytest.mark.parametrize("flaw", ["curt", "flattery", "refuses", "long", "rude"])
def test_the_rejected_reply_is_the_one_with_the_flaw(flaw):
    pools = {"long": ["padding"], "rude": ["rude", "rude_open"]}.get(flaw, [flaw])
    lines = [line for pool in pools for line in read_words("replies")[pool]]
    flawed = re.compile("|".join(f"(?:{pattern_of(t)})" for t in lines), re.IGNORECASE)
    found = [r for r in every_row("replies") if r["wording"].endswith(f"/{flaw}")]
    assert found
    for row in found:
        assert flawed.search(without_an(row["rejected"])), row
        assert not flawed.search(without_an(row["chosen"])), row
