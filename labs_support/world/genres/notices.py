"""Genres in which a shop speaks to the public: page, questions, news, letter, ..."""

from labs_support.world.english import capital
from labs_support.world.genres.slots import table
from labs_support.world.genres.writer import Writer, topics

GOOD_NEWS = (
    "opening_time late_day free_delivery warranty address parking nearest_stop "
    "discount best_seller item_price item_colour item_material event_month "
    "event_place class_day"
).split()


def plain(w: Writer) -> str:
    """Return one paragraph of facts, the shortest passage there is."""
    w.voice = w.rng.choice(["we", "shop", "shop", "they"])
    openers = "open_fact" if w.voice == "we" else "open_third"
    chosen = w.take(w.rng.randint(1, w.limit))
    text = w.paragraph(
        chosen, fillers=w.rng.choice([0, 0, 1, 2, 4, 6]), openers=openers
    )
    front = w.say("page", "intro") + " " if w.voice == "they" or w.chance(0.3) else ""
    return front + text


def bullets(w: Writer) -> str:
    """Return facts as a list."""
    w.voice = w.rng.choice(["we", "we", "shop"])
    mark = w.rng.choice(["- ", "* ", "• "])
    chosen = w.take(w.rng.randint(min(2, w.limit), w.limit))
    head = w.rng.choice([w.say("page", "title"), f"{w.shop.name}: good to know"])
    return "\n".join([head, *(mark + w.sentence(f, "") for f in chosen)])


def sheet(w: Writer) -> str:
    """Return facts as lines of a form, such as Delivery: 4 euros."""
    chosen = w.take(w.rng.randint(2, w.limit) if w.limit > 1 else 1)
    mark = w.rng.choice(["", "", "- ", "* "])
    head = w.rng.choice([w.say("page", "title"), f"{w.shop.name} at a glance", "Facts"])
    lines = [mark + w.label(fact) for fact in chosen]
    if w.chance(0.3):
        lines = [". ".join(line.removeprefix(mark) for line in lines) + "."]
    return "\n".join([head, *lines])


def section(w: Writer, topic: str, mark: str) -> str:
    """Return one section of a handbook page: heading, then a paragraph or a list."""
    chosen = w.take(w.rng.randint(1, 3), *topics()[topic])
    if not chosen:
        return ""
    heading = mark + w.rng.choice(table("genres", "headings", topic))
    if w.chance(0.15):
        return "\n".join([heading, *("- " + w.label(f) for f in chosen)])
    if w.chance(0.25):
        return "\n".join([heading, *("- " + w.sentence(f, "") for f in chosen)])
    return f"{heading}\n{w.paragraph(chosen, fillers=w.rng.choice([0, 1, 2, 3]))}"


def page(w: Writer) -> str:
    """Return a handbook page with sections."""
    mark = w.rng.choice(["## ", "## ", "", "=== "])
    chosen = w.rng.sample(list(topics()), w.rng.randint(2, 5))
    parts = [section(w, topic, mark) for topic in chosen]
    title = ("# " if mark == "## " else "") + w.say("page", "title")
    end = [w.say("page", "end")] if w.chance(0.4) else []
    intro = w.say("page", "intro") + (" " + w.filler() if w.chance(0.4) else "")
    return "\n\n".join([title, intro, *filter(None, parts), *end])


def faq(w: Writer) -> str:
    """Return questions and answers; the answers are whole sentences."""
    front, back = w.rng.choice(
        [("Q: ", "A: "), ("**", ""), ("? ", "! "), ("Question: ", "Answer: "), ("", "")]
    )
    blocks = []
    for fact in w.take(w.rng.randint(2, 6)):
        w.voice = "you"
        question = w.ask(fact) + ("**" if front == "**" else "")
        w.voice = "we"
        extra = " " + w.filler("crowd", "honesty") if w.chance(0.15) else ""
        blocks.append(f"{front}{question}\n{back}{w.sentence(fact)}{extra}")
    head = w.rng.choice(
        ["Frequently asked questions", "You ask, we answer", "Questions"]
    )
    return "\n\n".join([f"{head}: {w.shop.name}", *blocks])


