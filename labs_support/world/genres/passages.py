"""Hand-written passages of other shops, with many ways to ask about each fact.

`words/passages/*.yaml` holds them. Values are random, so that a reader has to find
the answer in the text; a tenth of the passages is held out of training altogether.

    rng = random.Random(0)
    reading = draw(rng)
    reading.text, reading.pairs, reading.absent
"""

import functools
import graphlib
import random
import re
import sys
import zlib
from dataclasses import dataclass
from pathlib import Path

import yaml

from labs_support.world.english import capital, tidy
from labs_support.world.genres.slots import Slots, entries
from labs_support.world.names import BANNED
from labs_support.world.shops import MONTHS, make_shop
from labs_support.world.wording import SLOT

FOLDER = Path(__file__).parents[1] / "words" / "passages"
HELD_SHARE = 10  # one passage in ten is never seen in training


@dataclass(frozen=True)
class Reading:
    """A filled passage: heading, text, questions with answers, questions without.

    `pairs` holds (question, answer); every answer stands in `text`, whatever its case.
    """

    name: str
    title: str
    text: str
    pairs: tuple[tuple[str, str], ...]
    absent: tuple[str, ...]
    shop: str


class PassageSlots(Slots):
    """Slots of one passage: its own lists, dates and telephone numbers beside ours."""

    def __init__(self, rng: random.Random, own: dict[str, str]):
        """Start a passage about a new shop; `own` maps a slot to its values."""
        super().__init__(rng, make_shop(rng))
        self.own = own

    def draw(self, slot: str) -> str:
        """Return a text for a slot, from the list of the passage if it has one."""
        base = slot.rstrip("0123456789")
        for name in (slot, base):
            if name in self.own:
                options = entries(self.own[name])
                free = [o for o in options if o not in self.drawn] or list(options)
                self.drawn.add(chosen := self.rng.choice(free))
                return chosen
        return super().draw(slot)

    def draw_base(self, slot: str) -> str:
        """Return a random text for a slot without a number."""
        if slot == "date":
            return f"{self.rng.randint(1, 30)} {self.rng.choice(MONTHS)}"
        if slot == "phone":
            return f"0{self.rng.randint(100, 999)} {self.rng.randint(1000, 99999)}"
        if slot == "street" and self.rng.random() < 0.6:
            return f"{super().draw_base(slot)} {self.rng.randint(1, 90)}"
        return super().draw_base(slot)


@functools.cache
def passages() -> dict[str, dict]:
    """Return every passage of words/passages by name."""
    found: dict[str, dict] = {}
    for path in sorted(FOLDER.glob("*.yaml")):
        found |= read(path)
    return found


