"""Train lume-clip: an image tower, and a linear map on top of the frozen MiniLM.

    python -m labs_support.recipes.clip [--steps 1200] [--seed 0] [--out runs/clip]

Pictures and texts are made first and kept in the folder of the run, so that a second
run starts at once.
"""

import argparse
import json
import time
from pathlib import Path

import numpy as np
import torch
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from labs_support import settings, shelf
from labs_support.contrastive import matched_loss
from labs_support.recipes import clip_card, clip_evaluation
from labs_support.recipes.clip_data import (
    FORMS,
    N_PICTURES,
    SIZE,
    Matcher,
    kept,
    make_pictures,
    make_texts,
)

C = 128  # dimensions of the common space
B = 128
RATES = {"tower": 3e-3, "map": 4e-4, "temperature": 1e-2}
# the second training of the matrix: pictures, steps, rate, length of the noise
N_FIXED, STEPS_ALONE, RATE_ALONE = 12_000, 1500, 1e-3
BLUR = {"description": 0.2}  # long texts need their details
OTHER_BLUR = 0.85
CONFIG = {
    "embed_dim": C,
    "vision_cfg": {
        "image_size": SIZE,
        "layers": [1, 1, 1, 1],
        "width": 16,
        "head_width": 64,
    },
    "text_cfg": {
        "hf_model_name": "sentence-transformers/all-MiniLM-L6-v2",
        "hf_tokenizer_name": "sentence-transformers/all-MiniLM-L6-v2",
        "hf_pooler_type": "mean_pooler",
        "hf_proj_type": "linear",
        "context_length": 128,
    },
    "custom_text": True,
}


