"""The checks behind `labs doctor`: each returns what is fine, or what to do."""

import os
import re
import shutil
import sys
from collections.abc import Callable
from importlib import metadata

from labs_support import settings, shelf
from labs_support.world import store

MIN_MEMORY_GB = 3
MIN_DISK_GB = 1


class Problem(Exception):
    """What is wrong, in one sentence that says what to do."""


def python() -> str:
    """Return the Python version, or raise Problem if the course does not run on it."""
    version = sys.version_info
    if not (3, 11) <= version[:2] <= (3, 13):
        raise Problem(
            f"This is Python {version[0]}.{version[1]}; the course needs 3.11 to 3.13. "
            "Install one and run: make lab PYTHON=python3.12"
        )
    return f"Python {version[0]}.{version[1]}.{version[2]}"


def packages() -> str:
    """Return how many packages are as locked, or raise Problem if some are not."""
    lock = (settings.ROOT / "requirements.txt").read_text(encoding="utf-8")
    locked: dict[str, set[str]] = {}
    for name, version in re.findall(r"^([\w.-]+)==([^\s;\\]+)", lock, re.M):
        locked.setdefault(name, set()).add(version)
    direct = [
        re.match(r"[\w.-]+", line)[0] for line in metadata.requires("labs-support")
    ]
    wrong = []
    for name in direct:
        try:
            version = metadata.version(name).partition("+")[0]
        except metadata.PackageNotFoundError:
            version = "missing"
        if version not in locked[name]:
            wrong.append(f"{name} {version} instead of {' or '.join(locked[name])}")
    if wrong:
        raise Problem(
            f"{len(wrong)} packages differ from the lock ({'; '.join(wrong[:3])}). "
            "Delete .venv and run `make lab` again."
        )
    return f"{len(direct)} packages as locked"


def variables() -> str:
    """Return the settings in force, or raise Problem if one cannot be used."""
    try:
        now = settings.read()
        device = settings.device()
    except settings.SettingError as error:
        raise Problem(str(error)) from None
    return f"profile {now.profile}, device {device}, seed {now.seed}"


def text_encoder() -> str:
    """Return that the embedded text encoder is whole, or raise Problem."""
    try:
        shelf.folder(shelf.role("text-encoder"))
    except shelf.DamagedModel as error:
        raise Problem(str(error)) from None
    return "text encoder all-MiniLM-L6-v2, checksum as expected"


def data() -> str:
    """Return that data/ is as published, or raise Problem."""
    missing = [n for n in store.GENERATED + store.WRITTEN if not store.files(n)]
    if missing:
        raise Problem(f"data/{missing[0]} is missing: `git checkout data` restores it.")
    if not store.CHECKSUMS.exists():
        raise Problem("data/SHA256SUMS is missing: `git checkout data` restores it.")
    changed = store.changed()
    if changed:
        raise Problem(
            f"{changed[0]} differs from the published one (and {len(changed) - 1} more): "
            "`git checkout data` restores it."
        )
    return "data files, checksums as expected"


def writable() -> str:
    """Return that notebooks can be saved, or raise Problem."""
    if not os.access(settings.ROOT / "notebooks", os.W_OK):
        raise Problem(
            f"No permission to write in {settings.ROOT}: what you type cannot be saved. "
            "Copy the course into a folder of yours."
        )
    return "notebooks can be saved"


def memory() -> str:
    """Return the free memory, or raise Problem if it is too little for a lesson."""
    import psutil

    free = psutil.virtual_memory().available / 1e9
    if free < MIN_MEMORY_GB:
        raise Problem(
            f"{free:.1f} GB of memory are free; a lesson with JupyterLab needs "
            f"{MIN_MEMORY_GB}. Close other programs, or shut down idle kernels."
        )
    return f"{free:.1f} GB of memory free"


def disk() -> str:
    """Return the free disk space, or raise Problem if it is too little."""
    free = shutil.disk_usage(settings.ROOT).free / 1e9
    if free < MIN_DISK_GB:
        raise Problem(
            f"{free:.1f} GB of disk are free; the course needs {MIN_DISK_GB}."
        )
    return f"{free:.0f} GB of disk free"


CHECKS: tuple[Callable[[], str], ...] = (
    python,
    packages,
    variables,
    text_encoder,
    data,
    writable,
    memory,
    disk,
)


def fails(check: Callable[[], str]) -> str:
    """Return what is wrong according to a check, "" if nothing is."""
    try:
        check()
    except Problem as problem:
        return str(problem)
    return ""
