"""The three lists of packages agree, and the set-up says clearly what it cannot do."""

import ast
import importlib.util
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


def module(path: Path):
    """Return the module in a file that is not part of a package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


bootstrap = module(ROOT / "bootstrap.py")
environment = module(ROOT / "tests" / "environment.py")


def test_every_direct_dependency_is_locked():
    assert set(environment.direct()) <= set(environment.locked())


def test_environment_yml_is_made_from_the_lock():
    assert (ROOT / "environment.yml").read_text() == environment.text()


def test_lock_has_a_hash_for_every_package_and_names_no_index():
    lock = (ROOT / "requirements.txt").read_text()
    blocks = bootstrap.split_lock(lock)
    assert len(blocks) > 200
    assert all("--hash=sha256:" in block for block in blocks.values())
    assert not re.search(r"https?://|--index|--extra-index|--find-links", lock)


def test_installing_everything_leaves_no_line_of_the_lock_out():
    lock = (ROOT / "requirements.txt").read_text()
    ((text, extra),) = bootstrap.plan(bootstrap.split_lock(lock), "default")
    assert extra == ["--require-hashes"]
    wanted = {line for line in lock.splitlines() if line and not line.startswith("#")}
    assert wanted == {line for line in text.splitlines() if line}


def test_cpu_variant_leaves_out_cuda_and_takes_torch_from_its_cpu_index():
    lock = bootstrap.split_lock((ROOT / "requirements.txt").read_text())
    (first, first_extra), (second, second_extra) = bootstrap.plan(lock, "cpu")
    assert "torch==2" in first and "torchvision==0" in first
    assert first_extra[:2] == ["--torch-backend", "cpu"]
    assert "--require-hashes" in second_extra
    assert not re.search(r"^(nvidia|cuda|triton|torch==|torchvision==)", second, re.M)
    assert "transformers==" in second


@pytest.mark.parametrize("version", [(2, 7, 18), (3, 9, 18), (3, 10, 13), (3, 14, 0)])
def test_other_pythons_get_one_sentence(version):
    problem = bootstrap.python_problem(version)
    assert f"this is Python {version[0]}.{version[1]}" in problem
    assert "\n" not in problem and "PYTHON=" in problem


@pytest.mark.parametrize("version", [(3, 11, 0), (3, 12, 1), (3, 13, 0)])
def test_supported_pythons_pass(version):
    assert bootstrap.python_problem(version) is None


def test_bootstrap_can_be_read_by_old_pythons():
    ast.parse((ROOT / "bootstrap.py").read_text(), feature_version=(3, 6))


def test_bad_torch_variant_is_refused_in_one_sentence():
    run = subprocess.run(
        [sys.executable, ROOT / "bootstrap.py"],
        env={**os.environ, "LABS_TORCH": "gpu"},
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1
    assert run.stderr.strip() == "LABS_TORCH is 'gpu'; it can be 'cpu' or 'default'."


def test_imports_of_the_package_are_declared():
    names = {
        "sklearn": "scikit-learn",
        "PIL": "pillow",
        "bs4": "beautifulsoup4",
        "langchain_core": "langchain",
        "yaml": "pyyaml",
        "open_clip": "open-clip-torch",
        "IPython": "ipykernel",
        "traitlets": "ipykernel",
        "huggingface_hub": "transformers",
        "fastapi": "gradio",
        "httpx": "gradio",
        "uvicorn": "gradio",
        "markdown_it": "rich",
        "websocket": "jupyterlab",
    }
    declared = set(environment.direct())
    own = [ROOT / name for name in ("tests", "tests/mutants", "slides")]
    for folder in ("labs_support", "lessons", "tests", "benchmarks", "slides"):
        for path in (ROOT / folder).rglob("*.py"):
            if "node_modules" in path.parts:
                continue
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                found = []
                if isinstance(node, ast.Import):
                    found = [alias.name for alias in node.names]
                elif (
                    isinstance(node, ast.ImportFrom) and node.module and not node.level
                ):
                    found = [node.module]
                for name in (full.partition(".")[0] for full in found):
                    if name in sys.stdlib_module_names or name == "labs_support":
                        continue
                    package = names.get(name, name.replace("_", "-"))
                    local = any((near / f"{name}.py").exists() for near in own)
                    assert local or package in declared, f"{path.name} imports {name}"
