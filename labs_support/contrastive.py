"""One space for pictures and words: the contrastive loss, a small tower, searching.

Vectors here have length 1, so that a dot product is a cosine. Row i of the pictures
belongs to row i of the texts.
"""

import torch
from torch import nn
from torch.nn import functional as F


def clip_loss(images, texts, temperature=0.07):
    r"""Return the contrastive loss of B pairs.

    $L = \frac{1}{2B}\sum_i -\log p(t_i|v_i) - \log p(v_i|t_i)$, where p is the softmax
    of cosines over temperature, once over the texts and once over the pictures.

    Args:
        images: unit vectors, (B, C).
        texts: unit vectors of the captions in the same order, (B, C).
        temperature: what cosines are divided by, above 0; CLIP starts with 0.07 and ends
            near 0.01.

    Source: Radford et al. (2021), figure 3. Built in lesson 09.
    """
    logits = images @ texts.T / temperature  # (B, B)
    y = torch.arange(len(logits), device=logits.device)
    return (F.cross_entropy(logits, y) + F.cross_entropy(logits.T, y)) / 2


def grouped_loss(images, texts, size, temperature=0.07):
    """Return the contrastive loss where a picture meets only the captions of its group.

    Args:
        images: unit vectors, (B, C).
        texts: unit vectors, (B, C).
        size: pairs in a group; it divides B, and B itself is the ordinary loss.
        temperature: what cosines are divided by.

    Built in lesson 09.
    """
    pairs = zip(images.split(size), texts.split(size), strict=True)
    return torch.stack([clip_loss(v, t, temperature) for v, t in pairs]).mean()


def matched_loss(logits, matches):
    """Return the contrastive loss where a text may be true of several pictures.

    Args:
        logits: cosines over temperature, pictures by texts, (B, B).
        matches: 1 where the text is true of the picture, else 0, (B, B); every row and
            every column has a 1. With the identity this is `clip_loss`.

    Source: Yang et al. (2022), UniCL, arXiv 2204.03610.
    """
    rows = matches / matches.sum(1, keepdim=True)
    columns = matches / matches.sum(0, keepdim=True)
    to_texts = -(rows * logits.log_softmax(1)).sum(1).mean()
    to_images = -(columns * logits.log_softmax(0)).sum(0).mean()
    return (to_texts + to_images) / 2


class Tower(nn.Sequential):
    """A small convolutional image tower: pixels (B, 3, 32, 32) in, (B, C) out.

    Built in lesson 09.
    """

    def __init__(self, C, widths=(32, 64, 128)):
        layers, before = [], 3
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        super().__init__(*layers, nn.Flatten(), nn.Linear(before * 16, C))

    def forward(self, x):
        """Return unit vectors."""
        return F.normalize(super().forward(x), dim=-1)


def train_tower(tower, pictures, texts, n_steps, loss, size=128, rate=3e-3):
    """Train an image tower against fixed text vectors, in place.

    Args:
        tower: module from pixels to unit vectors.
        pictures: pixels in -1..1, (N, 3, height, width).
        texts: unit vectors of the captions, (N, C).
        n_steps: number of batches.
        loss: called with the vectors of a batch, pictures first.
        size: pairs in a batch.
        rate: largest learning rate.

    Built in lesson 09.
    """
    optimiser = torch.optim.AdamW(tower.parameters(), lr=rate)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, rate, total_steps=n_steps)
    tower.train()
    for _ in range(n_steps):
        rows = torch.randint(len(pictures), (size,))
        value = loss(tower(pictures[rows]), texts[rows])
        optimiser.zero_grad()
        value.backward()
        optimiser.step()
        schedule.step()
    tower.eval()


def recall_at(scores, gold, k=1) -> float:
    """Return the share of queries whose gold item is among the k best.

    Args:
        scores: queries by items, (N, M).
        gold: the right item of each query, (N,).
        k: how many hits count.
    """
    best = scores.topk(k, dim=1).indices  # (N, k)
    return (best == gold[:, None]).any(dim=1).float().mean().item()


@torch.inference_mode()
def embed_pictures(clip, pictures, size=64):
    """Return one unit vector per picture, (N, C), on the CPU.

    Args:
        clip: a `shelf.ImageText`.
        pictures: pictures as `PIL.Image`.
        size: how many at a time.
    """
    device = clip.model.logit_scale.device
    found = []
    for start in range(0, len(pictures), size):
        x = torch.stack([clip.preprocess(p) for p in pictures[start : start + size]])
        found.append(clip.model.encode_image(x.to(device), normalize=True).cpu())
    return torch.cat(found)


@torch.inference_mode()
def embed_texts(clip, texts, size=64):
    """Return one unit vector per text, (N, C), on the CPU.

    Args:
        clip: a `shelf.ImageText`.
        texts: list of strings; long ones are cut where the text tower ends.
        size: how many at a time.
    """
    device = clip.model.logit_scale.device
    found = []
    for start in range(0, len(texts), size):
        ids = clip.tokenizer(list(texts[start : start + size])).to(device)
        found.append(clip.model.encode_text(ids, normalize=True).cpu())
    return torch.cat(found)
