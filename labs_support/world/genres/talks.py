"""Genres in which people talk or tell: dialogue, mail, diary, story, argument, ..."""

import functools

from labs_support.world import names
from labs_support.world.english import capital
from labs_support.world.facts import Fact
from labs_support.world.genres.slots import entries, table
from labs_support.world.genres.writer import Writer, topics
from labs_support.world.wording import read_words

SEASONS = ("spring", "summer", "autumn", "winter")
AFTER_SALES = ("manager", "phone_extension", "item_supplier", "opening_time", "address")


@functools.cache
def tales(part: str) -> list[dict]:
    """Return the stories or arguments of words/stream_tales.yaml."""
    return read_words("stream_tales")[part]


def dialogue(w: Writer) -> str:
    """Return a customer's questions at the counter and the answers."""
    pairs = [("Customer", "Clerk"), (w["first"], w["first2"]), ("Visitor", w["first"])]
    customer, clerk = w.rng.choice([*pairs, ("A", "B")])
    lines = [(clerk, w.say("dialogue", "hello"))]
    front = w.say("dialogue", "hello_back") + " "
    for fact in w.take(w.rng.randint(2, 5)):
        lines += exchange(w, fact, (customer, clerk), front)
        front = w.say("dialogue", "bridge") + " " if w.chance(0.5) else ""
    if w.chance(0.15):
        w.voice = "you"
        unknown = w.ask(w.rng.choice(w.take(1) or w.facts))
        lines += [(customer, unknown), (clerk, w.say("dialogue", "not_known"))]
    lines += [
        (customer, w.say("dialogue", "bye")),
        (clerk, w.say("dialogue", "bye_back")),
    ]
    if w.chance(0.15) and customer not in ("A", "Customer"):
        return "\n".join(quoted(w, who, text) for who, text in lines)
    return "\n".join(f"{who}: {text}" for who, text in lines)


def quoted(w: Writer, who: str, text: str) -> str:
    """Return what someone says in quotation marks."""
    who = "the visitor" if who == "Visitor" else who
    if text.endswith("?"):
        return f"“{text}” {w.rng.choice(['asked', 'wondered', 'inquired'])} {who}."
    verb = w.rng.choice(["said", "said", "replied", "answered", "explained"])
    return f"“{text.removesuffix('.')},” {verb} {who}."


def exchange(
    w: Writer, fact: Fact, speakers: tuple[str, str], front: str
) -> list[tuple[str, str]]:
    """Return a question, with a phrase in front of it, and its answer."""
    customer, clerk = speakers
    w.voice = "you"
    question = front + w.ask(fact)
    w.voice = "we"
    answer = w.sentence(fact)
    if w.chance(0.4):
        lead = w.say("dialogue", "lead")
        answer = (
            f"{lead} {answer[0].lower() + answer[1:] if lead == 'Well,' else answer}"
        )
    return [(customer, question), (clerk, answer)]


def mail(w: Writer) -> str:
    """Return a complaint by e-mail and the shop's reply."""
    item, customer = w.rng.choice(w.shop.items).name, names.person(w.rng)
    care = topics()["returns"] + topics()["delivery"] + topics()["money"]
    w.voice = "you"
    ask = [w.ask(f) for f in w.take(1, *care)] if w.chance(0.4) else []
    known = [w.sentence(f, "open_write") for f in w.take(w.rng.randint(0, 2), *care)]
    w.rng.shuffle(known)
    first = [w.say("mail", part, item=item) for part in ("start", "plot")] + known
    complaint = " ".join([*first, *ask, w.say("mail", "wish")])
    w.voice = "we"
    answer = (
        w.say("mail", "answer")
        + " "
        + w.paragraph(w.take(w.rng.randint(1, 3), *care, *AFTER_SALES), 0)
    )
    clerk = w.rng.choice(w.shop.staff)
    hello = w.fill("{hello_mail},\n\n")
    bye, bye2 = capital(w.fill("{bye}")), capital(w.fill("{bye}"))
    subject = w.say("mail", "subject")
    return (
        f"Subject: {subject}\n\n{hello}{complaint}\n\n{bye},\n{customer}\n\n---\n"
        f"Subject: Re: {subject}\n\nDear {customer},\n\n{answer}\n\n{bye2},\n{clerk}\n"
        f"{w.shop.name}"
    )


