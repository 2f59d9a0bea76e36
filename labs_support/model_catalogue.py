"""The models of the talk in data/foundation: sizes, contexts, licences, how to reach them.

What a maker has not published is "unknown" there, and None in the table.
"""

import math

import yaml

from labs_support import figures
from labs_support.settings import DATA

UNKNOWN = "unknown"


def read() -> list[dict]:
    """Return the models of data/foundation/models.yaml, each with its source."""
    path = DATA / "foundation" / "models.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def model(name: str) -> dict:
    """Return one model by its name.

    Raises:
        ValueError: if there is none; the message names those there are.
    """
    models = {entry["name"]: entry for entry in read()}
    if name not in models:
        raise ValueError(
            f"the catalogue has no {name!r}; it has {', '.join(sorted(models))}"
        )
    return models[name]


def rows() -> list[dict]:
    """Return one row per size of every model, None where a number is unknown.

    Each has name, maker, year, reads, writes, weights, active, context,
    training_tokens, licence, reach, source and config; `active` is the weights that one
    token uses.
    """
    found = []
    for entry in read():
        shared = {k: v for k, v in entry.items() if k not in ("sizes", "talk")}
        for size in entry["sizes"]:
            own = {"active": size["weights"], "config": None} | size
            own["name"] = " ".join(filter(None, (entry["name"], size["name"])))
            found.append(shared | own)
    return [{k: None if v == UNKNOWN else v for k, v in r.items()} for r in found]


def short(number: float | None) -> str:
    """Return a large number as people say it: 175 B, 1.4 T, or "unknown"."""
    if number is None:
        return UNKNOWN
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("k", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number:g}"


def table() -> None:
    """Show the largest size of every model as a table in the notebook."""
    from IPython.display import Markdown, display

    lines = [
        "| model | year | reads → writes | weights | context | tokens read | reach |"
    ]
    lines += ["|---|---|---|---|---|---|---|"]
    for row in {row["source"]: row for row in rows()}.values():
        modes = f"{', '.join(row['reads'])} → {', '.join(row['writes']) or 'vectors'}"
        numbers = (row["weights"], row["context"], row["training_tokens"])
        cells = (row["name"], row["year"], modes, *map(short, numbers), row["reach"])
        lines.append(f"| {' | '.join(map(str, cells))} |")
    display(Markdown("\n".join(lines)))


def plot(ax) -> None:
    """Draw the weights of every size against the year; unknown ones along the top.

    Args:
        ax: axes to draw on.
    """
    found = rows()
    known = [row for row in found if row["weights"]]
    ax.plot(
        [row["year"] for row in known],
        [row["weights"] for row in known],
        "o",
        color=figures.ACCENT,
    )
    largest = {row["source"]: row for row in known}
    below = {}  # year: the logarithm of the last label, so that none covers another
    for row in sorted(largest.values(), key=lambda row: row["weights"]):
        place = max(math.log10(row["weights"]), below.get(row["year"], 0) + 0.24)
        below[row["year"]] = place
        ax.text(row["year"] + 0.08, 10**place, row["name"], fontsize=7, va="center")
    ax.axhline(1e12, color=figures.CONTEXT, linestyle=":")
    ax.text(2018, 1.3e12, "above the line: size unknown", fontsize=7)
    for i, row in enumerate(row for row in found if not row["weights"]):
        place = 3e12 * 1.9**i
        ax.plot(row["year"], place, "o", color=figures.CONTEXT, fillstyle="none")
        ax.text(row["year"] + 0.08, place, row["name"], fontsize=7, va="center")
    ax.set_yscale("log")
    ax.set_yticks([1e8, 1e9, 1e10, 1e11, 1e12])  # none where nothing is known
    ax.minorticks_off()
    ax.set(xlabel="year", ylabel="weights", xlim=(2017.8, 2025.2))
