"""Measure lume-diffusion: does a picture show what was asked for? `labs evaluate NAME`.

Two judges that had no part in its training look at the pictures: a small classifier of
rendered pictures, and lume-clip naming them by words (zero-shot).
"""

import random
from functools import cache

import numpy as np
import torch
from safetensors.torch import load_file

from labs_support import shelf
from labs_support.contrastive import embed_pictures, embed_texts
from labs_support.recipes import diffusion_data as data
from labs_support.recipes import diffusion_judge as judging
from labs_support.recipes import diffusion_vae as coder
from labs_support.recipes.clip_evaluation import PLACES, PROMPTS
from labs_support.world import captions, render

LEAST = {  # what a release must reach
    **{f"{name}, by the classifier": 0.90 for name in data.NAMES},
    **{f"held-out pairs: {name}, by the classifier": 0.80 for name in data.NAMES},
    "VAE on unseen pictures, PSNR in dB": 25.0,
}
# seeds of the prompts: settings are chosen with one list and reported on another
LISTS = {"choice": "diffusion-choice", "test": "diffusion-test"}
N_PROMPTS, N_HELD_OUT, N_WORDS = 500, 160, 160
AT_ONCE = 25


def prompts(
    number: int, seed: str, held_out: bool = False, held_out_words: bool = False
):
    """Return texts, and the looks they ask for as numbers (number, 4).

    Args:
        number: how many.
        seed: of the random choices.
        held_out: whether each asks for a pair that training never showed.
        held_out_words: whether each has a word that training never showed.
    """
    rng = random.Random(seed)
    looks = [data.sample_look(rng, held_out) for _ in range(number)]
    texts = [
        captions.caption(render.sample_scene(rng, **look), rng, held_out_words)
        for look in looks
    ]
    return texts, torch.tensor([data.number_of(look) for look in looks])


def draw(pipe, texts: list[str], seed: int = 0, **options) -> torch.Tensor:
    """Return a picture for each text, uint8 (N, 3, 64, 64)."""
    generator = torch.Generator().manual_seed(seed)
    parts = [
        pipe(
            texts[i : i + AT_ONCE], generator=generator, output_type="np", **options
        ).images
        for i in range(0, len(texts), AT_ONCE)
    ]
    pixels = np.rint(np.concatenate(parts) * 255).astype(np.uint8)
    return torch.tensor(pixels).permute(0, 3, 1, 2).contiguous()


@cache
def judge() -> judging.Judge:
    """Return the classifier that is kept beside the model."""
    found = judging.Judge()
    weights = load_file(shelf.folder(shelf.role("text-to-image")) / "judge.safetensors")
    found.load_state_dict(weights)
    return found.float().eval()


def by_clip(pixels: torch.Tensor) -> torch.Tensor:
    """Return the values that lume-clip names, as numbers (N, 4)."""
    from PIL import Image

    clip = shelf.image_text()
    images = [Image.fromarray(p) for p in pixels.permute(0, 2, 3, 1).numpy()]
    vectors, found = embed_pictures(clip, images), []
    for name, values in captions.ATTRIBUTES.items():
        words = PLACES if name == "background" else {v: v for v in values}
        asked = [PROMPTS[name].format(words[value]) for value in values]
        found.append((vectors @ embed_texts(clip, asked).T).argmax(dim=1))
    return torch.stack(found, dim=1)


def shares(
    pixels: torch.Tensor, gold: torch.Tensor, start: str = ""
) -> dict[str, float]:
    """Return how often each judge names what was asked for, by attribute."""
    found = {}
    for who, seen in (
        ("the classifier", judging.named(judge(), pixels)),
        ("lume-clip", by_clip(pixels)),
    ):
        right = seen == gold
        for i, name in enumerate(data.NAMES):
            found[f"{start}{name}, by {who}"] = right[:, i].float().mean().item()
        found[f"{start}all four, by {who}"] = right.all(1).float().mean().item()
    return found


def evaluate(pipe=None, share: float = 1.0, **options) -> dict[str, float]:
    """Return the scores of the shelf's text-to-image model.

    Args:
        pipe: another pipeline of the same kind, such as one just trained.
        share: of the prompts, for a quick look.
        **options: of the pipeline; its own settings unless given.
    """
    pipe = pipe or shelf.text_to_image()
    found = {}
    for start, number, asked in (
        ("", N_PROMPTS, {}),
        ("held-out pairs: ", N_HELD_OUT, {"held_out": True}),
        ("held-out words: ", N_WORDS, {"held_out_words": True}),
    ):
        texts, gold = prompts(
            max(1, round(share * number)), LISTS["test"] + start, **asked
        )
        found |= shares(draw(pipe, texts, **options), gold, start)
    real = data.make_pictures("any", max(1, round(share * N_PROMPTS)), 12345)
    found["VAE on unseen pictures, PSNR in dB"] = coder.psnr(pipe.vae, real["pixels"])
    return found | ceiling(pipe, share)


def sweep(pipe, settings: list[dict], number: int = 60, judge_=None) -> list[dict]:
    """Return the scores of settings of the pipeline on the prompts for choosing.

    Args:
        pipe: a `LumePipeline`.
        settings: options of the pipeline, such as {"guidance_scale": 3}.
        number: of prompts.
        judge_: a classifier; the one beside the model unless given.

    Returns:
        for each setting the share of pictures with the right value, by attribute, and
        "all four", by the classifier.
    """
    texts, gold = prompts(number, LISTS["choice"])
    found = []
    for options in settings:
        pixels = draw(pipe, texts, **options)
        right = judging.named(judge_ or judge(), pixels) == gold
        row = dict(zip(data.NAMES, right.float().mean(0).tolist(), strict=True))
        found.append(row | {"all four": right.all(1).float().mean().item()})
    return found


def ceiling(pipe, share: float = 1.0) -> dict[str, float]:
    """Return what the judges say of drawn pictures that only went through the VAE."""
    real = data.make_pictures("shop", max(1, round(share * N_PROMPTS)), 12345)
    with torch.inference_mode():
        x = [
            pipe.decode(pipe.encode(p.float() / 127.5 - 1))
            for p in real["pixels"].split(50)
        ]
    pixels = ((torch.cat(x) + 1) * 127.5).round().to(torch.uint8)
    found = shares(pixels, real["looks"].long(), "drawn pictures through the VAE: ")
    return {name: value for name, value in found.items() if "all four" in name}


def main() -> None:
    """Print the scores, and a mark where one is below what a release must reach."""
    for name, value in evaluate().items():
        is_short = value < LEAST.get(name, 0)
        print(f"{name:56} {value:.3f}{'  too low' if is_short else ''}")


if __name__ == "__main__":
    main()
