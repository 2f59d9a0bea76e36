"""Pictures of products: a scene in, an array of pixels out.

A picture is a crop of a background panorama, a shadow and a lit sprite. All three
are painted once and kept, so a fresh 64-pixel picture takes about two milliseconds.
"""

import math
import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from labs_support.world import props, scenery, surface
from labs_support.world.looks import BACKGROUNDS, COLOURS, KINDS, PATTERNS
from labs_support.world.shapes import flat_index, sprite

FLOATING = ("kite", "balloon")
GLOWING = ("lantern", "lamp")
MIRRORED = ("mug", "boat", "fish", "teapot", "chair", "umbrella", "hat")


@dataclass(frozen=True)
class Scene:
    """What a picture shows and how it is posed.

    Positions and `scale` are shares of the picture, `angle` is in degrees, `light`
    runs from -1 (from the left) to 1 (from the right), and `seed` fixes everything
    else: the part of the background, the weather, where the pattern begins.
    """

    kind: str
    colour: str
    pattern: str
    background: str
    scale: float = 0.4
    angle: float = 0.0
    x: float = 0.5
    y: float = 0.5
    light: float = -0.6
    is_mirrored: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse words that the renderer does not know."""
        for name, known in _VOCABULARY.items():
            if getattr(self, name) not in known:
                message = f"no {name} {getattr(self, name)!r}: use one of {known}"
                raise ValueError(message)


_VOCABULARY = {
    "kind": KINDS,
    "colour": COLOURS,
    "pattern": PATTERNS,
    "background": BACKGROUNDS,
}


def sample_scene(rng: random.Random, **fixed) -> Scene:
    """Return a random scene; fields given by name are kept as they are."""
    drawn = {name: rng.choice(known) for name, known in _VOCABULARY.items()}
    kind = fixed.get("kind", drawn["kind"])
    tilt = 16 if kind in FLOATING else 6
    drawn |= {
        "scale": round(rng.uniform(0.35, 0.43), 4),
        "angle": round(rng.uniform(-tilt, tilt), 3),
        "x": round(rng.uniform(0.43, 0.57), 4),
        "y": round(rng.uniform(0.46, 0.53), 4),
        "light": round(rng.choice((-1, 1)) * rng.uniform(0.3, 1.0), 4),
        "is_mirrored": kind in MIRRORED and rng.random() < 0.5,
        "seed": rng.randrange(2**31),
    }
    return Scene(**(drawn | fixed))


def render(scene: Scene, size: int = 64) -> np.ndarray:
    """Return the picture of a scene, uint8 of shape (size, size, 3)."""
    rng = random.Random(scene.seed)
    picture, ground = _background(scene, size, rng)
    picture *= _shadow(scene, size, ground)[..., None]
    colour, alpha, (rows, columns) = _product(scene, size, rng)
    window = picture[rows, columns]
    window *= 1 - alpha
    window += colour
    np.clip(picture, 0, 1, out=picture)
    picture *= 255
    picture += 0.5
    return picture.astype(np.uint8)


def mask(scene: Scene, size: int = 64) -> np.ndarray:
    """Return the cover of the product, uint8 of shape (size, size), 255 where full."""
    (ox, oy), window = _object_grid(scene, size)
    alpha = sprite(scene.kind, 2 * size).layers[..., 0].ravel()
    cover = np.zeros((size, size), dtype=np.uint8)
    fine = alpha[flat_index(2 * size, ox, oy)].astype(np.float32)
    cover[window] = np.ceil(_halved(fine)).astype(np.uint8)
    return cover


def render_batch(scenes: Iterable[Scene], size: int = 64) -> np.ndarray:
    """Return the pictures of B scenes, uint8 of shape (B, size, size, 3)."""
    pictures = [render(scene, size) for scene in scenes]
    return np.stack(pictures) if pictures else np.zeros((0, size, size, 3), np.uint8)


def _background(scene: Scene, size: int, rng: random.Random) -> tuple:
    """Return a fresh crop of the panorama and the height of its horizon (share)."""
    horizon = rng.uniform(0.5, 0.64)
    wide = scenery.panorama(scene.background, size)
    top = round((scenery.HORIZON - horizon) * size)
    left = int(rng.random() * (scenery.WIDTH - 1) * size)
    picture = wide[top : top + size, left : left + size]
    if rng.random() < 0.5:
        picture = picture[:, ::-1]
    warm = rng.uniform(-0.035, 0.035)
    bright = rng.uniform(0.95, 1.04)
    tint = np.float32([bright * (1 + warm), bright, bright * (1 - warm)])
    picture = picture * tint
    has_disc = scene.background == "night" or rng.random() < 0.5
    if has_disc and scene.background in props.DISCS:
        x = 0.5 + math.copysign(rng.uniform(0.26, 0.4), scene.light)
        y = rng.uniform(0.1, 0.2)
        props.add_disc(picture, scene.background, x, y)
    if scene.background == "night" and scene.kind in GLOWING:
        props.add_glow(picture, scene.x, scene.y, scene.scale)
    if scene.background == "sky" and scene.kind not in FLOATING:
        x, y = _base(scene)[:2]
        props.add_perch(picture, x, y, scene.scale)
    return picture, horizon


@lru_cache(maxsize=8)
def _axes(size: int) -> tuple[np.ndarray, np.ndarray]:
    axis = (np.arange(size, dtype=np.float32) + 0.5) / size
    return axis[None, :], axis[:, None]


def _base(scene: Scene) -> tuple[float, float, float]:
    """Return x and y of the middle of the product's foot, and its half width."""
    foot_x, foot_y, half = _foot(scene.kind)
    foot_x = -foot_x if scene.is_mirrored else foot_x
    c, s = _turn(scene)
    x = scene.x + scene.scale * (c * foot_x - s * foot_y)
    y = scene.y + scene.scale * (s * foot_x + c * foot_y)
    return x, y, half * scene.scale


