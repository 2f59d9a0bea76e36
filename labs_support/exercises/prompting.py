"""The exercises of lesson 05: decoding, prompts, scores, and two silent errors."""

import random
import re
from collections import Counter

import torch

from labs_support.checks import Exercise, Wrong, expect, expect_number


def _number(got):
    """Return a tensor of one number as a number, anything else as it is."""
    is_single = isinstance(got, torch.Tensor) and got.numel() == 1
    return got.item() if is_single else got


# --- 05.1 which settings were used?


def _verify_smallest(attempt):
    for probs, kept, wanted in (
        ([0.5, 0.3, 0.2], [0, 1], 0.5),
        ([0.1, 0.2, 0.4, 0.3], [1, 2, 3], 0.7),
        ([0.25, 0.6, 0.15], [1], 0.0),
        ([0.2, 0.5, 0.3], [0, 1, 2], 0.8),
    ):
        allowed = torch.zeros(len(probs), dtype=torch.bool)
        allowed[kept] = True
        got = _number(attempt(torch.tensor(probs, dtype=torch.double), allowed))
        expect_number(got, wanted, f"for probs {probs} and allowed places {kept} it")


def _smallest(probs, allowed):
    kept = probs[allowed]
    return (kept.sum() - kept.min()).item()


def _smallest_whole_mass(probs, allowed):
    return probs[allowed].sum().item()


def _smallest_without_the_last(probs, allowed):
    return probs[allowed][:-1].sum().item()


def _smallest_probability(probs, allowed):
    return probs[allowed].min().item()


def _smallest_of_the_forbidden(probs, allowed):
    return probs[~allowed].sum().item()


smallest = Exercise(
    id="05.1",
    title="Which settings were used?",
    stars=1,
    minutes=4,
    verify=_verify_smallest,
    answer=_smallest,
    hints=(
        "probs[allowed] are the probabilities of the tokens that are left.",
        "The least likely of them crossed the line: before it, the mass was too small.",
        "Their sum minus the smallest of them.",
    ),
    wrong={
        "the mass of all that are left": _smallest_whole_mass,
        "leaves out the last place, not the least likely": _smallest_without_the_last,
        "the probability of the least likely token": _smallest_probability,
        "the mass of the forbidden tokens": _smallest_of_the_forbidden,
    },
)


# --- 05.2 as many examples as fit


def _verify_fitting(attempt):
    for costs, query, room, window, wanted in (
        ([30, 30, 30], 20, 5, 100, 2),
        ([30, 30, 30], 20, 5, 115, 3),
        ([30, 30, 30], 20, 5, 85, 2),
        ([50, 10, 10], 20, 5, 60, 0),
        ([30, 60, 5], 20, 5, 70, 1),
        ([], 20, 5, 25, 0),
    ):
        got = attempt(list(costs), query, room, window)
        given = f"costs {costs}, query {query}, room {room}, window {window}"
        expect(got == wanted, f"with {given} it should be {wanted}, not {got!r}")
    try:
        got = attempt([10], 20, 5, 24)
    except ValueError:
        return
    raise Wrong(
        f"a query of 20 and room of 5 do not fit into 24: raise ValueError, not {got!r}"
    )


def _fitting(costs, query, room, window):
    free = window - query - room
    if free < 0:
        raise ValueError(f"query and answer need {query + room} tokens of {window}")
    for n, cost in enumerate(costs):
        free -= cost
        if free < 0:
            return n
    return len(costs)


def _fitting_without_room(costs, query, room, window):
    return _fitting(costs, query, 0, window)


def _fitting_any(costs, query, room, window):
    free, n = window - query - room, 0
    if free < 0:
        raise ValueError("too long")
    for cost in costs:
        if cost <= free:
            free, n = free - cost, n + 1
    return n


def _fitting_strictly(costs, query, room, window):
    return _fitting(costs, query, room, window - 1)


def _fitting_never_raises(costs, query, room, window):
    n = len(costs)
    while n > 0 and query + room + sum(costs[:n]) > window:
        n -= 1
    return n


