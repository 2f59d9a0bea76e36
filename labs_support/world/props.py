"""Things added to a background for one picture: sun, moon, lamp light, a cloud."""

from functools import lru_cache

import numpy as np

# disc in the sky: colour, radius (share of the picture), strength of its halo
DISCS = {
    "beach": ((255, 246, 206), 0.065, 0.5),
    "sky": ((255, 248, 214), 0.07, 0.5),
    "meadow": ((255, 246, 206), 0.055, 0.45),
    "night": ((250, 244, 220), 0.08, 0.35),
}


def add_disc(picture: np.ndarray, background: str, x: float, y: float) -> None:
    """Draw the sun, or at night the moon, into the picture in place."""
    colour, radius, halo = DISCS[background]
    size = picture.shape[0]
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    rows = picture[: size // 2]
    gap = np.sqrt((axis[None, :] - x) ** 2 + (axis[: size // 2, None] - y) ** 2)
    disc = np.clip((radius - gap) * size + 0.5, 0, 1)
    share = np.maximum(disc, halo * np.exp(-((gap / (2.2 * radius)) ** 2)))
    rows += (np.float32(colour) / 255 - rows) * share[..., None]
    if background == "night":
        dents = _dents(gap, axis[None, :] - x, axis[: size // 2, None] - y, radius)
        rows -= (0.1 * dents * disc)[..., None]


def _dents(gap: np.ndarray, dx: np.ndarray, dy: np.ndarray, r: float) -> np.ndarray:
    left = (dx + 0.3 * r) ** 2 + (dy + 0.2 * r) ** 2 < (0.28 * r) ** 2
    right = (dx - 0.35 * r) ** 2 + (dy - 0.35 * r) ** 2 < (0.2 * r) ** 2
    return (left | right).astype(np.float32)


def add_glow(picture: np.ndarray, x: float, y: float, scale: float) -> None:
    """Add the warm light of a lamp at (x, y) to the picture, in place."""
    axis = (np.arange(picture.shape[0], dtype=np.float32) + 0.5) / picture.shape[0]
    across, down = (np.exp(-(((axis - at) / (1.1 * scale)) ** 2)) for at in (x, y))
    picture += (down[:, None] * across)[..., None] * np.float32([0.42, 0.27, 0.08])


@lru_cache(maxsize=8)
def _perch(size: int) -> np.ndarray:
    """Return a cloud to stand on, light and cover, of shape (size, size, 2)."""
    axis = (np.arange(size, dtype=np.float32) + 0.5) * (2 / size) - 1
    x, y = axis[None, :], axis[:, None]
    cover = np.zeros((size, size), np.float32)
    light = np.full((size, size), 0.9, np.float32)
    puffs = [(-0.66, 0.1, 0.26), (-0.34, -0.02, 0.34), (0.04, 0.02, 0.38)]
    puffs += [
        (0.4, 0.0, 0.32),
        (0.68, 0.12, 0.25),
        (-0.1, 0.18, 0.4),
        (0.25, 0.2, 0.36),
    ]
    for cx, cy, r in puffs:
        gap = np.hypot(x - cx, (y - cy) * 1.25) / r
        share = np.clip((1 - gap) * 5, 0, 1)
        tone = 0.97 - 0.16 * np.clip((y - cy) / r + 0.2, 0, 1)
        light += (tone - light) * share
        cover = np.maximum(cover, share)
    return np.stack([light, cover], axis=-1)


def add_perch(picture: np.ndarray, x: float, y: float, scale: float) -> None:
    """Draw a cloud under the product's foot at (x, y), in place."""
    size = picture.shape[0]
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    half = size / 2
    j = np.clip(((axis - x) / (1.1 * scale) + 1) * half, 0, size - 1).astype(np.intp)
    i = np.clip(((axis - y - 0.1 * scale) / (0.75 * scale) + 1) * half, 0, size - 1)
    tile = _perch(size)[i.astype(np.intp)[:, None], j[None, :]]
    picture += (tile[..., :1] * np.float32([0.99, 1, 1.03]) - picture) * tile[..., 1:]
