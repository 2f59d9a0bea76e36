"""Plant one fault at a time, and count how many turn the tests or the claims red.

    make mutants                                  # all of them, in two processes
    make mutants ARGS="--only 'gpt-*'"            # some of them
    make mutants ARGS=--list                      # what there is

Every fault is planted in a copy of the tree, where the named tests run to their first
failure, then, if they are green, the named lesson to its first failing claim. Tests
that would notice any change at all do not count (NOT_COUNTED).
"""

import argparse
import difflib
import fnmatch
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from pathlib import Path

import faults
from faults import BadFault, Fault
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn

ENOUGH = 0.95
SECONDS = 300
LEFT_OUT = (".*", "__pycache__", "node_modules", "dist", "*.egg-info")
NOT_COUNTED = (  # these compare a file with itself, its copy, or what was made from it
    "test_a_function_of_a_lesson_is_the_one_in_the_package",
    "test_notebook_is_built_from_the_lesson",
    "test_data_is_what_its_generator_makes",
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
console = Console(highlight=False, soft_wrap=True)


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
        last = (output.strip() or "no output").splitlines()[-1]
        if status != 1 or output.startswith("Traceback"):
            raise CannotRun(f"lesson {number} cannot run:\n{output[-1500:]}")
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


def must_be_green(trees: list[Tree], chosen: list[Fault], pool) -> None:
    """Raise CannotRun unless all checks are green before a fault is planted."""
    tests = tuple(dict.fromkeys(test for fault in chosen for test in fault.tests))
    numbers = sorted({fault.lesson for fault in chosen if fault.lesson})
    calls = [lambda tree, n=n: tree.lesson(n) for n in numbers]
    if tests:
        calls.append(lambda tree: tree.pytest(tests))
    for state, by in spread(calls, trees, pool):
        if state != "green":
            raise CannotRun(f"red before any fault is planted: {by}")


def spread(calls: list, trees: list[Tree], pool):
    """Yield the results of calls as they come, each called with a tree of its own."""
    free: queue.Queue[Tree] = queue.Queue()
    for tree in trees:
        free.put(tree)

    def one(call):
        tree = free.get()
        try:
            return call(tree)
        finally:
            free.put(tree)

    waiting = [pool.submit(one, call) for call in calls]
    try:
        for done in as_completed(waiting):
            yield done.result()
    finally:
        for future in waiting:
            future.cancel()


def diff(fault: Fault, root: Path) -> str:
    """Return what a fault changes, as a unified diff."""
    lines = []
    for name, (sound, faulty) in faults.changes(fault, root).items():
        both = sound.splitlines(), faulty.splitlines()
        lines += difflib.unified_diff(*both, name, name, n=2, lineterm="")
    return "\n".join(lines)


def show(result: Result) -> None:
    """Print one line for a fault."""
    style = {"noticed": "green", "late": "yellow", "survived": "bold red"}[result.state]
    id, by = result.fault.id, escape(result.by or "nobody")
    console.print(f"[{style}]{result.state:8}[/] {id:34} {result.seconds:4.0f} s  {by}")


def report(results: list[Result], root: Path, minutes: float) -> int:
    """Print survivors with their diffs and the summary; return the exit status."""
    for result in results:
        if result.state == "survived":
            console.print(f"\n[bold red]{result.fault.id}[/]: {result.fault.wrong}")
            console.print(diff(result.fault, root), markup=False)
    n_noticed = sum(result.state != "survived" for result in results)
    late = [result.fault.id for result in results if result.state == "late"]
    if late:
        console.print(
            f"\n{len(late)} of them by the time limit alone: {', '.join(late)}"
        )
    share = n_noticed / len(results)
    console.print(
        f"\n{n_noticed} of {len(results)} planted faults noticed ({share:.0%}) "
        f"in {minutes:.1f} minutes"
    )
    return 0 if share >= ENOUGH else 1


def run(chosen: list[Fault], n_workers: int, source: Path = faults.ROOT) -> int:
    """Plant the faults one by one and return the exit status."""
    begin = time.perf_counter()
    for fault in chosen:
        faults.changes(fault, source)
    results = []
    bar = Progress(
        *Progress.get_default_columns()[:2], MofNCompleteColumn(), TimeElapsedColumn(),
        console=console, transient=True,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(n_workers) as pool:
        trees = [Tree(source, Path(folder) / str(i)) for i in range(n_workers)]
        trees[0].must_be_itself()
        with bar:
            task = bar.add_task("without a fault", total=None)
            must_be_green(trees, chosen, pool)
            console.print("all checks are green without a fault")
            bar.update(task, description="planted", total=len(chosen))
            first = sorted(chosen, key=lambda fault: not fault.lesson)  # the slow ones
            calls = [lambda tree, fault=fault: tree.notice(fault) for fault in first]
            for result in spread(calls, trees, pool):
                results.append(result)
                show(result)
                bar.advance(task)
    return report(results, source, (time.perf_counter() - begin) / 60)


def listing(fault: Fault) -> str:
    """Return what a fault is, where it is planted and who should notice."""
    by = [*fault.tests, *([f"lesson {fault.lesson}"] if fault.lesson else [])]
    where = f"in {', '.join(fault.files)}; noticed by {', '.join(by)}"
    return f"{fault.id}: {fault.wrong}\n    {where}"


def main(arguments: list[str] | None = None) -> int:
    """Read the command line, do what it asks, and return the exit status."""
    parser = argparse.ArgumentParser(
        prog="make mutants", description=__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--only",
        action="append",
        default=[],
        metavar="ID",
        help="plant this one; * stands for anything; may be repeated",
    )
    parser.add_argument(
        "--list", action="store_true", help="say what there is, and stop"
    )
    parser.add_argument("--workers", type=int, default=2, help="how many at a time (2)")
    asked = parser.parse_args(arguments)
    try:
        every = faults.read()
        chosen = [
            f
            for f in every
            if not asked.only or any(fnmatch.fnmatch(f.id, o) for o in asked.only)
        ]
        if not chosen:
            raise BadFault(f"no fault is called {' or '.join(asked.only)}; see --list")
        if asked.list:
            console.print("\n".join(map(listing, chosen)), markup=False)
            return 0
        return run(chosen, max(1, asked.workers))
    except (BadFault, CannotRun) as problem:
        console.print(str(problem), style="bold red", markup=False)
        return 2


if __name__ == "__main__":
    sys.exit(main())