fitting = Exercise(
    id="05.2",
    title="As many examples as fit",
    stars=2,
    minutes=5,
    verify=_verify_fitting,
    answer=_fitting,
    hints=(
        "What is free for examples: window - query - room.",
        "Walk through the costs, subtract each, and stop at the first that is too much.",
        "Before the walk: if what is free is below 0, raise ValueError.",
    ),
    wrong={
        "leaves no room for the answer": _fitting_without_room,
        "skips a long example and goes on": _fitting_any,
        "one token is always left over": _fitting_strictly,
        "says nothing when the query is too long": _fitting_never_raises,
    },
)


# --- 05.3 the last number counts


def _verify_final(attempt):
    for text, wanted in (
        ("3 x 4 = 12. Answer: 12.50 euros", 12.5),
        ("Answer: 7", 7.0),
        ("First 5, then 9.", 9.0),
        ("about 1,200", 1200.0),
        ("Answer: 3. No: Answer: 4. That is 2 more.", 4.0),
        ("Answer: 16.50.", 16.5),
        ("I do not know.", None),
    ):
        got = attempt(text)
        if wanted is None:
            expect(got is None, f"for {text!r} it should be None, not {got!r}")
        else:
            expect_number(got, wanted, f"for {text!r} it")


def _final(text):
    number = r"\d[\d,]*(?:\.\d+)?"
    _, mark, after = text.rpartition("Answer:")
    found = re.findall(number, after)
    if not found:
        return None
    return float((found[0] if mark else found[-1]).replace(",", ""))


def _final_first(text):
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
    return float(found[0].replace(",", "")) if found else None


def _final_last(text):
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", text)
    return float(found[-1].replace(",", "")) if found else None


def _final_whole(text):
    _, mark, after = text.rpartition("Answer:")
    found = re.findall(r"\d+", after)
    return float(found[0] if mark else found[-1]) if found else None


def _final_first_mark(text):
    _, mark, after = text.partition("Answer:")
    found = re.findall(r"\d[\d,]*(?:\.\d+)?", after if mark else text)
    return float((found[0] if mark else found[-1]).replace(",", "")) if found else None


final = Exercise(
    id="05.3",
    title="The last number counts",
    stars=1,
    minutes=5,
    verify=_verify_final,
    answer=_final,
    hints=(
        "text.rpartition('Answer:') gives what stands after the last mark; without a "
        "mark, that is the whole text.",
        r"re.findall(r'\d[\d,]*(?:\.\d+)?', ...) finds numbers, 1,200 and 12.50 too.",
        "After a mark the first number counts, else the last; float() wants no commas.",
    ),
    wrong={
        "the first number of the text": _final_first,
        "the last number, whatever the mark says": _final_last,
        "stops at the decimal point": _final_whole,
        "looks after the first mark": _final_first_mark,
    },
)


# --- 05.4 clip it yourself


def _verify_clipping(attempt):
    cat = "the cat is on the mat".split()
    for candidate, reference, wanted in (
        (["the"] * 7, cat, 2 / 7),
        (["the", "mat"], cat, 1.0),
        (["a", "dog"], cat, 0.0),
        (cat, ["the", "cat"], 2 / 6),
        ([], cat, 0.0),
        (["the"], [], 0.0),
    ):
        got = attempt(list(candidate), list(reference))
        given = f"{' '.join(candidate)!r} against {' '.join(reference)!r}"
        expect_number(got, wanted, given)


def _clipping(candidate, reference):
    shared = (Counter(candidate) & Counter(reference)).total()
    return shared / max(len(candidate), 1)


def _clipping_without(candidate, reference):
    return sum(word in reference for word in candidate) / max(len(candidate), 1)


def _clipping_kinds(candidate, reference):
    return len(set(candidate) & set(reference)) / max(len(set(candidate)), 1)


def _clipping_recall(candidate, reference):
    shared = (Counter(candidate) & Counter(reference)).total()
    return shared / max(len(reference), 1)


def _clipping_empty(candidate, reference):
    return (Counter(candidate) & Counter(reference)).total() / len(candidate)


