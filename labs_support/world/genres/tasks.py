"""Genres with something to work out: sums, lists of solved examples, calls of tools."""

import json
from collections.abc import Callable

from labs_support.world import names
from labs_support.world.english import capital, plural
from labs_support.world.genres.exams import mark
from labs_support.world.genres.slots import table
from labs_support.world.genres.writer import Writer
from labs_support.world.shops import trades


def euros(value: float) -> str:
    """Return a number as it stands in a sum: 12 or 12.50."""
    return f"{value:.2f}" if value != int(value) else str(int(value))


def line(w: Writer, part: str, **given: str) -> str:
    """Return a sentence of a sum from words/stream_tales.yaml."""
    return capital(w.fill(w.rng.choice(table("tales", "sums", part)), **given))


def bill(w: Writer) -> tuple[list[str], list[str], str]:
    """Return the sentences, steps and answer of a sum about money."""
    number, price = w.rng.randint(2, 12), w.rng.randint(2, 60) / w.rng.choice([1, 1, 2])
    good = w.rng.choice(w.shop.words["goods"])
    given = {
        "things": plural(good),
        "thing": good,
        "p": w.shop.style.money(round(price * 100)),
    }
    text = [line(w, "buy", n=str(number), **given)]
    total = number * price
    steps = [f"{number} * {euros(price)} = {euros(total)}"]
    for part in w.rng.sample(["add", "minus"], w.rng.randint(0, 2)):
        most = 9 if part == "add" else max(1, int(total) // 2)
        amount = w.rng.randint(1, most)
        p = w.shop.style.money(amount * 100)
        text.append(line(w, part, p=p, thing=w.draw("good")))
        sign, after = ("+", total + amount) if part == "add" else ("-", total - amount)
        steps.append(f"{euros(total)} {sign} {amount} = {euros(after)}")
        total = after
    parts = [n for n in (2, 3, 4, 5, 6, 8) if total * 100 % n == 0]
    if parts and w.chance(0.35):
        number = w.rng.choice(parts)
        text.append(line(w, "split", n=str(number)))
        steps.append(f"{euros(total)} / {number} = {euros(total / number)}")
        return [*text, line(w, "ask_share")], steps, euros(total / number)
    return [*text, line(w, "ask_total")], steps, euros(total)


def stock(w: Writer) -> tuple[list[str], list[str], str]:
    """Return the sentences, steps and answer of a sum about stock."""
    rows, each = w.rng.randint(2, 12), w.rng.randint(2, 25)
    things = w["goods2"]
    text = [line(w, "stock", n=str(rows), m=str(each), things=things)]
    total, steps = rows * each, [f"{rows} * {each} = {rows * each}"]
    for part in w.rng.sample(["sold", "more"], w.rng.randint(1, 2)):
        change = (
            w.rng.randint(2, max(2, total - 1))
            if part == "sold"
            else w.rng.randint(2, 40)
        )
        after = total - change if part == "sold" else total + change
        text.append(line(w, part, k=str(change), things=things))
        steps.append(f"{total} {'-' if part == 'sold' else '+'} {change} = {after}")
        total = after
    return [*text, line(w, "ask_left", things=things)], steps, str(total)


def sums(w: Writer) -> str:
    """Return one to three sums with worked steps."""
    prefix = w.rng.choice(["Step {}: {}", "{}. {}", "{1}", "({}) {}"])
    last = w.rng.choice(["Answer: {}", "The answer is {}.", "= {}", "Result: {}"])
    blocks = []
    for _ in range(w.rng.randint(1, 3)):
        text, steps, answer = w.rng.choice([bill, bill, stock])(w)
        work = [prefix.format(i, step) for i, step in enumerate(steps, 1)]
        blocks.append("\n".join([" ".join(text), *work, last.format(mark(answer))]))
    return "\n\n".join(blocks)


def by_mood(w: Writer, which: int) -> str:
    """Return a good or bad opinion."""
    return w.say("review_good" if which else "review_bad").rstrip(".")


def by_food(w: Writer, which: int) -> str:
    """Return an article to eat, or another one."""
    pool = [t for t in trades().values() if ("food" in t) == bool(which)]
    return w.rng.choice(w.rng.choice(pool)["goods"])


def by_question(w: Writer, which: int) -> str:
    """Return a question or a statement about a shop."""
    w.voice = "you" if which else "we"
    fact = w.rng.choice(w.facts)
    return w.ask(fact) if which else w.sentence(fact)


def by_being(w: Writer, which: int) -> str:
    """Return an animal or a trade."""
    return w.fill("a {animalword}" if which else "a {job}")


def by_weather(w: Writer, which: int) -> str:
    """Return a clause about the weather or about the town."""
    return w.fill("{weather}" if which else "{town_line}")


def by_number(w: Writer, which: int) -> str:
    """Return an even or odd number."""
    return str(2 * w.rng.randint(1, 60) + which)


def by_name(w: Writer, which: int) -> str:
    """Return the name of a town or of a person."""
    return names.town(w.rng) if which else names.person(w.rng)


def by_time(w: Writer, which: int) -> str:
    """Return a price or a time."""
    style = w.shop.style
    amount = style.money(w.rng.randint(2, 90) * 50)
    return amount if which else style.time(w.rng.randint(7, 19), w.rng.choice([0, 30]))


LABELLED: tuple[Callable[[Writer, int], str], ...] = (
    by_mood, by_mood, by_food, by_question, by_being, by_weather, by_number, by_name,
    by_time,
)  # fmt: skip
REWRITES: dict[str, Callable[[str], str]] = {
    "animalword": plural,
    "object": str.upper,
    "job": lambda word: word[::-1],
    "season": lambda word: word.split()[-1],
    "feeling": lambda word: f"{word} {word}",
    "hobby": lambda word: word.split()[0],
    "adverb": lambda word: word.removesuffix("ly"),
}
FEW_LAYOUTS = (
    "{} -> {}", "{} => {}", "Input: {}\nOutput: {}", "Text: {}\nLabel: {}", "{} | {}",
    "{}\nType: {}", "Q: {}\nA: {}", "{} # {}",
)  # fmt: skip


def few_shot(w: Writer) -> str:
    """Return several solved examples of a small task in a row, then one more.

    The labels are invented anew for each list, so only the examples tell their meaning.
    """
    number = w.rng.randint(4, 12)
    if w.chance(0.25):
        slot = w.rng.choice(list(REWRITES))
        pool = table("pools", slot)
        words = w.rng.sample(pool, min(number, len(pool)))
        pairs = [(word, REWRITES[slot](word)) for word in words]
    else:
        task = w.rng.choice(LABELLED)
        labels = (names.label(w.rng), names.label(w.rng) + w.rng.choice("aeiou"))
        kinds = [0, 1] + [w.rng.randint(0, 1) for _ in range(number - 2)]
        w.rng.shuffle(kinds)
        pairs = [(task(w, kind), labels[kind]) for kind in kinds]
    layout = w.rng.choice(FEW_LAYOUTS)
    break_ = "\n\n" if "\n" in layout else "\n"
    return break_.join(layout.format(text, mark(label)) for text, label in pairs)


TOOLS = {
    "item_price": ("price", "item"),
    "item_stock": ("stock", "item"),
    "item_place": ("find_item", "item"),
    "item_supplier": ("supplier", "item"),
    "item_colour": ("details", "item"),
    "class_price": ("class_info", "cls"),
    "class_day": ("class_info", "cls"),
    "event_month": ("event_info", "event"),
    "opening_time": ("opening_hours", ""),
    "closing_day": ("opening_hours", ""),
    "delivery_fee": ("delivery", ""),
}


def tool_call(w: Writer) -> str:
    """Return a question, the JSON call of a tool, its result, and the answer."""
    roles = w.rng.choice(
        [
            ("User", "Call", "Result", "Assistant"),
            ("Customer", "Tool", "Output", "Clerk"),
        ]
    )
    blocks = []
    for _ in range(w.rng.randint(1, 3)):
        texts = calculation(w) if w.chance(0.25) else looked_up(w)
        blocks.append("\n".join(f"{r}: {t}" for r, t in zip(roles, texts, strict=True)))
    return "\n\n".join(blocks)


def looked_up(w: Writer) -> tuple[str, str, str, str]:
    """Return question, call, result and answer for a fact of the shop."""
    fact = w.rng.choice([f for f in w.facts if f.kind in TOOLS])
    tool, slot = TOOLS[fact.kind]
    arguments = {"cls": "class"}.get(slot, slot)
    call = {"tool": tool, "arguments": {arguments: fact.slots[slot]} if slot else {}}
    w.voice = "you"
    question = w.ask(fact)
    w.voice = "we"
    key = fact.kind.removeprefix("item_").removeprefix("class_")
    result = json.dumps({key: fact.value}, ensure_ascii=False)
    return question, mark(json.dumps(call)), result, w.sentence(fact)


def calculation(w: Writer) -> tuple[str, str, str, str]:
    """Return question, call of the calculator, result and answer for a sum."""
    text, steps, answer = bill(w)
    expression = steps[0].split(" = ")[0]
    for step in steps[1:]:
        operator, number = step.split(" = ")[0].split(" ", 1)[1].split(" ")
        left = f"({expression})" if operator == "/" else expression
        expression = f"{left} {operator} {number}"
    call = {"tool": "calculator", "arguments": {"expression": expression}}
    result = json.dumps({"value": float(answer)})
    return " ".join(text), mark(json.dumps(call)), result, f"It comes to {answer}."
