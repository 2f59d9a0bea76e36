"""What the assistant shows, as HTML and Markdown: answers, sources, pages, products.

Whatever was typed or generated is escaped here, so that it is shown and never obeyed: no
tag, link or picture in it does anything.
"""

import base64
import html
import io
import re
from collections.abc import Iterable
from functools import cache

from labs_support import rag, skills
from labs_support.world import handbook, store

SAYS_NOTHING = "The handbook does not say."
NOT_CITED = "Lume names no source for this, so check it before you rely on it."
NOTHING_READ = """
<p class="hint">Once you have asked, here are the sections nearest to your question, with
the sentences that Lume read.</p>"""
NO_PAGE = "*Open a source, and here is its page.*"
PUNCTUATION = re.compile(r"([!-/:-@\[-`{-~])")
LINK = re.compile(r"\]\(\d\d_(\w+)\.md\)")


def literal(text: str) -> str:
    """Return Markdown that shows a text as it was typed."""
    return "  \n".join(PUNCTUATION.sub(r"\\\1", line) for line in text.splitlines())


def plain(text: str) -> str:
    """Return a Markdown text without its marks."""
    return re.sub(r"\[(.+?)\]\(.+?\)|[*_`#>|]+", r"\1", text)


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
    if found.abstains and rag.is_far(found.sources):
        return (
            f"**{SAYS_NOTHING}** No section is near to the question, so Lume read none."
        )
    if found.abstains:
        return (
            f"**{SAYS_NOTHING}** Lume read what is nearest to the question and found no "
            "answer in it, so it gives none. Other words may find more."
        )
    said = literal(found.text)
    if not complete:
        return f"{said} …"
    if not found.cited:
        return f"{said}\n\n*{NOT_CITED}*"
    cited = [(i + 1, found.sources[i]) for i in found.cited]
    links = [f"[{n} · {literal(s.title)}]({address(s)})" for n, s in cited]
    return f"{said}\n\n{' '.join(links)}"


def source(number: int, found: rag.Source, read: str, *, is_cited: bool) -> str:
    """Return one source as a list item: rank, title, score, what was read, its page."""
    mark = '<span class="mark">cited</span>' if is_cited else ""
    title = html.escape(found.title)
    text = f"<blockquote>{html.escape(plain(read))}</blockquote>"
    if not read:
        text = '<p class="hint">None of its sentences was near enough to be read.</p>'
    return f"""
    <li class="source{" cited" if is_cited else ""}">
      <h3><span class="number">{number}</span> {title} {mark}</h3>
      <p class="score"><meter min="0" max="1" value="{found.score:.2f}"
        aria-label="similarity to the question"></meter> {found.score:.2f}</p>
      {text}
      <a href="{address(found)}">Open the page<span class="unseen">: {title}</span></a>
    </li>"""


def sources(question: str, found: rag.Answer) -> str:
    """Return what Lume read for a question, the cited sources marked."""
    texts = [""] * len(found.sources)
    if not rag.is_far(found.sources):
        asked = rag.MARK.sub(" ", question)
        texts = [near.text for near in rag.sentences_near(asked, found.sources)]
    items = [
        source(i + 1, one, texts[i], is_cited=i in found.cited)
        for i, one in enumerate(found.sources)
    ]
    return f"""
    <p class="hint">For “{html.escape(question)}”: the nearest sections, and the sentences
      that Lume read. The bar is the similarity to the question, at most 1.</p>
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


def png(data: bytes) -> str:
    """Return the bytes of a PNG file as an address that holds them."""
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def product(row: dict, note: str) -> str:
    """Return one product as a list item: picture, name, price, what it is, a note."""
    name = html.escape(row["name"])
    picture = png((store.DATA / "catalogue" / row["picture"]).read_bytes())
    look = html.escape(f"{row['pattern']} {row['kind']}, {row['colour']}")
    stock = f"{row['stock']} in stock" if row["stock"] else "sold out"
    return f"""
    <li class="product">
      <img src="{picture}" alt="{look}">
      <h3>{name}</h3>
      <p class="price">€{row["price"]:.2f} <span>{stock}</span></p>
      <p>{html.escape(row["description"])}</p>
      <p class="hint">{row["sku"]}{note}</p>
    </li>"""


def products(found: Iterable[skills.Found]) -> str:
    """Return products as a list of cards, the nearest first."""
    cards = (product(one.item, f" · similarity {one.score:.2f}") for one in found)
    return f"<ol>{''.join(cards)}</ol>"


def nearest(wish: str, found: Iterable[skills.Found]) -> str:
    """Return the products that were found for a wish, under a line that says so."""
    line = f"Nearest to “{html.escape(wish)}”:"
    return f'<p class="hint" role="status">{line}</p>{products(found)}'


def alike(picture, found: Iterable[skills.Found]) -> str:
    """Return the products that look like a `PIL.Image`, under that picture."""
    data = io.BytesIO()
    picture.save(data, "PNG")
    return f"""
    <p class="hint" role="status"><img class="wish" src="{png(data.getvalue())}"
      alt="your picture"> These look most like your picture:</p>{products(found)}"""


def window(n: int) -> str:
    """Return n products of the catalogue, to look at before anything is looked for."""
    cards = (product(row, "") for row in store.rows("catalogue")[:n])
    return f'<p class="hint">From the catalogue:</p><ol>{"".join(cards)}</ol>'


def problem(sentence: str) -> str:
    """Return a sentence about what went wrong, as HTML that is read out."""
    return f'<p class="problem" role="alert">⚠ {html.escape(sentence)}</p>'
