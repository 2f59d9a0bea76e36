"""Before the model reads: keep the sentences of the sources that are near a question.

A small model reads two sentences far better than forty. The text encoder, which knows
many more words, chooses them. A larger reader gets the sources whole.
"""

import re

import numpy as np

from labs_support import settings, skills

SENTENCE_END = re.compile(r"(?<=[.?:]) (?=[A-Z0-9\"'(])|\n+")
MOST = 2  # sentences; chosen on the train and validation questions
_vectors: dict[str, np.ndarray] = {}  # of texts met before


def parts(text: str) -> list[str]:
    """Return the parts of a text: its sentences, headings and lines of lists."""
    return [part for part in SENTENCE_END.split(text) if part.strip()]


def embed(texts: list[str]) -> np.ndarray:
    """Return one unit vector per text; a text met before is not computed again."""
    if new := [text for text in dict.fromkeys(texts) if text not in _vectors]:
        _vectors.update(zip(new, skills.embed(new), strict=True))
    return np.stack([_vectors[text] for text in texts])


def condensed(
    sources: list[tuple[str, str]], question: str, most: int | None = None
) -> list[tuple[str, str]]:
    """Return the sources with only the sentences that are nearest to a question.

    Args:
        sources: (title, text) of each.
        question: what will be asked.
        most: sentences to keep, over all sources together; unless given, two for the
            course's own model, and all for a reader of the hub or of a chat service.

    Returns:
        (title, text) of each source; a source of which nothing is kept has no text.
    """
    if most is None:
        found = settings.read()
        if found.profile == "hub" or found.chat:
            return list(sources)
        most = MOST
    every = [(i, s) for i, (_, text) in enumerate(sources) for s in parts(text)]
    if not every:
        return [(title, "") for title, _ in sources]
    nearness = embed([f"{sources[i][0]}. {s}" for i, s in every]) @ embed([question])[0]
    kept = sorted(np.argsort(nearness)[::-1][:most])
    return [
        (title, " ".join(every[place][1] for place in kept if every[place][0] == i))
        for i, (title, _) in enumerate(sources)
    ]
