"""What a deck can name: figures, output, code, claims and exercises of its lesson.

Every function takes the lesson's slug and what stands behind the colon in the deck, and
returns Markdown. All but exercises is read from the executed notebook.
"""

import ast
import base64
import functools
import html
import importlib
import json
import re
from pathlib import Path

SLIDES = Path(__file__).resolve().parent
NOTEBOOKS = SLIDES.parent / "notebooks"
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


def pick(slug: str, words: str, what: str, wanted) -> str:
    """Return what the one cell with these words in its code shows.

    Args:
        slug: name of the lesson.
        words: a piece of the cell's code.
        what: name of what is wanted, for the error.
        wanted: called with a cell; returns a list of strings, empty if it shows none.
    """
    code_cells = [cell for cell in cells(slug) if cell["cell_type"] == "code"]
    found = [wanted(cell) for cell in code_cells if words.strip() in cell["source"]]
    found = [shown for shown in found if shown]
    if len(found) != 1:
        raise DeckError(
            f"{len(found)} cells with {words.strip()!r} show {what}, not one"
        )
    return found[0][0]


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


def _image(alt: str, kind: str, data: str) -> str:
    source = f"data:image/{kind};base64,{data}"
    return f'<p class="figure"><img alt="{html.escape(alt)}" src="{source}"></p>'


def figure(slug: str, name: str) -> str:
    """Return a picture of the notebook as an image that carries its own data."""
    words, _, alt = name.partition("|")
    if not alt.strip():
        raise DeckError("a figure needs a text: {{figure: code | what it shows}}")
    png = pick(slug, words, "a figure", pictures)
    return _image(alt.strip(), "png", png)


def diagram(slug: str, name: str) -> str:
    """Return an SVG of this folder as an image that carries its own data."""
    stem, _, alt = (part.strip() for part in name.partition("|"))
    path = SLIDES / f"{stem}.svg"
    if not path.exists() or not alt:
        raise DeckError(
            "a diagram needs slides/NAME.svg and a text: {{diagram: NAME | text}}"
        )
    data = base64.b64encode(path.read_bytes()).decode()
    return _image(alt, "svg+xml", data)


def output(slug: str, name: str) -> str:
    """Return printed text of the notebook as a block."""
    return f"```text\n{pick(slug, name, 'text', printed)}\n```"


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


def _claim(slug: str, name: str) -> tuple[str, str, str]:
    id, _, words = (part.strip() for part in name.partition("|"))
    known = measured(slug)
    if id not in known:
        raise DeckError(f"there is no claim {id!r}; there are {', '.join(known)}")
    if words.lower() not in known[id][0].lower():
        raise DeckError(f"claim {id} is {known[id][0]!r}, without the words {words!r}")
    return known[id]


def claim(slug: str, name: str) -> str:
    """Return the measured value of a claim."""
    return _claim(slug, name)[1]


def result(slug: str, name: str) -> str:
    """Return a claim for a slide of its own: the value large, then the sentence."""
    text, value, bound = (html.escape(part) for part in _claim(slug, name))
    return f'<p class="result"><b>{value}</b> {text} <i>{bound}</i></p>'


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
    return _exercise(slug, id).label.replace(" min)", "\N{NO-BREAK SPACE}min)")


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
    part.__name__: part
    for part in (
        *(figure, diagram, output, code),
        *(claim, result, claims),
        *(exercise, minutes, lesson),
    )
}
