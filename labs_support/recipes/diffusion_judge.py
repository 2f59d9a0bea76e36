"""A classifier of pictures that judges lume-diffusion and has no part in its training.

It is trained on rendered pictures of its own, some of them blurred or noisy, and names
kind, colour, pattern and background.
"""

import torch
from torch import nn
from torch.nn import functional as F

from labs_support.recipes import diffusion_data as data

N_PICTURES, STEPS, B, RATE = 8_000, 700, 64, 4e-3
SEED = 77  # of pictures that no other training sees


class Judge(nn.Module):
    """Names four properties of pictures of 64 x 64 pixels."""

    def __init__(self, widths=(24, 48, 96, 128)):
        super().__init__()
        layers, before = [], 3
        for width in widths:
            layers += [nn.Conv2d(before, width, 3, stride=2, padding=1, bias=False)]
            layers += [nn.BatchNorm2d(width), nn.ReLU()]
            before = width
        self.body = nn.Sequential(*layers, nn.Flatten())
        self.heads = nn.ModuleList(
            nn.Linear(16 * before, n) for n in data.N_VALUES.values()
        )

    def forward(self, x):
        """Return the logits of each property for pixels in -1..1, (B, 3, 64, 64)."""
        features = self.body(x)
        return [head(features) for head in self.heads]


def spoiled(pixels: torch.Tensor) -> torch.Tensor:
    """Return uint8 pixels in -1..1, moved; half of them blurred and noisy."""
    x = F.pad(pixels.float() / 127.5 - 1, (3, 3, 3, 3), mode="replicate")
    top, left = torch.randint(0, 7, (2,)).tolist()
    x = x[..., top : top + data.SIZE, left : left + data.SIZE]
    soft = F.avg_pool2d(F.pad(x, (1, 1, 1, 1), mode="replicate"), 3, stride=1)
    share = torch.rand(len(x), 1, 1, 1) * (torch.rand(len(x), 1, 1, 1) < 0.5)
    return x + share * (soft - x) + 0.1 * share * torch.randn_like(x)


def train_judge(pictures: dict[str, torch.Tensor], steps: int = STEPS) -> Judge:
    """Return a judge trained on pictures and their looks."""
    torch.manual_seed(SEED)
    judge, looks = Judge(), pictures["looks"].long()
    optimizer = torch.optim.AdamW(judge.parameters(), lr=RATE, weight_decay=0.05)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _ in range(steps):
        rows = torch.randint(len(looks), (B,))
        logits = judge(spoiled(pictures["pixels"][rows]))
        loss = sum(F.cross_entropy(v, looks[rows, i]) for i, v in enumerate(logits))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return judge.eval()


def make_judge() -> dict[str, torch.Tensor]:
    """Return the weights of a judge trained on its own pictures, in 16 bits."""
    trained = train_judge(data.make_pictures("any", N_PICTURES, SEED)).half()
    return {name: weight.contiguous() for name, weight in trained.state_dict().items()}


@torch.inference_mode()
def named(judge: Judge, pixels: torch.Tensor) -> torch.Tensor:
    """Return the values that the judge sees in uint8 pixels, as numbers (N, 4)."""
    parts = [
        torch.stack([v.argmax(1) for v in judge(part.float() / 127.5 - 1)], dim=1)
        for part in pixels.split(100)
    ]
    return torch.cat(parts)
