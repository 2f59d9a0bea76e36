"""The shape of the course: layers, one definition, built notebooks, sizes, README."""

import ast
import json
import re
import statistics
import subprocess
from pathlib import Path

import nbformat
import pytest

from labs_support import build, exercises, report
from labs_support.settings import DATA, ROOT
from labs_support.world import store

LESSONS = build.lessons()
NOTEBOOKS = [build.notebook_path(lesson) for lesson in LESSONS]
N_CLAIMS = {
    "00": 2,
    "01": 6,
    "02": 8,
    "03": 8,
    "05": 9,
    "08": 11,
    "09": 7,
}  # main claims of each lesson, see CURRICULUM
LAYERS = (
    ("settings", "figures", "claims", "checks"),
    ("tensor_checks",),
    ("pictures", "slots"),
    ("canvas",),
    ("drawing",),
    ("world", "shelf"),
    ("concepts",),  # every module that is not named here
    ("exercises",),
    ("recipes", "apps"),
    ("build", "lab"),
    ("report", "doctor"),
    ("cli",),
)
RANK = {name: rank for rank, layer in enumerate(LAYERS) for name in layer}


def rank(module: str) -> int:
    """Return the layer of labs_support.MODULE."""
    return RANK.get(module.partition(".")[0], RANK["concepts"])


def package_modules() -> dict[str, Path]:
    """Return {dotted name below labs_support: file}."""
    root = ROOT / "labs_support"
    return {
        ".".join(path.relative_to(root).with_suffix("").parts): path
        for path in root.rglob("*.py")
        if path.name != "__init__.py"
    }


