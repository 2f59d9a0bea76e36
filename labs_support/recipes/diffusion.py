"""Train lume-diffusion: VAE, text reader and denoiser.

    python -m labs_support.recipes.diffusion [--minutes 60] [--folder runs/diffusion]
    python -m labs_support.recipes.diffusion --start data/models/lume-diffusion

Every stage keeps its files in the folder of the run, so a run that was stopped goes on
where it was. Minutes are processor time of the denoiser; the rest takes about ten more.
With `--start` the denoiser of a saved pipeline is trained on in a new folder.
"""

import argparse
import shutil
from functools import partial
from pathlib import Path

import torch
from diffusers import AutoencoderKL, DDIMScheduler, UNet2DConditionModel
from torch.nn import functional as F

from labs_support import settings
from labs_support.drawing import LumePipeline
from labs_support.recipes import diffusion_data as data
from labs_support.recipes import diffusion_vae as coder
from labs_support.recipes.clip_data import kept
from labs_support.recipes.diffusion_run import Run
from labs_support.slots import SlotReader

SLOT = 64  # numbers in the vector of a property
B, RATE = 32, 4e-3
NO_TEXT = 0.1  # share of the pictures whose text is left out, for guidance
READER = {"steps": 600, "batch": 128, "rate": 2e-3, "noise": 0.5}


def untrained_unet(width: int = 96) -> UNet2DConditionModel:
    """Return the denoiser of latents (B, 16, 8, 8), its weights random."""
    n_slots = len(data.NAMES)
    return UNet2DConditionModel(
        sample_size=8,
        in_channels=coder.C_LATENT,
        out_channels=coder.C_LATENT,
        block_out_channels=(width, width),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        mid_block_type="UNetMidBlock2DCrossAttn",
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        cross_attention_dim=SLOT,
        attention_head_dim=4,
        time_embedding_dim=2 * width,
        resnet_time_scale_shift="scale_shift",
        class_embed_type="projection",
        projection_class_embeddings_input_dim=n_slots * SLOT,
    )


def scheduler() -> DDIMScheduler:
    """Return the sampler that the pipeline starts with."""
    return DDIMScheduler(
        num_train_timesteps=1000,
        beta_schedule="squaredcos_cap_v2",
        prediction_type="v_prediction",
        clip_sample=False,
        set_alpha_to_one=True,
        timestep_spacing="trailing",
    )


