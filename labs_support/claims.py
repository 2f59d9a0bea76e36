"""Claims: a sentence, the number measured for it, and the bound that can refute it.

    claim("06.1", "LoRA trains under 2 % of the weights", trained / total, below=0.02)

prints one line, raises ClaimFailed where the bound does not hold, and records the
measurement, so that README, slides and CLAIMS.md take their numbers from the lessons.
"""

import json
import math
import os
import re
import statistics
from dataclasses import asdict, dataclass
from typing import NamedTuple

from labs_support import settings

RECORDS: list["Record"] = []


class ClaimFailed(AssertionError):
    """The measured value lies outside the bound that the claim states."""


@dataclass(frozen=True)
class Record:
    """One measured claim.

    Attributes:
        id: lesson and number, such as "06.1"; parts of one claim add a letter.
        text: the claim as a sentence.
        value: what was measured, in `unit`.
        bound: the bound in words, such as "below 0.02".
        unit: unit of value and bound, "" for a plain number.
        seed: LABS_SEED of the run.
        profile: LABS_PROFILE of the run.
        holds: whether the value lies within the bound.
    """

    id: str
    text: str
    value: float
    bound: str
    unit: str
    seed: int
    profile: str
    holds: bool


class Interval(NamedTuple):
    """A mean with its 95 % confidence interval, all in the unit of the values."""

    mean: float
    low: float
    high: float


def interval(values) -> Interval:
    """Return the mean of independent values with its 95 % t-interval.

    Args:
        values: at least two numbers, one per seed.

    Raises:
        ValueError: for fewer than two values.

    Source: Student (1908), The probable error of a mean.
    """
    from scipy.stats import t

    values = [float(v) for v in values]
    if len(values) < 2:
        raise ValueError(f"an interval needs at least two values, not {len(values)}")
    mean = statistics.fmean(values)
    error = statistics.stdev(values) / math.sqrt(len(values))
    half = float(t.ppf(0.975, len(values) - 1)) * error
    return Interval(mean, mean - half, mean + half)


def number(value: float) -> str:
    """Return a measured number as lessons print it, with three significant digits."""
    value = float(value)
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    if abs(value) < 0.001:
        return f"{value:.1e}"
    return f"{value:.{max(0, 2 - math.floor(math.log10(abs(value))))}f}"


def _plain(value: float) -> str:
    """Return a bound as it was written: it is a choice, not a measurement."""
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _bound(value, unit, below, above, equals, within) -> tuple[bool, str]:
    """Return whether value lies within the bounds, and the bounds in words."""
    checks, words, unit = [], [], f" {unit}" if unit else ""
    if above is not None:
        checks.append(value > above)
        words.append(f"above {_plain(above)}{unit}")
    if below is not None:
        checks.append(value < below)
        words.append(f"below {_plain(below)}{unit}")
    if equals is not None:
        checks.append(abs(value - equals) <= within)
        tolerance = f" give or take {_plain(within)}" if within else ""
        words.append(f"{'' if within else 'exactly '}{_plain(equals)}{tolerance}{unit}")
    if not checks:
        raise ValueError("a claim needs a bound: below, above or equals")
    return all(checks), " and ".join(words)


def claim(
    id: str,
    text: str,
    value: float,
    *,
    below: float | None = None,
    above: float | None = None,
    equals: float | None = None,
    within: float = 0.0,
    unit: str = "",
) -> None:
    """Print and record a measured claim.

    Args:
        id: lesson and number, such as "06.1".
        text: the claim as a sentence without a full stop.
        value: the measured number, in `unit`.
        below: the value must be smaller than this.
        above: the value must be larger than this.
        equals: the value must differ from this by at most `within`.
        within: tolerance of `equals`.
        unit: unit of the value and its bounds.

    Raises:
        ClaimFailed: if a bound does not hold (also for a value that is not a number).
        ValueError: if no bound is given: such a claim could not fail.
    """
    holds, bound = _bound(float(value), unit, below, above, equals, within)
    now = settings.read()
    record = Record(id, text, float(value), bound, unit, now.seed, now.profile, holds)
    RECORDS.append(record)
    log = os.environ.get("LABS_CLAIMS_LOG")
    if log:
        with open(log, "a", encoding="utf-8") as file:
            file.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")
    line = f"{id} {text}: {_shown(record)}"
    if not holds:
        raise ClaimFailed(f"✗ {line}")
    print(f"✔ {line}")


def _shown(record: Record) -> str:
    """Return value and bound as printed; only what may vary stands behind ≈."""
    unit = f" {record.unit}" if record.unit else ""
    if record.bound.startswith("exactly"):
        return f"{number(record.value)}{unit} ({record.bound})"
    return f"≈ {number(record.value)}{unit} ({record.bound})"


def order(id: str) -> list:
    """Return a sort key for claim ids that puts 02.10 behind 02.9."""
    parts = re.findall(r"\d+|[a-z]", id)
    return [int(part) if part.isdigit() else part for part in parts]


def table() -> None:
    """Show the claims measured so far in this notebook as a table."""
    from IPython.display import Markdown, display

    latest = {record.id: record for record in RECORDS}
    lines = ["| | claim | measured |", "|---|---|---|"]
    lines += [
        f"| {id} | {latest[id].text} | {_shown(latest[id])} |"
        for id in sorted(latest, key=order)
    ]
    display(Markdown("\n".join(lines)))
