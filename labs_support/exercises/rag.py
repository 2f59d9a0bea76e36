"""The exercises of lesson 08: cutting, budgets, scores, filters, and two silent errors."""

import hashlib
import textwrap

import numpy as np

from labs_support.checks import Exercise, expect, expect_number


def _shown(value: object) -> str:
    return textwrap.shorten(repr(value), 120)


# --- 08.1 windows that overlap


def _verify_windows(attempt):
    letters = list("abcdefghij")
    cases = [
        (7, 4, 1, ["abcd", "defg"]),
        (6, 3, 0, ["abc", "def"]),
        (8, 4, 1, ["abcd", "defg", "gh"]),
        (9, 4, 2, ["abcd", "cdef", "efgh", "ghi"]),
        (2, 5, 2, ["ab"]),
        (5, 5, 4, ["abcde"]),
    ]
    for n, size, overlap, wanted in cases:
        case = f"{n} letters, size {size}, overlap {overlap}"
        got = attempt(letters[:n], size, overlap)
        expect(isinstance(got, list), f"{case}: return a list, not {_shown(got)}")
        joined = ["".join(window) for window in got]
        missing = [c for c in letters[:n] if not any(c in w for w in joined)]
        expect(not missing, f"{case}: {', '.join(missing)} got lost; you gave {joined}")
        copies = [b for a, b in zip(joined, joined[1:], strict=False) if b in a]
        expect(not copies, f"{case}: {copies} holds nothing that the one before lacks")
        expect(joined == wanted, f"{case} should give {wanted}, not {joined}")
        expect(
            all(isinstance(window, list) for window in got),
            f"{case}: every window should be a list of words",
        )
    expect(attempt([], 4, 1) == [], "no words should give no windows: []")


def _windows(words, size, overlap):
    found = []
    for start in range(0, len(words), size - overlap):
        found.append(words[start : start + size])
        if start + size >= len(words):
            break
    return found


def _windows_too_many(words, size, overlap):
    step = size - overlap
    return [words[i : i + size] for i in range(0, len(words), step)]


def _windows_lose_the_rest(words, size, overlap):
    step, last = size - overlap, len(words) - size
    return [words[i : i + size] for i in range(0, last + 1, step)]


def _windows_without_overlap(words, size, overlap):
    return [words[i : i + size] for i in range(0, len(words), size)]


def _windows_step_is_overlap(words, size, overlap):
    step = overlap or size
    return [words[i : i + size] for i in range(0, len(words), step)]


windows = Exercise(
    id="08.1",
    title="Windows that overlap",
    stars=2,
    minutes=6,
    verify=_verify_windows,
    answer=_windows,
    hints=(
        "Where does each window start? The starts are size - overlap words apart.",
        "words[start : start + size] may be shorter at the end, and that is wanted.",
        "Stop behind the first window that reaches the last word.",
    ),
    wrong={
        "a last window that the one before contains": _windows_too_many,
        "only whole windows, the rest is lost": _windows_lose_the_rest,
        "no overlap": _windows_without_overlap,
        "steps by the overlap": _windows_step_is_overlap,
    },
)


# --- 08.2 how many chunks fit


def _verify_largest_k(attempt):
    cases = [
        ([100, 40], 50, 10, 400, 3),
        ([100, 40, 70], 60, 40, 400, 2),
        ([10, 10], 5, 5, 40, 2),
        ([500], 50, 10, 400, 0),
        ([30], 390, 30, 400, 0),
    ]
    for lengths, prompt, answer, context, wanted in cases:
        expect_number(
            attempt(lengths, prompt, answer, context),
            wanted,
            f"lengths {lengths}, prompt {prompt}, answer {answer}, context {context}: k",
        )