def untrained(width: int = 96, vae_width: int = 96, text_encoder=None) -> LumePipeline:
    """Return the whole pipeline with random weights."""
    pipe = LumePipeline(
        vae=coder.untrained_vae(vae_width),
        unet=untrained_unet(width),
        reader=SlotReader(tuple(data.N_VALUES.values()), SLOT),
        scheduler=scheduler(),
        text_encoder=text_encoder,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def train_reader(reader: SlotReader, texts: dict[str, torch.Tensor]) -> float:
    """Train the reader to name what texts say, in place; return its accuracy.

    Noise of about half the length of the token vectors keeps it from relying on details
    of the training words.
    """
    n_open = torch.tensor(list(data.N_VALUES.values()))
    looks = texts["looks"].long()
    gold = torch.where(looks < 0, n_open, looks)  # (N, S)
    optimizer = torch.optim.AdamW(
        reader.parameters(), lr=READER["rate"], weight_decay=0.05
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, READER["rate"], total_steps=READER["steps"]
    )
    right = 0.0
    for _ in range(READER["steps"]):
        rows = torch.randint(len(gold), (READER["batch"],))
        rows[0] = 0  # the empty text is in every batch
        is_token = texts["is_token"][rows]
        x = texts["tokens"][rows].float()
        deviation = READER["noise"] * x[is_token].std()
        slots = reader(x + deviation * torch.randn_like(x), is_token)
        logits = reader.named(slots)
        loss = sum(
            F.cross_entropy(values, gold[rows, i], label_smoothing=0.05)
            for i, values in enumerate(logits)
        )
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        hits = torch.stack([v.argmax(1) for v in logits], 1) == gold[rows]
        right = 0.95 * right + 0.05 * hits.all(1).float().mean().item()
    return right


def noised(z, noise, t, sampler):
    """Return noisy latents at steps t, and the velocity that the denoiser predicts."""
    return sampler.add_noise(z, noise, t), sampler.get_velocity(z, noise, t)


class Batches:
    """Draws batches of latents with the slots of a text that is true of them."""

    def __init__(self, latents, looks, slots, text_looks, seed: int):
        """Keep latents (N, 16, 8, 8), looks (N, 4), slots (M, S, width)."""
        self.latents, self.looks, self.slots = latents, looks.tolist(), slots
        self.matcher = data.Matcher(text_looks, seed)

    def draw(self, size: int):
        """Return latents and slots of a batch; some have the slots of the empty text."""
        rows = torch.randint(len(self.latents), (size,)).tolist()
        texts = torch.tensor([self.matcher.text_for(self.looks[row]) for row in rows])
        texts[torch.rand(size) < NO_TEXT] = 0
        return self.latents[rows].float(), self.slots[texts]


def denoiser_loss(unet, batches: Batches, sampler, step: int, size: int = B):
    """Return the loss of a fresh batch, its steps spread evenly over all noise levels."""
    torch.manual_seed(step)
    z, slots = batches.draw(size)
    n = sampler.config.num_train_timesteps
    t = ((torch.arange(size) + torch.rand(size)) * n / size).long()
    z_t, velocity = noised(z, torch.randn_like(z), t, sampler)
    predicted = unet(z_t, t, slots, class_labels=slots.flatten(1)).sample
    return F.mse_loss(predicted, velocity)


class Workshop:
    """The folder of a run: what the stages hand on to each other."""

    def __init__(self, folder: Path, seed: int = 0):
        """Use a folder, which may hold earlier work."""
        self.folder, self.seed = Path(folder), seed

    def pictures(self, kind: str) -> dict[str, torch.Tensor]:
        """Return the pictures of a kind, drawn first if they are not there."""
        number = data.N_PICTURES[kind]
        make = partial(data.make_pictures, kind, number, self.seed)
        return kept(self.folder / f"{kind}.safetensors", make)

    def texts(self) -> dict[str, torch.Tensor]:
        """Return the token vectors of the texts, read first if they are not there."""
        return kept(
            self.folder / "texts.safetensors", partial(data.make_texts, self.seed)
        )

    def vae(self, minutes: float):
        """Return the VAE, trained for so many minutes if it is not there."""
        place = self.folder / "vae"
        if place.exists():
            return AutoencoderKL.from_pretrained(place).eval()
        torch.manual_seed(self.seed)
        vae, pixels = coder.untrained_vae(), self.pictures("any")["pixels"]
        coder.start_linear(vae, coder.as_blocks(pixels[:2500]))
        run = Run("vae", vae, coder.RATE, minutes, self.folder, coder.adam(vae))
        test = data.make_pictures("any", 200, self.seed + 1)["pixels"]

        def loss_of(step):
            torch.manual_seed(step)
            return coder.vae_loss(vae, pixels[torch.randint(len(pixels), (coder.B,))])

        run.log(psnr=coder.psnr(vae, test))
        run.train(loss_of, lambda: {"psnr": coder.psnr(vae, test)})
        run.use_average()
        coder.set_scale(vae, pixels[:2500])
        vae.save_pretrained(place)
        return vae.eval()

    def latents(self, vae) -> dict[str, torch.Tensor]:
        """Return the latents of the shop's pictures and their looks."""

        def make():
            shop = self.pictures("shop")
            z = coder.encode_all(vae, shop["pixels"])
            return {"latents": z, "looks": shop["looks"]}

        return kept(self.folder / "latents.safetensors", make)

    def reader(self) -> tuple[SlotReader, torch.Tensor, torch.Tensor]:
        """Return the reader, the slots of all texts and what the texts name."""
        torch.manual_seed(self.seed)
        reader, texts = SlotReader(tuple(data.N_VALUES.values()), SLOT), self.texts()
        place = self.folder / "reader"
        if place.exists():
            reader = SlotReader.from_pretrained(place)
        else:
            print(
                f"reader: {train_reader(reader, texts):.3f} of the texts read in full"
            )
            reader.save_pretrained(place)
        with torch.inference_mode():
            parts = [
                reader(t.float(), m)
                for t, m in zip(
                    texts["tokens"].split(500),
                    texts["is_token"].split(500),
                    strict=True,
                )
            ]
        return reader.eval(), torch.cat(parts).clone(), texts["looks"]

    def start_from(self, pipeline: Path) -> None:
        """Take over the parts of a saved pipeline that are not here yet."""
        for part in ("vae", "reader", "unet"):
            if not (self.folder / part).exists():
                shutil.copytree(pipeline / part, self.folder / part)

    def denoiser(self, vae, slots, text_looks, minutes: float) -> Run:
        """Return the finished run of the denoiser."""
        torch.manual_seed(self.seed)
        unet, sampler, found = untrained_unet(), scheduler(), self.latents(vae)
        if (self.folder / "unet").exists():  # see start_from
            unet = UNet2DConditionModel.from_pretrained(self.folder / "unet").train()
        batches = Batches(
            found["latents"], found["looks"], slots, text_looks, self.seed
        )
        run = Run("denoiser", unet, RATE, minutes, self.folder)
        run.train(partial(denoiser_loss, unet, batches, sampler))
        run.use_average()
        return run


def main(words: list[str] | None = None) -> None:
    """Train lume-diffusion and write it into the folder of the run."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--vae-minutes", type=float, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--folder", type=Path, default=settings.ROOT / "runs" / "diffusion"
    )
    parser.add_argument("--start", type=Path, help="saved pipeline to train on")
    a = parser.parse_args(words)
    settings.seed_everything()
    shop = Workshop(a.folder, a.seed)
    if a.start:
        shop.start_from(a.start)
    vae = shop.vae(a.vae_minutes)
    reader, slots, text_looks = shop.reader()
    run = shop.denoiser(vae, slots, text_looks, a.minutes)
    save(vae, run.model, reader, a.folder / "lume-diffusion")


def save(vae, unet, reader, folder: Path) -> None:
    """Write the pipeline with weights in 16 bits."""
    parts = {"vae": vae, "unet": unet, "reader": reader, "scheduler": scheduler()}
    LumePipeline(**parts).to(torch.float16).save_pretrained(folder)


if __name__ == "__main__":
    main()
