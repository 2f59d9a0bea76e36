"""Cut texts into chunks: at sentences, at paragraphs, at headings.

Built in view in lesson 08.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from labs_support.world import handbook

LONGEST = 800  # characters of a passage: three of them and a question fit the prompt


class Passage(NamedTuple):
    """A piece of text that can be found, and where it stands.

    Attributes:
        slug: short name of its page.
        title: "Page: heading".
        text: what it says.
    """

    slug: str
    title: str
    text: str


def sentences(text: str) -> list[str]:
    """Return the sentences of a text: cut behind a full stop, or at an empty line."""
    return [part for part in re.split(r"(?<=[.?!])\s+|\n\s*\n", text) if part.strip()]


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text: cut at empty lines."""
    return [part for part in re.split(r"\n\s*\n", text) if part.strip()]


def pack(pieces: list[str], size: int, overlap: int = 0, joint: str = " ") -> list[str]:
    """Return chunks of neighbouring pieces, each as long as fits.

    Args:
        pieces: in their order; one that is longer than size stays whole.
        size: the most characters of a chunk.
        overlap: how many of its last pieces the next chunk repeats, if they fit.
        joint: what stands between two pieces.
    """
    chunks, current = [], []
    for piece in pieces:
        if current and len(joint.join([*current, piece])) > size:
            chunks.append(joint.join(current))
            current = current[-overlap:] if overlap else []
            while current and len(joint.join([*current, piece])) > size:
                current = current[1:]
        current.append(piece)
    return [*chunks, joint.join(current)] if current else chunks


def passages(
    pages: Iterable[handbook.Page] | None = None, size: int = LONGEST
) -> list[Passage]:
    """Return the sections of pages, those over `size` cut again at paragraphs.

    Args:
        pages: the whole handbook if not given.
        size: the most characters of a passage, as far as paragraphs allow.
    """
    return [
        Passage(page.slug, title_of(page, heading), text)
        for page in (handbook.pages() if pages is None else pages)
        for heading, section in handbook.sections(page)
        for text in pack(paragraphs(section), size, joint="\n\n")
    ]


def title_of(page: handbook.Page, heading: str) -> str:
    """Return the title of a section: "Page: heading", or the page's own."""
    return heading if heading == page.title else f"{page.title}: {heading}"
