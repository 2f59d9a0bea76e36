"""Hand-written passages: well formed, answerable, held out, and not about our shop."""

import random
import re

import pytest

from labs_support.world import questions, store
from labs_support.world.genres import passages


@pytest.fixture(scope="module")
def readings():
    return [passages.draw(random.Random(seed)) for seed in range(400)]


@pytest.mark.parametrize("name", passages.passages())
def test_passage_can_be_filled_and_answered_from_its_text(name):
    assert passages.faults(name, passages.passages()[name], draws=4) == []


def test_there_are_many_ways_to_ask():
    sources = passages.passages().values()
    asked = [q for s in sources for q in s["ask"].values()]
    wordings = [w for q in asked for w in passages.entries(q)]
    assert len(sources) >= 250
    assert len(set(wordings)) >= 10_000
    assert sum(len(passages.entries(q)) >= 3 for q in asked) / len(asked) > 0.95
    assert all(passages.entries(s.get("absent", "")) for s in sources)


def test_names_are_unique_over_the_files():
    paths = sorted(passages.FOLDER.glob("*.yaml"))
    assert sum(len(passages.read(path)) for path in paths) == len(passages.passages())


def test_some_passages_are_held_out():
    held, seen = passages.names(True), passages.names(False)
    assert not set(held) & set(seen)
    assert 0.05 < len(held) / (len(held) + len(seen)) < 0.2


def test_same_seed_same_reading_other_seed_other_values():
    name = passages.names(False)[0]
    source = passages.passages()[name]
    one, same, other = (
        passages.fill(name, source, random.Random(seed)) for seed in (1, 1, 2)
    )
    assert one == same
    assert one.text != other.text


def test_questions_choose_among_different_answers(readings):
    several = [len({a for _, a in r.pairs}) >= 4 for r in readings]
    assert sum(several) / len(several) > 0.95


def test_no_question_of_the_course_is_asked(readings):
    def plain(text):
        return " ".join(re.findall(r"\w+", text.lower()))

    asked = {plain(q) for r in readings for q, _ in r.pairs}
    rows = [r for split in store.SPLITS for r in questions.load(split)]
    assert asked.isdisjoint(plain(r["question"]) for r in rows)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"ask": {"{few} days": "How long?"}}, "is not in the text"),
        ({"ask": {"{nonsense}": "What?"}}, "cannot be filled"),
        ({"text": ""}, "'text' is missing"),
        ({"colour": "red"}, "unknown key 'colour'"),
        ({"let": {"a": "{b}", "b": "one; {a2}"}}, "leads back to itself"),
        ({"let": {"who": "Greta; Mr Ox"}}, "name of the test world: Greta"),
        ({"text": "It is [open|shut for {price}."}, "mark left"),
    ],
)
def test_faults_are_named(change, sentence):
    good = {"text": "It costs {price}.", "ask": {"{price}": "How much?"}}
    assert passages.faults("good", good) == []
    assert any(sentence in fault for fault in passages.faults("bad", good | change))


def test_every_wording_of_a_question_is_asked():
    source = {"text": "It costs {price}.", "ask": {"{price}": "How much?\nprice"}}
    drawn = [passages.fill("x", source, random.Random(s)) for s in range(20)]
    assert {q for reading in drawn for q, _ in reading.pairs} == {"How much?", "price"}


def test_lines_with_a_question_mark_come_and_go():
    source = {
        "text": "It costs {price}.\n? Nobody minds.\n\n## Care\nwash it.",
        "ask": {"{price}": "How much?"},
    }
    texts = {passages.fill("x", source, random.Random(s)).text for s in range(20)}
    assert {"Nobody minds." in text for text in texts} == {True, False}
    assert all(text.endswith("\n## Care\nWash it.") for text in texts)