clipping = Exercise(
    id="05.4",
    title="Clip it yourself",
    stars=2,
    minutes=5,
    verify=_verify_clipping,
    answer=_clipping,
    hints=(
        "Counter(words) says how often each word occurs.",
        "Counter(a) & Counter(b) keeps the smaller number of each word.",
        "(Counter(candidate) & Counter(reference)).total(), divided by the length of the "
        "candidate, or by 1 if it is empty.",
    ),
    wrong={
        "counts every repetition": _clipping_without,
        "counts different words only": _clipping_kinds,
        "divides by the reference: that is recall": _clipping_recall,
        "an empty candidate divides by zero": _clipping_empty,
    },
)


# --- 05.5 ask twice


def _verify_twice(attempt):
    first = torch.tensor([[-1.0, -2.0], [-3.0, -1.0], [-0.5, -4.0], [-2.0, -1.0]])
    second = torch.tensor([[-2.0, -1.0], [-1.0, -3.0], [-1.0, -3.0], [-5.0, -1.0]])
    got = attempt(first, second)
    got = got.tolist() if isinstance(got, torch.Tensor) else got
    expect(isinstance(got, list), f"return a list, not a {type(got).__name__}")
    expect(len(got) == 4, f"4 pairs should get 4 verdicts, not {len(got)}")
    expect(got[0] == 0, f"reply 1 wins as A and as B: that is 0, not {got[0]}")
    expect(got[1] == 1, f"reply 2 wins as B and as A: that is 1, not {got[1]}")
    expect(
        got[2] == -1,
        f"A wins whoever stands there: no verdict, -1, not {got[2]}",
    )
    expect(
        got[3] == -1,
        f"B wins whoever stands there: no verdict, -1, not {got[3]}",
    )


def _twice(first, second):
    one = first.argmax(dim=1)  # 0 where reply 1, as A, wins
    two = 1 - second.argmax(dim=1)  # 0 where reply 1, as B, wins
    return torch.where(one == two, one, -1).tolist()


def _twice_without_swap(first, second):
    one, two = first.argmax(dim=1), second.argmax(dim=1)
    return torch.where(one == two, one, -1).tolist()


def _twice_added(first, second):
    return (first + second.flip(1)).argmax(dim=1).tolist()


def _twice_first_only(first, second):
    return first.argmax(dim=1).tolist()


twice = Exercise(
    id="05.5",
    title="Ask twice",
    stars=2,
    minutes=5,
    verify=_verify_twice,
    answer=_twice,
    hints=(
        "first.argmax(dim=1) is 0 where the letter A wins, and there A is reply 1.",
        "In second, A is reply 2: exchange 0 and 1 before you compare.",
        "torch.where(one == two, one, -1).tolist()",
    ),
    wrong={
        "forgets that the replies have changed places": _twice_without_swap,
        "adds the scores, so that every pair gets a verdict": _twice_added,
        "uses one order only": _twice_first_only,
    },
)


# --- 05.6 agreement beyond chance


def _verify_kappa(attempt):
    from sklearn.metrics import cohen_kappa_score

    expect_number(attempt(["y", "n"] * 3, ["y", "n"] * 3), 1.0, "for equal lists kappa")
    got = attempt(["y"] * 9 + ["n"], ["y"] * 10)
    expect_number(got, 0.0, "where b says y ten times and a nine times, kappa")
    expect_number(attempt(["y"] * 4, ["y"] * 4), 0.0, "where all labels are y, kappa")
    rng = random.Random(5)
    for labels in ("yn", "abc"):
        a = rng.choices(labels, k=60)
        b = [x if rng.random() < 0.6 else rng.choice(labels) for x in a]
        wanted = float(cohen_kappa_score(a, b))
        expect_number(attempt(a, b), wanted, f"for 60 labels of {labels!r} kappa")


def _kappa(a, b):
    p = sum(x == y for x, y in zip(a, b, strict=True)) / len(a)
    e = sum(a.count(label) * b.count(label) for label in set(a)) / len(a) ** 2
    return (p - e) / (1 - e) if e < 1 else 0.0


def _kappa_plain(a, b):
    return sum(x == y for x, y in zip(a, b, strict=True)) / len(a)


def _kappa_even_chance(a, b):
    p, e = _kappa_plain(a, b), 1 / len(set(a) | set(b))
    return (p - e) / (1 - e) if e < 1 else 0.0


