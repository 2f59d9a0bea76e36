"""English and French product phrases with word alignments.

Phrase pairs are composed clause by clause, so the alignment is exact: a pair
``[i, j]`` links word i of the English phrase to word j of the French one. Words are
separated by single spaces; an elided word is a word of its own ("l' horloge",
"n' est"). Links can be many to one ("in front of" - "devant") and one to many
("teal" - "bleu canard", "not" - "n' pas"). "some" is "des", and "de" before an
adjective ("de petits bols").

Disjoint: a *combination* is (noun, colour, other adjective). Every phrase of the
validation and test splits holds at least one combination that no training phrase
holds, and no phrase occurs twice, while every single word occurs in training at
least ``MIN_COUNT`` times.
"""

import itertools
import random
from collections import Counter
from collections.abc import Callable, Iterator

from labs_support.world.grammar import Piece, Thing, noun_phrase, piece, words

SIZES = {"train": 5800, "validation": 500, "test": 500}
HELD_OUT = {"validation": 0.08, "test": 0.12}
MIN_COUNT = 20
LENGTHS = range(3, 11)
NOUNS = ("kinds", "others", "parts", "places", "people")
OFTEN = ("say_name", "say_name", "say_where", "say_opening")  # short ones more often
DESCRIBING = ("patterns", "materials", "before", "states")


def short_words(name: str, is_plural: bool) -> Piece:
    """Return a piece such as "is not", in the singular or plural."""
    return piece(*words()[name][is_plural])


class Speaker:
    """Draws random phrases; every method ``say_*`` is one wording."""

    def __init__(self, rng: random.Random):
        """Keep the random generator that makes every choice."""
        self.rng = rng
        self.sayings = sorted(m for m in dir(self) if m.startswith("say_"))

    def word(self, group: str) -> str:
        """Return a random word of a group of the word list."""
        return self.rng.choice(list(words()[group]))

    def thing(self) -> Thing:
        """Return a random product, mostly with a colour, with 0-2 other adjectives."""
        group = self.rng.choice(("kinds", "others"))
        thing = Thing(group, self.word(group), self.rng.random() < 0.35)
        if self.rng.random() < 0.7:
            thing.adjectives["colours"] = self.word("colours")
        if self.rng.random() < 0.25:
            thing.adjectives["before"] = self.word("before")
        kind_of = self.rng.random()
        if kind_of < 0.32:
            thing.adjectives["patterns"] = self.word("patterns")
        elif kind_of < 0.45 and thing.entry[4]:
            thing.adjectives["materials"] = self.rng.choice(thing.entry[4])
        return thing

    def definite(self, thing: Thing) -> Piece:
        """Return the thing after the, this, my ..., in the plural also the two."""
        if not thing.is_plural:
            known = [d for d in words()["singular_determiners"] if d != "a"]
            return noun_phrase(thing, [self.rng.choice(known)])
        known = [d for d in words()["plural_determiners"] if d != "some"]
        dets = [self.rng.choice(known)]
        if thing.noun == "fish" or self.rng.random() < 0.15:
            dets.append(self.word("numbers"))
        return noun_phrase(thing, dets)

    def indefinite(self, thing: Thing) -> Piece:
        """Return the thing after a, some or a number."""
        many = self.rng.choice(["some", self.word("numbers")])
        return noun_phrase(thing, [many if thing.is_plural else "a"])

    def either(self, thing: Thing) -> Piece:
        """Return the thing with any determiner."""
        return self.rng.choice([self.definite, self.indefinite])(thing)

    def place(self) -> Piece:
        """Return a prepositional phrase such as "next to the old door"."""
        en = self.word("prepositions")
        fr, links, nouns = words()["prepositions"][en]
        noun = self.rng.choice(nouns)
        thing = Thing(next(g for g in NOUNS if noun in words()[g]), noun)
        if self.rng.random() < 0.1:
            group = self.rng.choice(("before", "colours"))
            thing.adjectives[group] = self.word(group)
        return piece(en, fr, links) + noun_phrase(thing, ["the"])

    def predicate(self, thing: Thing) -> Piece:
        """Return an adjective that is said of the thing and notes it there."""
        free = [g for g in ("colours", "before", "states") if g not in thing.adjectives]
        group = self.rng.choice(free)
        word = thing.adjectives[group] = self.word(group)
        fr = thing.agree(group, word)
        links = [(0, j) for j in range(len(fr.split()))]
        said = piece(word, fr, links)
        return Piece(said.en, said.fr, said.links, thing.combinations())

    def say_name(self) -> Piece:
        """Return a product name: the striped red teapot."""
        return self.either(self.thing())

    def say_with(self) -> Piece:
        """Return a product with a part: a wooden boat with a white sail."""
        thing = self.thing()
        if not thing.entry[5]:
            return self.say_with()
        noun = self.rng.choice(thing.entry[5])
        part = Thing(next(g for g in NOUNS if noun in words()[g]), noun)
        part.adjectives["colours"] = self.word("colours")
        return self.either(thing) + piece("with", "avec") + noun_phrase(part, ["a"])

    def say_place(self) -> Piece:
        """Return a product and its place: two blue kites on the table."""
        return self.either(self.thing()) + self.place()

    def say_is(self) -> Piece:
        """Return a statement: this lamp is green, our boats are not heavy."""
        thing = self.thing()
        name = self.rng.choice(("is", "is not"))
        verb = short_words(name, thing.is_plural)
        return self.definite(thing) + verb + self.predicate(thing)

    def say_is_place(self) -> Piece:
        """Return a statement of place: the fish is in front of the house."""
        thing = self.thing()
        verb = short_words("is", thing.is_plural)
        return self.definite(thing) + verb + self.place()

    def say_there(self) -> Piece:
        """Return what is in a place: there is a new clock in the shop."""
        thing = self.thing()
        opening = short_words("there is", thing.is_plural)
        return opening + self.indefinite(thing) + self.place()

    def say_where(self) -> Piece:
        """Return a question: where are my two red hats ?"""
        thing = self.thing()
        opening = short_words("where is", thing.is_plural)
        return opening + self.definite(thing) + piece("?", "?")

    def say_opening(self) -> Piece:
        """Return a wish or an offer: she wants a checked pink bag."""
        en = self.word("openings")
        return piece(en, *words()["openings"][en]) + self.indefinite(self.thing())

    def say_and(self) -> Piece:
        """Return two products: a red lamp and some old hats."""
        second = Thing("kinds", self.word("kinds"))
        second.adjectives["colours"] = self.word("colours")
        first = self.either(self.thing())
        return first + piece("and", "et") + self.indefinite(second)

    def say_for(self) -> Piece:
        """Return a product and who it is for: a glass star for your sister."""
        who = Thing("people", self.word("people"))
        owner = self.rng.choice(("my", "your", "our"))
        named = self.indefinite(self.thing())
        return named + piece("for", "pour") + noun_phrase(who, [owner])


