"""Read the handbook of Bottega Lume: forty pages of Markdown with front matter."""

import difflib
import re
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import yaml

from labs_support.settings import DATA

FOLDER = DATA / "handbook"
FRONT_MATTER = re.compile(r"\A---\n(.*?)\n---\n(.*)\Z", re.DOTALL)
HEADING = re.compile(r"^## +(.+?) *$", re.MULTILINE)


@dataclass(frozen=True)
class Page:
    """One page of the handbook.

    Attributes:
        slug: short name used in questions and citations, "opening_hours".
        title: heading as shown to a reader.
        tags: a few words to filter by.
        updated: day of the last change.
        owner: the person in the shop who answers for the page.
        text: the page in Markdown, without front matter.
        path: the file, data/handbook/NN_slug.md.
    """

    slug: str
    title: str
    tags: tuple[str, ...]
    updated: date
    owner: str
    text: str
    path: Path


def read(path: Path) -> Page:
    """Return the page that a file holds.

    Raises:
        ValueError: if the file does not begin with complete front matter.
    """
    match = FRONT_MATTER.match(path.read_text(encoding="utf-8"))
    if match is None:
        raise ValueError(
            f"{path.name} has no front matter: begin with a block between ---."
        )
    fields = yaml.safe_load(match[1])
    missing = sorted({"slug", "title", "tags", "updated", "owner"} - set(fields))
    if missing:
        raise ValueError(f"{path.name} lacks {', '.join(missing)} in its front matter.")
    return Page(
        slug=fields["slug"],
        title=fields["title"],
        tags=tuple(fields["tags"]),
        updated=fields["updated"],
        owner=fields["owner"],
        text=match[2].strip(),
        path=path,
    )


def pages() -> list[Page]:
    """Return all pages in the order of their numbers.

    Raises:
        FileNotFoundError: if there are none; the message says how to get them back.
    """
    files = sorted(FOLDER.glob("[0-9][0-9]_*.md"))
    if not files:
        raise FileNotFoundError(
            "data/handbook holds no pages: `git checkout data` restores them."
        )
    return [read(file) for file in files]


def page(slug: str) -> Page:
    """Return one page.

    Raises:
        ValueError: if there is no such page; the message names the closest slugs.
    """
    by_slug = {one.slug: one for one in pages()}
    try:
        return by_slug[slug]
    except KeyError:
        close = difflib.get_close_matches(slug, by_slug) or list(by_slug)
        raise ValueError(
            f"there is no handbook page {slug!r}; did you mean {' or '.join(close)}?"
        ) from None


def sections(page: Page) -> list[tuple[str, str]]:
    """Return the sections of a page as (heading, text).

    What stands before the first `##` heading comes first, under the page's title.
    """
    opening, *rest = HEADING.split(page.text)
    headings, texts = rest[::2], rest[1::2]
    found = [(page.title, opening), *zip(headings, texts, strict=True)]
    return [(heading, text.strip()) for heading, text in found if text.strip()]
