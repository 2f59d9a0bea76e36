"""Puts lume-diffusion on the shelf: the pipeline, its judge, its scores and its card."""

import json
import shutil
from pathlib import Path

from labs_support import shelf
from labs_support.drawing import LumePipeline
from labs_support.recipes import diffusion
from labs_support.recipes import diffusion_evaluation as evaluation
from labs_support.recipes import diffusion_judge as judging
from labs_support.recipes.clip_data import kept
from labs_support.recipes.diffusion_data import HELD_OUT
from labs_support.settings import DATA, ROOT
from labs_support.world import store

FOLDER = DATA / "models" / "lume-diffusion"
POINTS = 12  # lines of the training curve in the card
# ruff: noqa: E501 - rows of a table
CARD = """# lume-diffusion

Draws pictures of the products of Bottega Lume from words, 64 x 64 pixels, with `diffusers`.
Lesson 03 uses it, `labs_support.shelf.text_to_image()` loads it.

| | |
|---|---|
| VAE | `AutoencoderKL` on blocks of 8 x 8 pixels, to {C} x 8 x 8 latents, {vae:,} weights |
| denoiser | `UNet2DConditionModel` of width {width}, predicts the velocity, {unet:,} weights |
| text | token vectors of all-MiniLM-L6-v2, frozen and not repeated here; `slots.SlotReader` reads four properties out of them, {reader:,} weights |
| sampler | `DDIMScheduler`, {steps} steps and guidance {guidance} unless told otherwise |
| trained with | `python -m labs_support.recipes.diffusion` (or `labs rebuild lume-diffusion`), seed {seed} |
| pictures | rendered by `labs_support.world.render`: {any:,} in any pose for the VAE, {shop:,} in the middle and upright for the denoiser |
| left out | {held_out} pairs of a kind and a colour, in pictures and texts |
| denoiser seen | {samples:,} pictures in {train_steps:,} steps, {minutes:.0f} minutes of processor time on one core |
| licence | MIT; the frozen MiniLM: Apache 2.0 |
| SHA-256 | {digests} |

`judge.safetensors` is the classifier that `labs evaluate` asks; it was trained apart, on other
pictures. `training.json` is the log of the denoiser.

## Measured

By `labs evaluate lume-diffusion`: shares of pictures that show what their prompt asks for, in
words of `captions.yaml`. Guidance and steps were chosen with other prompts (those of
`diffusion_evaluation.LISTS["choice"]`).

| what | measured |
|---|---|
{scores}

## Training

| step | loss |
|---|---|
{curve}

{notes}
"""


def put(run: Path, seed: int = 0, notes: str = "") -> None:
    """Copy the pipeline of a run into data/models, with its judge, log and card."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    shutil.copytree(run / "lume-diffusion", FOLDER, dirs_exist_ok=True)
    for file in FOLDER.glob("*/config.json"):
        config = json.loads(file.read_text(encoding="utf-8"))
        config.pop("_name_or_path", None)  # a folder of the machine that trained it
        file.write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    kept(run / "judge.safetensors", judging.make_judge)
    shutil.copy(run / "judge.safetensors", FOLDER)
    lines = (run / "denoiser.jsonl").read_text(encoding="utf-8").splitlines()
    log = [json.loads(line) for line in lines]
    (FOLDER / "training.json").write_text(
        json.dumps(log, indent=0) + "\n", encoding="utf-8"
    )
    (FOLDER / "README.md").write_text(card(log, seed, notes), encoding="utf-8")
    store.write_checksums()
    shelf.text_to_image.cache_clear()
    evaluation.judge.cache_clear()


def retrain() -> Path:
    """Train again as long as the log beside the model says; return the folder of the run."""
    log = json.loads((FOLDER / "training.json").read_text(encoding="utf-8"))
    folder = ROOT / "runs" / "diffusion"
    minutes = str(log[-1]["seconds"] / 60)
    diffusion.main(["--minutes", minutes, "--folder", str(folder)])
    return folder


def card(log: list[dict], seed: int, notes: str) -> str:
    """Return the card of the pipeline in data/models, its scores still to be filled in."""
    import inspect

    pipe = LumePipeline.from_pretrained(FOLDER)
    weights = {
        part: sum(w.numel() for w in getattr(pipe, part).parameters())
        for part in ("vae", "unet", "reader")
    }
    files = sorted(FOLDER.glob("**/*.safetensors"))
    defaults = inspect.signature(LumePipeline.__call__).parameters
    learned = [line for line in log if "loss" in line]
    return CARD.format(
        **weights,
        **evaluation.data.N_PICTURES,
        C=pipe.vae.config.latent_channels,
        width=pipe.unet.config.block_out_channels[0],
        steps=defaults["num_inference_steps"].default,
        guidance=defaults["guidance_scale"].default,
        seed=seed,
        held_out=len(HELD_OUT),
        samples=diffusion.B * log[-1]["step"],
        train_steps=log[-1]["step"],
        minutes=log[-1]["seconds"] / 60,
        digests=", ".join(
            f"{f.relative_to(FOLDER).as_posix()} `{store.sha256(f)}`" for f in files
        ),
        scores="{scores}",
        curve="\n".join(
            f"| {line['step']:,} | {line['loss']:.3f} |"
            for line in learned[:: max(1, len(learned) // POINTS)]
        ),
        notes=notes,
    )


def with_scores(text: str, scores: dict[str, float]) -> str:
    """Return a card with other scores in its table."""
    start = "| what | measured |\n|---|---|\n"
    before, _, after = text.partition(start)
    rest = after[after.index("\n## Training") :]
    rows = "\n".join(f"| {name} | {value:.3f} |" for name, value in scores.items())
    return f"{before}{start}{rows}\n{rest}"