def imports(path: Path) -> set[str]:
    """Return the labs_support modules a file imports, as dotted names below it."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(
            "labs_support"
        ):
            below = node.module.partition(".")[2]
            if below:
                found |= {f"{below}.{alias.name}" for alias in node.names}
            else:
                found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.Import):
            names = (alias.name.partition(".") for alias in node.names)
            found |= {rest for top, _, rest in names if top == "labs_support" and rest}
    return found


@pytest.mark.parametrize("name", sorted(package_modules()))
def test_modules_import_only_lower_layers(name):
    for target in imports(package_modules()[name]):
        same_package = target.partition(".")[0] == name.partition(".")[0]
        same_layer = rank(target) == rank(name)
        allowed = rank(target) < rank(name) or same_package
        allowed |= (
            same_layer and RANK["concepts"] <= rank(name) and rank(name) != RANK["cli"]
        )
        allowed |= name in ("claims", "checks") and target == "settings"
        allowed |= name == "shelf" and target.startswith("world")
        assert allowed, f"{name} must not import {target}"


def test_modules_do_not_import_each_other_in_circles():
    graph = {
        name: {
            t
            for t in (
                m if m in package_modules() else m.rpartition(".")[0]
                for m in imports(path)
            )
            if t in package_modules()
        }
        for name, path in package_modules().items()
    }
    done, path = set(), []

    def visit(name):
        assert name not in path, f"circle: {' -> '.join([*path, name])}"
        if name in done:
            return
        path.append(name)
        for target in graph[name]:
            visit(target)
        path.pop()
        done.add(name)

    for name in graph:
        visit(name)


def definitions(path: Path) -> dict[str, str]:
    """Return {name: code without docstring} of the top-level functions and classes."""
    found = {}
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            for inner in ast.walk(node):
                if isinstance(inner, ast.FunctionDef | ast.ClassDef):
                    if ast.get_docstring(inner) is not None:
                        inner.body = inner.body[1:] or [ast.Pass()]
                if isinstance(inner, ast.FunctionDef):
                    inner.returns = None
                    for argument in (*inner.args.args, *inner.args.kwonlyargs):
                        argument.annotation = None
            found[node.name] = ast.unparse(node)
    return found


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_a_function_of_a_lesson_is_the_one_in_the_package(lesson):
    own = definitions(lesson)
    package = {}
    for name, path in package_modules().items():
        if rank(name) == RANK["concepts"]:
            package |= {key: (name, code) for key, code in definitions(path).items()}
    for name in own.keys() & package.keys():
        module, code = package[name]
        assert own[name] == code, (
            f"{lesson.name}: {name} differs from labs_support.{module}"
        )


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_notebook_is_built_from_the_lesson(lesson):
    built = build.convert(lesson)
    stored = nbformat.read(build.notebook_path(lesson), as_version=4)
    assert [(c.id, c.cell_type, c.source, c.metadata) for c in stored.cells] == [
        (c.id, c.cell_type, c.source, c.metadata) for c in built.cells
    ], f"run: labs build {lesson.stem[:2]}"
    assert stored.metadata == built.metadata


def code_cells(notebook: Path) -> list:
    """Return the code cells of a notebook that are not empty."""
    cells = nbformat.read(notebook, as_version=4).cells
    return [c for c in cells if c.cell_type == "code" and c.source.strip()]


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_was_executed_and_nine_of_ten_are_compared(notebook):
    cells = code_cells(notebook)
    assert all(cell.execution_count is not None for cell in cells)
    shown = [cell for cell in cells if cell.outputs]
    ignored = [c for c in cells if "nbval-ignore-output" in c.metadata.get("tags", [])]
    assert len(ignored) <= 0.1 * len(shown)
    for cell in ignored:
        assert cell.source.startswith("# not compared: "), cell.source


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_outputs_are_clean_and_small(notebook):
    assert notebook.stat().st_size < 500_000
    for cell in code_cells(notebook):
        for output in cell.outputs:
            assert output.output_type != "error"
            assert output.get("name") != "stderr", f"stderr in: {cell.source[:60]}"
            text = json.dumps(
                output.get("text") or output.get("data", {}).get("text/plain", "")
            )
            assert (
                str(ROOT) not in text and "/home/" not in text and "Warning" not in text
            )


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_all_claims_of_the_curriculum_are_made(notebook):
    text = "\n".join(cell.source for cell in code_cells(notebook))
    made = set(re.findall(r"""claim\(\s*["'](\d\d\.\d+)[a-z]?["']""", text))
    number = notebook.stem[:2]
    assert made == {f"{number}.{i}" for i in range(1, N_CLAIMS[number] + 1)}


def code_lines(source: str) -> int:
    """Return the number of lines that are neither empty nor a comment."""
    lines = (line.strip() for line in source.splitlines())
    return sum(bool(line) and not line.startswith("#") for line in lines)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_style_of_the_lesson(lesson, record_property):
    """The limits of STYLE; the numbers themselves go into the test report."""
    cells = build.convert(lesson).cells
    code = [c.source for c in cells if c.cell_type == "code"]
    prose = [c.source for c in cells if c.cell_type == "markdown"]
    lines = [code_lines(source) for source in code]
    kinds = "".join("c" if c.cell_type == "code" else "p" for c in cells)
    words = [len(p.split()) for p in prose]
    shown = sum(code_lines(source) for source in code if ".check(" not in source)
    numbers = {
        "code lines without exercises": shown,
        "median cell": statistics.median(lines),
        "longest cell": max(lines),
        "code cells in a row": max(map(len, re.findall("c+", kinds))),
        "longest prose cell": max(words),
        "words per code line": round(sum(words) / shown, 1),
        "figures": sum("plt.show()" in c or "explore(" in c for c in code),
    }
    for name, value in numbers.items():
        record_property(name, value)
    classes = [
        n for c, n in zip(code, lines, strict=True) if re.search("^class ", c, re.M)
    ]
    plain = [
        n for c, n in zip(code, lines, strict=True) if not re.search("^class ", c, re.M)
    ]
    assert max(plain) <= 25 and max(classes, default=0) <= 40
    assert shown <= 400
    assert numbers["figures"] <= 12
    assert numbers["median cell"] <= 8
    assert numbers["code cells in a row"] <= 2
    assert numbers["longest prose cell"] <= 150
    assert 4 <= numbers["words per code line"] <= 14
    assert all(len(line) <= 100 for c in code for line in c.splitlines())
    assert not any("!" in p.replace("![", "").replace("<!--", "") for p in prose)


@pytest.mark.parametrize("lesson", LESSONS, ids=lambda path: path.stem)
def test_lesson_has_its_parts(lesson):
    text = lesson.read_text(encoding="utf-8")
    for part in (
        "**You will**",
        "**You need**",
        "**Time**",
        "**Runs on**",
        "## What we measured",
        "## What it cannot do",
    ):
        assert part in text, f"{lesson.name} lacks {part}"
    assert "claims.table()" in text
    assert text.splitlines()[1].startswith(f"# # {lesson.stem[:2]} · ")


def test_exercise_headings_say_what_the_registry_says():
    headings = {}
    for lesson in LESSONS:
        pattern = r"^# ### Exercise (\d\d\.\d+) · (.*?) (★+) \((\d+) min\)$"
        for id, title, stars, minutes in re.findall(
            pattern, lesson.read_text(encoding="utf-8"), re.M
        ):
            headings[id] = (title, len(stars), int(minutes))
    registry = {e.id: (e.title, e.stars, e.minutes) for e in exercises.every()}
    assert headings == registry


def test_exercises_are_leaves():
    """No later cell uses a name that an exercise cell defines."""
    for lesson in LESSONS:
        cells = [c.source for c in build.convert(lesson).cells if c.cell_type == "code"]
        for i, source in enumerate(cells):
            if ".check(" not in source:
                continue
            names = [
                n.name for n in ast.parse(source).body if isinstance(n, ast.FunctionDef)
            ]
            for later in cells[i + 1 :]:
                used = {
                    n.id for n in ast.walk(ast.parse(later)) if isinstance(n, ast.Name)
                }
                own = {
                    n.name
                    for n in ast.walk(ast.parse(later))
                    if isinstance(n, ast.FunctionDef)
                }
                assert not (set(names) - own) & used, (
                    f"{lesson.name}: {names} used later"
                )


# --- data and repository


def tracked() -> list[Path]:
    """Return the files of the course: what git tracks, or everything without git."""
    run = subprocess.run(
        ["git", "ls-files", "-co", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    if run.returncode:
        pytest.skip("not a git checkout")
    return [ROOT / name for name in run.stdout.splitlines() if (ROOT / name).is_file()]


def test_repository_is_small():
    files = tracked()
    assert sum(path.stat().st_size for path in files) < 50e6
    big = [
        p.name for p in files if p.stat().st_size > 1e6 and p.suffix != ".safetensors"
    ]
    assert not big, f"over 1 MB: {big}"


@pytest.mark.parametrize("name", store.GENERATED)
def test_data_is_what_its_generator_makes(name):
    made = store.generate(name)
    for split, rows in made.items():
        file = store.path(name, split)
        assert file.read_bytes() == store.encode(rows), f"run: labs rebuild {name}"


def test_every_split_opens_as_a_hugging_face_dataset():
    for name in (*store.GENERATED, *store.WRITTEN):
        loaded = store.load(name)
        for split, table in loaded.items():
            assert table.num_rows == len(store.rows(name, split)) > 0


def test_checksums_and_data_card_are_those_of_the_files():
    assert store.changed() == []
    listed = store.CHECKSUMS.read_text().count("\n")
    assert listed == len(store.files())
    assert report.data_table() in (DATA / "README.md").read_text(encoding="utf-8")


def test_bad_names_of_data_are_refused_in_one_sentence():
    with pytest.raises(ValueError, match="there is no data set 'prices'; there are"):
        store.rows("prices")
    with pytest.raises(ValueError, match="there is no split 'dev'"):
        store.rows("reviews", "dev")
    with pytest.raises(ValueError, match="is not generated"):
        store.generate("questions")


# --- README


README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_table_of_lessons_is_the_measured_one():
    assert report.lesson_table() in README


def test_claims_page_is_made_from_the_measurements():
    rows = report.read_claims()
    assert report.CLAIMS_MD.read_text(encoding="utf-8") == report.claims_markdown(rows)
    for lesson in LESSONS:
        made = {row["id"] for row in rows if row["id"][:2] == lesson.stem[:2]}
        text = lesson.read_text(encoding="utf-8")
        assert made == set(re.findall(r"""claim\(\s*["'](\d\d\.\d+[a-z]?)["']""", text))
    assert all(row["held"] == 1 and row["seeds"] >= 5 for row in rows)


def test_tree_in_the_readme_names_what_is_there():
    tree = re.search(r"```text\n(.*?)```", README, re.S)[1]
    named = {line.split()[0].rstrip("/") for line in tree.splitlines() if line.strip()}
    there = {path.relative_to(ROOT).parts[0] for path in tracked()}
    hidden = {".gitignore", ".gitattributes"}
    assert named == there - hidden


def test_relative_links_lead_somewhere():
    pages = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", DATA / "README.md", *LESSONS]
    for page in pages:
        base = ROOT / "notebooks" if page.suffix == ".py" else page.parent
        text = page.read_text(encoding="utf-8")
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", text):
            if not target.startswith(("http", "mailto:")):
                assert (base / target).exists(), f"{page.name}: {target}"


def test_nothing_of_one_machine_is_in_the_files():
    hosts = "|".join(("py" + r"pi\.org", "python" + "hosted", r"registry\." + "npmjs"))
    own = "|".join((r"(?<![\w.])/wo" + "rk/", "/ro" + r"ot/\."))
    for path in tracked():
        if path.suffix in {
            ".py",
            ".md",
            ".toml",
            ".txt",
            ".yml",
            ".yaml",
            ".json",
            ".cfg",
            ".lock",
        }:
            text = path.read_text(encoding="utf-8")
            assert not re.search(hosts, text), f"{path.name} names a registry host"
            assert not re.search(own, text), f"{path.name} holds a path of one machine"
