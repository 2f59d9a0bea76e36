"""Exercises: check, hint and solution, and the learner's progress.

In a notebook:

    def attention(q, k, v):
        ...  # your code here

    ex.attention.check(attention)   # ○ not attempted · ✗ what went wrong · ● correct
    # ex.attention.hint()           # one more hint each time
    # ex.attention.solution()

check never raises: a notebook with open exercises still runs to its end.
"""

import dis
import inspect
import json
import math
import numbers
import textwrap
from collections.abc import Callable
from dataclasses import dataclass, field
from types import CodeType

from labs_support import settings


class Wrong(Exception):
    """What a check raises: one sentence with the input on which the answer fails."""


def expect(condition: bool, message: str) -> None:
    """Raise Wrong with the message unless the condition holds."""
    if not condition:
        raise Wrong(message)


def expect_number(got: object, wanted: float, message: str) -> None:
    """Raise Wrong unless got is a number, of any library, that is close to wanted.

    Args:
        got: what the learner's function returned.
        wanted: the right answer.
        message: the input, as the subject of "should be 2, not 3".
    """
    is_close = isinstance(got, numbers.Real) and math.isclose(
        got, wanted, rel_tol=1e-6, abs_tol=1e-6
    )
    shown = textwrap.shorten(repr(got), 80)
    expect(is_close, f"{message} should be {wanted:.4g}, not {shown}")


BOOKKEEPING = ("RESUME", "NOP", "CACHE", "PRECALL", "PUSH_NULL")


def _steps(code: CodeType) -> list[tuple]:
    """Return what a code object does, without file, line numbers and docstring.

    A module that is imported in the same file is called with LOAD_ATTR instead of
    LOAD_METHOD, and jumps are then shorter: neither changes what is done, nor do the
    instructions in BOOKKEEPING.
    """
    steps = []
    for i in dis.get_instructions(code):
        if i.opname in BOOKKEEPING:
            continue
        name = i.opname.replace("LOAD_METHOD", "LOAD_ATTR")
        what = _steps(i.argval) if isinstance(i.argval, CodeType) else repr(i.argval)
        steps.append((name, "" if "JUMP" in name else what))
    return steps


def _untouched(attempt: Callable, starter: Callable | None) -> bool:
    """Return whether attempt still is the stub, or the code the exercise began with."""
    code = getattr(attempt, "__code__", None)
    if code is None:
        return attempt is None or attempt is ...
    if starter is not None:
        return _steps(code) == _steps(starter.__code__)
    does = [step for step in _steps(code) if step[0] != "RETURN_VALUE"]
    return does in ([("LOAD_CONST", "None")], [("RETURN_CONST", "None")])


def _blame(attempt: Callable, error: BaseException) -> str:
    """Return in one line why a check stopped: the learner's code or what it returned.

    Called while the error is being handled.
    """
    name = type(error).__name__
    text = textwrap.shorten(f"{name}: {error}", 200).removesuffix(":")
    code = getattr(attempt, "__code__", None)
    own = [place for place in inspect.trace() if place.frame.f_code is code]
    if own:
        line = (own[-1].code_context or ["?"])[0].strip()
        return f": your function stops with {text} (line {own[-1].lineno}: {line})"
    called = getattr(attempt, "__qualname__", name)
    if isinstance(error, TypeError) and str(error).startswith(f"{called}()"):
        return f": your function cannot be called as the exercise does: {error}"
    return f": what it returns cannot be used: {text}"


@dataclass
class Exercise:
    """One exercise of a lesson.

    Attributes:
        id: lesson and number, such as "02.3".
        title: a few words.
        stars: difficulty from 1 to 3.
        minutes: time a learner should expect.
        verify: called with the learner's function; raises Wrong with one sentence.
        answer: the reference solution, a real function.
        hints: from a nudge to nearly all of it.
        wrong: answers people really give, as {what is wrong with it: function}.
        starter: for a bug to repair, the faulty function the learner starts from.
    """

    id: str
    title: str
    stars: int
    minutes: int
    verify: Callable[[Callable], None]
    answer: Callable
    hints: tuple[str, ...]
    wrong: dict[str, Callable]
    starter: Callable | None = None
    _given: int = field(default=0, repr=False)

    @property
    def label(self) -> str:
        """The exercise in one line: id, title, stars, minutes."""
        return f"{self.id} {self.title} {'★' * self.stars} ({self.minutes} min)"

    def check(self, attempt: Callable) -> None:
        """Print whether the attempt is open, wrong or right; never raises."""
        state, text = self.grade(attempt)
        print(f"{state} {self.label}{text}")
        if state != "○":
            record_progress(self.id, state == "●")

    def grade(self, attempt: Callable) -> tuple[str, str]:
        """Return the state of an attempt (○, ✗ or ●) and what there is to say."""
        if _untouched(attempt, self.starter):
            return "○", ": not repaired yet" if self.starter else ": not attempted yet"
        if not callable(attempt):
            return "✗", f": pass the function itself, not a {type(attempt).__name__}"
        try:
            self.verify(attempt)
        except Wrong as problem:
            return "✗", f": {problem}"
        except (Exception, SystemExit) as error:  # say what happened and go on
            return "✗", _blame(attempt, error)
        return "●", ": correct"

    def hint(self) -> None:
        """Print one more hint each time it is called."""
        self._given = min(self._given + 1, len(self.hints))
        for i, text in enumerate(self.hints[: self._given], 1):
            print(f"Hint {i} of {len(self.hints)}: {text}")

    def solution(self) -> None:
        """Print the reference solution."""
        print(textwrap.dedent(inspect.getsource(self.answer)).rstrip())


def progress() -> dict[str, bool]:
    """Return {exercise id: solved} of this learner; empty when there is none yet."""
    path = settings.home() / "progress.json"
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}


def record_progress(id: str, is_solved: bool) -> None:
    """Remember that an exercise was tried; once solved, it stays solved.

    A folder that cannot be written to costs the record, never the lesson.
    """
    path = settings.home() / "progress.json"
    done = progress()
    done[id] = done.get(id, False) or is_solved
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".part")
        part.write_text(
            json.dumps(dict(sorted(done.items())), indent=1), encoding="utf-8"
        )
        part.replace(path)
    except OSError:
        return
