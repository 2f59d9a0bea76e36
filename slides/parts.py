"""What a deck can name: figures, output, code, claims and exercises of its lesson.

Every function takes the lesson's slug and what stands behind the colon in the deck, and
returns Markdown. All but exercises is read from the executed notebook.
"""

import ast
import functools
import html
import importlib
import json
import re
from pathlib import Path

NOTEBOOKS = Path(__file__).resolve().parents[1] / "notebooks"
CLAIM = re.compile(r"^✔ (\d\d\.\d+[a-z]?) (.+): ([^:()]+) \((.+)\)$", re.M)


class DeckError(ValueError):
    """A deck names something that its notebook does not have, or cannot be built."""


@functools.cache
def cells(slug: str) -> list[dict]:
    """Return the cells of a lesson's executed notebook, each source as one string."""
    path = NOTEBOOKS / f"{slug}.ipynb"
    if not path.exists():
        raise DeckError(
            f"there is no notebooks/{slug}.ipynb; run `labs build {slug[:2]}`"
        )
    found = json.loads(path.read_text(encoding="utf-8"))["cells"]
    return [{**cell, "source": "".join(cell["source"])} for cell in found]


def below(slug: str, words: str) -> list[dict]:
    """Return the code cells below the one heading that contains `words`."""
    headings, inside = [], {}
    for cell in cells(slug):
        if cell["cell_type"] == "markdown":
            for level, text in re.findall(r"^(#+) (.*)$", cell["source"], re.M):
                inside = {h: n for h, n in inside.items() if n < len(level)}
                inside[len(headings)] = len(level)
                headings.append((text, []))
        elif cell["cell_type"] == "code":
            for heading in inside:
                headings[heading][1].append(cell)
    hits = [found for text, found in headings if words.lower() in text.lower()]
    if len(hits) != 1:
        names = " | ".join(text for text, _ in headings)
        raise DeckError(f"{len(hits)} headings contain {words!r}; there are {names}")
    return hits[0]


def pick(slug: str, where: str, what: str, wanted) -> str:
    """Return the nth thing that `wanted` finds in the cells below a heading.

    Args:
        slug: name of the lesson.
        where: words of the heading, and behind a # which one, the first without.
        what: name of the thing, for the error.
        wanted: called with a cell; returns a list of things.
    """
    words, _, nth = where.partition("#")
    found = [x for cell in below(slug, words.strip()) for x in wanted(cell)]
    place = int(nth or 1)
    if not 0 < place <= len(found):
        raise DeckError(f"{words.strip()!r} has {len(found)} {what}, not {place}")
    return found[place - 1]


def pictures(cell: dict) -> list[str]:
    """Return the PNG pictures of a cell, in base64."""
    data = [output.get("data", {}) for output in cell["outputs"]]
    return ["".join(d["image/png"]).replace("\n", "") for d in data if "image/png" in d]


def printed(cell: dict) -> list[str]:
    """Return what a cell printed, as one string, without lines of claims and checks."""
    streams = [o["text"] for o in cell["outputs"] if o.get("name") == "stdout"]
    lines = "".join("".join(text) for text in streams).splitlines()
    kept = [line for line in lines if line[:1] not in "✔○✗●" or not line]
    return ["\n".join(kept).strip("\n")] if any(kept) else []


def figure(slug: str, name: str) -> str:
    """Return a picture of the notebook as an image that carries its own data."""
    where, _, alt = name.partition("|")
    if not alt.strip():
        raise DeckError("a figure needs a text: {{figure: heading | what it shows}}")
    png = pick(slug, where, "figures", pictures)
    return f'<img alt="{html.escape(alt.strip())}" src="data:image/png;base64,{png}">'


def output(slug: str, name: str) -> str:
    """Return printed text of the notebook as a block."""
    return f"```text\n{pick(slug, name, 'cells that print', printed)}\n```"


def code(slug: str, name: str) -> str:
    """Return the source of a function or class of the lesson as a block."""
    begins = re.compile(rf"^(def|class) {re.escape(name)}\b", re.M)
    for cell in cells(slug):
        if cell["cell_type"] == "code" and begins.search(cell["source"]):
            nodes = ast.parse(cell["source"]).body
            node = next(n for n in nodes if getattr(n, "name", None) == name)
            lines = cell["source"].splitlines()[node.lineno - 1 : node.end_lineno]
            return "```python\n" + "\n".join(lines) + "\n```"
    raise DeckError(f"the lesson defines no function or class {name!r}")


@functools.cache
def measured(slug: str) -> dict[str, tuple[str, str, str]]:
    """Return {id: (text, value, bound)} of the claims that the notebook printed."""
    streams = [
        "".join(output["text"])
        for cell in cells(slug)
        for output in cell.get("outputs", [])
        if output.get("name") == "stdout"
    ]
    return {id: found for id, *found in CLAIM.findall("\n".join(streams))}


def _claim(slug: str, id: str) -> tuple[str, str, str]:
    if id not in measured(slug):
        raise DeckError(
            f"there is no claim {id!r}; there are {', '.join(measured(slug))}"
        )
    return measured(slug)[id]


def claim(slug: str, id: str) -> str:
    """Return the measured value of a claim."""
    return f"**{_claim(slug, id)[1]}**"


def claims(slug: str, ids: str) -> str:
    """Return a table of claims with value and bound."""
    lines = ["| | claim | measured | bound |", "|---|---|---|---|"]
    for id in ids.split() or measured(slug):
        text, value, bound = _claim(slug, id)
        lines.append(f"| {id} | {text} | {value} | {bound} |")
    return "\n".join(lines)


def _exercise(slug: str, id: str):
    module = importlib.import_module(f"labs_support.exercises.{slug[3:]}")
    known = {exercise.id: exercise for exercise in module.ALL}
    if id not in known:
        raise DeckError(f"there is no exercise {id!r}; there are {', '.join(known)}")
    return known[id]


def exercise(slug: str, id: str) -> str:
    """Return an exercise in one line: id, title, stars, minutes."""
    return _exercise(slug, id).label


def minutes(slug: str, id: str) -> str:
    """Return the minutes of an exercise."""
    return str(_exercise(slug, id).minutes)


def lesson(slug: str, part: str) -> str:
    """Return a part of the lesson's head: its title, its promise or its time."""
    head = cells(slug)[0]["source"]
    patterns = {
        "title": r"^# \d\d · (.*)$",
        "promise": r"^\*\*([^*]+)\*\*",
        "time": r"^\*\*Time\*\* +([^\\\n]*)",
    }
    found = re.search(patterns.get(part, r"(?!)"), head, re.M)
    if not found:
        raise DeckError(f"the head of the lesson has no {part!r}")
    return " ".join(found[1].split())


PARTS = {
    f.__name__: f
    for f in (figure, output, code, claim, claims, exercise, minutes, lesson)
}
