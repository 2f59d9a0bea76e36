"""Questions that customers ask of the handbook, with the pages that answer them.

Each row has id, question, answer, pages and type. A "single" question is answered by
one page, a "two" question needs two, and an "unanswerable" one has no answer in the
handbook: its answer is "" and its list of pages is empty.
"""

from labs_support.world import store

TYPES = ("single", "two", "unanswerable")


def load(split: str) -> list[dict]:
    """Return the questions of one split: 40 for train and validation, 160 for test.

    Raises:
        ValueError: if split is not train, validation or test.
    """
    return store.rows("questions", split)


def answerable(split: str) -> list[dict]:
    """Return the questions of one split that the handbook answers."""
    return [row for row in load(split) if row["type"] != "unanswerable"]
