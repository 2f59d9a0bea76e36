"""Plain texts for the base model: the stream, and passages with questions.

A document is a list of (text, weight) parts: the loss of a part counts `weight` times,
0 is context only. Nothing here comes from Bottega Lume's handbook or questions.
"""

import random
from collections.abc import Iterator

from labs_support.world import stream
from labs_support.world.genres import exams, passages
from labs_support.world.genres.passages import Reading

TEXT, ANSWER = 1.0, 4.0  # weights of the loss

Parts = list[tuple[str, float]]


def marked(text: str, answers: list, weight: float = ANSWER) -> Parts:
    """Return the parts of a text whose answers, [start, end] spans, weigh more."""
    parts, place = [], 0
    for start, end in answers:
        parts += [(text[place:start], TEXT), (text[start:end], weight)]
        place = end
    return [*parts, (text[place:], TEXT)]


def max_facts(progress: float) -> int:
    """Return how many facts a text may state: one at first, ten after a third."""
    return 1 + min(9, int(27 * progress))


def plain(seed: int, progress: float = 1.0) -> Iterator[Parts]:
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
        if rng.random() < (0.3 if progress < 0.15 else 0.5):
            yield passage_exam(rng)
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


def chosen(rng: random.Random, readings: list[Reading], refusal: str, *, most: int):
    """Return (question, answer, reading or None) in random order."""
    pairs = [(q, a, r) for r in readings for q, a in r.pairs]
    pairs = rng.sample(pairs, min(len(pairs), most))
    absent = [q for r in readings for q in r.absent]
    number = min(len(absent), round(len(pairs) * rng.choice([0.1, 0.3, 0.3, 0.5])))
    pairs += [(q, refusal, None) for q in rng.sample(absent, number)]
    rng.shuffle(pairs)
    return pairs


def passage_exam(rng: random.Random) -> Parts:
    """Return one or two passages and questions about them, as one document."""
    readings = several(rng, rng.choice([1, 1, 1, 2]))
    refusal = rng.choices(list(exams.NOT_STATED), list(exams.NOT_STATED.values()))[0]
    body = "\n\n".join(f"{r.title}\n{r.text}" if r.title else r.text for r in readings)
    parts: Parts = [(rng.choice(exams.FRONTS) + body + "\n", TEXT)]
    ask, answer = rng.choice(exams.LAYOUTS)
    before, after = answer.split("{}")
    for question, found, _ in chosen(rng, readings, refusal, most=8):
        parts.append((f"\n{ask.format(question)}\n{before}", TEXT))
        parts.append((f"{found}{after}", ANSWER))
    return parts