def _kappa_one_sided(a, b):
    p = _kappa_plain(a, b)
    e = sum(a.count(label) ** 2 for label in set(a)) / len(a) ** 2
    return (p - e) / (1 - e) if e < 1 else 0.0


def _kappa_not_scaled(a, b):
    return (
        _kappa_plain(a, b)
        - sum(a.count(label) * b.count(label) for label in set(a)) / len(a) ** 2
    )


kappa = Exercise(
    id="05.6",
    title="Agreement beyond chance",
    stars=2,
    minutes=6,
    verify=_verify_kappa,
    answer=_kappa,
    hints=(
        "p is the mean of x == y over the pairs.",
        "a.count(label) / len(a) is the share of a label; e sums the products over labels.",
        "(p - e) / (1 - e), and 0 where e is 1.",
    ),
    wrong={
        "plain agreement": _kappa_plain,
        "every label equally likely by chance": _kappa_even_chance,
        "takes the shares of one labeller only": _kappa_one_sided,
        "does not divide by what was possible": _kappa_not_scaled,
    },
)


# --- 05.7 bug museum: examples from the test split


def _rows_of_three_splits():
    """Return rows, test ones first; one text of the test split occurs in training."""
    rows = [
        {"text": f"test text {i}", "label": "good", "split": "test"} for i in range(5)
    ]
    train = ["Test text 3.", "train text 0", "train text 1", "train text 2"]
    rows += [{"text": text, "label": "bad", "split": "train"} for text in train]
    rows.insert(6, {"text": "other text", "label": "bad", "split": "validation"})
    return rows


def _verify_test_shots(attempt):
    rows = _rows_of_three_splits()
    got = attempt(rows, 2)
    expect(
        isinstance(got, list) and len(got) == 2,
        f"asked for 2 examples it should return a list of 2, not {got!r}",
    )
    texts = [text for text, _ in got]
    leaks = [t for t in texts if t.startswith("test")]
    expect(not leaks, f"{leaks and leaks[0]!r} is a row of the test split")
    expect("other text" not in texts, "'other text' belongs to the validation split")
    expect(
        "Test text 3." not in texts,
        "'Test text 3.' is in the training split, and but for case and punctuation it is "
        "also a test text",
    )
    wanted = [("train text 0", "bad"), ("train text 1", "bad")]
    expect(got == wanted, f"the first two that are left are {wanted}, not {got}")
    n = len(attempt(rows, 9))
    expect(n == 3, f"asked for 9 where 3 are left it should be those 3, not {n}")


def _shots_from_anywhere(rows, n):
    """Return n examples for a prompt, (text, label) each."""
    return [(row["text"], row["label"]) for row in rows[:n]]


def _same(text):
    return " ".join(re.findall(r"\w+", text.lower()))


def _test_shots(rows, n):
    def plain(text):
        return " ".join(re.findall(r"\w+", text.lower()))

    tested = {plain(row["text"]) for row in rows if row["split"] == "test"}
    allowed = [
        row
        for row in rows
        if row["split"] == "train" and plain(row["text"]) not in tested
    ]
    return [(row["text"], row["label"]) for row in allowed[:n]]


def _shots_of_train(rows, n):
    kept = [row for row in rows if row["split"] == "train"]
    return [(row["text"], row["label"]) for row in kept[:n]]


def _shots_not_of_test(rows, n):
    tested = {_same(row["text"]) for row in rows if row["split"] == "test"}
    kept = [row for row in rows if _same(row["text"]) not in tested]
    return [(row["text"], row["label"]) for row in kept[:n]]


def _shots_exact_spelling(rows, n):
    tested = {row["text"] for row in rows if row["split"] == "test"}
    kept = [r for r in rows if r["split"] == "train" and r["text"] not in tested]
    return [(row["text"], row["label"]) for row in kept[:n]]


def _shots_cut_first(rows, n):
    return _test_shots(rows[:n], n)


