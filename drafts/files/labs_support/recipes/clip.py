"""Train lume-clip: an image tower, and a linear map on top of the frozen MiniLM.

    python -m labs_support.recipes.clip [--steps 1200] [--seed 0] [--out runs/clip]

Pictures and texts are made first and kept in the folder of the run, so that a second
run starts at once. No product of the catalogue is among them: its four attributes
together occur in no picture and no full caption, its look in no description.
"""

import argparse
import json
import random
import time
from collections import defaultdict
from pathlib import Path

import numpy as np
import torch
from open_clip import OPENAI_DATASET_MEAN, OPENAI_DATASET_STD
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from labs_support import settings, shelf
from labs_support.contrastive import matched_loss
from labs_support.recipes import clip_evaluation
from labs_support.world import captions, queries, render, store

N_PICTURES = 40_000
SIZE = 64  # pixels
C = 128  # dimensions of the common space
B = 128
RATES = {"tower": 3e-3, "map": 4e-4, "temperature": 1e-2}
N_FIXED, BLUR, RATE_ALONE = 12_000, 0.8, 1e-3  # of the second training of the matrix
NOT_NAMED = -1
NAMES = tuple(captions.ATTRIBUTES)
NUMBERS = {
    name: {value: i for i, value in enumerate(values)}
    for name, values in captions.ATTRIBUTES.items()
}
# texts made of each form, and the share of a batch that is of it
FORMS = {
    "full": (13_000, 0.24),
    "look": (13_000, 0.18),
    "description": (6_000, 0.22),
    "kind_colour": (5_000, 0.06),
    "kind_pattern": (2_000, 0.04),
    "kind_background": (2_000, 0.04),
    "colour_pattern": (1_500, 0.03),
    "kind": (5_000, 0.09),
    "colour": (3_000, 0.05),
    "pattern": (900, 0.03),
    "background": (700, 0.02),
}
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


def catalogue_looks() -> set[tuple[int, ...]]:
    """Return the four attributes of every product as numbers."""
    return {number_of(row) for row in store.rows("catalogue")}


def number_of(look: dict[str, str], named: tuple[str, ...] = NAMES) -> tuple[int, ...]:
    """Return a look as four numbers, `NOT_NAMED` for what is not in `named`."""
    return tuple(
        NUMBERS[name][look[name]] if name in named else NOT_NAMED for name in NAMES
    )


def make_texts(seed: int) -> dict[str, torch.Tensor]:
    """Return the MiniLM vectors of all training texts, and what each text names."""
    rng, left_out = random.Random(f"clip-texts-{seed}"), catalogue_looks()
    looks_left_out = {look[:3] for look in left_out}
    found: dict[tuple, None] = {}
    for form, (number, _) in FORMS.items():
        for _ in range(number):
            look = {name: rng.choice(v) for name, v in captions.ATTRIBUTES.items()}
            whole = number_of(look)
            if form == "full" and whole in left_out:
                continue
            if form == "description" and whole[:3] in looks_left_out:
                continue
            text = queries.query(form, look, rng)
            found[text, number_of(look, queries.NAMED[form]), form] = None
    texts, looks, forms = zip(*found, strict=True)
    vectors = shelf.text_encoder().encode(list(texts), batch_size=128)
    return {
        "vectors": torch.tensor(vectors, dtype=torch.float16),
        "looks": torch.tensor(looks, dtype=torch.int16),
        "forms": torch.tensor([list(FORMS).index(form) for form in forms]),
    }


def make_pictures(number: int, seed: int) -> dict[str, torch.Tensor]:
    """Return fresh pictures, uint8 (number, 3, 64, 64), and the look of each."""
    rng, left_out = random.Random(f"clip-train{seed or ''}"), catalogue_looks()
    pictures = np.empty((number, SIZE, SIZE, 3), dtype=np.uint8)
    looks: list[tuple] = []
    while len(looks) < number:
        scene = render.sample_scene(rng)
        look = number_of({name: getattr(scene, name) for name in NAMES})
        if look not in left_out:
            pictures[len(looks)] = render.render(scene, SIZE)
            looks.append(look)
    return {
        "pixels": torch.tensor(pictures).permute(0, 3, 1, 2).contiguous(),
        "looks": torch.tensor(looks, dtype=torch.int16),
    }


def kept(path: Path, make) -> dict[str, torch.Tensor]:
    """Return the tensors in a file, made first if they are not there."""
    if not path.exists():
        path.parent.mkdir(parents=True, exist_ok=True)
        save_file(make(), path)
    return load_file(path)


