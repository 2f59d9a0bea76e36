"""The renderer: sizes, determinism, masks, vocabulary."""

import random
from dataclasses import replace

import numpy as np
import pytest

from labs_support.world import render
from labs_support.world.looks import BACKGROUNDS, COLOURS, KINDS, PATTERNS

SIZE = 64


def _scenes(n: int, **fixed) -> list[render.Scene]:
    rng = random.Random(f"test-{n}")
    return [render.sample_scene(rng, **fixed) for _ in range(n)]


@pytest.mark.parametrize("size", [33, 48, 64, 128])
def test_picture_and_mask_have_the_size_asked_for(size):
    scene = _scenes(1)[0]
    picture, cover = render.render(scene, size), render.mask(scene, size)
    assert picture.shape == (size, size, 3) and picture.dtype == np.uint8
    assert cover.shape == (size, size) and cover.dtype == np.uint8
    assert cover.max() == 255 and cover.min() == 0


@pytest.mark.parametrize("background", BACKGROUNDS)
def test_a_larger_picture_shows_the_same(background):
    for scene in _scenes(4, background=background):
        small = render.render(scene, SIZE).astype(float)
        large = render.render(scene, 2 * SIZE).astype(float)
        halved = large.reshape(SIZE, 2, SIZE, 2, 3).mean((1, 3))
        assert np.corrcoef(small.ravel(), halved.ravel())[0, 1] > 0.97


def test_batch_is_the_pictures_in_order():
    scenes = _scenes(5)
    batch = render.render_batch(scenes, SIZE)
    assert batch.shape == (5, SIZE, SIZE, 3)
    for picture, scene in zip(batch, scenes, strict=True):
        assert np.array_equal(picture, render.render(scene, SIZE))
    assert render.render_batch([], SIZE).shape == (0, SIZE, SIZE, 3)


def test_picture_depends_on_the_scene_alone():
    first, second = _scenes(2)
    before = render.render(first, SIZE)
    random.seed(1)
    np.random.seed(1)
    render.render(second, SIZE)
    assert np.array_equal(before, render.render(first, SIZE))
    render.sprite.cache_clear()
    render.scenery.panorama.cache_clear()
    assert np.array_equal(before, render.render(first, SIZE))


def test_sample_scene_keeps_what_is_fixed_and_varies_the_rest():
    scenes = _scenes(40, kind="boat", colour="teal")
    assert {(s.kind, s.colour) for s in scenes} == {("boat", "teal")}
    assert len({s.background for s in scenes}) == len(BACKGROUNDS)
    assert len({s.seed for s in scenes}) == 40


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("background", ["studio", "night", "sky"])
def test_colour_and_pattern_change_the_product_and_nothing_else(kind, background):
    scene = _scenes(1, kind=kind, background=background, colour="red", pattern="plain")
    picture = render.render(scene[0], SIZE).astype(int)
    cover = render.mask(scene[0], SIZE)
    for change in ({"colour": "teal"}, {"pattern": "checked"}):
        other = render.render(replace(scene[0], **change), SIZE).astype(int)
        changed = np.abs(picture - other).max(-1) > 0
        assert not changed[cover == 0].any()
        assert changed[cover == 255].mean() > 0.1


@pytest.mark.parametrize("kind", KINDS)
def test_product_is_whole_and_large_enough(kind):
    for scene in _scenes(20, kind=kind):
        cover = render.mask(scene, SIZE)
        edge = np.concatenate([cover[0], cover[-1], cover[:, 0], cover[:, -1]])
        assert (edge > 127).sum() == 0, "the product is cut off"
        assert 0.08 < (cover > 127).mean() < 0.6


def test_the_seed_changes_the_background_and_not_the_pose():
    scene = _scenes(1, background="meadow", pattern="plain")[0]
    other = replace(scene, seed=scene.seed + 1)
    assert np.array_equal(render.mask(scene), render.mask(other))
    free = render.mask(scene) == 0
    change = np.abs(render.render(scene).astype(int) - render.render(other))
    assert change[free].mean() > 1


@pytest.mark.filterwarnings("error")
def test_every_kind_pattern_and_background_renders_with_some_colour():
    rng = random.Random("combinations")
    number = 0
    for kind in KINDS:
        for pattern in PATTERNS:
            for background in BACKGROUNDS:
                colour = COLOURS[number % len(COLOURS)]
                number += 5  # walks through all colours
                look = (kind, colour, pattern, background)
                names = ("kind", "colour", "pattern", "background")
                scene = render.sample_scene(rng, **dict(zip(names, look, strict=True)))
                assert render.render(scene, SIZE).std() > 5, look


def test_products_of_different_colours_are_told_apart():
    means = {}
    for colour in COLOURS:
        scene = render.Scene("vase", colour, "plain", "studio")
        inside = render.mask(scene) == 255
        means[colour] = render.render(scene)[inside].mean(0)
    names = list(means)
    for i, a in enumerate(names):
        for b in names[i + 1 :]:
            assert np.linalg.norm(means[a] - means[b]) > 25, (a, b)


def test_patterns_show_their_second_colour_in_balance():
    light = {}
    for pattern in PATTERNS:
        pictures = [
            render.render(s)[render.mask(s) == 255].mean()
            for s in _scenes(12, kind="balloon", colour="black", pattern=pattern)
        ]
        light[pattern] = np.mean(pictures)
    assert light["plain"] + 20 < light["dotted"] < light["checked"]
    assert light["plain"] + 20 < light["striped"] < light["checked"]


def test_unknown_word_is_refused_with_the_known_ones():
    with pytest.raises(ValueError, match="no colour 'mauve': use one of .*purple"):
        render.Scene("mug", "mauve", "plain", "table")
