"""Genres about the things a shop sells: product, review, price list, recipe, ..."""

from labs_support.world.english import capital
from labs_support.world.facts import Fact
from labs_support.world.genres.slots import table
from labs_support.world.genres.writer import Writer, topics


def product(w: Writer) -> str:
    """Return a product description."""
    item = w.rng.choice(w.shop.items)
    own = [f for f in w.facts if f.slots.get("item") == item.name]
    chosen = w.rng.sample(own, min(w.rng.randint(2, 5), w.limit, len(own)))
    w.has_pronouns = True
    parts = [w.sentence(f) for f in chosen]
    w.has_pronouns = False
    parts.append(w.say("product", "care", item=item.name))
    w.rng.shuffle(parts)
    parts.insert(0, w.say("product", "intro", item=item.name))
    if w.chance(0.6):
        parts.append(w.say("product", "end"))
    head = f"{capital(item.name)}\n" if w.chance(0.6) else ""
    return head + " ".join(parts)


def review(w: Writer) -> str:
    """Return a customer's review, with stars or a verdict."""
    w.voice = w.rng.choice(["they", "shop"])
    stars = w.rng.choice([1, 1, 2, 3, 4, 4, 5, 5])
    if stars == 3:
        lines = w.say_many(1, "review_good") + w.say_many(2, "review_bad")
    else:
        lines = w.say_many(
            w.rng.randint(2, 4), f"review_{'good' if stars > 3 else 'bad'}"
        )
    for fact in w.take(w.rng.randint(0, 2)):
        lines.insert(w.rng.randint(0, len(lines)), w.sentence(fact, "open_third"))
    rating = w.rng.choice(
        [
            "*" * stars,
            f"{stars}/5",
            f"{stars} star{'s' * (stars > 1)}",
            f"Rating: {stars} of 5",
            "Verdict: "
            + ("negative", "negative", "mixed", "positive", "positive")[stars - 1],
        ]
    )
    text = " ".join(dict.fromkeys(lines))
    author = f"\n{w['first']}, {w['town']}" if w.chance(0.4) else ""
    order = (rating, text) if w.chance(0.5) else (text, rating)
    return f"Review of {w.shop.name}\n" + "\n".join(order) + author


def price_list(w: Writer) -> str:
    """Return a receipt, a price list or a stock list as a table."""
    facts = [f for f in w.facts if f.kind == "item_price"][: w.rng.randint(2, 6)]
    layout = w.rng.choice(["{} - {}", "{}: {}", "| {} | {} |", "{};{}", "{} ... {}"])
    w.stated.extend(facts)
    lines = [layout.format(f.slots["item"], f.value) for f in facts]
    if w.chance(0.5):
        return receipt(w, facts, layout)
    head = w.rng.choice(
        ["Price list", "What it costs", "Prices from {month}", "Our prices"]
    )
    header = ["| article | price |", "|---|---|"] if layout[0] == "|" else []
    end = [w.sentence(f) for f in w.take(1, *topics()["money"])]
    return "\n".join([f"{w.fill(head)}, {w.shop.name}", *header, *lines, *end])


def receipt(w: Writer, facts: list[Fact], layout: str) -> str:
    """Return a receipt that adds up."""
    prices = {i.name: i.price for i in w.shop.items}
    total, lines = 0, []
    for fact in facts:
        number = w.rng.choice([1, 1, 1, 2, 3])
        cost = prices[fact.slots["item"]] * number
        total += cost
        label = f"{number} x {fact.slots['item']} at {fact.value}"
        lines.append(layout.format(label, w.shop.style.money(cost)))
    paid = w.rng.choice(["cash", "card", "voucher", "transfer"])
    sum_line = layout.format(
        w.rng.choice(["total", "to pay", "sum"]), w.shop.style.money(total)
    )
    head = f"{w.shop.name}, {w.shop.town}\nReceipt {w.rng.randint(100, 9999)}"
    end = f"Paid by {paid}. You were served by {w['first']}."
    return "\n".join([head, *lines, sum_line, end, w.say("page", "end")])


def howto(w: Writer) -> str:
    """Return care instructions or another how-to, in steps."""
    words, item = w.shop.words, w.rng.choice(w.shop.items).name
    begin, end = (table("genres", "howto", part) for part in ("begin", "end"))
    steps = w.rng.sample(begin, w.rng.randint(0, 2))
    steps += w.rng.sample(words["care"], w.rng.randint(2, 4))
    steps += [w.fill(step) for step in w.rng.sample(end, w.rng.randint(0, 2))]
    head = w.say("howto", "title", item=item)
    intro = w.say("howto", "intro")
    own = [f for f in w.facts if f.slots.get("item") == item]
    extra = [w.sentence(f) for f in w.rng.sample(own, w.rng.randint(0, 2))]
    tail = [*extra, *([w.say("howto", "warn")] if w.chance(0.4) else [])]
    return "\n".join([head, intro, *numbered(w, steps), *tail])


