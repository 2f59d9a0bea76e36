"""Plant one fault at a time, and count how many turn the tests or the claims red.

    make mutants                                  # all of them, in two processes
    make mutants ARGS="--only 'gpt-*'"            # some of them
    make mutants ARGS=--list                      # what there is

Every fault is planted in a copy of the tree, where the named tests run to their first
failure, then, if they are green, the named lesson to its first failing claim. Tests
that would notice any change at all do not count (tree.NOT_COUNTED).
"""

import argparse
import difflib
import fnmatch
import queue
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import faults
from faults import BadFault, Fault
from rich.console import Console
from rich.markup import escape
from rich.progress import MofNCompleteColumn, Progress, TimeElapsedColumn
from tree import CannotRun, Result, Tree

ENOUGH = 0.95
console = Console(highlight=False, soft_wrap=True)


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
        f"\n{n_noticed} of {len(results)} planted faults noticed ({100 * share:.1f} %) "
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
