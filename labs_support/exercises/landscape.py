"""The exercises of lesson 01."""

import math
from collections import Counter
from random import Random

from labs_support.checks import Exercise, expect, expect_number

# --- 01.1


def _verify_q_update(attempt):
    dice = Random(1)
    cases = [
        (0.0, -1.0, [2.0, 5.0], 0.5),
        (4.0, 20.0, [], 0.25),
        (1.0, -1.0, [-3.0, -8.0], 0.5),
    ]
    cases += [
        (
            dice.uniform(-9, 9),
            -1.0,
            [dice.uniform(-9, 9) for _ in range(4)],
            dice.random(),
        )
        for _ in range(10)
    ]
    for old, reward, next_values, rate in cases:
        wanted = _q_update(old, reward, next_values, rate)
        got = attempt(old, reward, list(next_values), rate)
        expect_number(
            got,
            wanted,
            f"for old={old:.3g}, reward={reward:.3g}, next_values="
            f"{[round(v, 2) for v in next_values]}, rate={rate:.3g} it",
        )


def _q_update(old, reward, next_values, rate):
    target = reward + max(next_values, default=0.0)
    return old + rate * (target - old)


def _q_jumps_to_the_target(old, reward, next_values, rate):
    return reward + max(next_values, default=0.0)


def _q_adds_the_target(old, reward, next_values, rate):
    return old + rate * (reward + max(next_values, default=0.0))


def _q_takes_the_mean(old, reward, next_values, rate):
    ahead = sum(next_values) / len(next_values) if next_values else 0.0
    return old + rate * (reward + ahead - old)


def _q_never_below_zero(old, reward, next_values, rate):
    return old + rate * (reward + max([0.0, *next_values]) - old)


q_update = Exercise(
    id="01.1",
    title="One step of Q-learning",
    stars=1,
    minutes=4,
    verify=_verify_q_update,
    answer=_q_update,
    hints=(
        "First compute the target: the reward plus the best value of the next place.",
        "`max(next_values, default=0.0)` also works for an empty list.",
        "The new value is old + rate * (target - old): a step towards the target.",
    ),
    wrong={
        "replaces the old value": _q_jumps_to_the_target,
        "forgets to subtract the old value": _q_adds_the_target,
        "takes the mean of the next values": _q_takes_the_mean,
        "puts a zero among the next values": _q_never_below_zero,
    },
)

# --- 01.2

_POSITIVE = {"great": 0.3, "late": 0.1, "gift": 0.2}
_NEGATIVE = {"great": 0.1, "late": 0.4, "gift": 0.2}


def _verify_posterior(attempt):
    cases = [
        (["great"], 0.5),
        (["great", "late"], 0.5),
        (["gift"], 0.7),
        (["great", "harbour"], 0.5),
        ([], 0.2),
        (["late", "late", "great"], 0.9),
    ]
    for words, prior in cases:
        wanted = _posterior(words, _POSITIVE, _NEGATIVE, prior)
        got = attempt(list(words), dict(_POSITIVE), dict(_NEGATIVE), prior)
        expect_number(
            got,
            wanted,
            f"for the words {words} with prior {prior}, positive={_POSITIVE} and "
            f"negative={_NEGATIVE} it",
        )


def _posterior(words, positive, negative, prior):
    for_it, against = prior, 1 - prior
    for word in words:
        if word in positive and word in negative:
            for_it *= positive[word]
            against *= negative[word]
    return for_it / (for_it + against)


def _posterior_ignores_the_prior(words, positive, negative, prior):
    return _posterior(words, positive, negative, 0.5)


def _posterior_is_not_normalised(words, positive, negative, prior):
    return prior * math.prod(positive.get(word, 1) for word in words)


def _posterior_adds(words, positive, negative, prior):
    for_it = prior + sum(positive.get(word, 0) for word in words)
    against = 1 - prior + sum(negative.get(word, 0) for word in words)
    return for_it / (for_it + against)


def _posterior_zero_for_unknown(words, positive, negative, prior):
    for_it = prior * math.prod(positive.get(word, 0) for word in words)
    against = (1 - prior) * math.prod(negative.get(word, 1e-9) for word in words)
    return for_it / (for_it + against)


