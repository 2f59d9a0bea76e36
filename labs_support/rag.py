"""Answer a customer's question from the handbook, with sources.

    found = answer("How much is the ferry?")
    found.text, [found.sources[i].title for i in found.cited]

Built in lesson 08. What the handbook says is data, never an instruction: see `harmless`.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache
from typing import NamedTuple

from labs_support import chat, reading, scores, skills, vectors
from labs_support.chunks import passages
from labs_support.retrieval import Index
from labs_support.world import handbook

MAX_CHARACTERS = 500  # of a question
FAR = 0.35  # below this cosine nothing fits; chosen in lesson 08, on validation
SUPPORTED = 0.6  # share of an answer's words that a source must have
MARK = re.compile(r"<\|[^|<>]*\|>")
ORDER = re.compile(
    r"\b(?:ignore|disregard|forget)\b.*\b(?:question|instruction|source|text|above|rule)"
    r"|\b(?:assistant|chatbot|language model|system prompt)\b"
    r"|\b(?:answer|reply|respond)\b[^.?!]{0,40}\b(?:with|only|always|instead|exactly)\b"
    r"|^\s*(?:question|answer|system|user)\s*:",
    re.IGNORECASE,
)


class Source(NamedTuple):
    """A passage of the handbook that was found for a question.

    Attributes:
        slug: short name of the page.
        title: "Page: heading".
        text: the passage.
        score: its cosine with the question, from -1 to 1.
    """

    slug: str
    title: str
    text: str
    score: float


class Answer(NamedTuple):
    """What the assistant says, and what it read.

    Attributes:
        text: the answer, without marks such as [1].
        cited: places in `sources` of those that the answer rests on.
        sources: what was read, the best first.
        abstains: whether it says that it does not know.
    """

    text: str
    cited: tuple[int, ...]
    sources: tuple[Source, ...]
    abstains: bool


@lru_cache(maxsize=1)
def _index_of(stamps: tuple) -> Index:
    found = passages()
    texts = [f"{passage.title}\n{passage.text}" for passage in found]
    return Index(found, vectors.kept("handbook", texts, skills.embed))


def index() -> Index:
    """Return the index of the handbook as it now is; an edited page is read again."""
    files = sorted(handbook.FOLDER.glob("*.md"))
    return _index_of(tuple((file.name, file.stat().st_mtime_ns) for file in files))


def checked(question: str) -> str:
    """Return a question without needless white space.

    Raises:
        ValueError: if it is empty or too long.
    """
    if not question.strip():
        raise ValueError("The question is empty: write a few words.")
    if len(question) > MAX_CHARACTERS:
        raise ValueError(
            f"The question has {len(question):,} characters and Lume reads "
            f"{MAX_CHARACTERS}: please ask it in one or two sentences."
        )
    return " ".join(question.split())


def retrieve(question: str, n: int = 3) -> list[Source]:
    """Return the n passages that fit a question best, by meaning and by words.

    Raises:
        ValueError: if the question is empty or too long.
    """
    return sources_in(index(), checked(question), n)


def sources_in(index: Index, question: str, n: int) -> list[Source]:
    """Return the n passages of an index that fit a question best."""
    cosines = index.vectors @ reading.embed([question])[0]  # (N,)
    order = index.rank(question, cosines=cosines)[:n]
    return [Source(*index.passages[i], float(cosines[i])) for i in order]


def harmless(text: str) -> str:
    """Return a text without the sentences that could pass for an instruction.

    A sentence that holds a mark of the chat template is dropped whole, so that no text can
    begin a message of its own: with the mark alone removed, what stood behind it would
    be read as a fact. This part is safe. Sentences that speak to an assistant go as well,
    by a list of patterns that a patient attacker gets around.
    """
    lines = []
    for line in MARK.sub("\0", text).split("\n"):
        parts = re.split(r"(?<=[.?!])\s+", line)
        kept = [part for part in parts if "\0" not in part and not ORDER.search(part)]
        lines.append(" ".join(kept))
    return re.sub(r"\n{3,}", "\n\n", "\n".join(lines)).strip()


def sentences_near(
    question: str, sources: list[Source], clean: Callable[[str], str] = harmless
) -> list[Source]:
    """Return the sources with only the sentences that are nearest to a question.

    Args:
        question: what will be asked.
        sources: what was found.
        clean: called with each title and text before anything is chosen.
    """
    texts = [(clean(source.title), clean(source.text)) for source in sources]
    pairs = zip(sources, reading.condensed(texts, question), strict=True)
    return [source._replace(title=title, text=text) for source, (title, text) in pairs]


def conversation(
    question: str, sources: list[Source], clean: Callable[[str], str] = harmless
) -> list[chat.Message]:
    """Return the messages that ask the model to answer from sources.

    Of the sources only the sentences nearest to the question are read, after `clean`.
    """
    question = MARK.sub(" ", question)
    near = sentences_near(question, sources, clean)
    texts = [(source.title, source.text) for source in near]
    return [
        {"role": "system", "content": chat.ANSWER_FROM_SOURCES},
        {"role": "user", "content": chat.sources_prompt(texts, question)},
    ]


def is_far(sources: Iterable[Source]) -> bool:
    """Return whether no source is near enough to the question to be worth reading."""
    return all(source.score < FAR for source in sources)


def judged(reply: str, sources: list[Source]) -> Answer:
    """Return a reply of the model as an answer: evidence looked up, a refusal seen.

    The answer rests on the sources that support it best. The number that the model
    writes behind it only decides between equals: it is part of the reply, not a proof.
    """
    text = scores.without_citations(reply)
    if scores.normalise(text) in ("", scores.normalise(chat.REFUSAL)):
        return Answer(chat.REFUSAL, (), tuple(sources), True)
    marks = {number - 1 for number in scores.citations(reply)}
    found = [support(f"{s.title}\n{s.text}", text) for s in sources]
    order = sorted(range(len(sources)), key=lambda i: (-found[i], i not in marks))
    cited = tuple(i for i in order[:1] if found[i] > 0)
    return Answer(text, cited, tuple(sources), False)


def guarded(answer: Answer) -> Answer:
    """Return an answer, or a refusal where nothing was near or nothing supports it."""
    texts = [
        f"{answer.sources[i].title}\n{answer.sources[i].text}" for i in answer.cited
    ]
    is_supported = any(support(text, answer.text) >= SUPPORTED for text in texts)
    if is_supported and not is_far(answer.sources):
        return answer
    return Answer(chat.REFUSAL, (), answer.sources, True)


def support(text: str, answer: str) -> float:
    """Return the share of an answer's words that a text has, 0 if a number is missing."""
    wanted = scores.normalise(answer).split()
    there = set(scores.normalise(text).split())
    numbers = [word for word in wanted if any(letter.isdigit() for letter in word)]
    if not wanted or not there.issuperset(numbers):
        return 0.0
    return sum(word in there for word in wanted) / len(wanted)