def moved(pixels: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    """Return pictures as the tower wants them, moved a little, half of them mirrored."""
    x = normalised(F.pad(pixels.float(), (3, 3, 3, 3), mode="replicate"))
    top, left = rng.integers(0, 7, 2)
    x = x[..., top : top + SIZE, left : left + SIZE]
    flip = torch.tensor(rng.random(len(x)) < 0.5)[:, None, None, None]
    return torch.where(flip, x.flip(-1), x).contiguous(
        memory_format=torch.channels_last
    )


def normalised(pixels: torch.Tensor) -> torch.Tensor:
    """Return pixels of 0..255 with CLIP's mean and deviation, as `preprocess` does."""
    mean, deviation = torch.tensor([OPENAI_DATASET_MEAN, OPENAI_DATASET_STD])
    return (pixels / 255 - mean[:, None, None]) / deviation[:, None, None]


def start_of_map(vectors: torch.Tensor) -> torch.Tensor:
    """Return the directions in which the texts differ most, orthonormal, (C, 384)."""
    sample = vectors[::20].float()
    *_, directions = torch.linalg.svd(sample - sample.mean(0), full_matrices=False)
    return directions[:C]


def train(model, pictures, texts, steps: int, seed: int, log=print) -> None:
    """Train the image tower, the linear map and the temperature in place."""
    vectors = F.normalize(texts["vectors"].float(), dim=-1)
    tower, project = model.visual, model.text.proj
    tower.to(memory_format=torch.channels_last).train()
    with torch.no_grad():
        project.weight.copy_(start_of_map(vectors))
    groups = {
        "tower": tower.parameters(),
        "map": project.parameters(),
        "temperature": [model.logit_scale],
    }
    optimiser = torch.optim.AdamW(
        [{"params": list(g), "lr": RATES[n]} for n, g in groups.items()],
        weight_decay=0.02,
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, list(RATES.values()), total_steps=steps, pct_start=0.15
    )
    matcher, rng = Matcher(texts, seed), np.random.default_rng(seed)
    start = time.perf_counter()
    for step in range(steps):
        rows = torch.tensor(rng.integers(len(pictures["pixels"]), size=B))
        looks = pictures["looks"][rows].long()
        chosen = torch.tensor([matcher.text_for(look) for look in looks.tolist()])
        v = F.normalize(tower(moved(pictures["pixels"][rows], rng)), dim=-1)
        t = F.normalize(project(vectors[chosen]), dim=-1)
        scale = model.logit_scale.exp().clamp(max=100)
        loss = matched_loss(scale * v @ t.T, matcher.matches(chosen, looks))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()
        if step % 50 == 0 or step == steps - 1:
            passed = time.perf_counter() - start
            log(
                f"step {step} loss {loss.item():.3f} scale {scale.item():.1f} {passed:.0f} s"
            )
    model.eval()


def train_map(model, pictures, texts, seed: int) -> None:
    """Train the matrix once more, the tower fixed and the texts blurred, in place.

    Noise of about the length of the vectors keeps the matrix from relying on details of
    the training words, so that words it never saw are found more often.
    """
    torch.manual_seed(seed)
    looks = pictures["looks"][:N_FIXED].long()
    v = embed(model.visual, pictures["pixels"][:N_FIXED])
    vectors = F.normalize(texts["vectors"].float(), dim=-1)
    matcher = Matcher(texts, seed)
    per_form = torch.bincount(texts["forms"], minlength=len(FORMS))
    chance = (torch.tensor(matcher.shares) / per_form)[texts["forms"]]
    project, scale = model.text.proj, model.logit_scale.exp().item()
    optimiser = torch.optim.AdamW(project.parameters(), lr=RATE_ALONE, weight_decay=0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, RATE_ALONE, total_steps=STEPS_ALONE
    )
    blurs = torch.tensor([BLUR.get(form, OTHER_BLUR) for form in FORMS])
    for _ in range(STEPS_ALONE):
        chosen = chance.multinomial(2 * B)
        seen = torch.randint(len(v), (4 * B,))
        x = vectors[chosen]  # (2 B, 384)
        length = blurs[texts["forms"][chosen]][:, None] / x.shape[1] ** 0.5
        t = F.normalize(project(x + length * torch.randn_like(x)), dim=-1)
        matches = matcher.matches(chosen, looks[seen])  # (pictures, texts)
        used = matches[:, matches.any(0)]
        logits = (scale * v[seen] @ t.T)[:, matches.any(0)]
        loss = matched_loss(logits[used.any(1)], used[used.any(1)])
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


@torch.inference_mode()
def embed(tower, pixels: torch.Tensor) -> torch.Tensor:
    """Return the unit vectors of pictures, (N, C)."""
    parts = [tower(normalised(part.float())) for part in pixels.split(200)]
    return F.normalize(torch.cat(parts), dim=-1).clone()


def save(model, folder: Path) -> None:
    """Write the weights in 16 bits, without the frozen MiniLM."""
    own = {
        name: (weight.half() if weight.is_floating_point() else weight).contiguous()
        for name, weight in model.state_dict().items()
        if not name.startswith(shelf.FROZEN)
    }
    save_file(own, folder / "model.safetensors")


def main(words: list[str] | None = None) -> None:
    """Train lume-clip and write it into the folder of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=settings.ROOT / "runs" / "clip")
    a = parser.parse_args(words)
    settings.seed_everything()
    texts = kept(a.out / "texts.safetensors", lambda: make_texts(a.seed))
    pictures = kept(
        a.out / "pictures.safetensors", lambda: make_pictures(N_PICTURES, a.seed)
    )
    folder = a.out / "lume-clip"
    folder.mkdir(exist_ok=True)
    config = folder / "lume-clip.json"
    config.write_text(json.dumps(CONFIG, indent=2) + "\n", encoding="utf-8")
    torch.manual_seed(a.seed)
    found = shelf.untrained_image_text(config)
    start = time.process_time()
    train(found.model, pictures, texts, a.steps, a.seed)
    train_map(found.model, pictures, texts, a.seed)
    minutes = (time.process_time() - start) / 60
    save(found.model, folder)
    found.model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    vectors = clip_evaluation.catalogue_vectors(found)
    save_file({"pictures": vectors.half()}, folder / "catalogue.safetensors")
    text = clip_card.card(
        found, folder, B=B, steps=a.steps, seed=a.seed, minutes=minutes,
        pictures=len(pictures["looks"]), texts=len(texts["looks"]),
    )  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