posterior = Exercise(
    id="01.2",
    title="A Bayesian belief",
    stars=2,
    minutes=5,
    verify=_verify_posterior,
    answer=_posterior,
    hints=(
        "Keep two numbers, one per label. They start as prior and 1 - prior.",
        "Each known word multiplies both numbers by its probability under that label.",
        "At the end divide the first number by the sum of both.",
    ),
    wrong={
        "forgets the prior": _posterior_ignores_the_prior,
        "forgets to divide by the sum": _posterior_is_not_normalised,
        "adds where it should multiply": _posterior_adds,
        "gives an unknown word the probability 0": _posterior_zero_for_unknown,
    },
)

# --- 01.3


def _key(row):
    return row["text"].lower()


def _rows(n_texts):
    rows = [{"text": f"review {i}", "label": i % 2} for i in range(n_texts)]
    copies = [{**row, "text": row["text"].upper()} for row in rows[: n_texts // 3]]
    return rows + copies


def _verify_split(attempt):
    rows = _rows(120)
    everything = Counter(row["text"] for row in rows)
    for seed in range(3):
        train, test = attempt(list(rows), 0.25, seed)
        expect(len(test) > 0, f"with seed {seed} the test part is empty")
        parts = Counter(row["text"] for row in train) + Counter(
            row["text"] for row in test
        )
        both = {row["text"] for row in train} & {row["text"] for row in test}
        expect(not both, f"with seed {seed}, {len(both)} texts stand in both parts")
        shared = {_key(r) for r in train} & {_key(r) for r in test}
        expect(
            not shared,
            f"with seed {seed}, {len(shared)} texts stand in both parts, once in capitals, "
            f"such as {min(shared, default='')!r}",
        )
        expect(
            parts == everything,
            f"of {len(rows)} rows {parts.total()} are left: every row belongs to one part",
        )
        share = len(test) / len(rows)
        expect(
            abs(share - 0.25) < 0.1, f"the test holds {share:.0%} of the rows, not 25 %"
        )
    first, second = (attempt(list(rows), 0.25, seed)[1] for seed in (0, 1))
    expect(
        {_key(r) for r in first} != {_key(r) for r in second},
        "seeds 0 and 1 give the same test rows: the split must be drawn at random",
    )


def _split_rows(rows, share, seed):
    import random

    keys = sorted({row["text"].lower() for row in rows})
    dice = random.Random(seed)
    held_out = set(dice.sample(keys, int(share * len(keys))))
    train = [row for row in rows if row["text"].lower() not in held_out]
    test = [row for row in rows if row["text"].lower() in held_out]
    return train, test


def _split_rows_starter(rows, share, seed):
    import random

    dice = random.Random(seed)
    test = dice.sample(rows, int(share * len(rows)))
    train = rows
    return train, test


def _split_compares_letters(rows, share, seed):
    test = Random(seed).sample(rows, int(share * len(rows)))
    return [row for row in rows if row not in test], test


def _split_drops_rows(rows, share, seed):
    test = Random(seed).sample(rows, int(share * len(rows)))
    held_out = {_key(row) for row in test}
    return [row for row in rows if _key(row) not in held_out], test


def _split_cuts_in_order(rows, share, seed):
    keys = sorted({_key(row) for row in rows})
    held_out = set(keys[: int(share * len(keys))])
    train = [row for row in rows if _key(row) not in held_out]
    return train, [row for row in rows if _key(row) in held_out]


split_rows = Exercise(
    id="01.3",
    title="Bug museum: the leaking split",
    stars=2,
    minutes=6,
    verify=_verify_split,
    answer=_split_rows,
    hints=(
        "Look at `train = rows`: which rows does the training part hold?",
        "Draw texts, not rows. Two rows with the same text must go the same way.",
        "Make a sorted list of the different texts in lower case, draw the held-out ones "
        "from it, then send each row to its part.",
    ),
    wrong={
        "compares rows letter by letter": _split_compares_letters,
        "throws the copies away": _split_drops_rows,
        "cuts without drawing": _split_cuts_in_order,
    },
    starter=_split_rows_starter,
)

# --- 01.4

_TEXT = "the red kite the red lamp the blue kite".split()


def _verify_bigram(attempt):
    cases = [
        ("red", "kite", 1),
        ("red", "drum", 1),
        ("kite", "the", 0.5),
        ("the", "red", 0.1),
    ]
    for before, word, k in cases:
        wanted = _bigram_probability(_TEXT, before, word, k)
        got = attempt(list(_TEXT), before, word, k)
        expect_number(
            got, wanted, f"P({word} | {before}) with k={k} in {' '.join(_TEXT)!r}"
        )


def _bigram_probability(words, before, word, k):
    pairs = list(zip(words, words[1:], strict=False))
    n_before = sum(first == before for first, _ in pairs)
    return (pairs.count((before, word)) + k) / (n_before + k * len(set(words)))


def _bigram_without_k(words, before, word, k):
    pairs = list(zip(words, words[1:], strict=False))
    return pairs.count((before, word)) / sum(first == before for first, _ in pairs)


def _bigram_adds_k_once_below(words, before, word, k):
    pairs = list(zip(words, words[1:], strict=False))
    n_before = sum(first == before for first, _ in pairs)
    return (pairs.count((before, word)) + k) / (n_before + k)


def _bigram_counts_the_last_word(words, before, word, k):
    pairs = list(zip(words, words[1:], strict=False))
    return (pairs.count((before, word)) + k) / (
        words.count(before) + k * len(set(words))
    )


def _bigram_divides_by_all_words(words, before, word, k):
    pairs = list(zip(words, words[1:], strict=False))
    return (pairs.count((before, word)) + k) / (len(pairs) + k * len(set(words)))


bigram_probability = Exercise(
    id="01.4",
    title="Bigrams that share",
    stars=2,
    minutes=4,
    verify=_verify_bigram,
    answer=_bigram_probability,
    hints=(
        "`list(zip(words, words[1:]))` holds all pairs of neighbours.",
        "The last word of the text begins no pair, so it does not count as first of one.",
        "Below the line stands the count of pairs that begin with `before`, plus k times "
        "`len(set(words))`.",
    ),
    wrong={
        "does not smooth": _bigram_without_k,
        "adds k only once below the line": _bigram_adds_k_once_below,
        "counts the last word of the text": _bigram_counts_the_last_word,
        "divides by all pairs": _bigram_divides_by_all_words,
    },
)

# --- 01.5

_PROBLEMS = (
    ("predict late deliveries from past ones", "supervised"),
    ("group customers whom nobody has labelled", "unsupervised"),
    ("find a price by trial and reward", "reinforcement"),
    ("find cracked vases in photos", "vision"),
    ("draft a reply to a customer", "generative"),
)
_FAMILIES = tuple(family for _, family in _PROBLEMS)
_SIGNS = {
    "supervised": "every example carries its answer",
    "unsupervised": "there are examples and no answers",
    "reinforcement": "there is a reward and nothing else",
    "vision": "the examples are pictures",
    "generative": "the outcome is new text",
}


def _verify_families(attempt):
    names = attempt()
    expect(
        isinstance(names, list | tuple) and len(names) == 5,
        "return a list of five names in the order of the problems, such as "
        f'["supervised", ...], not {names!r:.60}',
    )
    for number, (name, (problem, family)) in enumerate(
        zip(names, _PROBLEMS, strict=True), 1
    ):
        expect(
            name in _FAMILIES,
            f"{name!r} is no name of a family; the names are {', '.join(_FAMILIES)}",
        )
        expect(
            name == family,
            f"problem {number}, {problem}, is not {name}: {_SIGNS[family]}",
        )


def _families():
    return ["supervised", "unsupervised", "reinforcement", "vision", "generative"]


def _families_group_with_answers():
    return ["unsupervised", "supervised", "reinforcement", "vision", "generative"]


def _families_price_from_answers():
    return ["reinforcement", "unsupervised", "supervised", "vision", "generative"]


def _families_generate_everything():
    return ["generative"] * 5


def _families_in_one_text():
    return ", ".join(_FAMILIES)


families = Exercise(
    id="01.5",
    title="Which family?",
    stars=1,
    minutes=3,
    verify=_verify_families,
    answer=_families,
    hints=(
        "Ask first what the examples carry: an answer, nothing, or a reward?",
        "Past deliveries say whether they were late. No customer carries a group.",
        "Each of the five names is used once; photos and replies give two of them away.",
    ),
    wrong={
        "swaps with and without answers": _families_group_with_answers,
        "swaps answers and rewards": _families_price_from_answers,
        "takes everything for generative AI": _families_generate_everything,
        "returns one text": _families_in_one_text,
    },
)

ALL = (q_update, posterior, split_rows, bigram_probability, families)
