"""Make .venv from the hash lock. Needs Python 3.11-3.13 and nothing else.

    python3 bootstrap.py          # what `make lab` and `make test` call first
    py bootstrap.py               # the same on Windows

LABS_TORCH=cpu takes torch and torchvision from PyTorch's own CPU index (Linux: 0.8 GB
of packages instead of 6.7). Only those two then come without a locked hash.

This file is read by whatever Python the machine has: it stays valid for Python 3.6, so
that an old one gets a sentence and not a SyntaxError.
"""

import hashlib
import os
import re
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parent
VENV = ROOT / ".venv"
STAMP = VENV / ".installed"
OLDEST, NEWEST = (3, 11), (3, 13)
CUDA_ONLY = re.compile(r"^(nvidia-|cuda-|triton|torch==|torchvision==)")
IS_WINDOWS = os.name == "nt"


def python_problem(version):
    """Return one sentence when this Python (a version tuple) cannot run the course."""
    if OLDEST <= tuple(version[:2]) <= NEWEST:
        return None
    return (
        "This course needs Python 3.11, 3.12 or 3.13, and this is Python {}.{}. "
        "Install one of them and name it, for example: make lab PYTHON=python3.12"
    ).format(version[0], version[1])


def split_lock(text):
    """Return {requirement line: whole block with its hashes} of a compiled lock."""
    blocks = re.findall(r"^(\S+==\S+.*(?:\n[ \t]+--hash=\S+(?: \\)?)*)", text, re.M)
    return {block.splitlines()[0].rstrip(" \\"): block for block in blocks}


def select(lock, keep):
    """Return the text of the blocks of a split lock whose requirement passes keep."""
    return "\n".join(block for name, block in lock.items() if keep(name)) + "\n"


def plan(lock, torch):
    """Return [(requirements text, extra arguments of uv)] to install, in order."""
    if torch != "cpu":
        return [(select(lock, lambda name: True), ["--require-hashes"])]
    versions = [n for n in lock if n.startswith(("torch==", "torchvision=="))]
    rest = select(lock, lambda name: not CUDA_ONLY.match(name))
    return [
        ("\n".join(versions) + "\n", ["--torch-backend", "cpu", "--no-deps"]),
        (rest, ["--require-hashes", "--no-deps"]),
    ]


def fingerprint(torch):
    """Return a digest of everything the environment depends on."""
    parts = [
        (ROOT / name).read_bytes() for name in ("requirements.txt", "pyproject.toml")
    ]
    parts += [sys.version.encode(), str(ROOT).encode(), torch.encode()]
    return hashlib.sha256(b"\0".join(parts)).hexdigest()


def call(command, what):
    """Run a command; on failure stop with one sentence under its own output."""
    if subprocess.call([str(part) for part in command], cwd=str(ROOT)) != 0:
        sys.exit(
            "Could not {}: the lines above say why. Check the network and the free disk "
            "space (10 GB), then run the same command again; what is done is kept.".format(
                what
            )
        )


def install(python, torch):
    """Fill the environment that `python` belongs to from requirements.txt."""
    lock = split_lock((ROOT / "requirements.txt").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as folder:

        def write(text):
            handle, name = tempfile.mkstemp(suffix=".txt", dir=folder)
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                file.write(text)
            return name

        uv_only = write(select(lock, lambda name: name.startswith("uv==")))
        pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        call(pip + ["--require-hashes", "-r", uv_only], "install uv")
        uv = [python, "-m", "uv", "pip", "install", "--python", python]
        for text, extra in plan(lock, torch):
            # compiled once here, or else at every first import, which takes far longer
            extra = extra + ["--compile-bytecode", "-r", write(text)]
            call(uv + extra, "install the packages")
        package = ["--quiet", "--no-deps", "-e", str(ROOT)]
        call(uv + package, "install labs_support")


def make_venv(python):
    """Create .venv, anew where it belongs to another version of Python."""
    version = "import sys; print(sys.version_info[:2])"
    if python.exists():
        command = [str(python), "-c", version]
        found = subprocess.run(command, stdout=subprocess.PIPE, universal_newlines=True)
        if found.stdout.strip() == str(sys.version_info[:2]):
            return
    try:
        venv.create(
            str(VENV), with_pip=True, clear=VENV.exists(), symlinks=not IS_WINDOWS
        )
    except PermissionError:
        sys.exit(
            "No permission to write in {}: clone the course into a folder of yours, "
            "then run the same command there.".format(ROOT)
        )
    except subprocess.CalledProcessError:
        sys.exit(
            "Python could not create a virtual environment. On Debian and Ubuntu: "
            "sudo apt install python3-venv, then run the same command again."
        )


def main():
    """Create or bring up to date .venv; return at once when nothing changed."""
    problem = python_problem(sys.version_info)
    if problem:
        sys.exit(problem)
    done = STAMP.read_text().split() if STAMP.exists() else []
    chosen = done[0] if len(done) == 2 else "default"
    torch = os.environ.get("LABS_TORCH", chosen)  # what was chosen once stays
    if torch not in ("default", "cpu"):
        sys.exit("LABS_TORCH is {!r}; it can be 'cpu' or 'default'.".format(torch))
    wanted = fingerprint(torch)
    if wanted in done:
        return
    print("Setting up .venv (first time: some minutes, 7 GB) ...", flush=True)
    python = VENV / ("Scripts/python.exe" if IS_WINDOWS else "bin/python")
    make_venv(python)
    install(python, torch)
    STAMP.write_text("{} {}".format(torch, wanted))


if __name__ == "__main__":
    main()
