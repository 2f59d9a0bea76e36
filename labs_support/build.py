"""Make notebooks from lessons, and execute them.

lessons/NN_slug.py is the source, notebooks/NN_slug.ipynb is built from it: cell ids are
hashes of the cell sources, outputs are those of a fresh run, and nothing that differs
from run to run (timings, widget ids) is stored.
"""

import asyncio
import hashlib
import os
import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from labs_support.settings import ROOT

LESSONS = ROOT / "lessons"
NOTEBOOKS = ROOT / "notebooks"
KERNEL = {
    "kernelspec": {
        "display_name": "Python 3",
        "language": "python",
        "name": "python3",
    },
    "language_info": {"name": "python"},
}
WIDGET = "application/vnd.jupyter.widget-view+json"


class LessonFailed(RuntimeError):
    """A cell of a lesson stopped with an error."""


@dataclass(frozen=True)
class Cost:
    """What one execution took: wall time in seconds, peak resident memory in MB."""

    seconds: float
    peak_mb: float


def lessons(wanted: str = "") -> list[Path]:
    """Return the lesson files, or the one whose name starts with `wanted`.

    Raises:
        ValueError: if no lesson starts so; the message names those there are.
    """
    found = sorted(LESSONS.glob("[0-9][0-9]_*.py"))
    chosen = [path for path in found if path.stem.startswith(wanted)]
    if not chosen:
        names = ", ".join(path.stem for path in found)
        raise ValueError(f"there is no lesson {wanted!r}; there are {names}")
    return chosen


def notebook_path(lesson: Path) -> Path:
    """Return the notebook that is built from a lesson."""
    return NOTEBOOKS / f"{lesson.stem}.ipynb"


def convert(lesson: Path):
    """Return the notebook of a lesson without outputs (`nbformat.NotebookNode`)."""
    import jupytext
    from nbformat import v4

    out = v4.new_notebook(metadata=KERNEL)
    seen: dict[str, int] = {}
    for cell in jupytext.read(lesson).cells:
        tags = cell.metadata.get("tags", [])
        make = v4.new_code_cell if cell.cell_type == "code" else v4.new_markdown_cell
        new = make(cell.source, metadata={"tags": tags} if tags else {})
        digest = hashlib.sha256(cell.source.encode()).hexdigest()[:10]
        seen[digest] = seen.get(digest, -1) + 1
        new.id = f"{digest}-{seen[digest]}"
        out.cells.append(new)
    return out


def execute(nb, *, env: dict[str, str] | None = None, on_cell: Callable | None = None):
    """Execute a notebook in place and return what it cost.

    Args:
        nb: the notebook, an `nbformat.NotebookNode`.
        env: environment variables to set for its kernel.
        on_cell: called after every cell, for a progress bar.

    Returns:
        A `Cost`.

    Raises:
        LessonFailed: if a cell stops with an error; the message shows which and why.
    """
    from nbclient import NotebookClient
    from nbclient.exceptions import (
        CellExecutionError,
        CellTimeoutError,
        DeadKernelError,
    )

    client = NotebookClient(
        nb,
        timeout=900,
        record_timing=False,
        store_widget_state=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(NOTEBOOKS)}},
        on_cell_start=lambda **_: on_cell() if on_cell else None,
    )
    kernel_env = {**os.environ, **(env or {})}  # with the defaults of labs_support
    with _Watch(client) as watch:
        try:
            asyncio.run(client.async_execute(env=kernel_env))
        except (CellExecutionError, CellTimeoutError) as error:
            plain = re.sub(r"\x1b\[[0-9;]*m", "", str(error))
            raise LessonFailed(plain) from None
        except DeadKernelError:
            raise LessonFailed(
                "The kernel died, most often for want of memory: close other programs "
                "and run the same command again."
            ) from None
    nb.metadata = KERNEL
    return watch.cost()


class _Watch:
    """Measures time and peak memory of a client's kernel while it executes."""

    def __init__(self, client):
        self.client, self.peak, self.seconds = client, 0, 0.0
        self.stop = threading.Event()
        self.thread = threading.Thread(target=self._sample, daemon=True)

    def _sample(self):
        import psutil

        while not self.stop.wait(0.1):
            provisioner = getattr(self.client.km, "provisioner", None)
            process = getattr(provisioner, "process", None)
            if process is None:
                continue
            try:
                kernel = psutil.Process(process.pid)
                family = [kernel, *kernel.children(recursive=True)]
                used = sum(p.memory_info().rss for p in family)
            except psutil.Error:
                continue
            self.peak = max(self.peak, used)

    def __enter__(self):
        import time

        self.start = time.perf_counter()
        self.thread.start()
        return self

    def __exit__(self, *_):
        import time

        self.seconds = time.perf_counter() - self.start
        self.stop.set()
        self.thread.join()

    def cost(self) -> Cost:
        return Cost(self.seconds, self.peak / 1e6)


def build(lesson: Path, on_cell: Callable | None = None) -> Cost:
    """Convert and execute a lesson, and write its notebook; return what it cost.

    A lesson that fails leaves the notebook that is there untouched.
    """
    import nbformat
    from nbconvert.preprocessors import CoalesceStreamsPreprocessor

    nb = convert(lesson)
    cost = execute(nb, on_cell=on_cell)
    CoalesceStreamsPreprocessor().preprocess(nb, {})  # what was printed, in one piece
    for cell in nb.cells:
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET, None)
            output.pop("metadata", None) if output.output_type == "stream" else None
    notebook_path(lesson).parent.mkdir(exist_ok=True)
    nbformat.write(nb, notebook_path(lesson))
    return cost
