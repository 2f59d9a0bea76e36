"""Somebody who starts the assistant and sits in front of it, for tests and benchmarks."""

import json
import os
import re
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from browser import Page

from labs_support.settings import ROOT

QUESTION, WISH = "#question textarea", "#wish input, #wish textarea"
LAST = "[...document.querySelectorAll('#talk [data-testid=bot]')].at(-1)?.innerText"


class Visitor:
    """Somebody in front of the app.

    Args:
        page: the tab.
    """

    def __init__(self, page: Page):
        self.page = page
        page.size(1280, 800)
        page.wait(f"{page.find(QUESTION)} && true")

    def submit(self, question: str) -> None:
        """Type a question and press Enter."""
        self.page.type(QUESTION, question)
        self.page.press("Enter")

    def ask(self, question: str) -> str:
        """Return the complete answer to a question."""
        n = self.page.run(
            "document.querySelectorAll('#talk [data-testid=user]').length"
        )
        self.submit(question)
        there = f"document.querySelectorAll('#talk [data-testid=user]').length > {n}"
        done = f"const last = {LAST} ?? ''; return last && !last.trim().endsWith('…')"
        return self.page.wait(f"(() => {{ {done} && {there} && last }})()")

    def hears(self, words: str) -> str:
        """Return what the app said last, as soon as it holds some words."""
        return self.page.wait(f"({LAST} ?? '').includes({json.dumps(words)}) && {LAST}")

    def is_told(self, words: str) -> None:
        """Wait until a problem with the question is shown that holds some words."""
        shown = "document.querySelector('#problem [role=alert]')?.innerText ?? ''"
        self.page.wait(f"({shown}).includes({json.dumps(words)})")

    def open_citation(self) -> str:
        """Click on the last citation and return the section that is marked."""
        links = "#talk a[href*='#page/']"
        self.page.run("document.getElementById('last')?.removeAttribute('id')")
        self.page.run(
            f"[...document.querySelectorAll({json.dumps(links)})].at(-1).id = 'last'"
        )
        _, _, title = self.page.text("#last").partition(" · ")
        self.page.click("#last")
        headings = "[...document.querySelectorAll('#page h2, #page .cited h3')]"
        shown = f"{headings}.map(e => e.innerText.trim()).join(': ')"
        self.page.wait(f"{shown} === {json.dumps(title)}")
        self.page.wait("document.querySelector('#page .cited')?.checkVisibility()")
        self.page.wait("document.activeElement.id === 'page'")  # it scrolls no more
        return self.page.text("#page .cited")

    def find(self, wish: str) -> int:
        """Return the number of products that are shown for a wish."""
        self.open_products()
        self.page.type(WISH, wish)
        self.page.press("Enter")
        return self.sees(f"Nearest to “{wish}”")

    def open_products(self) -> None:
        """Go to the search for products."""
        self.page.run("document.querySelectorAll('[role=tab]')[1].click()")

    def sees(self, words: str) -> int:
        """Return the number of products, as soon as some words are above them."""
        line = "document.querySelector('#products [role=status]')?.innerText ?? ''"
        self.page.wait(f"({line}).includes({json.dumps(words)})")
        return self.page.run("document.querySelectorAll('.product').length")


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def started(
    *command: str, **environment: str
) -> Iterator[tuple[subprocess.Popen, str]]:
    """Give a process that serves the app, and its address; end it afterwards."""
    process = subprocess.Popen(
        [sys.executable, *command], stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
    )  # fmt: skip
    with process:
        try:
            lines = iter(process.stdout.readline, "")
            found = (re.search(r"http://127\.0\.0\.1:\d+/", line) for line in lines)
            address = next((match[0] for match in found if match), None)
            assert address, f"{' '.join(command)} ended before it had an address"
            yield process, address
        finally:
            process.terminate()  # it clears up what it has put aside
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