test_shots = Exercise(
    id="05.7",
    title="Bug museum: examples from the test split",
    stars=2,
    minutes=5,
    verify=_verify_test_shots,
    answer=_test_shots,
    hints=(
        "Which split do the first rows come from?",
        "Keep rows of the split 'train', then leave out those whose text is a test text.",
        "Compare texts without case and punctuation: ' '.join(re.findall(r'\\w+', "
        "text.lower())).",
    ),
    wrong={
        "forgets that a test text may also be in training": _shots_of_train,
        "takes examples from the validation split": _shots_not_of_test,
        "compares texts letter by letter": _shots_exact_spelling,
        "cuts the rows before it filters": _shots_cut_first,
    },
    starter=_shots_from_anywhere,
)


# --- 05.8 bug museum: cut in silence


def _verify_silent_cut(attempt):
    order, asked = [1, 2], [90, 91, 92]
    examples = [[10, 11], [20, 21, 22], [30, 31]]

    def ask(window):
        return list(
            attempt(list(order), [list(e) for e in examples], list(asked), window)
        )

    got = ask(12)
    expect(
        got == [1, 2, 10, 11, 20, 21, 22, 30, 31, 90, 91, 92],
        f"where all of it fits into 12, nothing should change: {got}",
    )
    for window, wanted in (
        (11, [1, 2, 20, 21, 22, 30, 31, 90, 91, 92]),
        (9, [1, 2, 30, 31, 90, 91, 92]),
        (7, [1, 2, 30, 31, 90, 91, 92]),
        (5, [1, 2, 90, 91, 92]),
    ):
        got = ask(window)
        expect(
            got[-3:] == asked,
            f"in a window of {window} the question [90, 91, 92] is lost: {got}",
        )
        expect(
            got == wanted, f"in a window of {window} it should be {wanted}, not {got}"
        )
    try:
        got = ask(4)
    except ValueError:
        return
    raise Wrong(
        "instructions and question have 5 tokens and the window 4: raise ValueError, "
        f"instead of {got}"
    )


def _prompt_cut_at_the_end(instructions, examples, question, window):
    """Return the tokens of a prompt."""
    tokens = list(instructions)
    for example in examples:
        tokens += example
    tokens += question
    return tokens[:window]


def _silent_cut(instructions, examples, question, window):
    free = window - len(instructions) - len(question)
    if free < 0:
        raise ValueError(f"the question does not fit into {window} tokens: shorten it")
    kept = list(examples)
    while sum(map(len, kept)) > free:
        kept.pop(0)
    return [*instructions, *(token for e in kept for token in e), *question]


def _cut_at_the_start(instructions, examples, question, window):
    tokens = [*instructions, *(token for e in examples for token in e), *question]
    return tokens[-window:]


def _cut_the_newest(instructions, examples, question, window):
    free = window - len(instructions) - len(question)
    if free < 0:
        raise ValueError("too long")
    kept = list(examples)
    while sum(map(len, kept)) > free:
        kept.pop()
    return [*instructions, *(token for e in kept for token in e), *question]


def _cut_an_example(instructions, examples, question, window):
    free = window - len(instructions) - len(question)
    if free < 0:
        raise ValueError("too long")
    middle = [token for e in examples for token in e]
    return [*instructions, *middle[len(middle) - free if free < len(middle) else 0 :],
            *question]  # fmt: skip


def _cut_never_raises(instructions, examples, question, window):
    kept = list(examples)
    room = window - len(instructions) - len(question)
    while kept and sum(map(len, kept)) > room:
        kept.pop(0)
    return [*instructions, *(token for e in kept for token in e), *question]


silent_cut = Exercise(
    id="05.8",
    title="Bug museum: cut in silence",
    stars=1,
    minutes=5,
    verify=_verify_silent_cut,
    answer=_silent_cut,
    hints=(
        "What stands at the end of the tokens, where tokens[:window] cuts?",
        "Free for examples: window - len(instructions) - len(question); below 0, raise.",
        "While the examples are longer than what is free, kept.pop(0).",
    ),
    wrong={
        "cuts at the start, so the instructions go": _cut_at_the_start,
        "drops the newest examples": _cut_the_newest,
        "cuts an example in the middle": _cut_an_example,
        "says nothing when the question is too long": _cut_never_raises,
    },
    starter=_prompt_cut_at_the_end,
)

ALL: tuple[Exercise, ...] = (
    smallest,
    fitting,
    final,
    clipping,
    twice,
    kappa,
    test_shots,
    silent_cut,
)