def _largest_k(lengths, prompt, answer, context):
    room = context - prompt - answer - 1  # the rule says less than, not at most
    return max(0, room // max(lengths))


def _largest_k_mean(lengths, prompt, answer, context):
    room = context - prompt - answer - 1
    return max(0, int(room // (sum(lengths) / len(lengths))))


def _largest_k_without_answer(lengths, prompt, answer, context):
    return max(0, (context - prompt - 1) // max(lengths))


def _largest_k_at_most(lengths, prompt, answer, context):
    return max(0, (context - prompt - answer) // max(lengths))


def _largest_k_negative(lengths, prompt, answer, context):
    return (context - prompt - answer - 1) // max(lengths)


largest_k = Exercise(
    id="08.2",
    title="How many chunks fit?",
    stars=1,
    minutes=4,
    verify=_verify_largest_k,
    answer=_largest_k,
    hints=(
        "You do not know which chunks will be found: plan for the longest.",
        "What is left of the context after prompt and answer, and how often does the "
        "longest chunk go into it?",
        "The rule says less than: one token must stay free. And k is never negative.",
    ),
    wrong={
        "plans with the mean length": _largest_k_mean,
        "no room for the answer": _largest_k_without_answer,
        "fills the context to the last token": _largest_k_at_most,
        "a negative k": _largest_k_negative,
    },
)


# --- 08.3 mean reciprocal rank


def _verify_reciprocal_rank(attempt):
    cases = [
        ([["a", "b"], ["b", "c"]], ["b", "x"], 0.25),
        ([["a", "b", "c"]], ["a"], 1.0),
        ([["a", "b", "c"]], ["c"], 1 / 3),
        ([["a", "b", "b"]], ["b"], 0.5),
        ([["a"], ["b"], ["c", "a"]], ["a", "x", "a"], 0.5),
    ]
    for rankings, gold, wanted in cases:
        expect_number(
            attempt(rankings, gold), wanted, f"rankings {rankings} and gold {gold}: MRR"
        )


def _reciprocal_rank(rankings, gold):
    total = 0.0
    for ranking, right in zip(rankings, gold, strict=True):
        if right in ranking:
            total += 1 / (ranking.index(right) + 1)
    return total / len(rankings)


def _reciprocal_rank_from_zero(rankings, gold):
    pairs = zip(rankings, gold, strict=True)
    return sum(1 / max(1, r.index(g)) for r, g in pairs if g in r) / len(rankings)


def _reciprocal_rank_of_found(rankings, gold):
    pairs = zip(rankings, gold, strict=True)
    ranks = [r.index(g) + 1 for r, g in pairs if g in r]
    return sum(1 / rank for rank in ranks) / len(ranks)


def _reciprocal_of_mean_rank(rankings, gold):
    pairs = zip(rankings, gold, strict=True)
    ranks = [r.index(g) + 1 if g in r else len(r) + 1 for r, g in pairs]
    return len(ranks) / sum(ranks)


def _reciprocal_rank_last(rankings, gold):
    total = 0.0
    for ranking, right in zip(rankings, gold, strict=True):
        places = [i for i, page in enumerate(ranking, 1) if page == right]
        total += 1 / places[-1] if places else 0
    return total / len(rankings)


reciprocal_rank = Exercise(
    id="08.3",
    title="Mean reciprocal rank",
    stars=1,
    minutes=4,
    verify=_verify_reciprocal_rank,
    answer=_reciprocal_rank,
    hints=(
        "list.index gives the first place, counted from 0; ranks count from 1.",
        "A page that is missing counts 0, and its question still counts in the mean.",
        "Add 1 / (ranking.index(right) + 1) where right is in ranking; divide by all.",
    ),
    wrong={
        "ranks count from 0": _reciprocal_rank_from_zero,
        "questions without a hit are left out": _reciprocal_rank_of_found,
        "one over the mean rank": _reciprocal_of_mean_rank,
        "the last place of the page, not the first": _reciprocal_rank_last,
    },
)


# --- 08.4 filter first


def _verify_search_within(attempt):
    scores = np.array([0.9, 0.2, 0.8, 0.5, 0.7])
    cases = [
        ([True] * 5, 2, [0, 2]),
        ([False, True, False, True, True], 2, [4, 3]),
        ([False, True, False, False, False], 3, [1]),
        ([False] * 5, 2, []),
    ]
    for is_allowed, k, wanted in cases:
        got = attempt(scores.copy(), np.array(is_allowed), k)
        case = f"scores {scores.tolist()}, allowed {is_allowed}, k = {k}"
        try:
            got = [int(place) for place in got]
        except (TypeError, ValueError):
            got = _shown(got)
        expect(got == wanted, f"{case} should give {wanted}, not {got}")
    got = attempt(-scores, np.array([False, True, True, False, False]), 1)
    expect(
        [int(place) for place in got] == [1],
        "with negative scores [-0.9, -0.2, -0.8, -0.5, -0.7] and places 1 and 2 allowed, "
        f"k = 1 should give [1], not {_shown(got)}",
    )


def _search_within(scores, is_allowed, k):
    places = np.flatnonzero(is_allowed)
    best = np.argsort(-scores[places], kind="stable")[:k]
    return places[best].tolist()


def _search_within_after(scores, is_allowed, k):
    best = np.argsort(-scores, kind="stable")[:k]
    return [int(i) for i in best if is_allowed[i]]


def _search_within_wrong_places(scores, is_allowed, k):
    return np.argsort(-scores[is_allowed], kind="stable")[:k].tolist()


def _search_within_zeroed(scores, is_allowed, k):
    return np.argsort(-(scores * is_allowed), kind="stable")[:k].tolist()


search_within = Exercise(
    id="08.4",
    title="Filter first",
    stars=2,
    minutes=6,
    verify=_verify_search_within,
    answer=_search_within,
    hints=(
        "Which places are allowed? np.flatnonzero(is_allowed) lists them.",
        "Sort only their scores: np.argsort(-scores[places])[:k].",
        "That gives places in the short list. Look them up: places[best].",
    ),
    wrong={
        "searches first and filters then": _search_within_after,
        "places count among the allowed ones": _search_within_wrong_places,
        "forbidden scores set to zero, still returned": _search_within_zeroed,
    },
)


# --- 08.5 bug museum: k in the budget, another k in the retriever


def _verify_fill_prompt(attempt):
    pages = [f"P{i} " + "word " * 9 for i in range(25)]  # ten words each
    asked = []

    def search(question, k):
        asked.append(k)
        return pages[:k]

    def count(text):
        return len(text.split())

    for context, wanted in ((200, 19), (40, 3), (33, 2), (34, 3)):
        asked.clear()
        got = attempt("Where is it?", search, count, context, 10)
        case = f"context {context}, longest 10, a question of 3 words"
        expect(isinstance(got, str), f"{case}: return the prompt, not {_shown(got)}")
        expect(
            got.rstrip().endswith("Where is it?"),
            f"{case}: the prompt should end with the whole question, not with "
            f"{_shown(got[-20:])}",
        )
        n = count(got)
        expect(
            n < context, f"{case}: the prompt has {n} tokens, not fewer than {context}"
        )
        there = sum(f"P{i} " in got for i in range(25))
        whole = sum(page.strip() in got for page in pages)
        expect(there == whole, f"{case}: a passage was cut in two")
        expect(
            whole == wanted,
            f"{case}: {wanted} passages fit and should be there, not {whole}",
        )
        expect(
            asked == [(context - 4) // 10],
            f"{case}: search was asked for {asked} passages, the budget allows "
            f"{(context - 4) // 10}",
        )


def _fill_prompt_other_k(question, search, count, context, longest):
    """Return a prompt of passages and the question, of fewer than `context` tokens."""
    k = (context - count(question) - 1) // longest  # noqa: F841 - the error
    passages = search(question, 10)
    prompt = "\n".join([*passages, question])
    while count(prompt) >= context:
        prompt = prompt[:-1]
    return prompt


def _fill_prompt(question, search, count, context, longest):
    k = (context - count(question) - 1) // longest
    return "\n".join([*search(question, k), question])


def _fill_prompt_question_first(question, search, count, context, longest):
    prompt = "\n".join([question, *search(question, 10)])
    while count(prompt) >= context:
        prompt = prompt[:-1]
    return prompt


def _fill_prompt_fixed_k(question, search, count, context, longest):
    return "\n".join([*search(question, 2), question])


def _fill_prompt_cut_passages(question, search, count, context, longest):
    passages = search(question, 10)
    while count("\n".join([*passages, question])) >= context:
        passages = passages[:-1]
    return "\n".join([*passages, question])


fill_prompt = Exercise(
    id="08.5",
    title="Bug museum: the answer that was cut off",
    stars=2,
    minutes=5,
    verify=_verify_fill_prompt,
    answer=_fill_prompt,
    hints=(
        "Two numbers say how many passages are read. Do they know of each other?",
        "The while loop cuts letters off the end. What stands at the end?",
        "Ask search for k passages. Then nothing needs to be cut.",
    ),
    wrong={
        "the question moved to the front, passages still cut": (
            _fill_prompt_question_first
        ),
        "a smaller fixed k": _fill_prompt_fixed_k,
        "still asks for ten and drops some": _fill_prompt_cut_passages,
    },
    starter=_fill_prompt_other_k,
)


# --- 08.6 bug museum: the same documents added twice


def _verify_add_documents(attempt):
    texts = ["Ring the bell.", "Mind the cat now.", "Ring the lamp."]
    store = {}
    attempt(store, texts)
    expect(
        sorted(store.values()) == sorted(texts),
        f"after adding {texts} to an empty store it should hold these three, not "
        f"{_shown(list(store.values()))}",
    )
    before = dict(store)
    attempt(store, texts)
    expect(
        len(store) == 3,
        f"after adding the same three texts twice the store has {len(store)} entries",
    )
    expect(store == before, "adding the same texts again changed ids or texts")
    attempt(store, ["Feed the cat."])
    expect(
        len(store) == 4 and set(before.items()) <= set(store.items()),
        "one new text was added alone to the three; afterwards the store should hold the "
        f"three under their ids and the new one, not {_shown(list(store.values()))}",
    )
    attempt(store, ["Feed the cat.", *texts[::-1]])
    expect(
        sorted(store.values()) == sorted([*texts, "Feed the cat."]),
        "with the four texts in another order, the store should still hold four, not "
        f"{_shown(list(store.values()))}",
    )
    attempt(store, [])
    expect(len(store) == 4, "adding no texts should change nothing")


def _add_documents_counting(store, texts):
    """Put texts into a store; what is there already is not added again."""
    for text in texts:
        store[len(store)] = text


def _add_documents(store, texts):
    for text in texts:
        store[hashlib.sha256(text.encode()).hexdigest()] = text


def _add_documents_by_place(store, texts):
    for i, text in enumerate(texts):
        store[i] = text


def _add_documents_by_length(store, texts):
    for text in texts:
        store[len(text)] = text


def _add_documents_by_first_words(store, texts):
    for text in texts:
        store[text[:8]] = text


def _add_documents_once(store, texts):
    if not store:
        for text in texts:
            store[text] = text


add_documents = Exercise(
    id="08.6",
    title="Bug museum: three hits, one passage",
    stars=1,
    minutes=4,
    verify=_verify_add_documents,
    answer=_add_documents,
    hints=(
        "What id does a text get in the first night, and what id in the second?",
        "An id must follow from the text itself: the same text, the same id.",
        "hashlib.sha256(text.encode()).hexdigest() is such an id; import hashlib.",
    ),
    wrong={
        "the place in the list as id": _add_documents_by_place,
        "the length as id": _add_documents_by_length,
        "the first words as id": _add_documents_by_first_words,
        "adds nothing to a store that is not empty": _add_documents_once,
    },
    starter=_add_documents_counting,
)

ALL: tuple[Exercise, ...] = (
    windows,
    largest_k,
    reciprocal_rank,
    search_within,
    fill_prompt,
    add_documents,
)
