"""Every exercise: its solution, its wrong answers, and the untouched cell of the lesson."""

import ast

import pytest

from labs_support import build, exercises

EVERY = {exercise.id: exercise for exercise in exercises.every()}


@pytest.fixture(autouse=True)
def own_home(tmp_path, monkeypatch):
    monkeypatch.setenv("LABS_HOME", str(tmp_path))


@pytest.mark.parametrize("id", EVERY)
def test_solution_is_right(id):
    state, text = EVERY[id].grade(EVERY[id].answer)
    assert state == "●", text


@pytest.mark.parametrize(
    ("id", "name"), [(e.id, name) for e in EVERY.values() for name in e.wrong]
)
def test_wrong_answer_is_told_what_is_wrong(id, name):
    state, text = EVERY[id].grade(EVERY[id].wrong[name])
    assert state == "✗", f"accepted: {name}"
    assert 10 < len(text) < 400
    assert "\n" not in text


@pytest.mark.parametrize("id", EVERY)
def test_exercise_is_complete(id):
    exercise = EVERY[id]
    assert len(exercise.hints) >= 2
    assert len(exercise.wrong) >= 2
    assert 1 <= exercise.stars <= 3
    assert 1 <= exercise.minutes <= 30


def attempts() -> dict[str, str]:
    """Return {exercise id: source of the cell that the learner fills in}."""
    found = {}
    for lesson in build.lessons():
        cells = build.convert(lesson).cells
        for before, cell in zip(cells, cells[1:], strict=False):
            heading = before.source.splitlines()[0] if before.source else ""
            if cell.cell_type == "code" and heading.startswith("### Exercise "):
                found[heading.split()[2]] = cell.source
    return found


@pytest.mark.parametrize("id", EVERY)
def test_untouched_cell_is_open(id):
    tree = ast.parse(attempts()[id])
    tree.body = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    (function,) = [n for n in tree.body if isinstance(n, ast.FunctionDef)]
    scope = {}
    exec(compile(tree, "cell", "exec"), scope)
    state, _ = EVERY[id].grade(scope[function.name])
    assert state == "○"


@pytest.mark.parametrize("id", [e.id for e in EVERY.values() if e.starter])
def test_bug_to_repair_really_is_one(id):
    from labs_support.checks import Wrong

    with pytest.raises(Wrong):
        EVERY[id].verify(EVERY[id].starter)


def test_ids_are_unique_and_in_order():
    ids = [exercise.id for exercise in exercises.every()]
    assert ids == sorted(set(ids), key=lambda id: tuple(map(int, id.split("."))))
