"""Scores of short answers."""

import pytest

from labs_support import scores


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("€5.90", "5.90 euros"),
        ("EUR 5,90", "€5.90"),
        ("€150", "150 €"),
        ("€5.00", "5 euros"),
        ("30%", "30 %"),
        ("30 per cent", "30 %"),
        ("Eleven", "11"),
        ("the postman", "a postman"),
        ("9:00", "9.00"),
        ("1,200", "1200"),
        ("Via del Porto 22.", "via del Porto 22"),
    ],
)
def test_written_otherwise_and_equal(answer, gold):
    assert scores.exact_match(answer, gold) == 1.0


@pytest.mark.parametrize(
    ("answer", "gold"),
    [
        ("€5.90", "€5.09"),
        ("€5.90", "5.90 pounds"),
        ("9:30", "9:00"),
        ("3 to 5 days", "3 to 5 weeks"),
        ("", "€1"),
        ("30 %", "30"),
        ("5.90", "€5.90"),
    ],
)
def test_different_answers(answer, gold):
    assert scores.exact_match(answer, gold) == 0.0


def test_f1_by_hand():
    # five words found, two wanted, two shared: P = 2/5, R = 2/2
    assert scores.word_f1("3 to 5 working days", "5 days") == pytest.approx(4 / 7)
    assert scores.word_f1("red", "blue") == 0
    assert scores.word_f1("the shop cat", "shop cat") == 1


def test_citations():
    assert scores.citations("€5.90 [2] [1]") == [2, 1]
    assert scores.without_citations("€5.90 [2]") == "€5.90"
