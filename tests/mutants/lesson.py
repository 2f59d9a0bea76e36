"""Execute a lesson of the tree this is called in, to its first failing cell.

    python tests/mutants/lesson.py 02

The exit status is 3 if a cell failed; the last line printed says how.
"""

import sys
from pathlib import Path

from nbformat import v4

import labs_support
from labs_support import build

RED = 3
HERE = Path.cwd().resolve()
IS_HERE = (
    f"assert labs_support.__file__.startswith({str(HERE)!r}), labs_support.__file__"
)


def main(number: str) -> int:
    """Execute one lesson and return the exit status."""
    exec(IS_HERE, {"labs_support": labs_support})
    nb = build.convert(build.lessons(number)[0])
    nb.cells.insert(0, v4.new_code_cell(f"import labs_support\n{IS_HERE}"))
    try:
        build.execute(nb)
    except build.LessonFailed as problem:
        print(str(problem).strip().splitlines()[-1])
        return RED
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