def read(path: Path) -> dict[str, dict]:
    """Return the passages of one file."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    return yaml.load(path.read_text(encoding="utf-8"), Loader=loader) or {}


def is_held(name: str) -> bool:
    """Return whether a passage is kept out of training."""
    return zlib.crc32(name.encode()) % HELD_SHARE == 0


@functools.cache
def names(held_out: bool) -> tuple[str, ...]:
    """Return the names of the passages in training, or of those held out."""
    return tuple(name for name in passages() if is_held(name) == held_out)


def draw(rng: random.Random, *, held_out: bool = False) -> Reading:
    """Return a random passage, filled."""
    name = rng.choice(names(held_out))
    return fill(name, passages()[name], rng)


def fill(name: str, source: dict, rng: random.Random) -> Reading:
    """Return a passage with its choices made and one wording for each question."""
    slots = PassageSlots(rng, {k: str(v) for k, v in source.get("let", {}).items()})
    kept = (
        line.removeprefix("? ")
        for line in source["text"].strip().splitlines()
        if not line.startswith("? ") or rng.random() < 0.5
    )
    line: dict[str, str] = {}

    def finish(template: str) -> str:
        text = slots.fill(template, **line)
        line.update(slots.line)
        return re.sub(r" +([,.;:?!])", r"\1", re.sub(r"  +", " ", text)).strip()

    text = join([finish(part) for part in kept])
    pairs = []
    for answer, questions in source["ask"].items():
        question = rng.choice(entries(questions))
        pairs.append((capital_or_not(finish(question)), finish(str(answer))))
    absent = [finish(question) for question in entries(source.get("absent", ""))]
    titles = entries(source.get("title", "")) or ("",)
    return Reading(
        name=name,
        title=capital(finish(rng.choice(titles))),
        text=tidy(text),
        pairs=tuple((tidy(q), a) for q, a in pairs),
        absent=tuple(tidy(q) for q in absent if q),
        shop=slots.shop.name,
    )


def join(lines: list[str]) -> str:
    """Return sentences as paragraphs; headings and blank lines stay lines."""
    blocks: list[str] = []
    is_open = False
    for line in lines:
        if line and is_open and not line.startswith("#"):
            blocks[-1] += f" {capital(line)}"
        elif line:
            blocks.append(line if line.startswith("#") else capital(line))
        is_open = bool(line) and not line.startswith("#")
    return "\n".join(blocks)


def capital_or_not(question: str) -> str:
    """Return a question with a capital if it ends like a sentence."""
    return capital(question) if question.endswith((".", "?", "!")) else question


def faults(name: str, source: dict, *, draws: int = 12) -> list[str]:
    """Return what is wrong with a passage, one sentence for each fault."""
    found = [f"{key!r} is missing" for key in ("text", "ask") if not source.get(key)]
    if unknown := sorted(set(source) - {"title", "let", "text", "ask", "absent"}):
        found.append(f"unknown key {unknown[0]!r}")
    if circle := names_itself(source.get("let", {})):
        found.append(f"the slot {circle!r} leads back to itself")
    for seed in range(draws if not found else 0):
        try:
            reading = fill(name, source, random.Random(f"{name}-{seed}"))
        except (KeyError, IndexError, AttributeError, TypeError) as error:
            return [*found, f"cannot be filled: {error!r}"]
        for question, answer in reading.pairs:
            if answer.lower() not in reading.text.lower():
                found.append(f"answer {answer!r} to {question!r} is not in the text")
        every = " ".join([reading.text, *(q for q, _ in reading.pairs)])
        found += [f"mark left in {every!r}"] * bool(re.search(r"[\[\]{}|]", every))
    if banned := sorted(BANNED & set(re.findall(r"\w+", str(source)))):
        found.append(f"name of the test world: {', '.join(banned)}")
    return list(dict.fromkeys(found))


def names_itself(own: dict) -> str:
    """Return a slot whose values lead back to it, for ever, or an empty text."""
    leads = {
        slot: {
            next((n for n in (name, name.rstrip("0123456789")) if n in own), name)
            for name in SLOT.findall(str(values))
        }
        for slot, values in own.items()
    }
    try:
        graphlib.TopologicalSorter(leads).prepare()
    except graphlib.CycleError as error:
        return error.args[1][0]
    return ""


def main(paths: list[str]) -> int:
    """Check files of passages and print the faults and two samples."""
    sources = {k: v for path in paths for k, v in read(Path(path)).items()}
    wrong = {name: faults(name, source) for name, source in sources.items()}
    for name, found in wrong.items():
        for fault in found[:4]:
            print(f"{name}: {fault}")
    rng = random.Random()
    good = [name for name, found in wrong.items() if not found]
    for name in rng.sample(good, min(2, len(good))):
        reading = fill(name, sources[name], rng)
        print(f"\n{reading.title}\n{reading.text}")
        print("\n".join(f"  {q} -> {a}" for q, a in reading.pairs))
        print("\n".join(f"  {q} -> (absent)" for q in reading.absent[:2]))
    answers = sum(len(source.get("ask", {})) for source in sources.values())
    asked = sum(
        len(entries(q)) for s in sources.values() for q in s.get("ask", {}).values()
    )
    print(f"\n{len(sources)} passages, {answers} answers, {asked} questions")
    return any(wrong.values())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
