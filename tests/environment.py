"""Print environment.yml (conda, Binder): the direct dependencies at their locked versions."""

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def direct() -> list[str]:
    """Return the names of the direct dependencies in pyproject.toml, sorted."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return sorted(
        re.match(r"[\w.-]+", line)[0].lower() for line in project["dependencies"]
    )


def locked() -> dict[str, list[str]]:
    """Return {package: versions} of the lock; a few differ between Pythons."""
    found: dict[str, list[str]] = {}
    for line in (ROOT / "requirements.txt").read_text().splitlines():
        match = re.match(r"([\w.-]+)==([^\s;\\]+)", line)
        if match:
            found.setdefault(match[1].lower(), []).append(match[2])
    return found


def text() -> str:
    """Return the content of environment.yml."""
    versions = locked()
    pins = [f"      - {name}=={versions[name][-1]}\n" for name in direct()]
    return (
        "# Made by `make lock` from pyproject.toml and requirements.txt; do not edit.\n"
        "name: labs\n"
        "channels: [conda-forge]\n"
        "dependencies:\n"
        "  - python=3.12\n"
        "  - pip\n"
        "  - pip:\n" + "".join(pins) + "      - -e .\n"
    )


if __name__ == "__main__":
    print(text(), end="")
