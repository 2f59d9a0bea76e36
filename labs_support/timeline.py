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


def draw_names(ax) -> None:
    """Draw the fields of AI as nested bars that begin when they began, with events."""
    history = read("events")
    n_fields = len(history["fields"])
    for i, field in enumerate(history["fields"]):
        since, foot, height = field["since"], 0.06 * i, n_fields - i
        size = {"width": 2028 - i / 2 - since, "height": height - 0.06 - foot}
        colour = figures.COLOURS[0]
        ax.barh(foot, left=since, align="edge", color=colour, alpha=0.15, **size)
        ax.text(1947, height - 0.5, field["name"], va="center", ha="right")
        events = [e for e in history["events"] if e["field"] == field["name"]]
        for event, shift in zip(events, (0.2, 0.42, 0.64, 0.86), strict=False):
            is_late = event["year"] > 2005
            text = f"{event['label']} •" if is_late else f"• {event['label']}"
            side = "right" if is_late else "left"
            ax.text(event["year"], height - shift, text, size=7, va="center", ha=side)
    ax.set(xlim=(1948, 2030), ylim=(0, n_fields), xlabel="year")
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
    """Place the types of generative models by likelihood and steps for one sample."""
    rows, labels = ["none", "a bound", "exact"], {}
    for model in read("generative"):
        where = f" (lesson {model['lessons']})" if model["lessons"] else ""
        place = model["passes"], rows.index(model["likelihood"])
        labels.setdefault(place, []).append(model["name"] + where)
    for (steps, row), names in labels.items():
        ax.plot(steps, row, "o", color=figures.ACCENT)
        side = "left" if steps == 1 else "center"
        ax.text(steps, row - 0.12, "\n".join(names), va="top", ha=side, size=10)
    ax.set(xscale="log", xlim=(0.8, 3000), ylim=(-0.5, 2.2))
    ax.set(xlabel="steps for one sample", ylabel="likelihood")
    ax.set_yticks(range(3), rows)
