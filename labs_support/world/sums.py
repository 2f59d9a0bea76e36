"""Word problems from the shop, each with its steps, a program and the answer.

A frame (words/sums.yaml) holds wordings, ranges for its numbers and the steps. The
program is the steps put into one Python expression; amounts of money are rounded to
cents in it and are written with two decimals in the answer.

Disjoint: no program (so no set of numbers in a frame) occurs twice in all splits, and
the customers of the test split occur in no other split.
"""

import ast
import random
import re
from decimal import Decimal

from labs_support.world.english import plural, sentence_case, with_articles
from labs_support.world.looks import KINDS
from labs_support.world.wording import read_words, values

SIZES = {"train": 1500, "validation": 200, "test": 300}
LEAD_SHARE = 0.15  # of the questions open with a sentence that does not matter
CENT = Decimal("0.01")
NAME = re.compile(r"[a-z_]+")


def draw(bounds: list, rng: random.Random) -> Decimal:
    """Return a random number of a range; its last bound is the step."""
    low, high, step = (Decimal(str(b)) for b in bounds)
    return low + step * rng.randint(0, int((high - low) / step))


def compute(expression: str, numbers: dict[str, Decimal]) -> Decimal | bool:
    """Return the value of a frame's expression, in exact decimal numbers."""
    return eval(compile(expression, "frame", "eval"), {"__builtins__": {}}, numbers)


def in_words(number: Decimal, is_money: bool) -> str:
    """Return a number as it is written in a question or an answer."""
    return f"{number:.2f}" if is_money else f"{number:.0f}"


def in_code(number: Decimal) -> str:
    """Return a number as it is written in a program: 4.5, 12."""
    return f"{number:.2f}".rstrip("0").rstrip(".")


def substitute(expression: str, texts: dict[str, str]) -> str:
    """Return the expression with every name replaced by its text."""
    return NAME.sub(lambda m: texts[m[0]], expression)


def is_exact(number: Decimal, is_money: bool) -> bool:
    """Return whether a number needs no rounding: whole cents, or whole."""
    return number > 0 and number % (CENT if is_money else 1) == 0


def solve(
    frame: dict, numbers: dict[str, Decimal], texts: dict[str, str]
) -> tuple[str, str, str] | None:
    """Return (reasoning, program, answer), or None if a step is not exact.

    Args:
        frame: a frame of words/sums.yaml.
        numbers: the value of every number of the frame.
        texts: how numbers and nouns are written; the results of steps are added.
    """
    known, written = dict(numbers), dict(texts)
    code = {name: in_code(number) for name, number in numbers.items()}
    sentences = []
    for name, expression, unit, sentence in frame["steps"]:
        known[name] = compute(expression, known)
        is_money = unit == "euros"
        if not is_exact(known[name], is_money):
            return None
        expr = substitute(expression, written).replace("*", "x")
        written[name] = in_words(known[name], is_money)
        code[name] = f"({substitute(expression, code)})"
        sentences.append(sentence.format(expr=expr, **written))
    program = ast.unparse(ast.parse(code[name], mode="eval"))
    if is_money:
        program = f"round({program}, 2)"
    elif "/" in program.replace("//", ""):
        program = f"int({program})"
    return " ".join(sentences), program, written[name]


def nouns(rng: random.Random, split: str) -> dict[str, str]:
    """Return the customer and the two kinds of product of a question."""
    item, other = rng.sample(KINDS, 2)
    who = rng.choice(values(read_words("sums")["customers"], split))
    return {"who": who, "item": item, "items": plural(item), "others": plural(other)}


def problem(name: str, split: str, rng: random.Random) -> dict | None:
    """Return one row of a frame, or None if the numbers drawn do not suit it."""
    table = read_words("sums")
    frame = table["frames"][name]
    numbers = {n: draw(bounds, rng) for n, bounds in frame["draw"].items()}
    if not all(compute(rule, numbers) for rule in frame.get("if", [])):
        return None
    is_money = {n: isinstance(b[2], float) for n, b in frame["draw"].items()}
    texts = {n: in_words(number, is_money[n]) for n, number in numbers.items()}
    texts |= nouns(rng, split)
    solved = solve(frame, numbers, texts)
    if solved is None:
        return None
    wording = rng.randrange(len(frame["ask"]))
    question = sentence_case(frame["ask"][wording].format(**texts))
    if rng.random() < LEAD_SHARE:
        question = f"{rng.choice(table['leads'])} {question}"
    return {
        "question": with_articles(question),
        "reasoning": with_articles(solved[0]),
        "program": solved[1],
        "answer": solved[2],
        "n_steps": len(frame["steps"]),
        "wording": f"{name}-{wording}",
    }


def generate(seed: int = 0) -> dict[str, list[dict]]:
    """Return the splits of the sums; all frames occur about equally often."""
    rng = random.Random(f"sums-{seed}")
    frames = list(read_words("sums")["frames"])
    seen, splits = set(), {}
    for split, size in SIZES.items():
        rows = []
        while len(rows) < size:
            row = problem(frames[len(rows) % len(frames)], split, rng)
            if row is not None and row["program"] not in seen:
                seen.add(row["program"])
                rows.append(row)
        rng.shuffle(rows)
        splits[split] = rows
    return splits
