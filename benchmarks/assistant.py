"""The assistant in a browser: seconds to its page, to the first words, to the answer.

It is started as a learner starts it, with one thread: first with nothing kept from an
earlier start, then again. The second one is asked questions that it has never seen, one
after the other, in headless Chromium. The target: a median under 3 s on two cores. Where
other programs are busy, too, look at the processor seconds: what the assistant and the
browser computed, whoever had to wait for whom.

    OMP_NUM_THREADS=1 python benchmarks/assistant.py [--questions 10] [--json]
"""

import argparse
import json
import os
import statistics
import sys
import tempfile
import time
from contextlib import contextmanager

os.environ.setdefault("OMP_NUM_THREADS", "1")

import psutil

from labs_support.settings import ROOT
from labs_support.world import store

sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "slides")]
import build  # noqa: E402
from browser import Browser  # noqa: E402
from visitor import LAST, Visitor, free_port, started  # noqa: E402

NAMES = {
    "first": "seconds to the first words",
    "all": "seconds to the answer",
    "assistant": "processor, assistant",
    "browser": "processor, browser",
}


def processor_seconds(pid: int) -> float:
    """Return what a process and its children have computed so far."""
    process = psutil.Process(pid)
    every = [one.cpu_times() for one in (process, *process.children(recursive=True))]
    return sum(times.user + times.system for times in every)


def timed(visitor: Visitor, question: str, pids: tuple[int, int]) -> dict:
    """Return one answer with the seconds that it took.

    Args:
        visitor: who asks.
        question: what is asked.
        pids: the processes of the assistant and of the browser.
    """
    before, begin = [processor_seconds(pid) for pid in pids], time.perf_counter()
    visitor.submit(question)
    users = "[...document.querySelectorAll('#talk [data-testid=user]')]"
    asked = f"{users}.at(-1)?.innerText.trim() === {json.dumps(question)}"
    visitor.page.wait(f"{asked} && !{LAST}.startsWith('Lume is ')")
    first = time.perf_counter() - begin
    answer = visitor.page.wait(f"!{LAST}.trim().endsWith('…') && {LAST}")
    spent = {"first": first, "all": time.perf_counter() - begin}
    for name, pid, then in zip(("assistant", "browser"), pids, before, strict=True):
        spent[name] = processor_seconds(pid) - then
    return {"question": question, "answer": answer, "seconds": spent}


@contextmanager
def opened(browser: Browser, home: str):
    """Start the assistant; give a visitor, the pids, and the seconds that it took."""
    begin = time.perf_counter()
    command = ("-m", "labs_support.cli", "assistant", "--no-browser")
    port = ("--port", str(free_port()))
    with started(*command, *port, LABS_HOME=home) as (process, address):
        visitor = Visitor(browser.open(address))
        page = time.perf_counter() - begin
        visitor.ask("When do you open?")
        answer = time.perf_counter() - begin
        start = {
            "page": page,
            "answer": answer,
            "processor": processor_seconds(process.pid),
        }
        yield visitor, (process.pid, browser.process.pid), start


def measure(n: int) -> dict:
    """Return the seconds of a first and of a second start, and n timed answers."""
    rows = store.rows("questions", "validation")[:n]
    with Browser(build.browser()) as browser, tempfile.TemporaryDirectory() as home:
        with opened(browser, home) as (_, _, first):
            pass
        with opened(browser, home) as (visitor, pids, second):
            answers = [timed(visitor, row["question"], pids) for row in rows]
    return {"first start": first, "second start": second, "answers": answers}


def show(result: dict) -> None:
    """Print both starts, every answer with its seconds, and the summary."""
    print(f"{'seconds until':14}{'the page':>9}{'an answer':>11}{'processor':>11}")
    for name in ("first start", "second start"):
        page, answer, processor = result[name].values()
        print(f"{name:14}{page:9.1f}{answer:11.1f}{processor:11.1f}")
    print(f"\n{'first':>6}{'all':>7}")
    for row in result["answers"]:
        seconds, (answer, *rest) = row["seconds"], row["answer"].splitlines()
        print(f"{seconds['first']:6.2f}{seconds['all']:7.2f}  {row['question']}")
        print(f"{'':15}{answer}{'  [' + rest[-1] + ']' if rest else ''}")
    print(f"\n{'':26}{'median':>8}{'longest':>9}")
    for name, words in NAMES.items():
        times = [row["seconds"][name] for row in result["answers"]]
        print(f"{words:26}{statistics.median(times):8.2f}{max(times):9.2f}")


def main() -> None:
    """Measure, and print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--questions", type=int, default=10, help="how many (10)")
    parser.add_argument("--json", action="store_true", help="print JSON, not a table")
    options = parser.parse_args()
    if not build.browser():
        raise SystemExit("Not measured: there is no Chromium or Chrome to ask in.")
    result = measure(options.questions)
    print(json.dumps(result, indent=1)) if options.json else show(result)


if __name__ == "__main__":
    main()
