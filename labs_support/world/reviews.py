"""Shop reviews with a sentiment label, stars and an aspect.

A review is a frame ("{-}, but {+}. {Verdict}.") whose clauses come from lists per
aspect and side; "+" stands for the side of the label. Contrast, negation ("not bad at
all") and a little irony keep a bag of words from being perfect.

Disjoint: no text occurs twice, in whatever case and punctuation. The test split takes
about a third of its clauses from held-out wordings that no other split uses (the
wording id then starts with "held/"), and its own people and occasions.
"""

import random
import re
from dataclasses import dataclass

from labs_support.world.english import article, sentence_case, with_articles
from labs_support.world.looks import COLOURS, KINDS
from labs_support.world.wording import (
    HELD_MARK,
    SLOT,
    allowed,
    fill,
    is_held,
    read_words,
    values,
)

SIZES = {"train": 2000, "validation": 400, "test": 600}
OTHER = {"positive": "negative", "negative": "positive"}
FRAMES = {"plain": 0.69, "contrast": 0.28, "irony": 0.03}
HELD_SHARE = 0.1  # of the clauses of the test split
DETAIL_SHARE = 0.45  # of the reviews hold a sentence that says nothing for or against
TYPO_SHARE = 0.03
STARS = {"one star": 1, "two stars": 2, "four stars": 4, "five stars": 5}


def key(text: str) -> str:
    """Return the text without case, punctuation and spacing, to compare texts."""
    return " ".join(re.findall(r"[a-z0-9']+", text.lower()))


@dataclass
class Writer:
    """Writes reviews of one split."""

    rng: random.Random
    split: str

    def pick(self, pool: list[str]) -> str:
        """Return a clause of the pool, held-out ones in the test split only."""
        pool = allowed(pool, self.split)
        held = [c for c in pool if is_held(c)]
        if held and self.rng.random() < HELD_SHARE:
            return self.rng.choice(held)
        return self.rng.choice([c for c in pool if not is_held(c)])

    def slots(self) -> dict[str, str]:
        """Return the values of the slots of one review."""
        table = read_words("reviews")
        slots = {
            name: self.rng.choice(values(pool, self.split))
            for name, pool in table["slots"].items()
        }
        kind, colour = self.rng.choice(KINDS), self.rng.choice(COLOURS)
        item = self.rng.choice([kind, f"{colour} {kind}"])
        part, *said = table["kinds"][kind]
        slots |= {"kind": kind, "colour": colour, "item": item, "part": part}
        slots["an_item"] = article(item)
        slots["works"] = self.rng.choice(said[:2])
        slots["fails"] = self.rng.choice(said[2:])
        return slots

    def clauses(self, frame: str, label: str) -> tuple[dict[str, str], str]:
        """Return a clause for every slot of a frame, and the aspect of the main one."""
        table = read_words("reviews")
        aspects = self.rng.sample(list(table["aspects"]), 4)
        names = SLOT.findall(frame)
        chosen = {}
        for name in names:
            if name[0] in "+-":
                side = label if name[0] == "+" else OTHER[label]
                pool = table["aspects"][aspects[len(chosen)]][side]
            elif name == "Opening":
                pool = table["openings"]
            else:
                pool = table[name.lower() + "s"][label]
            chosen[name] = self.pick(pool)
        aspect = next((aspects[i] for i, n in enumerate(names) if n == "+"), "overall")
        return chosen, aspect

    def typo(self, text: str) -> str:
        """Return the text, rarely with two letters of a longer word swapped."""
        places = [m.start() for m in re.finditer(r"(?<=[a-z]{2})[a-z]{4}", text)]
        if not places or self.rng.random() > TYPO_SHARE:
            return text
        i = self.rng.choice(places)
        return text[:i] + text[i + 1] + text[i] + text[i + 2 :]

    def stars(self, text: str, label: str, style: str) -> int:
        """Return the stars a text names, or some that suit the label and style."""
        for words, number in STARS.items():
            if words in text.lower():
                return number
        near, far = (4, 5) if label == "positive" else (2, 1)
        if style == "contrast":
            return self.rng.choice([3, near, near, near])
        return self.rng.choice([near, far, far])

    def review(self, label: str) -> dict:
        """Return one review with the given label."""
        styles = list(FRAMES)
        style = self.rng.choices(styles, list(FRAMES.values()))[0]
        if style == "irony" and label == "positive":
            style = "plain"
        side = "positive" if style == "irony" else label  # irony: praise that is none
        table = read_words("reviews")
        number = self.rng.randrange(len(table["frames"][style]))
        frame = table["frames"][style][number]
        chosen, aspect = self.clauses(frame, side)
        slots = self.slots()
        slots |= {name: c.removeprefix(HELD_MARK) for name, c in chosen.items()}
        if self.rng.random() < DETAIL_SHARE:
            slots |= {"body": frame, "Detail": self.rng.choice(table["details"])}
            frame = self.rng.choice(table["addresses"])
        text = with_articles(sentence_case(fill(frame, slots, self.rng)))
        text = self.typo(text)
        held = "held/" if any(map(is_held, chosen.values())) else ""
        return {
            "text": text,
            "label": label,
            "kind": slots["kind"],
            "stars": self.stars(text, label, style),
            "aspect": aspect,
            "wording": f"{held}{style}-{number}/{aspect}",
        }


def generate(seed: int = 0) -> dict[str, list[dict]]:
    """Return the splits of the reviews, with as many positive as negative ones."""
    rng = random.Random(f"reviews-{seed}")
    seen, splits = set(), {}
    for split, size in SIZES.items():
        writer, rows = Writer(rng, split), []
        while len(rows) < size:
            row = writer.review(("positive", "negative")[len(rows) % 2])
            if key(row["text"]) not in seen:
                seen.add(key(row["text"]))
                rows.append(row)
        rng.shuffle(rows)
        splits[split] = rows
    return splits
