"""Read, write and rebuild the data sets in data/.

A data set is a folder data/NAME with one JSON Lines file per split. Most are generated
by the module of the same name, whose generate(seed) is deterministic; the handbook and
its questions are written by hand.
"""

import hashlib
import importlib
import json
from pathlib import Path

from labs_support.settings import DATA

SPLITS = ("train", "validation", "test")
GENERATED = (
    "catalogue",
    "captions",
    "phrases",
    "reviews",
    "sums",
    "dialogues",
    "replies",
    "stream",
)
WRITTEN = ("questions",)
CHECKSUMS = DATA / "SHA256SUMS"


def path(name: str, split: str) -> Path:
    """Return the file of one split.

    Raises:
        ValueError: if there is no data set or split of that name.
    """
    if name not in GENERATED + WRITTEN:
        names = ", ".join(GENERATED + WRITTEN)
        raise ValueError(f"there is no data set {name!r}; there are {names}")
    if split not in SPLITS:
        raise ValueError(f"there is no split {split!r}; there are {', '.join(SPLITS)}")
    return DATA / name / f"{split}.jsonl"


def rows(name: str, split: str = "train") -> list[dict]:
    """Return the rows of one split as a list of dicts.

    Raises:
        FileNotFoundError: if the file is missing; the message says how to make it.
    """
    file = path(name, split)
    if not file.exists():
        raise FileNotFoundError(
            f"data/{name}/{split}.jsonl is missing: `labs rebuild {name}` makes it again."
            if name in GENERATED
            else f"data/{name}/{split}.jsonl is missing: `git checkout data` restores it."
        )
    with file.open(encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]


def load(name: str):
    """Return a data set as `datasets.DatasetDict`, one `Dataset` per split."""
    from datasets import Dataset, DatasetDict

    splits = [s for s in SPLITS if path(name, s).exists()]
    return DatasetDict({s: Dataset.from_list(rows(name, s)) for s in splits})


def encode(split: list[dict]) -> bytes:
    """Return rows as the bytes of their JSON Lines file."""
    lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in split)
    return "".join(lines).encode()


def generate(name: str, seed: int = 0) -> dict[str, list[dict]]:
    """Return the splits of a generated data set, made anew."""
    if name not in GENERATED:
        raise ValueError(f"{name!r} is not generated; {', '.join(GENERATED)} are")
    return importlib.import_module(f"labs_support.world.{name}").generate(seed)


def write(name: str, splits: dict[str, list[dict]]) -> None:
    """Write the splits of a data set into data/NAME."""
    for split, split_rows in splits.items():
        file = path(name, split)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(encode(split_rows))


def build(name: str) -> None:
    """Generate a data set anew and write it, with its pictures if it has some.

    Raises:
        ValueError: if there is no generated data set of that name.
    """
    write(name, generate(name))
    if name == "catalogue":
        module = importlib.import_module(f"labs_support.world.{name}")
        module.write_pictures()


def sha256(file: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def files(name: str = "") -> list[Path]:
    """Return the files of one data set, or those of all of them; none that is hidden."""
    found = sorted((DATA / name).glob("**/*" if name else "*/**/*"))
    hidden = (
        any(part.startswith(".") for part in p.parts[len(DATA.parts) :]) for p in found
    )
    pairs = zip(found, hidden, strict=True)
    return [path for path, is_hidden in pairs if path.is_file() and not is_hidden]


def write_checksums() -> None:
    """Write data/SHA256SUMS, in the format of the sha256sum command."""
    lines = [f"{sha256(p)}  {p.relative_to(DATA).as_posix()}\n" for p in files()]
    CHECKSUMS.write_text("".join(lines), encoding="utf-8")


def published() -> dict[str, str]:
    """Return the SHA-256 of every file that data/SHA256SUMS names."""
    lines = CHECKSUMS.read_text(encoding="utf-8").splitlines()
    return {
        name: digest for digest, _, name in (line.partition("  ") for line in lines)
    }


def changed() -> list[str]:
    """Return the files of data/ that are missing or differ from data/SHA256SUMS."""
    return [
        f"data/{name}"
        for name, digest in published().items()
        if not (DATA / name).exists() or sha256(DATA / name) != digest
    ]
