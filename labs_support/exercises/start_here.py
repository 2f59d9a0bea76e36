"""The exercise of lesson 00."""

from labs_support.checks import Exercise, expect

CASES = (
    (["fish", "bell", "hat"], [0.1, 0.7, 0.3], "bell"),
    (["kite", "mug"], [-0.2, -0.9], "kite"),
    (["drum", "lamp", "vase"], [0.4, 0.8, 0.8], "lamp"),
    (["boat"], [0.0], "boat"),
)


def _verify(attempt):
    for names, scores, expected in CASES:
        got = attempt(list(names), list(scores))
        expect(
            got == expected,
            f"for {names} with scores {scores} it should be {expected!r}, not {got!r}",
        )


def _solution(names, scores):
    highest = max(scores)
    return names[scores.index(highest)]


def _returns_index(names, scores):
    return scores.index(max(scores))


def _takes_the_lowest(names, scores):
    return names[scores.index(min(scores))]


def _takes_the_last_of_equals(names, scores):
    return max(zip(scores, range(len(names)), names, strict=True))[2]


def _starts_at_zero(names, scores):
    best, best_score = None, 0
    for name, score in zip(names, scores, strict=True):
        if score > best_score:
            best, best_score = name, score
    return best


best_match = Exercise(
    id="00.1",
    title="The best match",
    stars=1,
    minutes=3,
    verify=_verify,
    answer=_solution,
    hints=(
        "max(scores) is the highest score.",
        "scores.index(value) is the position of the first score that equals value.",
        "The name at the position of the highest score is the answer.",
    ),
    wrong={
        "returns the position, not the name": _returns_index,
        "takes the lowest score": _takes_the_lowest,
        "takes the last of equal scores": _takes_the_last_of_equals,
        "loses to negative scores": _starts_at_zero,
    },
)

ALL = (best_match,)