@lru_cache
def _foot(kind: str) -> tuple[float, float, float]:
    alpha = sprite(kind, 128).layers[..., 0] > 127
    lowest = np.flatnonzero(alpha.any(1)).max()
    columns = np.flatnonzero(alpha[lowest - 7 : lowest + 1].any(0)) / 64 - 1
    middle, half = columns.min() + columns.max(), columns.max() - columns.min()
    return float(middle / 2), float(lowest / 64 - 1), float(half / 2 + 0.06)


def _turn(scene: Scene) -> tuple[float, float]:
    angle = math.radians(scene.angle)
    return math.cos(angle), math.sin(angle)


def _shadow(scene: Scene, size: int, ground: float) -> np.ndarray:
    """Return how much light reaches each point of the background, 0..1."""
    x, y = _axes(size)
    if scene.kind in FLOATING:
        strength = 0.0 if scene.background in ("sky", "night") else 0.2
        gap = ((x - scene.x) / (0.6 * scene.scale)) ** 2 + ((y - 0.93) / 0.035) ** 2
        return 1 - strength * np.exp(-gap)
    foot_x, foot_y, half = _base(scene)
    gap = ((x - foot_x) / (half + 0.01)) ** 2 + ((y - foot_y + 0.01) / 0.03) ** 2
    contact = 1 - 0.5 * np.exp(-gap * gap)
    if scene.background == "sky":
        return contact
    height = (foot_y - y) / (0.3 * scene.scale)  # of the point that casts the shadow
    across = (x - foot_x) / scene.scale + 0.42 * scene.light * height
    cast = _silhouette(scene.kind, size)
    _, low, _ = _foot(scene.kind)
    across = -across if scene.is_mirrored else across
    shade = cast.ravel()[flat_index(size, across + _foot(scene.kind)[0], low - height)]
    fade = np.clip(0.33 - 0.1 * height, 0, 1)
    return contact * (1 - shade * fade)


@lru_cache(maxsize=48)
def _silhouette(kind: str, size: int) -> np.ndarray:
    """Return the product's blurred outline, float32 of shape (size, size)."""
    from PIL import Image, ImageFilter

    alpha = sprite(kind, 2 * size).layers[..., 0]
    image = Image.fromarray(alpha).resize((size, size), Image.Resampling.BOX)
    blurred = image.filter(ImageFilter.GaussianBlur(size * 0.025))
    return np.asarray(blurred, dtype=np.float32) / 255


def _object_grid(scene: Scene, size: int) -> tuple:
    """Return object coordinates at twice the resolution, and the window they fill."""
    reach = 1.12 * scene.scale
    edges = [(scene.y - reach, scene.y + reach), (scene.x - reach, scene.x + reach)]
    rows, columns = (
        slice(max(0, math.floor(low * size)), min(size, math.ceil(high * size)))
        for low, high in edges
    )
    x, y = _axes(2 * size)
    dx = (x[:, 2 * columns.start : 2 * columns.stop] - scene.x) / scene.scale
    dy = (y[2 * rows.start : 2 * rows.stop] - scene.y) / scene.scale
    c, s = _turn(scene)
    ox, oy = c * dx + s * dy, c * dy - s * dx
    return (-ox if scene.is_mirrored else ox, oy), (rows, columns)


def _halved(fine: np.ndarray) -> np.ndarray:
    """Return the means of 2 x 2 blocks."""
    rows = fine[..., 0::2, :] + fine[..., 1::2, :]
    return (rows[..., 0::2] + rows[..., 1::2]) * 0.25


def _product(scene: Scene, size: int, rng: random.Random) -> tuple:
    """Return the product's colour times its cover, its cover, and their window.

    Only the points that lie on the product are lit: n points, one plane a channel.
    """
    (ox, oy), window = _object_grid(scene, size)
    image = sprite(scene.kind, 2 * size)
    index = flat_index(2 * size, ox, oy)
    seen = np.flatnonzero(image.layers[..., 0].ravel()[index])
    index = index.ravel()[seen]
    layers = image.layers.reshape(-1, image.layers.shape[-1])[index].T
    layers = layers.astype(np.float32, order="C") * np.float32(1 / 255)  # (11, n)
    u, v = image.uv.reshape(-1, 2)[index].T
    share = surface.pattern_share(scene.pattern, u, v, rng) * layers[2]
    look = (scene.colour, scene.background)
    fine = np.zeros((4, ox.size), dtype=np.float32)
    fine[:, seen] = surface.lit_colours(layers, share, look, _towards_light(scene))
    halved = _halved(fine.reshape(4, *ox.shape)).transpose(1, 2, 0)
    return halved[..., :3], halved[..., 3:], window


def _towards_light(scene: Scene) -> tuple[float, float, float]:
    """Return the unit vector to the light in the product's own coordinates."""
    x, y, z = 0.8 * scene.light, -0.5, 0.62
    size = math.sqrt(x * x + y * y + z * z)
    c, s = _turn(scene)
    x, y = c * x + s * y, c * y - s * x
    return (-x if scene.is_mirrored else x) / size, y / size, z / size
