"""The list of planted faults fits the files, and its runner counts correctly."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from labs_support.settings import ROOT

MUTANTS = ROOT / "tests" / "mutants"
sys.path.insert(0, str(MUTANTS))
import faults  # noqa: E402
import run as runner  # noqa: E402
import tree  # noqa: E402

FAULTS = faults.read()
COURSE = ("01_landscape", "02_transformers", "attention", "exercises/", "gpt", "gridworld",
          "ngrams", "recurrent", "sampling", "tokens", "transformer", "translation")  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_fault_fits_its_files(fault):
    for name, (sound, faulty) in faults.changes(fault).items():
        assert sound != faulty
        if name.endswith(".py"):
            trees = [ast.dump(ast.parse(text)) for text in (sound, faulty)]
            assert trees[0] != trees[1], f"{name}: only a comment changes"


def definitions(path: Path) -> dict[str, str]:
    """Return {name: code} of the top-level functions and classes of a file."""
    text = path.read_text(encoding="utf-8")
    nodes = ast.parse(text).body
    kinds = (ast.FunctionDef, ast.ClassDef)
    return {
        n.name: ast.get_source_segment(text, n) for n in nodes if isinstance(n, kinds)
    }


SHARED = {
    path.relative_to(ROOT).as_posix(): definitions(path)
    for path in (*ROOT.glob("labs_support/*.py"), *ROOT.glob("lessons/*.py"))
}


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_fault_is_planted_wherever_the_function_stands(fault):
    """Else the comparison of lesson and package finds it, and not because it is wrong."""
    for name in fault.files:
        for function, code in SHARED.get(name, {}).items():
            if fault.find in code:
                own = {n for n in SHARED if fault.find in SHARED[n].get(function, "")}
                assert own <= set(fault.files), f"{function} stands in {own}"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.id)
def test_fault_names_who_should_notice(fault):
    for test in fault.tests:
        file, _, function = test.partition("::")
        assert f"def {function}" in (ROOT / file).read_text(encoding="utf-8"), test
    assert all((ROOT / "data" / name).is_dir() for name in fault.rebuild)
    assert not fault.lesson or len(list(ROOT.glob(f"lessons/{fault.lesson}_*.py"))) == 1
    assert 15 < len(fault.wrong) < 100 and fault.wrong[-1] != "."


def test_there_are_enough_faults_and_each_once():
    assert len({fault.id for fault in FAULTS}) == len(FAULTS) >= 45
    changes = {(fault.files, fault.find, fault.replace) for fault in FAULTS}
    assert len(changes) == len(FAULTS)
    of_lessons = [
        f for f in FAULTS if any(part in n for n in f.files for part in COURSE)
    ]
    assert len(of_lessons) >= 25


def test_what_does_not_count_exists():
    tests = "\n".join(
        p.read_text(encoding="utf-8") for p in ROOT.glob("tests/test_*.py")
    )
    for name in tree.NOT_COUNTED:
        assert f"def {name}(" in tests


# --- the runner


ENTRY = {
    "id": "sum",
    "wrong": "a sum is a difference",
    "files": ["labs_support/sums.py"],
    "find": "a + b",
    "replace": "a - b",
    "tests": ["tests/test_sums.py"],
}
CODE = "def add(a, b):\n    return a + b\n\n\ndef double(a):\n    return 2 * a\n"
TEST = "from labs_support.sums import add\n\n\ndef test_add():\n    assert add(2, 1) == 3\n"


@pytest.fixture
def course(tmp_path):
    """A course with one module and one test."""
    for name, text in {
        "labs_support/__init__.py": "",
        "labs_support/sums.py": CODE,
        "tests/test_sums.py": TEST,
        "pyproject.toml": "[tool.pytest.ini_options]\n",
        ".venv/large": "is not copied",
    }.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def fault(**changes):
    return faults.parse({**ENTRY, **changes})


def test_noticed_and_survived_are_counted(course, capsys):
    blind = fault(id="double", find="2 * a", replace="3 * a")
    assert runner.run([fault(), blind], 1, course) == 1
    out = capsys.readouterr().out
    assert "noticed  sum" in out and "test_sums.py::test_add" in out
    assert "survived double" in out and "-    return 2 * a\n+    return 3 * a" in out
    assert "1 of 2 planted faults noticed (50.0 %)" in out
    assert (course / "labs_support/sums.py").read_text() == CODE


def test_all_noticed_is_success(course, capsys):
    assert runner.run([fault()], 2, course) == 0
    assert "1 of 1 planted faults noticed (100.0 %)" in capsys.readouterr().out


def test_checks_that_are_red_without_a_fault_stop_the_run(course):
    (course / "labs_support/sums.py").write_text(CODE.replace("a + b", "a + b + 1"))
    with pytest.raises(tree.CannotRun, match="red before any fault is planted"):
        runner.run([fault()], 1, course)


def test_tests_that_do_not_exist_stop_the_run(course):
    with pytest.raises(tree.CannotRun, match="pytest tests/test_other.py cannot run"):
        runner.run([fault(tests=["tests/test_other.py"])], 1, course)


def test_time_limit_is_told_apart(course, monkeypatch, capsys):
    monkeypatch.setattr(tree, "SECONDS", 10)
    endless = fault(id="loop", find="return a + b", replace="\n    while True: pass")
    assert runner.run([endless], 1, course) == 0
    out = capsys.readouterr().out
    assert "late     loop" in out and "1 of them by the time limit alone: loop" in out


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"find": "return"}, "occurs 2 times in labs_support/sums.py, not once"),
        ({"find": "a * b"}, "occurs 0 times"),
        ({"files": ["labs_support/none.py"]}, "there is no file labs_support/none.py"),
        ({"tests": []}, "name the tests or the lesson that should notice"),
        ({"test": []}, "unknown key test"),
    ],
)
def test_bad_fault_is_one_sentence(course, changes, says):
    with pytest.raises(faults.BadFault, match=f"fault sum: .*{says}") as error:
        faults.changes(fault(**changes), course)
    assert "\n" not in str(error.value)


def test_list_and_unknown_id():
    command = [sys.executable, str(MUTANTS / "run.py")]
    listed = subprocess.run([*command, "--list"], capture_output=True, text=True)
    assert listed.returncode == 0 and all(f.id in listed.stdout for f in FAULTS)
    wrong = subprocess.run([*command, "--only", "x"], capture_output=True, text=True)
    assert wrong.returncode == 2 and "no fault is called x; see --list" in wrong.stdout


def test_copy_is_what_is_imported(course, tmp_path):
    copy = tree.Tree(course, tmp_path / "copy")
    copy.must_be_itself()
    assert not (copy.root / ".venv").exists()