def held_out(rng: random.Random) -> dict[tuple, str]:
    """Return the split of every combination that is not one of training."""
    nouns = [noun for g in NOUNS for noun in words()[g]]
    others = [w for g in DESCRIBING for w in words()[g]]
    found = {}
    for triple in itertools.product(nouns, words()["colours"], others):
        draw = rng.random()
        if draw < HELD_OUT["test"]:
            found[triple] = "test"
        elif draw < HELD_OUT["test"] + HELD_OUT["validation"]:
            found[triple] = "validation"
    return found


def fits(said: Piece, split: str, reserved: dict[tuple, str]) -> bool:
    """Return whether a phrase has the right length and combinations for a split."""
    splits = {reserved.get(triple, "train") for triple in said.used}
    allowed = {"train", split}
    if not splits <= allowed or (split != "train" and split not in splits):
        return False
    return len(said.en) in LENGTHS and len(said.fr) in LENGTHS


def candidates(rng: random.Random) -> Iterator[tuple[str, Piece]]:
    """Yield random (wording, piece) pairs without end."""
    speaker = Speaker(rng)
    while True:
        wording = rng.choice((*speaker.sayings, *OFTEN))
        yield wording.removeprefix("say_"), getattr(speaker, wording)()


def row(wording: str, said: Piece) -> dict:
    """Return a row of the data set."""
    alignment = [list(link) for link in sorted(said.links)]
    en, fr = " ".join(said.en), " ".join(said.fr)
    return {"en": en, "fr": fr, "alignment": alignment, "wording": wording}


def take(stream: Iterator, size: int, is_wanted: Callable[[Piece], bool]) -> list[dict]:
    """Return as many rows as asked for, of phrases that are wanted.

    The last third must hold a word that is still rare, as long as any word is.
    """
    rows, counts = [], Counter()
    while len(rows) < size:
        wording, said = next(stream)
        used = [("en", word) for word in said.en] + [("fr", word) for word in said.fr]
        is_late = len(rows) > size * 2 // 3
        if is_late and min(counts.values()) < MIN_COUNT:
            if all(counts[word] >= MIN_COUNT for word in used):
                continue
        if is_wanted(said):
            counts.update(used)
            rows.append(row(wording, said))
    return rows


def generate(seed: int = 0) -> dict[str, list[dict]]:
    """Return the splits of the phrase set."""
    rng = random.Random(f"phrases-{seed}")
    reserved, stream, seen = held_out(rng), candidates(rng), set()
    splits = {}
    for split, size in SIZES.items():

        def is_wanted(said: Piece, split: str = split) -> bool:
            is_new = said.en not in seen and fits(said, split, reserved)
            if is_new:
                seen.add(said.en)
            return is_new

        splits[split] = take(stream, size, is_wanted)
        rng.shuffle(splits[split])
    return splits
