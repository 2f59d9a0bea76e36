"""The six backgrounds: wide panoramas painted once, cropped for each picture."""

import zlib
from functools import lru_cache

import numpy as np

WIDTH = 8  # width of a panorama, in pictures
HEIGHT = 1.5  # height of a panorama, in pictures
HORIZON = 0.8  # height of its horizon, in pictures
WHITE = (255, 255, 255)
SHELLS = ((255, 246, 236), (226, 150, 130), (150, 128, 104))
STARS = ((255, 252, 226), (226, 236, 255), (255, 238, 200))
FLOWERS = (
    *((255, 255, 250), (252, 222, 84), (240, 130, 160)),
    *((226, 84, 70), (170, 140, 220)),
)


@lru_cache(maxsize=24)
def panorama(background: str, size: int) -> np.ndarray:
    """Return a panorama, float32 in 0..1 of shape (1.5 size, 8 size, 3)."""
    rng = np.random.default_rng(zlib.crc32(background.encode()))
    height, width = 2 * round(HEIGHT * size), 2 * WIDTH * size
    y = (np.arange(height, dtype=np.float32)[:, None] + 0.5) / (2 * size)
    x = (np.arange(width, dtype=np.float32)[None, :] + 0.5) / (2 * size)
    scene = _PAINTERS[background](x + 0 * y, y + 0 * x, rng)
    small = scene.reshape(height // 2, 2, width // 2, 2, 3).mean((1, 3))
    return np.clip(small, 0, 1).astype(np.float32)


def _noise(rng: np.random.Generator, shape: tuple, cells: tuple) -> np.ndarray:
    """Return smooth noise in -1..1 with so many cells per picture (down, across)."""
    from PIL import Image

    rows = max(2, round(HEIGHT * cells[0]))
    columns = max(2, round(WIDTH * cells[1]))
    coarse = rng.uniform(-1, 1, (rows, columns)).astype(np.float32)
    image = Image.fromarray(coarse).resize(shape[::-1], Image.Resampling.BICUBIC)
    return np.asarray(image)


def _clouds(rng: np.random.Generator, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the share of cloud, 0..1: heaps of discs on a level foot."""
    share = np.zeros_like(x)
    for _ in range(int(WIDTH * 1.6)):
        middle, foot = rng.uniform(0.2, WIDTH - 0.3), rng.uniform(0.08, 1.3)
        wide = rng.uniform(0.12, 0.24)
        for offset in np.linspace(-1, 1, 6):
            r = wide * (0.24 + 0.3 * (1 - offset * offset)) * rng.uniform(0.8, 1.2)
            cx, cy = middle + offset * wide * 0.8, foot - 0.55 * r
            x0, x1 = _span(x, cx, r)
            px, py = x[:, x0:x1], y[:, x0:x1]
            gap = np.sqrt((px - cx) ** 2 + (py - cy) ** 2) / r
            puff = np.clip((1 - gap) * 4, 0, 1) * np.clip((foot - py) / 0.03, 0, 1)
            light = 0.72 + 0.28 * np.clip((foot - py) / (0.5 * wide), 0, 1)
            share[:, x0:x1] = np.maximum(share[:, x0:x1], puff * light)
    return share


def _span(x: np.ndarray, centre: float, radius: float) -> tuple[int, int]:
    step = x[0, 1] - x[0, 0]
    return max(0, int((centre - radius) / step)), int((centre + radius) / step) + 2


def _mix(low: tuple, high: tuple, t: np.ndarray) -> np.ndarray:
    """Return colours between two 0..255 triples, 0..1, shape of t plus (3,)."""
    low, high = np.float32(low) / 255, np.float32(high) / 255
    return low + (high - low) * np.clip(t, 0, 1)[..., None]


def _over(scene: np.ndarray, colour: tuple, share: np.ndarray) -> np.ndarray:
    return scene + (np.float32(colour) / 255 - scene) * share[..., None]


def _below(y: np.ndarray, edge: np.ndarray | float) -> np.ndarray:
    """Return 1 below an edge and 0 above it, with a soft pixel between."""
    step = y[1, 0] - y[0, 0]
    return np.clip((y - edge) / step + 0.5, 0, 1)


def _table(x, y, rng):
    shape = x.shape
    wall = _mix((232, 222, 204), (204, 196, 184), y / HORIZON)
    hue = _noise(rng, shape, (0.2, 0.6))[..., None]
    wall += (
        hue * np.float32([0.05, 0.0, -0.06])
        + 0.012 * _noise(rng, shape, (60, 60))[..., None]
    )
    wall = _over(wall, (150, 138, 124), 0.35 * (np.abs(x % 0.42 - 0.21) < 0.006))
    wall = _over(
        wall,
        (246, 240, 228),
        _below(y, HORIZON - 0.16) * (1 - _below(y, HORIZON - 0.13)),
    )
    depth = np.clip((y - HORIZON) / (HEIGHT - HORIZON), 0, 1)
    plank = np.floor(np.sqrt(depth) * 5)
    tone = np.sin(plank * 2.4 + np.floor(x * 0.9 + plank * 0.37) * 1.7) * 0.5 + 0.5
    wood = _mix((178, 128, 82), (208, 160, 108), tone)
    grain = _noise(rng, shape, (46, 3.2)) * 0.6 + _noise(rng, shape, (110, 7)) * 0.4
    wood += 0.055 * grain[..., None]
    gap = np.abs((np.sqrt(depth) * 5) % 1 - 0.5) > 0.468
    wood = _over(wood, (104, 68, 42), 0.6 * gap) * (0.9 + 0.14 * depth[..., None])
    edge = np.clip(1 - np.abs(y - HORIZON) / 0.02, 0, 1)
    return _over(
        wall + (wood - wall) * _below(y, HORIZON)[..., None], (112, 76, 50), edge * 0.7
    )


def _beach(x, y, rng):
    shape = x.shape
    sky = _mix((116, 188, 236), (222, 240, 248), y / HORIZON)
    clouds = _clouds(rng, x, y * 1.7) * 0.8 * (y < HORIZON - 0.06)
    sky = _over(sky, WHITE, clouds)
    shore = HORIZON + 0.13 + 0.02 * _noise(rng, shape, (0.1, 1.6))
    sea = _mix((40, 132, 178), (96, 200, 206), (y - HORIZON) / 0.13)
    sea = _over(sea, (236, 250, 252), 0.5 * (_noise(rng, shape, (52, 6)) > 0.45))
    sand = _mix((232, 206, 150), (246, 226, 178), (y - shore) / 0.5)
    grains = _noise(rng, shape, (90, 90)) + _noise(rng, shape, (9, 3))
    sand += 0.03 * grains[..., None]
    scene = sky + (sea - sky) * _below(y, HORIZON)[..., None]
    scene += (sand - scene) * _below(y, shore)[..., None]
    foam, wet = (np.clip(1 - np.abs(y - shore - d) / 0.014, 0, 1) for d in (0, 0.03))
    scene = _over(_over(scene, WHITE, foam * 0.9), (196, 168, 116), wet * 0.3)
    return _specks(scene, rng, (1.0, HEIGHT), SHELLS)


def _specks(scene, rng, rows, colours, *, per_picture=9, radius=0.011):
    """Return the scene with small round things strewn over it, bigger when near."""
    height, width = scene.shape[:2]
    step = HEIGHT / height
    for _ in range(per_picture * WIDTH):
        cy, cx = rng.uniform(*rows), rng.uniform(0.05, WIDTH - 0.05)
        r = radius * rng.uniform(0.7, 1.3) * (0.5 + cy - rows[0] + 0.3)
        y0, x0, n = int((cy - r) / step), int((cx - r) / step), int(2 * r / step) + 2
        patch = scene[y0 : y0 + n, x0 : x0 + n]
        rows_cols = np.indices(patch.shape[:2], dtype=np.float32) * step
        gap = np.hypot(rows_cols[0] + y0 * step - cy, rows_cols[1] + x0 * step - cx)
        share = np.clip((r - gap) / step + 0.5, 0, 1)[..., None]
        patch += (np.float32(colours[rng.integers(len(colours))]) / 255 - patch) * share
    return scene


def _sky(x, y, rng):
    scene = _mix((64, 142, 226), (178, 220, 250), y / HEIGHT)
    haze = np.clip(_noise(rng, x.shape, (3, 1.5)), 0, 1) * 0.25
    return _over(_over(scene, WHITE, haze), (252, 253, 255), _clouds(rng, x, y))


def _meadow(x, y, rng):
    shape = x.shape
    scene = _mix((128, 196, 240), (228, 242, 246), y / HORIZON)
    scene = _over(scene, WHITE, _clouds(rng, x, y * 1.6) * 0.85)
    far = HORIZON - 0.07 + 0.06 * _noise(rng, shape, (0.1, 1.3))
    near = HORIZON - 0.01 + 0.025 * _noise(rng, shape, (0.1, 2.1))
    scene = _over(scene, (122, 172, 148), _below(y, far))
    trees = near - 0.05 * np.clip(_noise(rng, shape, (0.1, 9)) - 0.25, 0, 1)
    scene = _over(scene, (64, 124, 76), _below(y, trees))
    grass = _mix((132, 188, 88), (82, 150, 62), (y - HORIZON) / (HEIGHT - HORIZON))
    blades = _noise(rng, shape, (16, 60)) * 0.6 + _noise(rng, shape, (8, 5)) * 0.4
    grass += 0.075 * blades[..., None] * np.float32([1, 1, 0.5])
    scene += (grass - scene) * _below(y, near)[..., None]
    rows = (HORIZON + 0.06, HEIGHT - 0.02)
    return _specks(scene, rng, rows, FLOWERS, per_picture=26, radius=0.013)


def _night(x, y, rng):
    shape = x.shape
    scene = _mix((14, 20, 58), (74, 74, 132), y / HORIZON)
    scene = _over(
        scene, (120, 110, 170), np.clip(_noise(rng, shape, (2, 1.2)), 0, 1) * 0.16
    )
    rows = (0.02, HORIZON - 0.05)
    scene = _specks(scene, rng, rows, STARS, per_picture=30, radius=0.0065)
    hills = HORIZON - 0.05 + 0.07 * _noise(rng, shape, (0.1, 1.1))
    scene = _over(scene, (38, 42, 84), _below(y, hills))
    block = np.floor(x * 11)
    roofs = HORIZON - 0.035 - 0.06 * np.abs(np.sin(block * 12.9))
    scene = _over(scene, (26, 26, 56), _below(y, roofs))
    lit = (np.abs(x * 11 % 1 - 0.5) < 0.14) & (np.sin(block * 7.7) > -0.2)
    window = lit & (y > roofs + 0.02) & (y < roofs + 0.04)
    scene = _over(scene, (255, 206, 110), window.astype(np.float32))
    ground = _mix((44, 50, 92), (26, 30, 60), (y - HORIZON) / (HEIGHT - HORIZON))
    ground += 0.02 * _noise(rng, shape, (30, 8))[..., None]
    return scene + (ground - scene) * _below(y, HORIZON)[..., None]


def _studio(x, y, rng):
    shape = x.shape
    hue = _noise(rng, shape, (0.2, 0.9))[..., None]
    tone = _noise(rng, shape, (0.2, 0.7))[..., None]
    wall = _mix((206, 208, 214), (232, 232, 236), y / HORIZON)
    floor = _mix((240, 240, 242), (214, 214, 220), (y - HORIZON) / 0.6)
    bend = np.clip((y - HORIZON + 0.1) / 0.2, 0, 1)
    bend = (bend * bend * (3 - 2 * bend))[..., None]
    tint = (
        1 + hue * np.float32([0.07, 0.0, -0.07]) + tone * np.float32([-0.03, 0.03, 0.0])
    )
    return (wall + (floor - wall) * bend) * tint


_PAINTERS = {
    "table": _table,
    "beach": _beach,
    "sky": _sky,
    "meadow": _meadow,
    "night": _night,
    "studio": _studio,
}