def numbered(w: Writer, steps: list[str]) -> list[str]:
    """Return steps as a numbered list, or as sentences with first, then, finally."""
    if w.chance(0.6):
        mark = w.rng.choice(["{}. ", "Step {}: ", "{}) "])
        return [mark.format(i) + capital(step) + "." for i, step in enumerate(steps, 1)]
    middle = ["Then", "Next", "After that", "Now", "When this is done"]
    order = [w.rng.choice(middle) for _ in steps]
    order[0], order[-1] = (
        "First",
        w.rng.choice(["Finally", "At the end", "As a last step"]),
    )
    return [" ".join(f"{o}, {step}." for o, step in zip(order, steps, strict=True))]


def recipe(w: Writer) -> str:
    """Return a recipe with ingredients and steps."""
    dish = w.rng.choice(table("genres", "recipe", "dishes"))
    things = w.rng.sample(table("genres", "recipe", "things"), 3)
    stuffs = w.rng.sample(table("genres", "recipe", "stuffs"), 3)
    spice = w.rng.choice(table("genres", "recipe", "spices"))
    needs = [f"{w.rng.randint(2, 9)} {thing}" for thing in things]
    needs += [f"{w.rng.randint(2, 40) * 10} g {stuff}" for stuff in stuffs]
    lines = table("genres", "recipe", "steps")
    lines = [
        lines[i] for i in sorted(w.rng.sample(range(len(lines)), w.rng.randint(4, 7)))
    ]
    steps = [
        w.fill(x, a=w.rng.choice(things), b=w.rng.choice(stuffs), spice=spice)
        for x in lines
    ]
    head = w.say("recipe", "title", dish=dish)
    list_ = (
        [f"- {n}" for n in needs]
        if w.chance(0.5)
        else [f"You need {', '.join(needs)}."]
    )
    tail = [w.filler("weather", "town_line", "honesty")] if w.chance(0.3) else []
    return "\n".join([capital(head), *list_, *numbered(w, steps), *tail])


def glossary(w: Writer) -> str:
    """Return words of the trade and what they mean."""
    terms = [
        t.split(" = ") for t in w.rng.sample(w.shop.words["terms"], w.rng.randint(2, 4))
    ]
    layout = w.rng.choice(
        ["{}: {}.", "**{}** {}", "{} means {}.", "What is meant by {}? {}.", "{} - {}"]
    )
    lines = [layout.format(term, meaning) for term, meaning in sorted(terms)]
    if layout.startswith("What"):
        lines = [layout.format(t, capital(m)) for t, m in terms]
    head = w.rng.choice(
        ["Words of the trade", "Glossary", "What {trader}s say", "Terms"]
    )
    term, meaning = w.rng.choice(terms)
    tail = [f"Which word means {meaning}? {capital(term)}."] if w.chance(0.4) else []
    end = (
        [w.fill("You will hear these words wherever people {do}.")]
        if w.chance(0.4)
        else []
    )
    return "\n".join([f"{w.fill(head)} ({w.shop.name})", *lines, *tail, *end])


def table_of(w: Writer) -> str:
    """Return a table of articles, classes or events with some of their facts."""
    subject, kinds = w.rng.choice(TABLES)
    rows: dict[str, dict[str, Fact]] = {}
    for fact in w.facts:
        if fact.kind in kinds:
            rows.setdefault(fact.slots[subject], {})[fact.kind] = fact
    kinds = [k for k in kinds if all(k in row for row in rows.values())]
    chosen = w.rng.sample(kinds, min(len(kinds), w.rng.randint(1, 4)))
    lines = [[COLUMNS[subject], *(COLUMNS[k] for k in chosen)]]
    for name, row in list(rows.items())[: max(1, w.limit)]:
        lines.append([name, *(row[k].value for k in chosen)])
        w.stated.extend(row[k] for k in chosen)
    if w.chance(0.3):
        return "\n".join([w.shop.name, *("; ".join(line) for line in lines)])
    lines.insert(1, ["---"] * len(lines[0]))
    head = w.say("page", "title") + "\n\n" if w.chance(0.5) else ""
    return head + "\n".join(f"| {' | '.join(line)} |" for line in lines)


TABLES = (
    (
        "item",
        ["item_price", "item_stock", "item_weight", "item_place", "item_supplier"],
    ),
    ("item", ["item_price", "item_material", "item_colour", "item_year", "item_age"]),
    ("cls", ["class_price", "class_day", "class_size", "class_teacher"]),
    ("event", ["event_month", "event_place"]),
    ("group", ["discount"]),
)
COLUMNS = {
    "item": "article",
    "cls": "class",
    "event": "event",
    "group": "who",
    "discount": "discount",
    "class_price": "price",
    "class_day": "day",
    "class_size": "places",
    "class_teacher": "teacher",
    "event_month": "month",
    "event_place": "where",
    "item_price": "price",
    "item_stock": "in stock",
    "item_weight": "weight",
    "item_place": "where",
    "item_supplier": "supplier",
    "item_material": "material",
    "item_colour": "colour",
    "item_year": "since",
    "item_age": "from age",
}
