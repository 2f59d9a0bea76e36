"""Settings, claims, checks, figures: what every lesson stands on."""

import json
import os
import re
import subprocess
import sys

import pytest

from labs_support import checks, claims, settings
from labs_support.checks import Exercise, expect


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("LABS_CLAIMS_LOG", raising=False)
    for name in ("LABS_PROFILE", "LABS_DEVICE", "LABS_SEED"):
        monkeypatch.delenv(name, raising=False)


# --- settings


def test_defaults():
    now = settings.read()
    assert (now.profile, now.device, now.seed, now.chat) == ("tiny", "auto", 0, "")


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("LABS_PROFILE", "huge", "it can be tiny, hub"),
        ("LABS_DEVICE", "tpu", "it can be auto, cpu, cuda, mps"),
        ("LABS_SEED", "-1", "a whole number below"),
        ("LABS_SEED", "one", "a whole number below"),
        ("LABS_SEED", "5000000000", "a whole number below"),
    ],
)
def test_bad_settings_say_what_is_possible(monkeypatch, name, value, says):
    monkeypatch.setenv(name, value)
    with pytest.raises(settings.SettingError, match=says):
        settings.read()


def test_missing_device_is_one_sentence(monkeypatch):
    import torch

    if torch.backends.mps.is_available():
        pytest.skip("this machine has the device that the test wants missing")
    monkeypatch.setenv("LABS_DEVICE", "mps")
    with pytest.raises(settings.SettingError, match="no such device"):
        settings.device()


def test_seed_everything_makes_draws_repeatable(monkeypatch):
    import random

    import numpy as np
    import torch

    def draw():
        return random.random(), np.random.rand(), torch.rand(1).item()

    monkeypatch.setenv("LABS_SEED", "3")
    assert settings.seed_everything() == 3
    first = draw()
    settings.seed_everything()
    assert draw() == first
    assert settings.seed_everything(offset=1) == 4
    assert draw() != first


def test_importing_the_package_loads_nothing_heavy():
    code = (
        "import sys, labs_support, labs_support.claims, labs_support.checks, "
        "labs_support.figures, labs_support.settings, labs_support.shelf, "
        "labs_support.world.store; "
        "print([m for m in ('torch', 'transformers', 'datasets', 'matplotlib', 'sklearn') "
        "if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert run.stdout.strip() == "[]", run.stdout + run.stderr


# --- claims


def test_claim_prints_value_and_bound(capsys):
    claims.claim("06.1", "LoRA trains under 2 %", 0.01412, below=0.02)
    assert capsys.readouterr().out == (
        "✔ 06.1 LoRA trains under 2 %: ≈ 0.0141 (below 0.02)\n"
    )


@pytest.mark.parametrize(
    ("value", "bounds"),
    [
        (0.02, {"below": 0.02}),
        (0.5, {"above": 0.5}),
        (1, {"equals": 0}),
        (1.2, {"equals": 1, "within": 0.1}),
        (5, {"above": 1, "below": 4}),
        (float("nan"), {"below": 1}),
        (float("nan"), {"equals": 1, "within": 5}),
    ],
)
def test_claim_fails_where_the_bound_does_not_hold(value, bounds):
    with pytest.raises(claims.ClaimFailed, match="^✗ 01.1 text: "):
        claims.claim("01.1", "text", value, **bounds)
    assert claims.RECORDS[-1].holds is False


def test_claim_without_a_bound_is_refused():
    with pytest.raises(ValueError, match="needs a bound"):
        claims.claim("01.1", "cannot fail", 1.0)


def test_claim_is_recorded(tmp_path, monkeypatch):
    log = tmp_path / "claims.jsonl"
    monkeypatch.setenv("LABS_CLAIMS_LOG", str(log))
    monkeypatch.setenv("LABS_SEED", "4")
    claims.claim("02.8", "the cache is faster", 5.25, above=3, unit="times")
    record = json.loads(log.read_text())
    assert record == {
        "id": "02.8",
        "text": "the cache is faster",
        "value": 5.25,
        "bound": "above 3 times",
        "unit": "times",
        "seed": 4,
        "profile": "tiny",
        "holds": True,
    }


def test_interval_is_students():
    from scipy import stats

    values = [0.9, 1.0, 1.3, 1.1, 0.8]
    mean, low, high = claims.interval(values)
    expected = stats.ttest_1samp(values, 0).confidence_interval(0.95)
    assert mean == pytest.approx(1.02)
    assert (low, high) == pytest.approx((expected.low, expected.high))
    with pytest.raises(ValueError, match="at least two"):
        claims.interval([1.0])


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0141, "0.0141"),
        (12.345, "12.3"),
        (1534.2, "1,534"),
        (2e-7, "2.0e-07"),
        (0, "0"),
    ],
)
def test_numbers_have_three_digits(value, text):
    assert claims.number(value) == text


