"""Pieces of English and French that keep their word alignment when put together.

A small grammar for the phrase set: noun phrases with the word order of each language,
French agreement in gender and number, elision (l' horloge, cet oiseau) and
contraction (du, des). Words come from words/phrases.yaml.
"""

from dataclasses import dataclass, field

from labs_support.world.wording import read_words

VOWELS = tuple("aeéêiouhœ")  # no noun of the list has an aspirated h


def words() -> dict:
    """Return the word lists of the phrase set (see words/phrases.yaml)."""
    return read_words("phrases")


@dataclass(frozen=True)
class Piece:
    """A piece of a phrase pair: words of both sides and the links between them."""

    en: tuple[str, ...]
    fr: tuple[str, ...]
    links: tuple[tuple[int, int], ...]
    used: frozenset = frozenset()  # combinations: (noun, colour, other adjective)

    def __add__(self, other: "Piece") -> "Piece":
        """Return this piece followed by the other one; de + le becomes du."""
        fr, rest = self.fr, other.fr
        short = {"le": "du", "les": "des"}.get(rest[0])
        if fr[-1] == "de" and short:
            fr, rest = fr[:-1], (short, *rest[1:])
        n_en, n_fr = len(self.en), len(fr)
        moved = tuple((i + n_en, j + n_fr) for i, j in other.links)
        links, used = self.links + moved, self.used | other.used
        return Piece(self.en + other.en, fr + rest, links, used)


def piece(en: str, fr: str, links: list = ((0, 0),)) -> Piece:
    """Return a piece from two texts."""
    pairs = tuple((i, j) for i, j in links)
    return Piece(tuple(en.split()), tuple(fr.split()), pairs)


@dataclass
class Thing:
    """A noun with its adjectives, before the words are put in order."""

    group: str
    noun: str
    is_plural: bool = False
    adjectives: dict[str, str] = field(default_factory=dict)  # group -> English word

    @property
    def entry(self) -> list:
        """The line of the word list for this noun."""
        return words()[self.group][self.noun]

    @property
    def is_feminine(self) -> bool:
        """Whether the French noun is feminine."""
        return self.entry[3] == "f"

    def agree(self, group: str, word: str, following: str = "") -> str:
        """Return the French adjective in the form that agrees with this thing."""
        forms = words()[group][word]
        form = 2 * self.is_plural + self.is_feminine
        is_short = form == 0 and len(forms) == 5 and following.startswith(VOWELS)
        return forms[4 if is_short else form]

    def combinations(self) -> frozenset:
        """Return the (noun, colour, other adjective) triples this thing holds."""
        colour = self.adjectives.get("colours")
        others = [w for g, w in self.adjectives.items() if g != "colours"]
        return frozenset((self.noun, colour, w) for w in others if colour)


def determiner(en: str, thing: Thing, following: str) -> str:
    """Return the French determiner in the form the following word asks for."""
    table = words()
    if en in table["numbers"]:
        return table["numbers"][en]
    if thing.is_plural:
        fr = table["plural_determiners"][en]
        return "de" if en == "some" and "before" in thing.adjectives else fr
    column = 2 * following.startswith(VOWELS) + thing.is_feminine
    return table["singular_determiners"][en][column]


def noun_phrase(thing: Thing, determiners: list[str]) -> Piece:
    """Return determiners, adjectives and noun, in the order of each language.

    English: big striped red wooden boat. French: grand bateau rouge rayé en bois.
    """
    chosen = thing.adjectives
    english = [
        chosen[g] for g in ("before", "patterns", "colours", "materials") if g in chosen
    ]
    english.append(thing.entry[0] if thing.is_plural else thing.noun)
    source = {word: i for i, word in enumerate([*determiners, *english])}
    french = [(english[-1], thing.entry[1 + thing.is_plural])]
    if "before" in chosen:
        word = chosen["before"]
        french.insert(0, (word, thing.agree("before", word, french[0][1])))
    after = [g for g in ("colours", "patterns", "materials") if g in chosen]
    french += [(chosen[g], thing.agree(g, chosen[g])) for g in after]
    for word in reversed(determiners):
        french.insert(0, (word, determiner(word, thing, french[0][1])))
    if determiners == ["a"] and english[0].startswith(tuple("aeiou")):
        determiners = ["an"]
    target = [(source[word], part) for word, fr in french for part in fr.split()]
    links = tuple((i, j) for j, (i, _) in enumerate(target))
    fr = tuple(part for _, part in target)
    return Piece((*determiners, *english), fr, links, thing.combinations())
