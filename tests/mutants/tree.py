"""A copy of the course in which faults are planted and checks are run."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import faults
from faults import Fault

SECONDS = 300
RED = 3  # exit status of lesson.py for a failing cell
LEFT_OUT = (".*", "__pycache__", "node_modules", "dist", "*.egg-info")
NOT_COUNTED = (  # these compare a file with itself, its copy, or what was made from it
    "test_a_function_of_a_lesson_is_the_one_in_the_package",
    "test_notebook_is_built_from_the_lesson",
    "test_data_is_what_its_generator_makes",
    "test_data_is_what_the_generator_gives",
    "test_files_are_what_the_generator_makes",
    "test_generating_again_gives_the_files",
    "test_checksums_and_data_card_are_those_of_the_files",
    "test_pictures_are_what_the_renderer_draws",
)
PLAIN = (  # without the plugins for notebooks, whose import takes seconds
    *("-p", "no:cacheprovider", "-p", "pytest_timeout"),
    *("-o", "addopts=--import-mode=importlib -q"),
)
FAILED = re.compile(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", re.M)


class CannotRun(RuntimeError):
    """The checks could not be run, or were red before any fault was planted."""


@dataclass(frozen=True)
class Result:
    """What came of one fault: noticed, late (stopped by the time limit) or survived."""

    fault: Fault
    state: str
    by: str
    seconds: float


def left_out(folder: str, names: list[str]) -> set[str]:
    """Return what is not copied: what git ignores, and the sockets of kernels."""
    sockets = {name for name in names if (Path(folder) / name).is_socket()}
    return sockets | shutil.ignore_patterns(*LEFT_OUT)(folder, names)


class Tree:
    """A copy of the course in which faults are planted.

    Args:
        source: the repository.
        folder: an empty folder for the copy.
    """

    def __init__(self, source: Path, folder: Path):
        self.source, self.root = source, folder / "course"
        shutil.copytree(source, self.root, ignore=left_out)
        kept = {k: v for k, v in os.environ.items() if not k.startswith("LABS_")}
        self.env = kept | {
            "PYTHONPATH": str(self.root),
            "PYTHONDONTWRITEBYTECODE": "1",  # a stale .pyc would hide a fault
            "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1",
            "OMP_NUM_THREADS": "1",
            "LABS_HOME": str(folder / "home"),
            "COLUMNS": "200",
        }

    def call(self, *command: str) -> tuple[int | None, str]:
        """Return exit status (None: out of time) and output of a Python command."""
        with subprocess.Popen(
            [sys.executable, *command], cwd=self.root, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
        ) as process:  # fmt: skip
            try:
                output, _ = process.communicate(timeout=SECONDS)
            except subprocess.TimeoutExpired:
                return None, ""
            finally:
                if process.poll() is None:
                    os.killpg(process.pid, signal.SIGKILL)
            return process.returncode, output

    def pytest(self, tests: tuple[str, ...]) -> tuple[str, str]:
        """Return green, red or late, and the first test that failed."""
        not_counted = f"not ({' or '.join(NOT_COUNTED)})"
        options = ("-x", *PLAIN, "-k", not_counted)
        status, output = self.call("-m", "pytest", *options, *tests)
        if status is None:
            return "late", f"{' '.join(tests)} stopped after {SECONDS} s"
        if status == 0:
            return "green", ""
        first = FAILED.search(output)
        if status not in (1, 2) or not first:
            raise CannotRun(f"pytest {' '.join(tests)} cannot run:\n{output[-1500:]}")
        return "red", f"{first[1].rpartition('/')[2]}"

    def lesson(self, number: str) -> tuple[str, str]:
        """Return green, red or late, and why the first failing cell failed."""
        status, output = self.call("tests/mutants/lesson.py", number)
        if status is None:
            return "late", f"lesson {number} stopped after {SECONDS} s"
        if status == 0:
            return "green", ""
        if status != RED:
            raise CannotRun(f"lesson {number} cannot run:\n{output[-1500:]}")
        last = output.strip().splitlines()[-1]
        return "red", f"lesson {number}: {last[:110]}"

    def rebuild(self, names: tuple[str, ...]) -> tuple[str, str]:
        """Make data sets anew; return green, or red and how it failed."""
        for name in names:
            code = f"from labs_support.world import store; store.build({name!r})"
            status, output = self.call("-c", code)
            if status is None:
                return "late", f"labs rebuild {name} stopped after {SECONDS} s"
            if status:
                return "red", f"labs rebuild {name}: {output.strip().splitlines()[-1]}"
        return "green", ""

    def notice(self, fault: Fault) -> Result:
        """Return what comes of one fault, and leave the tree as it was."""
        begin = time.perf_counter()
        changes = faults.changes(fault, self.root)
        try:
            for name, (_, faulty) in changes.items():
                (self.root / name).write_text(faulty, encoding="utf-8")
            state, by = self.rebuild(fault.rebuild)
            if fault.tests and state == "green":
                state, by = self.pytest(fault.tests)
            if fault.lesson and state == "green":
                state, by = self.lesson(fault.lesson)
        finally:
            for name, (sound, _) in changes.items():
                (self.root / name).write_text(sound, encoding="utf-8")
            for name in fault.rebuild:
                shutil.copytree(
                    self.source / "data" / name, self.root / "data" / name,
                    dirs_exist_ok=True,
                )  # fmt: skip
        state = {"green": "survived", "red": "noticed"}.get(state, state)
        return Result(fault, state, by, time.perf_counter() - begin)

    def must_be_itself(self) -> None:
        """Raise CannotRun if another labs_support than the copy's is imported."""
        code = "import labs_support; print(labs_support.__file__)"
        _, output = self.call("-c", code)
        if not output.startswith(str(self.root)):
            raise CannotRun(f"the copy is not what is imported: {output}")