def timeline(w: Writer) -> str:
    """Return the history of the shop by years."""
    w.voice = "shop"
    founded = [f for f in w.facts if f.kind in ("founding_year", "founder")]
    lines = [(w.shop.year, w.paragraph(founded, 0, "open_third"))]
    is_prose = w.chance(0.5)
    years = w.rng.sample(range(w.shop.year + 1, 2027), w.rng.randint(3, 5))
    for year in sorted(years):
        text = w.fill("{history}" if w.chance(0.75) else "{town_line}")
        lines.append((year, f"In {year} {text}." if is_prose else f"{capital(text)}."))
    facts = [f for f in w.facts if f.kind == "item_year"][: w.rng.randint(0, 2)]
    lines += [(int(f.value), w.sentence(f, "open_third")) for f in facts]
    lines.sort(key=lambda line: line[0])
    head = w.fill("[The story|A short history|Milestones|Chronicle] of {name}")
    if is_prose:
        return f"{head}\n\n{' '.join(text for _, text in lines)}"
    mark = w.rng.choice(["{}: {}", "{} - {}", "{}\n{}"])
    return "\n".join([head, *(mark.format(*line) for line in lines)])


def diary(w: Writer) -> str:
    """Return a diary entry of someone who works in the shop."""
    lines = w.say_many(w.rng.randint(2, 6), "diary", "middle")
    for fact in w.take(w.rng.randint(0, 2), "duty", "animal", *topics()["goods"]):
        lines.insert(w.rng.randint(0, len(lines)), w.sentence(fact, "link"))
    return " ".join(
        [w.say("diary", "start"), *dict.fromkeys(lines), w.say("diary", "end")]
    )


def talk(w: Writer) -> str:
    """Return town talk: weather, people, animals; no fact of a shop."""
    lines = w.say_many(w.rng.randint(3, 8), "talk")
    lines += [w.filler("town_line", "weather")] * w.chance(0.5)
    lines += [w.event()] * w.chance(0.4)
    w.rng.shuffle(lines)
    return " ".join(dict.fromkeys(lines))


def report(w: Writer) -> str:
    """Return a text about people and events, each part of which can be asked."""
    w.voice = w.rng.choice(["we", "shop", "they"])
    most = max(1, min(6, w.limit))
    lines = [
        w.event() for _ in range(min(w.rng.randint(1, most), len(w.free_events())))
    ]
    lines += [
        w.filler("town_line", "crowd", "history", "work")
        for _ in range(w.rng.randint(0, 3))
    ]
    w.rng.shuffle(lines)
    front = [w.say("page", "intro")] if w.voice == "they" or w.chance(0.2) else []
    return " ".join(front + lines)


def story(w: Writer) -> str:
    """Return a tiny story; its questions are kept for an exam."""
    tale = w.rng.choice(tales("stories"))
    hero, friend = names.first_name(w.rng), names.first_name(w.rng)
    thing = w.rng.choice(table("pools", "object"))
    places = w.rng.sample(table("pools", "hideplace"), 3)
    given = {f"place{i}": place for i, place in enumerate(places, 1)}
    low, high = sorted(w.rng.sample(range(2, 90), 2))
    given |= {"hero": hero, "friend": friend, "object": thing, "a_object": f"a {thing}"}
    given |= {
        "price": w.shop.style.money(high * 100),
        "low": w.shop.style.money(low * 100),
    }
    hobby = w.rng.choice(table("pools", "hobby"))
    given |= {"did": f"took up {hobby}", "village": names.town(w.rng)}
    for slot in ("job", "lunch", "animalword", "month", "first2", "n", "season"):
        given[slot] = w.rng.choice(SEASONS) if slot == "season" else w.draw(slot)
    text = w.fill(tale["text"].strip(), **given)
    w.questions = [(w.fill(q, **given), w.fill(a, **given)) for q, a in tale["ask"]]
    return text


def argument(w: Writer) -> str:
    """Return reasons for and against a question."""
    case = w.rng.choice(tales("arguments"))
    topic = w.fill(case["topic"])
    pro = [w.fill(x) for x in w.rng.sample(entries(case["pro"]), w.rng.randint(1, 3))]
    con = [w.fill(x) for x in w.rng.sample(entries(case["con"]), w.rng.randint(1, 2))]
    end = w.fill(
        w.rng.choice(table("tales", "argue", "end")), m=str(w.rng.randint(0, 20))
    )
    end = capital(end)
    if w.chance(0.4):
        lists = [
            f"{head}:\n" + "\n".join(f"- {x}" for x in part)
            for head, part in (("For", pro), ("Against", con))
        ]
        return "\n".join([topic, *lists, end])
    said = [joined(w, "first", pro[0]), *(joined(w, "more", x) for x in pro[1:])]
    said += [joined(w, "turn", con[0]), *(joined(w, "more", x) for x in con[1:])]
    return f"{topic}\n\n{' '.join(said)} {end}"


def joined(w: Writer, part: str, clause: str) -> str:
    """Return a clause after an opening phrase of an argument, as a sentence."""
    return f"{w.rng.choice(table('tales', 'argue', part))} {clause}."