def sanitise(text):
    """Return text as nbval compares it."""
    config = (settings.ROOT / "tests" / "sanitize.cfg").read_text(encoding="ascii")
    regex = re.search(r"^regex: (.*)$", config, re.M)[1]
    replace = re.search(r"^replace: (.*)$", config, re.M)[1]
    return re.sub(regex, replace, text)


@pytest.mark.parametrize("number", [0.0141, 1534.2, 2e-7, -3.5, 0, 1e9, float("inf")])
def test_sanitiser_takes_every_number_that_claims_print(number):
    assert sanitise(f"≈ {claims.number(number)} MB, 3 runs") == "≈ # MB, 3 runs"


def test_sanitiser_leaves_all_other_text():
    text = "accuracy 0.93 of 200, about 5, ≈ equal, ≈0.5"
    assert sanitise(text) == text


# --- checks


def answer(x):
    """Return x plus one."""
    return x + 1


def verify(attempt):
    for x in (0, 5):
        expect(
            attempt(x) == x + 1, f"for x = {x} it should be {x + 1}, not {attempt(x)}"
        )


def exercise(**changes):
    values = {
        "id": "99.1",
        "title": "Plus one",
        "stars": 1,
        "minutes": 2,
        "verify": verify,
        "answer": answer,
        "hints": ("Think of addition.", "Use +."),
        "wrong": {"adds two": lambda x: x + 2},
    }
    return Exercise(**{**values, **changes})


def test_right_answer(capsys):
    exercise().check(lambda x: x + 1)
    assert capsys.readouterr().out == "● 99.1 Plus one ★ (2 min): correct\n"
    assert checks.progress() == {"99.1": True}


def test_wrong_answer_names_the_input(capsys):
    exercise().check(lambda x: x + 2)
    assert "✗ 99.1" in (out := capsys.readouterr().out)
    assert "for x = 0 it should be 1, not 2" in out
    assert checks.progress() == {"99.1": False}


def stub(x):
    """Return x plus one."""
    ...  # your code here


def bare_stub(x): ...


@pytest.mark.parametrize("untouched", [stub, bare_stub, None, ...])
def test_untouched_stub_is_not_an_error(capsys, untouched):
    exercise().check(untouched)
    assert capsys.readouterr().out.startswith("○ 99.1")
    assert checks.progress() == {}


def test_function_that_returns_nothing_after_work_is_wrong(capsys):
    def forgot_return(x):
        x + 1  # noqa: B018

    exercise().check(forgot_return)
    assert capsys.readouterr().out.startswith("✗")


def test_untouched_bug_is_not_an_error(capsys):
    def starter(x):
        return x - 1

    def same(x):
        """Say something else here."""
        return x - 1

    bug = exercise(starter=starter)
    bug.check(same)
    assert capsys.readouterr().out.startswith("○ 99.1 Plus one ★ (2 min): not repaired")
    bug.check(lambda x: x - 2)
    assert capsys.readouterr().out.startswith("✗")


def test_check_never_raises(capsys):
    def broken(x):
        return undefined_name  # noqa: F821

    exercise().check(broken)
    out = capsys.readouterr().out
    assert "stops with NameError" in out and "return undefined_name" in out
    exercise().check(5)
    assert "pass the function itself, not a int" in capsys.readouterr().out


def test_hints_come_one_by_one(capsys):
    one = exercise()
    one.hint()
    assert capsys.readouterr().out == "Hint 1 of 2: Think of addition.\n"
    one.hint()
    one.hint()
    assert capsys.readouterr().out.count("Hint 2 of 2") == 2


def test_solution_shows_the_code(capsys):
    exercise().solution()
    assert "return x + 1" in capsys.readouterr().out


def test_solved_stays_solved():
    checks.record_progress("99.1", True)
    checks.record_progress("99.1", False)
    assert checks.progress() == {"99.1": True}


def test_progress_that_cannot_be_kept_costs_nothing_else(tmp_path, monkeypatch, capsys):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("LABS_HOME", str(blocked / "home"))
    exercise().check(lambda x: x + 1)
    assert capsys.readouterr().out.startswith("●")


def test_damaged_progress_file_is_started_anew(tmp_path):
    home = settings.read().home
    home.mkdir(parents=True)
    (home / "progress.json").write_text("{broken")
    checks.record_progress("99.1", True)
    assert checks.progress() == {"99.1": True}


# --- figures


