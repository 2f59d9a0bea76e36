"""The products as sprites: shapes, roundness and lines at any resolution.

Each kind is a list of parts in `shapes.yaml`. A part is a signed distance (negative
inside), so that edges stay sharp at every size. Painting the parts back to front
gives the layers from which `render` lights and colours a picture.
"""

from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
import yaml

LAYERS = (
    *("alpha", "body", "pattern", "red", "green", "blue"),
    *("normal_x", "normal_y", "ink", "gloss", "emit"),
)
COLOUR_LAYERS = LAYERS[1:6]  # stored times the cover, so that edges blend
OUTLINE = 0.05  # width of the drawn line, in object units
NEUTRAL = 128  # stored value of a normal component of zero


class Sprite(NamedTuple):
    """The layers of a kind, R x R pixels over [-1, 1] in x and y."""

    layers: np.ndarray  # (R, R, 11) uint8, in the order of LAYERS
    uv: np.ndarray  # (R, R, 2) float32, where the pattern lies on the surface


@lru_cache
def parts() -> dict[str, list[dict]]:
    """Return the parts of every kind, and the named `fills`."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with open(Path(__file__).with_name("shapes.yaml"), encoding="utf-8") as file:
        return yaml.load(file, Loader=loader)


@lru_cache(maxsize=48)
def sprite(kind: str, resolution: int) -> Sprite:
    """Return the sprite of a kind, painted once for each resolution."""
    axis = (np.arange(resolution, dtype=np.float32) + 0.5) * (2 / resolution) - 1
    x, y = np.meshgrid(axis, axis)
    canvas = {name: np.zeros_like(x) for name in LAYERS}
    uv = np.stack([x, y], axis=-1)
    for part in parts()[kind]:
        _paint(canvas, uv, part, (x, y))
    for name in ("normal_x", "normal_y"):
        canvas[name] = (canvas[name] * 127 + NEUTRAL) / 255
    stacked = np.stack([canvas[name] for name in LAYERS], axis=-1)
    layers = (np.clip(stacked, 0, 1) * 255 + 0.5).astype(np.uint8)
    return Sprite(layers, uv)


def flat_index(resolution: int, ox: np.ndarray, oy: np.ndarray) -> np.ndarray:
    """Return the flat sprite index at object coordinates; a sprite's rim is empty."""
    half = resolution / 2
    i, j = ((o + 1) * half for o in (oy, ox))
    i, j = (np.clip(k, 0, resolution - 1).astype(np.int32) for k in (i, j))
    return i * resolution + j


def _paint(canvas: dict, uv: np.ndarray, part: dict, grid: tuple) -> None:
    """Lay one part over the canvas, in place."""
    distance = _repeated(part, grid)
    pixel = grid[0][0, 1] - grid[0][0, 0]
    cover = np.clip(0.5 - distance / (2 * pixel), 0, 1) * part.get("alpha", 1.0)
    before = canvas["alpha"]
    near = np.clip(1 - distance / 0.1, 0, 1) ** 2 * (part.get("ink", 0.85) * 0.4)
    canvas["ink"] = np.maximum(canvas["ink"], near * (before > 0))
    after = before + (1 - before) * cover
    fresh = cover / np.maximum(after, 1e-6)  # share of this part in what is seen
    normal = _normal(part, distance, grid)
    for name, value in _values(part, distance, normal, grid[1]).items():
        weight = cover if name in COLOUR_LAYERS else fresh
        canvas[name] += (value - canvas[name]) * weight
    canvas["alpha"] = after
    is_wrapped = part.get("round") in ("lathe", "ball") and not part.get("flatuv")
    if part["fill"] == "body" and is_wrapped:
        uv += (_wrapped(part, normal, grid) - uv) * (cover > 0.02)[..., None]


