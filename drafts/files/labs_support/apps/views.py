"""What the assistant shows, as HTML and Markdown: answers, sources, pages, products.

Whatever was typed or generated is escaped here, so that it is shown and never obeyed: no
tag, link or picture in it does anything.
"""

import base64
import html
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from labs_support import rag, skills
from labs_support.world import handbook, store

SAYS_NOTHING = "The handbook does not say."
NOT_CITED = "Lume names no source for this, so check it before you rely on it."
PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
LINK = re.compile(r"\]\(\d\d_(\w+)\.md\)")


def literal(text: str) -> str:
    """Return Markdown that shows a text as it was typed."""
    return "  \n".join(PUNCTUATION.sub(r"\\\1", line) for line in text.splitlines())


def plain(text: str) -> str:
    """Return the beginning of a Markdown text without its marks."""
    return re.sub(r"\[(.+?)\]\(.+?\)|[*_`#>|]+", r"\1", text[:400])


@cache
def read(slug: str) -> handbook.Page:
    """Return a page of the handbook, read once."""
    return handbook.page(slug)


@cache
def section_of(slug: str, title: str) -> int:
    """Return the number of a section on its page, counted from 0.

    Args:
        slug: short name of the page.
        title: "Page: heading", as a source has it.
    """
    page = read(slug)
    headings = [heading for heading, _ in handbook.sections(page)]
    return headings.index(title.removeprefix(f"{page.title}: "))


def address(source: rag.Source) -> str:
    """Return the link that opens the page of a source at its section."""
    return f"#page/{source.slug}/{section_of(source.slug, source.title)}"


def answer(found: rag.Answer, *, complete: bool = True) -> str:
    """Return an answer as Markdown, with links to the pages that it cites.

    Args:
        found: the answer.
        complete: whether all of it is there; only then it is judged.
    """
    if found.abstains:
        n_read = len(found.sources)
        return (
            f"**{SAYS_NOTHING}** Lume read {n_read} sections and found no answer in "
            "them, so it gives none."
        )
    said = literal(found.text)
    if not complete:
        return f"{said} …"
    if not found.cited:
        return f"{said}\n\n*{NOT_CITED}*"
    cited = [(i + 1, found.sources[i]) for i in found.cited]
    links = [f"[{n} · {literal(s.title)}]({address(s)})" for n, s in cited]
    return f"{said}\n\n{' '.join(links)}"


def source(number: int, found: rag.Source, *, is_cited: bool) -> str:
    """Return one source as a list item: rank, title, score, beginning, its page."""
    mark = '<span class="mark">cited</span>' if is_cited else ""
    title = html.escape(found.title)
    return f"""
    <li class="source{" cited" if is_cited else ""}">
      <h3><span class="number">{number}</span> {title} {mark}</h3>
      <p class="score"><meter min="0" max="1" value="{found.score:.2f}"
        aria-label="similarity to the question"></meter> {found.score:.2f}</p>
      <p class="text">{html.escape(plain(found.text))}</p>
      <a href="{address(found)}">Open the page<span class="unseen">: {title}</span></a>
    </li>"""


def sources(question: str, found: rag.Answer) -> str:
    """Return what Lume read for a question, the cited sources marked."""
    items = [
        source(i + 1, one, is_cited=i in found.cited)
        for i, one in enumerate(found.sources)
    ]
    return f"""
    <p class="hint">For “{html.escape(question)}”. The number is the similarity of
      question and section, at most 1.</p>
    <ol>{"".join(items)}</ol>"""


def page(slug: str, section: int | None = None) -> str:
    """Return a page of the handbook as Markdown, one of its sections marked.

    Args:
        slug: short name of the page.
        section: number of the section to mark, counted from 0.

    Raises:
        ValueError: if there is no such page.
    """
    shown = read(slug)
    parts = []
    for i, (heading, text) in enumerate(handbook.sections(shown)):
        text = LINK.sub(r"](#page/\1)", text)
        text = text if heading == shown.title else f"### {heading}\n\n{text}"
        parts.append(
            f'<div class="cited">\n\n{text}\n\n</div>' if i == section else text
        )
    updated = f"{shown.updated.day} {shown.updated:%B %Y}"
    head = f"## {shown.title}\n\n*Kept by {shown.owner}, last changed {updated}*"
    return "\n\n".join([head, *parts])


def picture(file: Path) -> str:
    """Return a PNG file as an address that holds its bytes."""
    return f"data:image/png;base64,{base64.b64encode(file.read_bytes()).decode()}"


def product(found: skills.Found) -> str:
    """Return one product as a list item: picture, name, price, what it is."""
    row = found.item
    name = html.escape(row["name"])
    look = html.escape(f"{row['pattern']} {row['kind']}, {row['colour']}")
    stock = f"{row['stock']} in stock" if row["stock"] else "sold out"
    return f"""
    <li class="product">
      <img src="{picture(store.DATA / "catalogue" / row["picture"])}" alt="{look}">
      <h3>{name}</h3>
      <p class="price">€{row["price"]:.2f} <span>{stock}</span></p>
      <p>{html.escape(row["description"])}</p>
      <p class="hint">{row["sku"]} · similarity {found.score:.2f}</p>
    </li>"""


def products(found: Iterable[skills.Found]) -> str:
    """Return products as a list of cards, the nearest first."""
    return f"<ol>{''.join(map(product, found))}</ol>"


def problem(sentence: str) -> str:
    """Return a sentence about what went wrong, as HTML that is read out."""
    return f'<p class="problem" role="alert">{html.escape(sentence)}</p>'
