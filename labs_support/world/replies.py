"""Preference pairs: a customer's message, a preferred and a rejected reply.

A rejected reply has one flaw: it is curt, ignores the question, flatters, is far too
long, refuses without need (the preferred one is more *helpful*), invents facts
(*truthful*), gives unsafe or unfair advice (*harmless*) or is rude (*tone*). Lengths
are balanced within every reason, so that the longer reply is preferred in about half
of the pairs and length predicts nothing.

Disjoint: no prompt occurs in two splits; people and descriptions of the test split
occur in no other, and scenes whose wording id starts with "held/" only in the test
split.
"""

import random
from collections import Counter

from labs_support.world.catalogue import COLOURS, KINDS
from labs_support.world.wording import article, fill, read_words, sentence_case, values

SIZES = {"train": 1200, "validation": 150, "test": 250}
TRIES = 40  # draws to find a pair with the wanted longer side
UNSUITED = ("curt", "long", "ignores", "flattery")  # flaws of length or topic


def plural(kind: str) -> str:
    """Return the plural of a product kind."""
    return kind if kind == "fish" else f"{kind}s"


def slots(split: str, rng: random.Random) -> dict[str, str]:
    """Return the values of the slots of one pair."""
    pools = read_words("replies")["slots"]
    chosen = {name: rng.choice(values(pool, split)) for name, pool in pools.items()}
    chosen["colour"], chosen["colour2"] = rng.sample(COLOURS, 2)
    kind = rng.choice(KINDS)
    chosen |= {"kind": kind, "kinds": plural(kind)}
    for name in ("who", "colour", "colour2"):
        chosen[name[0].upper() + name[1:]] = chosen[name][0].upper() + chosen[name][1:]
    chosen["number"] = str(rng.randint(11, 990))
    chosen["year"] = str(rng.randint(1820, 1975))
    return chosen
