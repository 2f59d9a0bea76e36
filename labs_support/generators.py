"""What drew pictures before diffusion: a variational autoencoder and an adversarial pair.

Both turn vectors of random numbers into pictures of 16 x 16 pixels in one step.
"""

import torch
from torch import nn
from torch.nn import functional as F


def painter(n_z, C=24):
    """Return a network from random numbers (B, n_z) to pixels (B, 3, 16, 16) in -1..1.

    Source: Radford et al. (2016), DCGAN. Built in lesson 03.
    """
    return nn.Sequential(
        *(nn.Linear(n_z, 32 * C), nn.Unflatten(1, (2 * C, 4, 4))),
        *(nn.BatchNorm2d(2 * C), nn.ReLU()),
        *(nn.ConvTranspose2d(2 * C, C, 4, stride=2, padding=1), nn.BatchNorm2d(C)),
        *(nn.ReLU(), nn.ConvTranspose2d(C, 3, 4, stride=2, padding=1), nn.Tanh()),
    )


def critic(n_out, C=24):
    """Return a network from pixels (B, 3, 16, 16) to n_out numbers, (B, n_out).

    Built in lesson 03.
    """
    return nn.Sequential(
        *(nn.Conv2d(3, C, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
        *(nn.Conv2d(C, 2 * C, 4, stride=2, padding=1), nn.LeakyReLU(0.2)),
        *(nn.Flatten(), nn.Linear(32 * C, n_out)),
    )


def adam(model, rate):
    """Return the optimiser that both use; the momentum of 0.5 is the GAN's."""
    return torch.optim.Adam(model.parameters(), lr=rate, betas=(0.5, 0.99))


def train_vae(encode, decode, x, n_steps, size=64, rate=4e-3):
    """Train a variational autoencoder in place.

    Args:
        encode: from pixels to twice n_z numbers, means and logarithms of variances.
        decode: from n_z numbers to pixels.
        x: pixels in -1..1, (N, 3, 16, 16).
        n_steps: number of batches.
        size: pictures in a batch.
        rate: learning rate.

    Source: Kingma and Welling (2014). Built in lesson 03.
    """
    optimiser = adam(nn.ModuleList([encode, decode]), rate)
    for _ in range(n_steps):
        real = x[torch.randint(len(x), (size,))]
        mean, log_variance = encode(real).chunk(2, dim=1)  # (B, n_z) each
        z = mean + (log_variance / 2).exp() * torch.randn_like(mean)
        error = (decode(z) - real).square().flatten(1).sum(dim=1)
        kl = (mean.square() + log_variance.exp() - log_variance - 1).sum(dim=1) / 2
        optimiser.zero_grad()
        (error / 0.1 + kl).mean().backward()  # 0.1: twice the variance of a pixel
        optimiser.step()


def train_gan(paint, judge, x, n_z, n_steps, size=64, rate=1e-3):
    """Train two networks against each other in place.

    Args:
        paint: from n_z numbers to pixels.
        judge: from pixels to one logit, large for a real picture.
        x: pixels in -1..1, (N, 3, 16, 16).
        n_z: random numbers for a picture.
        n_steps: number of batches for each.
        size: pictures in a batch.
        rate: learning rate.

    Source: Goodfellow et al. (2014), with the loss of their section 3 that does not
    saturate. Built in lesson 03.
    """
    painting, judging = adam(paint, rate), adam(judge, rate)
    for _ in range(n_steps):
        real, fake = x[torch.randint(len(x), (size,))], paint(torch.randn(size, n_z))
        loss = F.softplus(-judge(real)).mean() + F.softplus(judge(fake.detach())).mean()
        judging.zero_grad()
        loss.backward()
        judging.step()
        painting.zero_grad()
        F.softplus(-judge(fake)).mean().backward()
        painting.step()


def sharpness(x):
    """Return the mean step between neighbouring pixels, (B, C, height, width) to ().

    Built in lesson 03.
    """
    return (x.diff(dim=-1).abs().mean() + x.diff(dim=-2).abs().mean()) / 2
