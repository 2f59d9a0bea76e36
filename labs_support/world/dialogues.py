"""Conversations between customers and assistants of other shops, with summaries.

A conversation runs through opening, question back, detail and one of two outcomes; it
may go on with a reaction, a side question and a goodbye (4 to 10 turns). The summary
is written per outcome, in words of its own, and mentions the side question.

Disjoint: shops, customers and kinds of product of the test split occur in no other
split (so no product goes with the same number twice), and order numbers differ. No
fact of Bottega Lume occurs: everything is drawn at random for shops that are not it.
"""

import random

from labs_support.world.english import article, capital, plural, sentence_case
from labs_support.world.wording import fill, read_words, values

SIZES = {"train": 800, "validation": 100, "test": 150}
ORDERS = {"train": (1000, 6999), "validation": (7000, 7999), "test": (8000, 9999)}
SMALL = ("two", "three", "four", "five", "six", "eight", "ten")
SHARES = {"reaction": 0.75, "side": 0.45, "goodbye": 0.5}


def numbers(split: str, rng: random.Random) -> dict[str, str]:
    """Return the numbers of one conversation, as they are written."""
    table = read_words("dialogues")
    price = rng.randint(12, 95)
    few = rng.choice(table["few"])
    many = SMALL[SMALL.index(few) + 1 :]
    return {
        "order": str(rng.randint(*ORDERS[split])),
        "price": str(price),
        "price2": str(price - rng.randint(2, 9)),
        "fee": str(rng.randint(5, 28)),
        "coins": str(rng.randint(2, 4)),
        "m": rng.choice(SMALL[2:]),
        "few": few,
        "n": rng.choice(many),
        "hour": rng.choice(table["hours"]),
        "trade": rng.choice(table["trades"]),
    }


def slots(split: str, rng: random.Random) -> dict[str, str]:
    """Return the values of the slots of one conversation."""
    pools = {k: values(v, split) for k, v in read_words("dialogues")["slots"].items()}
    pools["day"] = read_words("dialogues")["slots"]["day"]
    chosen = {name: rng.choice(pool) for name, pool in pools.items()}
    for name in ("day", "shade", "finish"):
        others = [v for v in pools[name] if v != chosen[name]]
        chosen[f"{name}2"] = rng.choice(others)
    item = f"{chosen['finish']} {chosen['noun']}"
    chosen |= {"item": item, "an_item": article(item), "nouns": plural(chosen["noun"])}
    chosen["alt"] = chosen["finish2"]
    person = chosen["person"].split(" ", 1)
    chosen["person2"] = article(person[1])
    for name in ("day2", "shade", "shade2", "an_item"):
        chosen[capital(name)] = capital(chosen[name])
    chosen |= numbers(split, rng)
    return chosen | {"a_trade": article(chosen["trade"])}


def side_question(name: str, rng: random.Random) -> list[str]:
    """Return question, answer and summary of a side question that suits the topic."""
    table = read_words("dialogues")
    fits = table["side_topics"]
    known = [s for s in table["sides"] if name in fits.get(s, [name])]
    return rng.choice(table["sides"][rng.choice(known)])


def script(name: str, rng: random.Random) -> tuple[list[str], list[str], str]:
    """Return the templates of the turns and of the summary, and ids of the choices."""
    table, ids = read_words("dialogues"), []
    topic = table["topics"][name]

    def pick(pool: list) -> str:
        ids.append(str(rng.randrange(len(pool))))
        return pool[int(ids[-1])]

    opening = f"{rng.choice(table['greetings'])} {pick(topic['ask'])}".strip()
    turns = [opening, pick(topic["probe"])]
    turns.append(topic["detail"][int(ids[-1])])  # the answer to that very question
    outcome = pick(topic["outcomes"])
    turns.append(pick(outcome["answer"]))
    summary = [pick(outcome["summary"])]
    if rng.random() < SHARES["reaction"]:
        number = rng.randrange(len(outcome["reply"]))
        turns += [outcome["reply"][number], outcome["confirm"][number]]
    if rng.random() < SHARES["side"]:
        question, answer, about = side_question(name, rng)
        turns += [question, answer]
        summary.append(about)
    if rng.random() < SHARES["goodbye"]:
        turns += rng.choice(table["closings"])
    return turns, summary, "".join(ids)


def conversation(name: str, split: str, rng: random.Random) -> dict:
    """Return one conversation on a topic, without its id."""
    turns, summary, ids = script(name, rng)
    values_of = slots(split, rng)
    said = [sentence_case(fill(turn, values_of, rng)) for turn in turns]
    speakers = ("customer", "assistant")
    return {
        "turns": [{"speaker": speakers[i % 2], "text": t} for i, t in enumerate(said)],
        "summary": " ".join(sentence_case(fill(s, values_of, rng)) for s in summary),
        "topic": name,
        "wording": f"{name}/{ids}",
    }


def generate(seed: int = 0) -> dict[str, list[dict]]:
    """Return the splits of the conversations; all topics occur about equally often."""
    rng = random.Random(f"dialogues-{seed}")
    topics = list(read_words("dialogues")["topics"])
    splits = {}
    for split, size in SIZES.items():
        names = [topics[i % len(topics)] for i in range(size)]
        rng.shuffle(names)
        splits[split] = [
            {"id": f"{split}-{i:03}"} | conversation(name, split, rng)
            for i, name in enumerate(names)
        ]
    return splits
