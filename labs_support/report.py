"""Tables made from measurements: CLAIMS.md, the lesson table of the README, the data card.

Each is written between two marks in its file, or is the whole file, and a test makes it
again and compares.
"""

import json
import re
from pathlib import Path

from labs_support import build, claims
from labs_support.settings import DATA, ROOT
from labs_support.world import store

CLAIMS_JSON = DATA / "claims.json"
CLAIMS_MD = ROOT / "CLAIMS.md"
COSTS_JSON = DATA / "costs.json"


def summarise(records: list[dict]) -> list[dict]:
    """Return one row per claim from its records over several seeds.

    Args:
        records: `claims.Record` as dicts, any number of seeds.

    Returns:
        Rows with id, text, unit, bound, mean, low and high (95 % interval of the mean
        over seeds), min, max, held (share of the seeds) and seeds (their number).
    """
    by_id: dict[str, dict[int, dict]] = {}
    for record in records:
        by_id.setdefault(record["id"], {})[record["seed"]] = record
    rows = []
    for runs in (by_id[id] for id in sorted(by_id, key=claims.order)):
        values = [run["value"] for run in runs.values()]
        last = list(runs.values())[-1]
        spread = claims.interval(values) if len(values) > 1 else (values[0],) * 3
        rows.append(
            {
                **{key: last[key] for key in ("id", "text", "unit", "bound")},
                **dict(zip(("mean", "low", "high"), map(float, spread), strict=True)),
                **{"min": min(values), "max": max(values)},
                "held": sum(run["holds"] for run in runs.values()) / len(values),
                "seeds": len(values),
            }
        )
    return rows


def claims_markdown(rows: list[dict]) -> str:
    """Return CLAIMS.md for the rows of `summarise`."""
    number = claims.number

    def spread(row: dict) -> str:
        if row["min"] == row["max"]:
            return "–"
        return f"{number(row['low'])} to {number(row['high'])}"

    head = (
        "# What the course claims, and what was measured\n\n"
        "Made by `labs claims`: every lesson executed once per seed. The interval is the "
        "95 % t-interval of the mean over the seeds (none where nothing depends on the "
        "seed); *held* is the share of the seeds in which the bound held.\n\n"
        "| | claim | bound | mean | 95 % interval | smallest | largest | held |\n"
        "|---|---|---|---|---|---|---|---|\n"
    )
    lines = [
        f"| {r['id']} | {r['text']} | {r['bound']} | {number(r['mean'])} "
        f"| {spread(r)} | {number(r['min'])} "
        f"| {number(r['max'])} | {r['held']:.0%} of {r['seeds']} |\n"
        for r in rows
    ]
    return head + "".join(lines)


def write_claims(records: list[dict]) -> list[dict]:
    """Write data/claims.json and CLAIMS.md; return the rows written.

    Claims of lessons that were not run now keep their rows.
    """
    rows = summarise(records)
    lessons = {row["id"][:2] for row in rows}
    kept = [row for row in read_claims() if row["id"][:2] not in lessons]
    rows = sorted(kept + rows, key=lambda row: claims.order(row["id"]))
    CLAIMS_JSON.write_text(
        json.dumps(rows, ensure_ascii=False, indent=1) + "\n", encoding="utf-8"
    )
    CLAIMS_MD.write_text(claims_markdown(rows), encoding="utf-8")
    return rows


def read_claims() -> list[dict]:
    """Return the rows of data/claims.json, none if there is no such file."""
    return (
        json.loads(CLAIMS_JSON.read_text(encoding="utf-8"))
        if CLAIMS_JSON.exists()
        else []
    )


def replace_between(path: Path, name: str, text: str) -> None:
    """Put text between the marks <!-- name --> and <!-- /name --> of a file.

    Raises:
        ValueError: if the file does not hold both marks.
    """
    old = path.read_text(encoding="utf-8")
    pattern = re.compile(f"(<!-- {name} -->\n).*?(<!-- /{name} -->)", re.S)
    if not pattern.search(old):
        raise ValueError(
            f"{path.name} has no marks <!-- {name} --> and <!-- /{name} -->"
        )
    new = pattern.sub(lambda m: m[1] + text + m[2], old)
    path.write_text(new, encoding="utf-8")


def lesson_table() -> str:
    """Return the README's table of lessons, with the costs of data/costs.json."""
    costs = json.loads(COSTS_JSON.read_text(encoding="utf-8"))
    rows = read_claims()
    lines = ["| | lesson | claims | runs in | memory |\n|---|---|---|---|---|\n"]
    for lesson in build.lessons():
        title = (
            lesson.read_text(encoding="utf-8").split("·", 1)[1].splitlines()[0].strip()
        )
        n_claims = sum(row["id"][:2] == lesson.stem[:2] for row in rows)
        cost, shown = costs.get(lesson.stem), "not measured yet | not measured yet"
        if cost:
            minutes, gigabytes = cost["seconds"] / 60, cost["peak_mb"] / 1000
            shown = f"{minutes:.1f} min | {gigabytes:.1f} GB"
        lines.append(
            f"| {lesson.stem[:2]} | [{title}](notebooks/{lesson.stem}.ipynb) | {n_claims} "
            f"| {shown} |\n"
        )
    return "".join(lines)


def record_costs(costs: dict[str, build.Cost]) -> None:
    """Write measured costs into data/costs.json and the table into the README."""
    known = (
        json.loads(COSTS_JSON.read_text(encoding="utf-8"))
        if COSTS_JSON.exists()
        else {}
    )
    for slug, cost in costs.items():
        known[slug] = {"seconds": round(cost.seconds), "peak_mb": round(cost.peak_mb)}
    COSTS_JSON.write_text(
        json.dumps(dict(sorted(known.items())), indent=1) + "\n", encoding="utf-8"
    )
    replace_between(ROOT / "README.md", "lessons", lesson_table())


def data_table() -> str:
    """Return the table of the data card: rows, bytes and SHA-256 of every file."""
    lines = ["| file | rows | bytes | sha256 |\n|---|---|---|---|\n"]
    for name in (*store.GENERATED, *store.WRITTEN):
        for file in (store.path(name, split) for split in store.SPLITS):
            if file.exists():
                n_rows = file.read_bytes().count(b"\n")
                lines.append(
                    f"| {file.relative_to(DATA).as_posix()} | {n_rows:,} "
                    f"| {file.stat().st_size:,} | `{store.sha256(file)}` |\n"
                )
    return "".join(lines)