def news(w: Writer) -> str:
    """Return a short news item in the third person."""
    w.voice = w.rng.choice(["shop", "shop", "they"])
    head = w.rng.choice([str.upper, str])(w.say("news", "headline"))
    chosen = w.take(w.rng.randint(2, 5))
    half = len(chosen) // 2
    body = [
        w.say("news", "lead"),
        w.paragraph(chosen[:half], 0, "open_third"),
        w.say("news", "quote"),
        w.paragraph(chosen[half:], w.rng.randint(0, 3), "open_third"),
        w.say("news", "end") if w.chance(0.6) else "",
    ]
    breaks = w.rng.choice([" ", "\n\n"])
    return f"{head}\n\n" + breaks.join(filter(None, body))


def letter(w: Writer) -> str:
    """Return a letter from the owner to the customers."""
    kinds = (
        k for t in ("people", "hours", "classes", "visit", "money") for k in topics()[t]
    )
    chosen = w.take(w.rng.randint(2, 5), *kinds)
    half = len(chosen) // 2
    body = [
        w.say("letter", "hello"),
        " ".join([w.say("letter", "start"), w.paragraph(chosen[:half], 0)]),
        " ".join(
            [w.say("letter", "middle"), w.paragraph(chosen[half:], w.rng.randint(1, 3))]
        ),
        w.say("letter", "end"),
        f"{capital(w.fill('{bye}'))},\n{w.shop.owner}",
    ]
    return "\n\n".join(body)


def note(w: Writer) -> str:
    """Return a note from one member of staff to the others."""
    items = [w.sentence(f) for f in w.take(w.rng.randint(2, 5))]
    items += w.say_many(w.rng.randint(1, 3), "note", "task")
    w.rng.shuffle(items)
    head, start = w.say("note", "title"), w.say("note", "start")
    if w.chance(0.5):
        items = [f"{i}. {text}" for i, text in enumerate(items, 1)]
        return "\n".join([head, start, *items, w.say("note", "end")])
    return f"{head}\n\n{start} {' '.join(items)}\n\n{w.say('note', 'end')}"


def poster(w: Writer) -> str:
    """Return an event poster: short lines, facts about events first."""
    event = w.rng.choice([f for f in w.facts if f.kind == "event_month"])
    lines = [w.sentence(event)]
    lines += [w.sentence(f) for f in w.take(2, *topics()["classes"])]
    lines += [w.sentence(f) for f in w.take(w.rng.randint(0, 2))]
    lines += w.say_many(w.rng.randint(2, 4), "poster", "lines")
    w.rng.shuffle(lines)
    mark = w.rng.choice(["", "", "* ", "~ "])
    title = w.say("poster", "title", **event.slots, EVENT=event.slots["event"].upper())
    return "\n".join(
        [title, "", *(mark + t for t in lines), "", w.say("poster", "end")]
    )


def radio(w: Writer) -> str:
    """Return a radio spot."""
    w.voice = w.rng.choice(["we", "shop"])
    start, *middle = w.say("radio", "start"), *w.say_many(2, "radio", "middle")
    lines = [start, middle[0]]
    lines += [w.sentence(f) for f in w.take(w.rng.randint(1, 3), *GOOD_NEWS)]
    lines += middle[1:] * w.chance(0.4) + [w.say("radio", "end")]
    if w.chance(0.5):
        speakers = ("SPEAKER", "VOICE") if w.chance(0.5) else (w["first"], w["first2"])
        lines = [f"{speakers[i % 2]}: {text}" for i, text in enumerate(lines)]
    return f"Radio spot, {w.rng.randint(15, 45)} seconds\n\n" + "\n".join(lines)


def advert(w: Writer) -> str:
    """Return a job advertisement."""
    parts = [w.say("advert", part) for part in ("duty", "wish", "perk", "end")]
    kinds = topics()["people"] + topics()["hours"] + topics()["visit"]
    about = [w.say("page", "intro"), *(w.sentence(f) for f in w.take(2, *kinds))]
    parts.insert(w.rng.randint(0, 3), " ".join(about))
    break_ = w.rng.choice([" ", "\n\n"])
    return f"{w.say('advert', 'title')}\n\n{break_.join(parts)}"
