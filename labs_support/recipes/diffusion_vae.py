"""The VAE of lume-diffusion: blocks of 8 x 8 pixels to 16 numbers and back.

It starts as the best linear code (principal components of the blocks, and a decoder
fitted by least squares), which a gradient would take most of the training to find.
"""

import torch
from diffusers import AutoencoderKL
from torch.nn import functional as F

PATCH, C_LATENT = 8, 16
HOLD = 60.0  # two constant channels, so large that a group norm hardly changes the rest
RIDGE = 3.0
EDGES, KL = 0.02, 1e-4  # weights in the loss
B, RATE = 16, 3e-4


def untrained_vae(width: int = 96) -> AutoencoderKL:
    """Return an `AutoencoderKL` that works on blocks of pixels, (B, 192, 8, 8)."""
    n_pixels = 3 * PATCH**2
    return AutoencoderKL(
        in_channels=n_pixels,
        out_channels=n_pixels,
        latent_channels=C_LATENT,
        block_out_channels=(width,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        layers_per_block=1,
        norm_num_groups=1,
        sample_size=8,
        mid_block_add_attention=False,
        use_quant_conv=False,
        use_post_quant_conv=False,
        scaling_factor=1.0,
        latents_mean=(0.0,) * C_LATENT,
        latents_std=(1.0,) * C_LATENT,
    )


def as_blocks(pixels: torch.Tensor) -> torch.Tensor:
    """Return uint8 pixels (B, 3, 64, 64) as blocks in -1..1, (B, 192, 8, 8)."""
    return F.pixel_unshuffle(pixels.float() / 127.5 - 1, PATCH)


@torch.no_grad()
def start_linear(vae: AutoencoderKL, blocks: torch.Tensor) -> None:
    """Set the weights to the best linear code of blocks (B, 192, 8, 8), in place.

    silu(x) - silu(-x) = x, so a pair of channels of opposite sign carries a number past
    the activation; residual branches start at zero.
    """
    for name, weight in vae.named_parameters():
        if "resnets" in name and "conv2" in name:
            weight.zero_()
    _start_encoder(vae.encoder, blocks)
    z = torch.cat([vae.encode(part).latent_dist.sample() for part in blocks.split(250)])
    _start_decoder(vae.decoder, z, blocks)


def _start_encoder(encoder, blocks) -> None:
    rows = blocks.permute(0, 2, 3, 1).flatten(0, 2)  # (n, 192)
    mean = rows.mean(0)
    variances, directions = torch.linalg.eigh(torch.cov((rows - mean).T))
    first, into = encoder.conv_in, encoder.conv_out
    n = (len(first.weight) - 2) // 2
    whiten = (directions / variances.clamp_min(1e-6).sqrt()).flip(1).T[:n]  # (n, 192)
    _clear(first, into)
    first.weight[: 2 * n, :, 1, 1] = torch.cat([whiten, -whiten])
    first.bias[: 2 * n] = torch.cat([-whiten @ mean, whiten @ mean])
    first.bias[-2:] = torch.tensor([HOLD, -HOLD])
    for i in range(C_LATENT):
        into.weight[i, i, 1, 1], into.weight[i, n + i, 1, 1] = 1, -1
    into.bias[C_LATENT:] = -4  # logarithm of the variance
    h = first(blocks[:500])
    norms = [
        r.norm1 for r in [*encoder.down_blocks[0].resnets, *encoder.mid_block.resnets]
    ]
    _pass_through([encoder.conv_norm_out, *norms], h)


def _start_decoder(decoder, z, blocks) -> None:
    first, last = decoder.conv_in, decoder.conv_out
    first.weight.normal_(0, 1 / (9 * C_LATENT) ** 0.5)  # random features of 3 x 3 codes
    first.weight[: 2 * C_LATENT] = 0
    for i in range(C_LATENT):
        first.weight[i, i, 1, 1], first.weight[C_LATENT + i, i, 1, 1] = 1, -1
    first.bias.normal_(0, 0.5)
    first.bias[: 2 * C_LATENT] = 0
    first.weight[-2:] = 0
    first.bias[-2:] = torch.tensor([HOLD, -HOLD])
    norms = [
        r.norm1 for r in [*decoder.mid_block.resnets, *decoder.up_blocks[0].resnets]
    ]
    _pass_through([decoder.conv_norm_out, *norms], first(z[:500]))
    width = len(first.weight)
    gram = RIDGE * torch.eye(9 * width + 1, dtype=torch.float64)
    product = torch.zeros(9 * width + 1, last.weight.shape[0], dtype=torch.float64)
    for code, wanted in zip(z.split(250), blocks.split(250), strict=True):
        seen = F.silu(decoder.conv_norm_out(first(code)))
        seen = F.unfold(seen, 3, padding=1).mT.flatten(0, 1)  # (n, 9 width)
        seen = F.pad(seen, (0, 1), value=1.0)
        gram += (seen.T @ seen).double()
        product += (seen.T @ wanted.permute(0, 2, 3, 1).flatten(0, 2)).double()
    solution = torch.linalg.solve(gram, product).float()
    last.weight.copy_(solution[:-1].T.view_as(last.weight))
    last.bias.copy_(solution[-1])


def _clear(*layers) -> None:
    for layer in layers:
        layer.weight.zero_()
        layer.bias.zero_()


def _pass_through(norms, h) -> None:
    """Set the affine part of group norms so that they hand on h as it is."""
    for norm in norms:
        norm.weight.fill_(h.std((1, 2, 3)).mean().item())
        norm.bias.fill_(h.mean().item())


def adam(model) -> list[torch.optim.Optimizer]:
    """Return AdamW alone: the start is good, and the large steps of Muon would undo it."""
    return [torch.optim.AdamW(model.parameters(), betas=(0.9, 0.98), weight_decay=0.0)]


def vae_loss(vae, pixels: torch.Tensor, generator=None) -> torch.Tensor:
    """Return the loss of uint8 pixels: squared error, edges, and a little KL."""
    x = as_blocks(pixels)
    code = vae.encode(x).latent_dist
    y = vae.decode(code.sample(generator)).sample
    x, y = (F.pixel_shuffle(blocks, PATCH) for blocks in (x, y))
    difference = y - x
    edges = difference.diff(dim=-1).abs().mean() + difference.diff(dim=-2).abs().mean()
    kl = code.kl().mean() / code.mean[0].numel()
    return difference.square().mean() + EDGES * edges + KL * kl


@torch.no_grad()
def psnr(vae, pixels: torch.Tensor) -> float:
    """Return the mean peak signal-to-noise ratio of uint8 pixels after the VAE, in dB."""
    found = []
    for part in pixels.split(100):
        x = as_blocks(part)
        y = vae.decode(vae.encode(x).latent_dist.mode()).sample.clamp(-1, 1)
        error = ((y - x) / 2).square().mean((1, 2, 3))
        found.append(-10 * error.log10())
    return torch.cat(found).mean().item()


@torch.no_grad()
def set_scale(vae, pixels: torch.Tensor) -> None:
    """Keep mean and deviation of each channel of the latents in the configuration."""
    z = torch.cat(
        [vae.encode(as_blocks(p)).latent_dist.mode() for p in pixels.split(250)]
    )
    vae.register_to_config(
        latents_mean=[round(x, 4) for x in z.mean((0, 2, 3)).tolist()],
        latents_std=[round(x, 4) for x in z.std((0, 2, 3)).tolist()],
    )


@torch.no_grad()
def encode_all(vae, pixels: torch.Tensor) -> torch.Tensor:
    """Return the latents of uint8 pixels, (N, 16, 8, 8), float16, of about unit variance."""
    mean, deviation = (
        torch.tensor(numbers)[:, None, None]
        for numbers in (vae.config.latents_mean, vae.config.latents_std)
    )
    parts = [vae.encode(as_blocks(p)).latent_dist.mode() for p in pixels.split(250)]
    return ((torch.cat(parts) - mean) / deviation).half()
