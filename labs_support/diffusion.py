r"""Diffusion: noise and picture mixed, the steps back, and a small network that does them.

`signal` stands for $\bar\alpha_t$, the share of the variance that is still picture after
t steps: 1 is the picture, 0 is noise. It is a tensor of shape () or (B, 1, 1, 1).
"""

import math

import torch
from torch import nn
from torch.nn import functional as F


def noised(x, noise, signal):
    r"""Return pictures with noise mixed in, shape of x.

    $x_t = \sqrt{\bar\alpha_t}\,x + \sqrt{1 - \bar\alpha_t}\,\epsilon$

    Args:
        x: pictures or latents of about unit variance, (B, C, height, width).
        noise: standard normal numbers of the same shape.
        signal: share of the variance that stays picture.

    Source: Ho et al. (2020), equation 4. Built in lesson 03.
    """
    return signal.sqrt() * x + (1 - signal).sqrt() * noise


def clean(x, noise, signal, limit=1.0):
    """Return the picture that is left when a predicted noise is taken out, shape of x.

    Args:
        x: noisy pictures, (B, C, height, width).
        noise: the noise that is believed to be in them.
        signal: share of the variance that is picture.
        limit: largest size of a pixel; `math.inf` for latents.

    Source: Ho et al. (2020), equation 15. Built in lesson 03.
    """
    guess = (x - (1 - signal).sqrt() * noise) / signal.sqrt()
    return guess.clamp(-limit, limit)


def velocity(x, noise, signal):
    r"""Return what the network predicts in place of the noise, shape of x.

    $v = \sqrt{\bar\alpha_t}\,\epsilon - \sqrt{1 - \bar\alpha_t}\,x$

    Args:
        x: pictures or latents without noise, (B, C, height, width).
        noise: what is mixed into them, same shape.
        signal: share of the variance that is picture.

    Source: Salimans and Ho (2022), appendix D. Built in lesson 03.
    """
    return signal.sqrt() * noise - (1 - signal).sqrt() * x


def noise_in(x, v, signal):
    """Return the noise in noisy pictures, shape of x, from their velocity.

    Args:
        x: noisy pictures or latents, (B, C, height, width).
        v: their velocity, same shape.
        signal: share of the variance that is picture.

    Source: Salimans and Ho (2022), appendix D. Built in lesson 03.
    """
    return signal.sqrt() * v + (1 - signal).sqrt() * x


def ddim_step(x, noise, signal, target, limit=1.0):
    """Return pictures with less noise: the guess of the picture, and the same noise again.

    Args:
        x: noisy pictures, (B, C, height, width).
        noise: the noise predicted in them.
        signal: share of the variance that is picture now.
        target: the share after the step, larger; 1 for the last step.
        limit: see `clean`.

    Source: Song et al. (2021), DDIM, equation 12 with sigma 0. Built in lesson 03.
    """
    return noised(clean(x, noise, signal, limit), noise, target)


def ddpm_step(x, noise, signal, target, fresh, limit=1.0):
    """Return pictures with less noise, drawn at random around the most likely ones.

    Args:
        x: noisy pictures, (B, C, height, width).
        noise: the noise predicted in them.
        signal: share of the variance that is picture now.
        target: the share after the step, larger; at 1 nothing is random.
        fresh: new standard normal numbers, shape of x.
        limit: see `clean`.

    Source: Ho et al. (2020), equations 6 and 7. Built in lesson 03.
    """
    kept = signal / target  # of the variance, by this one step
    from_clean = target.sqrt() * (1 - kept) * clean(x, noise, signal, limit)
    from_noisy = kept.sqrt() * (1 - target) * x
    deviation = ((1 - kept) * (1 - target) / (1 - signal)).sqrt()
    return (from_clean + from_noisy) / (1 - signal) + deviation * fresh


def guided(away, towards, scale):
    """Return a prediction led away from one text and beyond another.

    Args:
        away: prediction for the empty or the negative prompt, any shape.
        towards: prediction for the prompt, same shape.
        scale: 0 gives `away`, 1 `towards`, more goes past it.

    Source: Ho and Salimans (2022), classifier-free guidance. Built in lesson 03.
    """
    return away + scale * (towards - away)