class Matcher:
    """Finds for a picture a text that is true of it."""

    def __init__(self, texts: dict[str, torch.Tensor], seed: int):
        self.looks = texts["looks"].long()
        self.rows: dict[tuple, list[int]] = defaultdict(list)
        looks, forms = texts["looks"].tolist(), texts["forms"].tolist()
        for row, (look, form) in enumerate(zip(looks, forms, strict=True)):
            self.rows[form, *look].append(row)
        self.rng = random.Random(f"clip-matches-{seed}")
        self.forms = list(range(len(FORMS)))
        self.shares = [share for _, share in FORMS.values()]

    def text_for(self, look: list[int]) -> int:
        """Return the row of a text of a random form that is true of a look."""
        while True:
            (form,) = self.rng.choices(self.forms, self.shares)
            named = queries.NAMED[list(FORMS)[form]]
            key = [
                value if name in named else NOT_NAMED
                for name, value in zip(NAMES, look, strict=True)
            ]
            if rows := self.rows.get((form, *key)):
                return self.rng.choice(rows)

    def matches(self, texts: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        """Return 1 where a text is true of a picture, (pictures, texts)."""
        said = self.looks[texts]  # (texts, 4)
        agrees = (said == NOT_NAMED) | (said == looks[:, None])  # (pictures, texts, 4)
        return agrees.all(-1).float()


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


def train_map(model, pictures, texts, steps: int, seed: int) -> None:
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
        optimiser, RATE_ALONE, total_steps=steps
    )
    for _ in range(steps):
        chosen = chance.multinomial(2 * B)
        seen = torch.randint(len(v), (4 * B,))
        blur = torch.randn(2 * B, vectors.shape[1]) * BLUR / vectors.shape[1] ** 0.5
        t = F.normalize(project(vectors[chosen] + blur), dim=-1)
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


CARD = """# lume-clip

One space for pictures of Bottega Lume and texts about them, for `open_clip`. Lesson 09 uses
it, `labs_support.shelf.image_text()` loads it.

| | |
|---|---|
| picture tower | `open_clip`'s modified residual network of width 16, {tower:,} weights |
| text tower | all-MiniLM-L6-v2, frozen and not repeated here, then one matrix of 384 x {C} |
| common space | {C} dimensions, cosine, temperature {temperature:.4f} |
| trained with | `python -m labs_support.recipes.clip --steps {steps} --seed {seed}` |
| loss | contrastive, a text may fit several pictures, {B} pairs a step, AdamW |
| pictures | {pictures:,} of `labs_support.world.render` at 64 x 64 pixels |
| texts | {texts:,} of `labs_support.world.queries`, from single words to descriptions |
| left out | the four attributes of every product, and words `captions.yaml` holds out |
| machine | one core of a CPU, {minutes:.0f} minutes of processor time |
| licence | MIT; the frozen MiniLM: Apache 2.0 |
| SHA-256 of model.safetensors | `{digest}` |

`lume-clip.json` is the architecture, `model.safetensors` the trained weights in 16 bits,
`catalogue.safetensors` the vectors of the 240 pictures of the catalogue.

## Measured

By `python -m labs_support.recipes.clip_evaluation`, on products, drawings and words that training
never saw.

| what | share |
|---|---|
{scores}

## Limits

It knows the drawings of one shop: one thing in one place. Photos are outside its world. A word
that training did not show works as far as MiniLM places it near words that did occur; names of
colours often fail. It hardly binds properties to things: see lesson 09, section 7.
"""


def card(found: shelf.ImageText, folder: Path, **facts) -> str:
    """Return the model card of a trained model whose weights lie in a folder."""
    scores = clip_evaluation.evaluate(found)
    return CARD.format(
        C=C,
        B=B,
        tower=sum(w.numel() for w in found.model.visual.parameters()),
        temperature=1 / found.model.logit_scale.exp().item(),
        digest=store.sha256(folder / "model.safetensors"),
        scores="\n".join(f"| {name} | {value:.3f} |" for name, value in scores.items()),
        **facts,
    )


def main() -> None:
    """Train lume-clip and write it into the folder of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1200)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=settings.ROOT / "runs" / "clip")
    a = parser.parse_args()
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
    train_map(found.model, pictures, texts, a.steps, a.seed)
    minutes = (time.process_time() - start) / 60
    save(found.model, folder)
    found.model.load_state_dict(load_file(folder / "model.safetensors"), strict=False)
    vectors = clip_evaluation.catalogue_vectors(found)
    save_file({"pictures": vectors.half()}, folder / "catalogue.safetensors")
    text = card(
        found, folder, steps=a.steps, seed=a.seed, minutes=minutes,
        pictures=len(pictures["looks"]), texts=len(texts["looks"]),
    )  # fmt: skip
    (folder / "README.md").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
