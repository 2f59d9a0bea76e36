"""Planted faults: what each is, what it changes in which files, and who should notice.

The lists are the *.yaml files beside this module. A fault is an exact text that occurs
once in each of its files, and the text that takes its place. Where a function stands in
a lesson and in the package, the fault goes into both, so that it is found because it is
wrong, and not because the two differ.
"""

from dataclasses import dataclass
from pathlib import Path

import yaml

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[1]
REQUIRED = {"id", "wrong", "files", "find", "replace"}
OPTIONAL = {"tests", "lesson", "rebuild"}


class BadFault(ValueError):
    """A planted fault cannot be read, or no longer fits the files it names."""


@dataclass(frozen=True)
class Fault:
    """One planted fault.

    Attributes:
        id: short name.
        wrong: what is wrong, in words.
        files: where the text stands, relative to the repository.
        find: text that occurs exactly once in each of the files.
        replace: the text that takes its place.
        tests: pytest arguments of the tests that should notice.
        lesson: number of the lesson whose claims should notice, "" for none.
        rebuild: data sets that the faulty code makes anew before the tests run.
    """

    id: str
    wrong: str
    files: tuple[str, ...]
    find: str
    replace: str
    tests: tuple[str, ...] = ()
    lesson: str = ""
    rebuild: tuple[str, ...] = ()


def parse(entry: dict) -> Fault:
    """Return the fault of one entry of a list.

    Raises:
        BadFault: if keys are unknown or missing, or nothing is named that could notice.
    """
    id = entry.get("id", "without an id")
    if unknown := set(entry) - REQUIRED - OPTIONAL:
        raise BadFault(f"fault {id}: unknown key {', '.join(sorted(unknown))}")
    if missing := REQUIRED - set(entry):
        raise BadFault(f"fault {id}: lacks {', '.join(sorted(missing))}")
    if not entry.get("tests") and not entry.get("lesson"):
        raise BadFault(f"fault {id}: name the tests or the lesson that should notice")
    lists = {key: tuple(entry.get(key, ())) for key in ("files", "tests", "rebuild")}
    return Fault(**(entry | lists))


def read(folder: Path = FOLDER) -> list[Fault]:
    """Return the faults of all lists in a folder."""
    return [
        parse(entry)
        for path in sorted(folder.glob("*.yaml"))
        for entry in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def changes(fault: Fault, root: Path = ROOT) -> dict[str, tuple[str, str]]:
    """Return {file: (its text, its text with the fault)}.

    Raises:
        BadFault: if a file is missing, or does not hold the text exactly once.
    """
    found = {}
    for name in fault.files:
        path = root / name
        if not path.is_file():
            raise BadFault(f"fault {fault.id}: there is no file {name}")
        text = path.read_text(encoding="utf-8")
        if (times := text.count(fault.find)) != 1:
            raise BadFault(
                f"fault {fault.id}: the text to find occurs {times} times in {name}, "
                "not once; bring the fault up to date with the file"
            )
        found[name] = (text, text.replace(fault.find, fault.replace))
    return found