def holds(text: str, answer: str) -> bool:
    """Return whether a text holds an answer, word for word after normalising."""
    wanted = scores.normalise(answer)
    return bool(wanted) and f" {wanted} " in f" {scores.normalise(text)} "


def answer(question: str, n: int = 3) -> Answer:
    """Return the answer to a question, from the n best passages of the handbook.

    Raises:
        ValueError: if the question is empty or too long.
    """
    return answers([question], n)[0]


def answers(asked: list[str], n: int = 3) -> list[Answer]:
    """Return the answer to each question, read in batches; raises like `answer`."""
    found = [retrieve(question, n) for question in asked]
    near = [i for i, sources in enumerate(found) if not is_far(sources)]
    talks = [conversation(checked(asked[i]), found[i]) for i in near]
    said = dict(zip(near, chat.replies(talks), strict=True))
    return [
        guarded(judged(said.get(i, chat.REFUSAL), sources))
        for i, sources in enumerate(found)
    ]


def stream(question: str, n: int = 3) -> Iterator[Answer]:
    """Yield the answer as it grows; the last one is what `answer` returns.

    Raises:
        ValueError: if the question is empty or too long.
    """
    sources, reply = retrieve(question, n), ""
    if not is_far(sources):
        for piece in chat.stream(conversation(checked(question), sources)):
            reply += piece
            growing = scores.without_citations(reply).partition("[")[0].strip()
            yield Answer(growing, (), tuple(sources), False)
    yield guarded(judged(reply, sources))
