"""Documents as a shop really has them, and how each kind becomes plain text.

    folder = write_examples(path)
    for file in sorted(folder.iterdir()):
        print(convert(file).text)

Used in lesson 08. The files are made up, small, and written by `write_examples`.
"""

import csv
import re
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from labs_support.world import handbook

HTML = """<!doctype html><html><head><title>Evening of kites</title>
<script>track("visit")</script></head><body>
<nav><a href="/">Home</a> <a href="/shop">Shop</a></nav>
<h1>Evening of kites</h1>
<p>On <b>12 June</b> we fly kites on the beach of San&nbsp;Zeno, from 18:30.</p>
<h2>What to bring</h2>
<ul><li>shoes that may get wet</li><li>a kite, or &euro;9 to borrow one</li></ul>
<footer>Via delle Lanterne 7. We use cookies.</footer></body></html>
"""
MARKDOWN = """---
title: The photo corner
slug: photo_corner
updated: 2026-05-02
owner: Elisa Conti
tags: [photos]
---
The frame in the stairwell holds four pictures a month.

## Rules

Send a picture of something you bought here before the 20th. The winner gets a tin boat.
"""
PDF_LINES = (
    "Notice to our neighbours",
    "The street is closed for lan-",
    "tern tests on 3 November,",
    "from 20:00 to 22:15.",
    "Page 1",
)
PARCELS = (
    ("parcel", "up to", "price"),
    ("small", "2 kg", "€7.20"),
    ("medium", "8 kg", "€11.90"),
    ("large", "20 kg", "€18.40"),
)
TIDES = (("Monday", "04:10", "0.9 m"), ("Tuesday", "04:55", "1.1 m"))


class Document(NamedTuple):
    """A document after conversion.

    Attributes:
        title: what it is about.
        text: what it says, as Markdown.
        source: the file it comes from.
    """

    title: str
    text: str
    source: Path


def write_examples(folder: Path) -> Path:
    """Write one document of each kind into a folder, and return the folder."""
    import matplotlib.pyplot as plt

    folder.mkdir(parents=True, exist_ok=True)
    (folder / "evening.html").write_text(HTML, encoding="utf-8")
    (folder / "photo_corner.md").write_text(MARKDOWN, encoding="utf-8")
    with (folder / "parcels.csv").open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(PARCELS)
    file = folder / "tides.sqlite"
    file.unlink(missing_ok=True)
    connection = sqlite3.connect(file)
    with connection:
        connection.execute("create table tides (day text, high_water text, level text)")
        connection.executemany("insert into tides values (?, ?, ?)", TIDES)
    connection.close()
    with plt.rc_context({"pdf.fonttype": 42}):  # letters that can be read back
        fig = plt.figure(figsize=(4, 3))
        for i, line in enumerate(PDF_LINES):
            fig.text(0.1, 0.85 - 0.15 * i, line)
        fig.savefig(folder / "notice.pdf", metadata={"CreationDate": None})
        plt.close(fig)
    return folder


def from_markdown(file: Path) -> Document:
    """Return a page with front matter, which becomes no part of the text."""
    page = handbook.read(file)
    return Document(page.title, page.text, file)


def from_html(file: Path) -> Document:
    """Return the readable part of a web page: no scripts, menus and footers."""
    from bs4 import BeautifulSoup

    soup = BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser")
    for tag in soup(["script", "style", "nav", "footer"]):
        tag.decompose()
    marks = {"h2": "## ", "h3": "### ", "li": "- "}
    title = soup.h1 or soup.title
    lines = [
        marks.get(tag.name, "") + " ".join(tag.get_text().split())
        for tag in soup.find_all(["h2", "h3", "p", "li", "td"])
    ]
    text = "\n\n".join(lines).replace("\n\n- ", "\n- ")
    return Document(" ".join(title.get_text().split()) if title else "", text, file)


def from_pdf(file: Path) -> Document:
    """Return the text of a PDF, with words joined that a line's end had cut.

    A PDF says where letters stand on paper, not what is a heading or a paragraph: the
    first line is taken for the title.
    """
    from pypdf import PdfReader

    lines = "\n".join(page.extract_text() for page in PdfReader(file).pages)
    kept = [line.strip() for line in lines.splitlines() if line.strip()]
    kept = [line for line in kept if not re.fullmatch(r"Page \d+", line)]
    text = re.sub(r"(?<=[a-z])- (?=[a-z])", "", " ".join(kept[1:]))
    return Document(kept[0] if kept else "", text, file)


def from_csv(file: Path) -> Document:
    """Return a table with one sentence per row, so that a row can be found alone."""
    with file.open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    return Document(file.stem, in_sentences(rows), file)


def from_sqlite(file: Path) -> Document:
    """Return all tables of a database, one sentence per row."""
    connection = sqlite3.connect(f"{file.absolute().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    names = connection.execute("select name from sqlite_master where type = 'table'")
    tables = [
        (name, connection.execute(f'select * from "{name}"').fetchall())
        for (name,) in names.fetchall()
    ]
    connection.close()
    parts = [f"## {name}\n\n{in_sentences(rows)}" for name, rows in tables]
    return Document(file.stem, "\n\n".join(parts), file)


def in_sentences(rows) -> str:
    """Return one line per row of a table, every value with the name of its column."""
    lines = (
        ", ".join(f"{key.replace('_', ' ')}: {row[key]}" for key in row.keys())
        for row in rows
    )
    return "\n".join(f"- {line}." for line in lines)


CONVERTERS: dict[str, Callable[[Path], Document]] = {
    ".md": from_markdown,
    ".html": from_html,
    ".pdf": from_pdf,
    ".csv": from_csv,
    ".sqlite": from_sqlite,
}


def convert(file: Path) -> Document:
    """Return a file as a document.

    Raises:
        ValueError: if nothing can read this kind of file, or if the file is not what
            its name says.
    """
    if file.suffix not in CONVERTERS:
        kinds = ", ".join(CONVERTERS)
        raise ValueError(f"{file.name} cannot be read; these can: {kinds}.")
    try:
        return CONVERTERS[file.suffix](file)
    except Exception as error:  # every library has its own for a broken file
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(f"{file.name} is no sound {file.suffix}: {reason}") from error
