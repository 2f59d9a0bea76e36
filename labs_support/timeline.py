"""The history in data/timeline as figures: names of AI, benchmarks, generative models.

Every date and score there has its source beside it.
"""

import yaml

from labs_support import figures
from labs_support.settings import DATA


def read(name: str):
    """Return data/timeline/NAME.yaml: "events", "benchmarks" or "generative"."""
    path = DATA / "timeline" / f"{name}.yaml"
    return yaml.safe_load(path.read_text(encoding="utf-8"))


def levels(benchmark: dict) -> list[tuple[int, float]]:
    """Return (year, level) of a benchmark: 0 is its first score, 1 the human one."""
    first, human = benchmark["machines"][0]["score"], benchmark["human"]["score"]
    return [
        (machine["year"], (machine["score"] - first) / (human - first))
        for machine in benchmark["machines"]
    ]


def first_past(benchmark: dict) -> dict:
    """Return the row of the first machine at or above the human score."""
    pairs = zip(benchmark["machines"], levels(benchmark), strict=True)
    return next(machine for machine, (_, level) in pairs if level >= 1)


def draw_rings(ax) -> None:
    """Draw the fields of AI as bars that begin when they began, with their events."""
    history = read("events")
    for row, field in enumerate(history["fields"]):
        ax.barh(row, 2026 - field["since"], left=field["since"], height=0.9, alpha=0.25)
        ax.text(1947, row, field["name"], va="center", ha="right")
        events = [e for e in history["events"] if e["field"] == field["name"]]
        places = zip(events, (0.33, 0.11, -0.11, -0.33), strict=False)
        for event, shift in places:
            is_late = event["year"] > 2005
            text = f"{event['label']} •" if is_late else f"• {event['label']}"
            side = "right" if is_late else "left"
            ax.text(event["year"], row + shift, text, size=7, va="center", ha=side)
    ax.set(xlim=(1948, 2030), xlabel="year")
    ax.set_yticks([])


def draw_benchmarks(ax) -> None:
    """Draw how machines rose from the first score (0) to the human one (1)."""
    for benchmark in read("benchmarks"):
        years, level = zip(*levels(benchmark), strict=True)
        ax.plot(years, level, "o-", ms=4, label=benchmark["name"])
    ax.axhline(1, color=figures.CONTEXT, ls="--")
    ax.set(xlim=(2009, 2028), xlabel="year", ylabel="0 first score, 1 human score")
    ax.set_xticks(range(2010, 2025, 2))
    ax.legend(fontsize=8, loc="lower right")


def draw_map(ax) -> None:
    """Place the types of generative models by likelihood and passes per sample."""
    rows = ["none", "a bound", "exact"]
    for model in read("generative"):
        row = rows.index(model["likelihood"])
        shift = 0.3 if model["name"] == "transformer" else 0
        ax.plot(model["passes"], row, "o", color=figures.ACCENT)
        text = f"{model['name']} (lesson {model['lessons']})"
        ax.text(model["passes"], row - 0.12 - shift, text, va="top", size=8)
    ax.set(xscale="log", xlim=(0.7, 4000), ylim=(-0.5, 2.3))
    ax.set(xlabel="passes through the network for one sample", ylabel="likelihood")
    ax.set_yticks(range(3), rows)