def _values(part: dict, distance: np.ndarray, normal: tuple, y: np.ndarray) -> dict:
    """Return what the part holds in every layer but its cover."""
    fill = part["fill"]
    is_tinted = fill in ("body", "tint")
    red, green, blue = (0, 0, 0) if is_tinted else parts()["fills"][fill]
    line = np.clip(1 + distance / OUTLINE, 0, 1) * part.get("ink", 0.85)
    return {
        "body": float(is_tinted),
        "pattern": float(fill == "body"),
        "red": red / 255,
        "green": green / 255,
        "blue": blue / 255,
        "normal_x": normal[0],
        "normal_y": normal[1],
        "ink": np.maximum(line, part.get("dim", 0.0)),
        "gloss": part.get("gloss", 0.15),
        "emit": part.get("emit", 0.0) + part.get("warm", 0.0) * _low(y),
    }


def _low(y: np.ndarray) -> np.ndarray:
    return np.clip(0.6 + 0.5 * y, 0, 1)


def _wrapped(part: dict, normal: tuple, grid: tuple) -> np.ndarray:
    """Return pattern coordinates that go round a turned body, seen from above."""
    if part["round"] == "ball":
        cx, cy, rx, ry = part.get("centre") or _centre(part)
        slope = np.clip(np.hypot(*normal), 1e-3, 0.98)
        bend = 0.85 * np.arcsin(slope) / slope
        return np.stack([cx + bend * normal[0] * rx, cy + bend * normal[1] * ry], -1)
    middle, half = _extent(part, grid)
    turn = np.arcsin(np.clip(normal[0] / part.get("depth", 1.0), -0.98, 0.98))
    radius = 0.5 * half + 0.5 * half.max()
    dip = 0.12 * np.sqrt(np.maximum(half**2 - (grid[0] - middle) ** 2, 0))
    return np.stack([turn * radius * 0.8, grid[1] - dip], axis=-1)


def _extent(part: dict, grid: tuple) -> tuple[np.ndarray, np.ndarray]:
    """Return the middle and half width of the part in each row, (R, 1) each.

    Rows above and below the part, where its round ends lie, repeat the nearest row.
    """
    x = grid[0]
    inside = _primitive(part, *grid) <= 0
    left = np.where(inside, x, 1.0).min(1, keepdims=True)
    right = np.where(inside, x, -1.0).max(1, keepdims=True)
    rows = np.flatnonzero(inside.any(1))
    nearest = np.clip(np.arange(len(x)), rows[0], rows[-1])
    left, right = left[nearest], right[nearest]
    return (left + right) / 2, np.maximum((right - left) / 2, 0.02)


def _normal(
    part: dict, distance: np.ndarray, grid: tuple
) -> tuple[np.ndarray, np.ndarray]:
    """Return the x and y of the unit normal of the part's surface."""
    x, y = grid
    mode, depth = part.get("round", "flat"), part.get("depth", 0.94)
    if mode == "lathe":
        middle, half = _extent(part, grid)
        return np.clip((x - middle) / half, -1, 1) * depth, np.zeros_like(y)
    if mode == "ball":
        cx, cy, rx, ry = part.get("centre") or _centre(part)
        nx, ny = (x - cx) / rx, (y - cy) / ry
        shrink = depth / np.maximum(np.hypot(nx, ny), 1)
        return nx * shrink, ny * shrink
    if mode == "pillow":
        soft = part.get("soft", max(-float(distance.min()), 0.02))
        lean = np.clip(1 + distance / soft, 0, 1) * depth
        gy, gx = np.gradient(distance, x[0, 1] - x[0, 0])
        size = np.maximum(np.hypot(gx, gy), 1)
        return gx / size * lean, gy / size * lean
    return np.zeros_like(x), np.zeros_like(y)


def _centre(part: dict) -> tuple:
    if "circle" in part:
        x, y, r = part["circle"]
        return x, y, r, r
    return tuple(part["ellipse"])


