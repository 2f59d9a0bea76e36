"""The surface of a product: its paint, its pattern and the light on it."""

import math
import random

import numpy as np

from labs_support.world.shapes import NEUTRAL

SOFT = 0.015  # width of a pattern's edge, in object units
# the colour of a product and the second colour of its pattern, 0..255
PAINTS = {
    "red": ((214, 40, 44), (255, 246, 232)),
    "orange": ((244, 128, 22), (255, 246, 226)),
    "yellow": ((250, 208, 36), (70, 62, 62)),
    "green": ((52, 158, 62), (246, 250, 232)),
    "teal": ((0, 150, 150), (236, 252, 246)),
    "blue": ((38, 84, 214), (240, 246, 255)),
    "purple": ((126, 54, 176), (250, 240, 255)),
    "pink": ((246, 126, 176), (255, 248, 250)),
    "white": ((250, 250, 250), (206, 170, 112)),
    "black": ((44, 44, 50), (244, 244, 246)),
    "brown": ((124, 74, 40), (250, 236, 212)),
    "grey": ((132, 136, 144), (246, 247, 250)),
}
# ambient and direct light, red green blue
LIGHTS = {
    "table": ((0.56, 0.54, 0.53), (0.56, 0.53, 0.48)),
    "beach": ((0.56, 0.57, 0.60), (0.58, 0.56, 0.50)),
    "sky": ((0.58, 0.60, 0.63), (0.54, 0.53, 0.50)),
    "meadow": ((0.55, 0.58, 0.55), (0.57, 0.55, 0.49)),
    "night": ((0.53, 0.54, 0.58), (0.47, 0.47, 0.50)),
    "studio": ((0.57, 0.57, 0.58), (0.54, 0.54, 0.54)),
}


def lit_colours(
    layers: np.ndarray, share: np.ndarray, look: tuple[str, str], towards: tuple
) -> np.ndarray:
    """Return what is seen of n points of a product: red, green, blue, cover.

    Args:
        layers: the sprite's layers at the points, (11, n) in 0..1.
        share: share of the pattern's second colour at each point, (n,).
        look: the product's colour and the background, which sets the light.
        towards: unit vector to the light, in the product's own coordinates.

    Returns:
        Float32 of shape (4, n); the colours are multiplied by the cover.
    """
    paint, second = PAINTS[look[0]]
    ambient, direct = LIGHTS[look[1]]
    facing, shine = _light(layers, towards)
    body, emit, ink = layers[1], layers[10], 1 - 0.82 * layers[8]
    if look[1] == "night":  # moonlight draws the edges of dark things
        shine += 0.13 * layers[8] * layers[0]
    seen = np.empty((4, layers.shape[1]), dtype=np.float32)
    for i in range(3):
        colour = layers[3 + i] + body * (paint[i] / 255)
        colour += share * ((second[i] - paint[i]) / 255)
        light = facing * direct[i] + ambient[i]
        light += (1.08 - light) * emit
        seen[i] = colour * light * ink + shine
    seen[3] = layers[0]
    return seen


def _light(layers: np.ndarray, towards: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return the direct light on each point, 0..1, and the shine of the surface."""
    nx, ny = (layers[i] * (255 / 127) - NEUTRAL / 127 for i in (6, 7))
    nz = np.sqrt(np.maximum(1 - nx * nx - ny * ny, 0.0025))
    lx, ly, lz = towards
    sideways = nx * lx + ny * ly
    facing = np.maximum(sideways + nz * lz, 0)
    half = math.sqrt(2 + 2 * lz)
    shine = np.maximum(sideways + nz * (lz + 1), 0) / half
    for _ in range(4):  # to the 16th power
        shine *= shine
    return facing, 0.5 * shine * layers[9] * layers[0] * (1 - layers[8])


def pattern_share(
    pattern: str, u: np.ndarray, v: np.ndarray, rng: random.Random
) -> np.ndarray | float:
    """Return the share of the second colour at each point, 0..1, softly edged."""
    stretch, phase_u, phase_v = rng.uniform(0.9, 1.15), rng.random(), rng.random()
    direction = rng.choice((0, 0, 1, 2, 3))
    if pattern == "plain":
        return 0.0
    if pattern == "striped":
        period = 0.36 * stretch
        if direction > 1:
            across = (u + v if direction == 2 else u - v) * 0.7071
        else:
            across = v if direction else u
        return _soft((0.21 - _wave(across / period + phase_u)) * period)
    if pattern == "dotted":
        period = 0.36 * stretch
        b = v / (0.87 * period) + phase_v
        a = u / period + phase_u + 0.5 * (np.floor(b) % 2)
        gap = np.sqrt(_wave(a) ** 2 + (0.87 * _wave(b)) ** 2)
        return _soft((0.27 - gap) * period)
    period = 0.5 * stretch
    a = _soft((_wave(u / period + phase_u) - 0.25) * period)
    b = _soft((_wave(v / period + phase_v) - 0.25) * period)
    return a + b - 2 * a * b


def _wave(t: np.ndarray) -> np.ndarray:
    """Return the distance to the middle of each unit cell, 0..0.5."""
    return np.abs(t - np.floor(t) - 0.5)


def _soft(inside: np.ndarray) -> np.ndarray:
    return np.clip(inside / SOFT + 0.5, 0, 1)