def test_explore_shows_a_first_picture_and_redraws(monkeypatch):
    import matplotlib

    matplotlib.use("agg")
    import matplotlib.pyplot as plt
    from IPython import display

    from labs_support import figures

    calls, shown = [], []
    monkeypatch.setattr(display, "display", shown.append)
    monkeypatch.setattr(plt, "show", lambda: shown.append("picture"))
    figures.explore(
        lambda ax, head, scale: calls.append((head, scale)),
        head=[1, 2],
        scale=[0.5, 1.0],
    )
    assert calls == [(1, 0.5)]
    assert shown[0] == "picture"
    view = shown[1]
    bundle = view._repr_mimebundle_()
    assert bundle["text/plain"] == "controls: head, scale (run this cell to use them)"
    slider, picture = view.box.children[0], view.box.children[-1]
    slider.value = 2
    assert calls[-1] == (2, 0.5)
    assert bytes(picture.value).startswith(b"\x89PNG")
    plt.close("all")


def test_environment_of_tests_is_offline():
    assert os.environ["HF_HUB_OFFLINE"] == "1"


# --- found by the planted faults of `make mutants`


@pytest.mark.parametrize("bounds", [{"equals": 1}, {"equals": 1, "within": 0.1}])
def test_claim_fails_below_the_value_it_should_equal(bounds):
    with pytest.raises(claims.ClaimFailed):
        claims.claim("01.1", "text", 0.5, **bounds)


def test_function_that_stops_with_an_error_is_wrong_and_recorded(capsys):
    def broken(x):
        return x + undefined_name  # noqa: F821

    exercise().check(broken)
    assert capsys.readouterr().out.startswith("✗ 99.1")
    assert checks.progress() == {"99.1": False}


def test_only_what_may_vary_stands_behind_the_sign_of_approximation(capsys):
    claims.claim("02.1", "equal ids", 1, equals=1)
    claims.claim("02.5", "steps per token", 0.99, equals=1, within=0.1)
    assert capsys.readouterr().out == (
        "✔ 02.1 equal ids: 1.00 (exactly 1)\n"
        "✔ 02.5 steps per token: ≈ 0.990 (1 give or take 0.1)\n"
    )


# --- found by the review


def test_exit_in_a_learners_function_does_not_end_the_kernel(capsys):
    def leaves(x):
        exit()

    exercise().check(leaves)
    assert "your function stops with SystemExit" in capsys.readouterr().out


def first_of_pair(attempt):
    first, _ = attempt(1)
    expect(first == 1, f"for 1 it should be 1, not {first}")


def nothing_after_work(x):
    x + 1  # noqa: B018


def stops_below(x):
    return [1, 2].index(x + 5)


@pytest.mark.parametrize(
    ("attempt", "says"),
    [
        (
            nothing_after_work,
            "what it returns cannot be used: TypeError: cannot unpack",
        ),
        (lambda: (1, 1), "cannot be called as the exercise does: .* 0 positional"),
        (
            stops_below,
            r"your function stops with ValueError: 6 is not in list \(line \d+: return \[",
        ),
        (lambda x: int("a\nb" * 500), "your function stops with ValueError: invalid"),
    ],
)
def test_who_is_to_blame_is_said_in_one_line(attempt, says):
    asked = Exercise("99.2", "A pair", 1, 1, first_of_pair, lambda x: (x, x), (), {})
    state, text = asked.grade(attempt)
    assert state == "✗" and re.search(says, text), text
    assert "\n" not in text and len(text) < 400


def test_numbers_of_any_library_are_numbers():
    import numpy as np

    for got in (2, 2.0, np.float32(2.0), np.int64(2), 2 + 1e-9):
        checks.expect_number(got, 2.0, "for 1 it")
    for got in (2.001, None, "2", float("nan"), np.zeros((30, 30))):
        with pytest.raises(checks.Wrong, match="^for 1 it should be 2, not ") as error:
            checks.expect_number(got, 2.0, "for 1 it")
        assert "\n" not in str(error.value) and len(str(error.value)) < 120


def test_progress_file_that_holds_something_else_is_started_anew():
    settings.home().mkdir(parents=True)
    (settings.home() / "progress.json").write_text('["99.1"]')
    assert checks.progress() == {}
    checks.record_progress("99.1", True)
    assert checks.progress() == {"99.1": True}


def test_bad_setting_elsewhere_does_not_stop_a_check(monkeypatch, capsys):
    monkeypatch.setenv("LABS_SEED", "x")
    exercise().check(lambda x: x + 1)
    assert capsys.readouterr().out.startswith("●")
    assert checks.progress() == {"99.1": True}