def _repeated(part: dict, grid: tuple) -> np.ndarray:
    x, y = grid
    moves = part.get("keep", [[0, 0]])
    return np.minimum.reduce([_distance(part, x - dx, y - dy) for dx, dy in moves])


def _distance(part: dict, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Return the signed distance to the part, negative inside."""
    d = _primitive(part, x, y)
    if "plus" in part:
        d = np.minimum(d, _distance(part["plus"], x, y))
    if "minus" in part:
        d = np.maximum(d, -_distance(part["minus"], x, y))
    if "within" in part:
        d = np.maximum(d, _distance(part["within"], x, y))
    return d


def _primitive(part: dict, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    if "circle" in part:
        cx, cy, r = part["circle"]
        return np.hypot(x - cx, y - cy) - r
    if "ellipse" in part:
        cx, cy, rx, ry = part["ellipse"]
        k0 = np.hypot((x - cx) / rx, (y - cy) / ry)
        k1 = np.hypot((x - cx) / rx**2, (y - cy) / ry**2)
        return k0 * (k0 - 1) / np.maximum(k1, 1e-4)
    if "box" in part:
        x0, y0, x1, y1, r = part["box"]
        qx = np.abs(x - (x0 + x1) / 2) - (x1 - x0) / 2 + r
        qy = np.abs(y - (y0 + y1) / 2) - (y1 - y0) / 2 + r
        outside = np.hypot(np.maximum(qx, 0), np.maximum(qy, 0))
        return outside + np.minimum(np.maximum(qx, qy), 0) - r
    if "line" in part:
        points = _smoothed(part["line"], part, is_closed=False)
        pairs = zip(points[:-1], points[1:], strict=True)
        segments = [_to_segment(x, y, a, b)[0] for a, b in pairs]
        return np.sqrt(np.minimum.reduce(segments)) - part["width"] / 2
    points = part.get("poly") or part["half"]
    if "half" in part:
        points = points + [[-px, py] for px, py in reversed(points) if px > 0]
    return _polygon(_smoothed(points, part, is_closed=True), x, y)


def _smoothed(points: list, part: dict, is_closed: bool) -> list:
    """Return the points, or a Catmull-Rom curve through them if asked to."""
    if not part.get("smooth"):
        return points
    p = np.array(points, dtype=np.float32)
    ends = [p[-1:], p, p[:2]] if is_closed else [p[:1], p, p[-1:]]
    p = np.concatenate(ends)
    t = np.linspace(0, 1, 5, endpoint=False, dtype=np.float32)[None, :, None]
    a, b, c, d = (p[i : len(p) - 3 + i, None] for i in range(4))
    curve = b + 0.5 * t * (c - a + t * (2 * a - 5 * b + 4 * c - d))
    curve += 0.5 * t**3 * (3 * (b - c) + d - a)
    curve = curve.reshape(-1, 2)
    return list(curve if is_closed else np.concatenate([curve, p[-1:]]))


def _to_segment(x: np.ndarray, y: np.ndarray, a: list, b: list) -> tuple:
    """Return squared distances to the segment a-b, and where its ray is crossed."""
    ex, ey = b[0] - a[0], b[1] - a[1]
    wx, wy = x - a[0], y - a[1]
    t = np.clip((wx * ex + wy * ey) / max(ex * ex + ey * ey, 1e-9), 0, 1)
    squared = (wx - t * ex) ** 2 + (wy - t * ey) ** 2
    is_between = (y < a[1]) != (y < b[1])
    is_left = (wx * ey - wy * ex) * (1 if ey > 0 else -1) < 0
    return squared, is_between & is_left


def _polygon(points: list, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    squared, inside = np.full_like(x, 9), np.zeros(x.shape, dtype=bool)
    for a, b in zip(points, [*points[1:], points[0]], strict=True):
        distances, is_crossed = _to_segment(x, y, a, b)
        squared = np.minimum(squared, distances)
        inside ^= is_crossed
    return np.sqrt(squared) * np.where(inside, -1, 1)
