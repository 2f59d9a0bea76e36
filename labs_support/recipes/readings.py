"""Plain texts for the base model: the stream, and passages with questions.

A document is a list of pieces. Nothing here comes from Bottega Lume's handbook or
questions.
"""

import random
from collections.abc import Iterator
from dataclasses import replace

from labs_support.reading import parts
from labs_support.recipes.pieces import ANSWER, CONTEXT, SOURCE, Piece, occurrences
from labs_support.world import stream
from labs_support.world.genres import exams, passages
from labs_support.world.genres.passages import Reading

PLAIN, WEIGHTY = 1.0, 4.0  # weights of the loss: texts, and answers


def marked(text: str, answers: list) -> list[Piece]:
    """Return the pieces of a text whose answers, [start, end] spans, weigh more."""
    pieces, place = [], 0
    for start, end in answers:
        kind = CONTEXT if pieces else SOURCE
        start -= text[place:start].endswith(" ")  # the space belongs to the word
        pieces.append(Piece(text[place:start], PLAIN, kind))
        pieces.append(Piece(text[start:end], WEIGHTY, ANSWER))
        place = end
    return [*pieces, Piece(text[place:], PLAIN)]


def max_facts(progress: float) -> int:
    """Return how many facts a text may state: one at first, ten after a third."""
    return 1 + min(9, int(27 * progress))


def plain(seed: int, progress: float = 1.0) -> Iterator[list[Piece]]:
    """Yield documents for the base model without end.

    Args:
        seed: Which stream.
        progress: Share of the training done, 0-1: texts grow longer at first.
    """
    rng = random.Random(f"plain-{seed}")
    table = {genre: weight for genre, (_, weight) in stream.GENRES.items()}
    table["exam"] = 60 if progress < 0.3 else 30
    limit = max_facts(progress)
    others = stream.documents(seed + 7_000_003, max_facts=limit, weights=table)
    while True:
        if rng.random() < 0.6:
            yield passage_exam(rng, progress)
        else:
            document = next(others)
            yield marked(document["text"], document["answers"])


def several(rng: random.Random, most: int, *, held_out: bool = False) -> list[Reading]:
    """Return one to `most` passages about different things."""
    found = {}
    for _ in range(rng.randint(1, most)):
        reading = passages.draw(rng, held_out=held_out)
        found[reading.name] = reading
    return list(found.values())


def shortened(rng: random.Random, reading: Reading, most: int) -> Reading:
    """Return a passage of at most `most` of its sentences, neighbours or not.

    Questions whose answer is gone become questions without an answer.
    """
    every = parts(reading.text)
    if most >= len(every):
        return reading
    if rng.random() < 0.5:
        start = rng.randint(0, len(every) - most)
        kept = every[start : start + most]
    else:
        kept = [every[i] for i in sorted(rng.sample(range(len(every)), most))]
    text = " ".join(kept)
    is_left = [bool(occurrences(answer, text)) for _, answer in reading.pairs]
    left = zip(reading.pairs, is_left, strict=True)
    lost = [q for (q, _), is_there in left if not is_there]
    pairs = zip(reading.pairs, is_left, strict=True)
    return replace(
        reading,
        title=reading.title if rng.random() < 0.5 else "",
        text=text,
        pairs=tuple(pair for pair, is_there in pairs if is_there),
        absent=tuple(rng.sample(lost, min(len(lost), 3))) + reading.absent,
    )


def longest(rng: random.Random, progress: float) -> int:
    """Return how many sentences a passage may have: few at first, in the end all."""
    if rng.random() < progress * 0.6:
        return 99
    return 1 + int(rng.random() * (2 + 12 * progress))


def chosen(rng: random.Random, readings: list[Reading], refusal: str, *, most: int):
    """Return (question, answer, reading or None) in random order."""
    pairs = [(q, a, r) for r in readings for q, a in r.pairs]
    pairs = rng.sample(pairs, min(len(pairs), most))
    absent = [q for r in readings for q in r.absent]
    number = round(len(pairs) * rng.choice([0, 0.2, 0.3, 0.5]))
    number = min(len(absent), max(number, int(not pairs)))
    pairs += [(q, refusal, None) for q in rng.sample(absent, number)]
    rng.shuffle(pairs)
    return pairs


def passage_exam(rng: random.Random, progress: float = 1.0) -> list[Piece]:
    """Return one or two passages and questions about them, as one document."""
    most = 2 if progress > 0.5 and rng.random() < 0.3 else 1
    readings = [shortened(rng, r, longest(rng, progress)) for r in several(rng, most)]
    refusal = rng.choices(list(exams.NOT_STATED), list(exams.NOT_STATED.values()))[0]
    body = "\n\n".join(f"{r.title}\n{r.text}" if r.title else r.text for r in readings)
    is_told = rng.random() < 0.5  # the questions stand before the text, too
    asked = chosen(rng, readings, refusal, most=2 if is_told else 8)
    ask, answer = rng.choice(exams.LAYOUTS)
    front = "\n".join(ask.format(q) for q, _, _ in asked) + "\n\n" if is_told else ""
    opening = Piece(front + rng.choice(exams.FRONTS), PLAIN)
    pieces = [opening, Piece(body + "\n", PLAIN, SOURCE)]
    before, after = answer.split("{}")
    for question, found, _ in asked:
        space = before[len(before.rstrip(" ")) :]  # belongs to the word behind it
        opening = f"\n{ask.format(question)}\n{before.rstrip(' ')}"
        pieces += [
            Piece(opening, PLAIN),
            Piece(space + found, WEIGHTY, ANSWER),
            Piece(after, WEIGHTY),
        ]
    return [piece for piece in pieces if piece.text]
