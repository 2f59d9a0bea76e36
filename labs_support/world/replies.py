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
from dataclasses import dataclass

from labs_support.world.english import (
    DAYS,
    capital,
    plural,
    sentence_case,
    with_articles,
)
from labs_support.world.looks import COLOURS, KINDS
from labs_support.world.wording import fill, read_words, values

SIZES = {"train": 1200, "validation": 150, "test": 250}
REASONS = ("helpful", "truthful", "harmless", "tone")
OPEN_DAYS = DAYS[:6]  # no shop opens on a Sunday
HELD = "held_"
HELD_SHARE = 0.35  # of the pairs of the test split
TRIES = 40  # draws to find a pair in which the wanted side is the longer one


def slots(split: str, kinds: list[str], rng: random.Random) -> dict[str, str]:
    """Return the values of the slots of one pair about one of the kinds."""
    pools = read_words("replies")["slots"]
    chosen = {name: rng.choice(values(pool, split)) for name, pool in pools.items()}
    chosen["colour"], chosen["colour2"] = rng.sample(COLOURS, 2)
    for name in ("who", "colour", "colour2"):
        chosen[capital(name)] = capital(chosen[name])
    chosen["day"], chosen["day2"] = rng.sample(OPEN_DAYS, 2)
    number, other = rng.sample(range(11, 990), 2)
    chosen |= {"number": str(number), "other": str(other)}
    kind, year = rng.choice(kinds), str(rng.randint(1820, 1975))
    return chosen | {"kind": kind, "kinds": plural(kind), "year": year}


@dataclass
class Writer:
    """Writes the replies to one message."""

    rng: random.Random
    values: dict[str, str]

    def say(self, *templates: str) -> str:
        """Return the templates filled in and put one after the other."""
        texts = [fill(t, self.values, self.rng) for t in templates]
        joined = " ".join(" ".join(texts).split()).replace(" .", ".")
        return with_articles(sentence_case(joined))

    def pick(self, name: str) -> str:
        """Return a template of a general list."""
        return self.rng.choice(read_words("replies")[name])

    def dressed(self, core: str, scene: dict) -> str:
        """Return a core with or without a friendly opening and an offer at the end."""
        table, mood = read_words("replies"), scene.get("mood", "plain")
        opener = self.rng.choice(table["openers"][mood])
        return self.say(opener, core, self.rng.choice(table["steps"][mood]))

    def good(self, scene: dict) -> str:
        """Return a good reply."""
        return self.dressed(self.rng.choice(scene["good"]), scene)

    def bad(self, scene: dict, flaw: str) -> str:
        """Return a reply with the flaw."""
        if flaw in ("invents", "unsafe"):
            return self.dressed(self.rng.choice(scene[flaw]), scene)
        if flaw == "ignores":
            scenes = read_words("replies")["scenes"]
            others = [n for n in read_words("replies")["changes"] if scenes[n] != scene]
            return self.good(scenes[self.rng.choice(others)])
        core = self.rng.choice(scene["good"])
        if flaw == "long":
            padding = self.rng.sample(read_words("replies")["padding"], 3)
            return self.say(padding[0], padding[1], core, padding[2])
        if flaw == "rude" and self.rng.random() < 0.6:
            return self.say(self.pick("rude_open"), core, self.pick("rude_close"))
        return self.say(self.pick(flaw))


def pair(name: str, reason: str, split: str, rng: random.Random) -> dict:
    """Return a pair of a scene whose rejected reply lacks what the reason says."""
    table = read_words("replies")
    scene = table["scenes"][name]
    writer = Writer(rng, slots(split, scene.get("kinds", KINDS), rng))
    flaws = [f for f in scene["flaws"] if table["flaws"][f] == reason]
    flaw = rng.choice(flaws)
    prompt = writer.say(rng.choice(scene["prompt"]), "{polite}")
    held = "held/" if name.startswith(HELD) else ""
    return {
        "prompt": prompt,
        "chosen": writer.good(scene),
        "rejected": writer.bad(scene, flaw),
        "reason": reason,
        "wording": f"{held}{name.removeprefix(HELD)}/{flaw}",
    }


def is_chosen_longer(row: dict) -> bool:
    """Return whether the preferred reply is the longer one, in characters."""
    return len(row["chosen"]) > len(row["rejected"])


def scene_for(reason: str, split: str, rng: random.Random) -> str:
    """Return a scene with a flaw of that reason; held-out ones only for the test."""
    table = read_words("replies")
    names = [
        name
        for name, scene in table["scenes"].items()
        if any(table["flaws"][flaw] == reason for flaw in scene["flaws"])
    ]
    is_held = split == "test" and rng.random() < HELD_SHARE
    return rng.choice([name for name in names if name.startswith(HELD) == is_held])


def balanced(reason: str, split: str, is_longer: bool, rng: random.Random) -> dict:
    """Return a pair in which, if it can be had, the wanted side is the longer one."""
    name = scene_for(reason, split, rng)
    for _ in range(TRIES):
        row = pair(name, reason, split, rng)
        if is_chosen_longer(row) == is_longer:
            break
    return row


def generate(seed: int = 0) -> dict[str, list[dict]]:
    """Return the splits of the pairs; the four reasons occur equally often."""
    rng = random.Random(f"replies-{seed}")
    prompts, splits = {}, {}
    for split, size in SIZES.items():
        rows, counts, pairs = [], Counter(), set()
        while len(rows) < size:
            reason = REASONS[len(rows) % len(REASONS)]
            row = balanced(reason, split, counts[reason] % 2 == 0, rng)
            key = (row["prompt"], row["chosen"], row["rejected"])
            if (
                prompts.setdefault(row["prompt"].lower(), split) != split
                or key in pairs
            ):
                continue
            pairs.add(key)
            counts[reason] += 1
            rows.append(row)
        rng.shuffle(rows)
        splits[split] = rows
    return splits