def waves(t, n=32):
    """Return sines and cosines of steps at n / 2 speeds each, (B, n).

    Args:
        t: steps, whole numbers (B,).
        n: how many numbers for each step, even.

    Source: Vaswani et al. (2017), section 3.5; the positions of lesson 02.
    """
    speeds = torch.exp(-math.log(10_000) * torch.arange(n // 2) / (n // 2))
    angles = t[:, None] * speeds.to(t.device)  # (B, n / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class ConvBlock(nn.Module):
    """Two convolutions that know the step; what they find is added to the input.

    Built in lesson 03.
    """

    def __init__(self, C, C_time):
        super().__init__()
        self.norm, self.time = nn.GroupNorm(8, C), nn.Linear(C_time, C)
        self.first, self.second = (nn.Conv2d(C, C, 3, padding=1) for _ in range(2))

    def forward(self, x, time):
        """Return features (B, C, height, width), for `time` (B, C_time)."""
        h = self.first(F.silu(self.norm(x))) + self.time(time)[:, :, None, None]
        return x + self.second(F.silu(h))


class Denoiser(nn.Module):
    """A small U-Net: noisy pictures (B, 3, 16, 16) and steps (B,) in, velocity out.

    Source: Ronneberger et al. (2015), U-Net. Built in lesson 03.
    """

    def __init__(self, C=48, n_waves=32):
        super().__init__()
        self.time = nn.Sequential(nn.Linear(n_waves, C), nn.SiLU())
        self.enter = nn.Conv2d(3, C, 4, stride=2, padding=1)
        self.down = nn.Conv2d(C, 2 * C, 2, stride=2)
        self.up = nn.ConvTranspose2d(2 * C, C, 2, stride=2)
        self.leave = nn.ConvTranspose2d(C, 3, 4, stride=2, padding=1)
        self.first, self.last = ConvBlock(C, C), ConvBlock(C, C)
        self.middle, self.direct = ConvBlock(2 * C, C), nn.Linear(C, 3)

    def forward(self, x, t):
        """Return the predicted velocity, shape of x."""
        time = self.time(waves(t))  # (B, C)
        fine = self.first(self.enter(x), time)  # (B, C, 8, 8)
        coarse = self.middle(self.down(fine), time)  # (B, 2 C, 4, 4)
        fine = self.last(fine + self.up(coarse), time)  # (B, C, 8, 8)
        direct = self.direct(time)[:, :, None, None]  # (B, 3, 1, 1)
        return self.leave(F.silu(fine)) + direct * x


def train_denoiser(model, x, signals, n_steps, size=32, rate=4e-3):
    """Train a network to predict the velocity of noisy pictures, in place.

    Args:
        model: called with noisy pictures and steps, returns velocities.
        x: pixels in -1..1, (N, 3, height, width).
        signals: share of the variance that is picture at each step, (n,).
        n_steps: number of batches.
        size: pictures in a batch.
        rate: largest learning rate.

    Source: Ho et al. (2020), algorithm 1. Built in lesson 03.
    """
    optimiser = torch.optim.AdamW(model.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=n_steps)
    for _ in range(n_steps):
        rows, t = torch.randint(len(x), (size,)), torch.randint(len(signals), (size,))
        noise = torch.randn(size, *x.shape[1:])
        signal = signals[t, None, None, None]  # (B, 1, 1, 1)
        x_t = noised(x[rows], noise, signal)
        loss = F.mse_loss(model(x_t, t), velocity(x[rows], noise, signal))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        schedule.step()


@torch.inference_mode()
def sample_ddim(model, x, signals, steps):
    """Return pictures made of noise by DDIM steps, shape of x.

    Args:
        model: predicts velocities, see `Denoiser`.
        x: noise to start from, (B, 3, height, width).
        signals: share of the variance that is picture at each step, (n,).
        steps: the steps to take, from large to small.

    Source: Song et al. (2021), DDIM. Built in lesson 03.
    """
    targets = [*signals[steps[1:]], torch.ones(())]
    for t, target in zip(steps, targets, strict=True):
        v = model(x, torch.full((len(x),), t))
        x = ddim_step(x, noise_in(x, v, signals[t]), signals[t], target)
    return x


def as_images(x, size=None):
    """Return pixels as pictures of PIL, enlarged or shrunk to a size if one is given.

    Args:
        x: pixels in -1..1, (B, 3, height, width); what lies outside is cut off.
        size: side of the pictures in pixels.
    """
    from PIL import Image

    rounded = (x.clamp(-1, 1) * 127.5 + 127.5).round().to(torch.uint8)
    images = [Image.fromarray(p.permute(1, 2, 0).cpu().numpy()) for p in rounded]
    smooth = Image.Resampling.BICUBIC
    return images if size is None else [i.resize((size, size), smooth) for i in images]
