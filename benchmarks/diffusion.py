"""Pictures per second: training steps of denoisers of one size, and drawing.

    OMP_NUM_THREADS=1 python benchmarks/diffusion.py

The denoiser of lume-diffusion learns from latents (16 x 8 x 8); `diffusers`' UNet2DModel of
about as many weights learns from pixels (3 x 64 x 64) and from the same latents.
"""

import statistics
import time

import torch
from diffusers import UNet2DModel

from labs_support import settings, shelf
from labs_support.recipes import diffusion

B, REPEATS = 16, 5


def plain_unet(side: int, channels: int, width: int) -> UNet2DModel:
    """Return a UNet2DModel with two levels and no text."""
    return UNet2DModel(
        sample_size=side,
        in_channels=channels,
        out_channels=channels,
        block_out_channels=(width, width),
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
        layers_per_block=1,
        norm_num_groups=8,
        attention_head_dim=24,
    )


def seconds(work) -> float:
    """Return the median time of a call, after one to warm up."""
    work()
    times = []
    for _ in range(REPEATS):
        before = time.perf_counter()
        work()
        times.append(time.perf_counter() - before)
    return statistics.median(times)


def training_step(model, side: int, channels: int, **extra):
    """Return a function that trains one step on random latents or pixels."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def step():
        x, t = torch.randn(B, channels, side, side), torch.randint(1000, (B,))
        loss = model(x, t, **extra).sample.square().mean()
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()

    return step


def main() -> None:
    """Print the table."""
    settings.seed_everything()
    ours = diffusion.untrained_unet()
    width = ours.config.block_out_channels[0]
    slots = torch.randn(B, len(diffusion.data.NAMES), diffusion.SLOT)
    extra = {"encoder_hidden_states": slots, "class_labels": slots.flatten(1)}
    rows = {
        "lume-diffusion's denoiser, latents": (ours, 8, 16, extra),
        "UNet2DModel, latents": (plain_unet(8, 16, width), 8, 16, {}),
        "UNet2DModel, pixels": (plain_unet(64, 3, width), 64, 3, {}),
    }
    for name, (model, side, channels, options) in rows.items():
        n = sum(w.numel() for w in model.parameters())
        speed = B / seconds(training_step(model, side, channels, **options))
        print(f"training, {name:36} {n / 1e6:4.1f} M weights {speed:8.1f} pictures/s")
    pipe = shelf.text_to_image()
    for steps in (10, 20, 50):
        took = seconds(lambda: pipe("a red mug", num_inference_steps=steps))  # noqa: B023
        print(f"drawing one picture, {steps} steps with guidance: {took:.2f} s")


if __name__ == "__main__":
    main()
