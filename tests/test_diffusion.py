"""Lesson 03: noising, both samplers, the small denoiser, its rivals, and the judge."""

import math
import random
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDIMScheduler, DDPMScheduler
from PIL import Image

from labs_support import build, diffusion, figures, generators, judging, shelf, widgets
from labs_support.world import render

sys.path.insert(0, str(Path(__file__).parent))
import hub_server  # noqa: E402
from test_drawing import tiny_stable_diffusion  # noqa: E402

SIGNALS = (1 - torch.linspace(1e-4, 0.02, 1000)).cumprod(dim=0)


def normal(*shape, seed=0):
    """Return standard normal numbers in double precision."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


X, NOISE = normal(4, 3, 16, 16, seed=1).clamp(-1, 1), normal(4, 3, 16, 16, seed=2)
ONE = torch.tensor(1.0)


# --- noise in


def test_one_jump_is_many_steps():
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    signals = (1 - betas).cumprod(dim=0)
    x, total = X, torch.zeros_like(X)
    for t, beta in enumerate(betas[:300]):
        fresh = normal(4, 3, 16, 16, seed=100 + t)
        x = (1 - beta).sqrt() * x + beta.sqrt() * fresh
        total = (1 - beta).sqrt() * total + beta.sqrt() * fresh
    noise = total / (1 - signals[299]).sqrt()
    torch.testing.assert_close(diffusion.noised(X, noise, signals[299]), x)
    assert noise.std().item() == pytest.approx(1, abs=0.05)


@pytest.mark.parametrize("t", [0, 10, 500, 999])
def test_noise_and_velocity_are_those_of_diffusers(t):
    theirs, at = DDPMScheduler(), torch.tensor([t])
    x_t = diffusion.noised(X, NOISE, SIGNALS[t])
    torch.testing.assert_close(x_t, theirs.add_noise(X, NOISE, at), atol=1e-6, rtol=0)
    v = diffusion.velocity(X, NOISE, SIGNALS[t])
    torch.testing.assert_close(v, theirs.get_velocity(X, NOISE, at), atol=1e-6, rtol=0)


@pytest.mark.parametrize("t", [0, 10, 500, 999])
def test_noise_and_picture_come_back(t):
    signal = SIGNALS[t].double()
    x_t = diffusion.noised(X, NOISE, signal)
    v = diffusion.velocity(X, NOISE, signal)
    torch.testing.assert_close(diffusion.noise_in(x_t, v, signal), NOISE)
    torch.testing.assert_close(diffusion.clean(x_t, NOISE, signal), X)


def test_a_guess_is_clipped_only_as_far_as_asked():
    x = torch.tensor([3.0, -3.0, 0.5])
    for limit, wanted in (
        (1.0, [1, -1, 0.5]),
        (2.0, [2, -2, 0.5]),
        (math.inf, [3, -3, 0.5]),
    ):
        got = diffusion.clean(x, torch.zeros(3), ONE, limit)
        assert got.tolist() == wanted


# --- noise out


@pytest.mark.parametrize("n", [10, 50])
def test_ddim_steps_are_those_of_diffusers(n):
    theirs = DDIMScheduler()
    theirs.set_timesteps(n)
    steps = theirs.timesteps.tolist()
    for t, before in zip(steps, [*steps[1:], None], strict=True):
        target = ONE if before is None else SIGNALS[before]
        ours = diffusion.ddim_step(X, NOISE, SIGNALS[t], target)
        wanted = theirs.step(NOISE, t, X).prev_sample
        torch.testing.assert_close(ours, wanted, atol=1e-6, rtol=0)


@pytest.mark.parametrize("is_clipped", [True, False])
@pytest.mark.parametrize("t", [999, 500, 20, 1, 0])
def test_ddpm_steps_are_those_of_diffusers(t, is_clipped):
    theirs = DDPMScheduler(clip_sample=is_clipped)
    generator = torch.Generator().manual_seed(t)
    wanted = theirs.step(NOISE, t, X, generator=generator).prev_sample
    fresh = normal(*X.shape, seed=t)
    target = SIGNALS[t - 1] if t else ONE
    limit = 1.0 if is_clipped else math.inf
    ours = diffusion.ddpm_step(X, NOISE, SIGNALS[t], target, fresh, limit)
    torch.testing.assert_close(ours, wanted, atol=1e-6, rtol=1e-6)


def test_a_perfect_network_gets_its_picture_from_any_noise():
    x = X.float()

    def knows(x_t, t):
        assert t.shape == (4,)
        signal = SIGNALS[t[0]]
        noise = (x_t - signal.sqrt() * x) / (1 - signal).sqrt()
        return diffusion.velocity(x, noise, signal)

    for steps in ([999], [999, 500, 20], list(range(980, -1, -20))):
        got = diffusion.sample_ddim(knows, NOISE.float(), SIGNALS, steps)
        torch.testing.assert_close(got, x, atol=1e-3, rtol=0)


def test_guidance_is_a_line_through_both_predictions():
    away, towards = torch.tensor([1.0, 0.0]), torch.tensor([2.0, -1.0])
    for scale, wanted in ((0, [1, 0]), (1, [2, -1]), (3, [4, -3])):
        assert diffusion.guided(away, towards, scale).tolist() == wanted


# --- the small denoiser


def test_steps_become_different_waves():
    t = torch.arange(1000)
    rows = diffusion.waves(t)
    assert rows.shape == (1000, 32) and rows.abs().max() <= 1
    apart = torch.cdist(rows, rows) + torch.eye(1000) * 9
    assert apart.min() > 0.05
    torch.testing.assert_close(rows[0], torch.tensor([0.0] * 16 + [1.0] * 16))


def test_block_knows_the_step():
    torch.manual_seed(0)
    block, x = diffusion.ConvBlock(8, 4), torch.randn(2, 8, 4, 4)
    with torch.inference_mode():
        first, later = block(x, torch.zeros(2, 4)), block(x, torch.ones(2, 4))
    assert first.shape == x.shape
    assert not torch.allclose(first, later, atol=1e-3)


def test_denoiser_sees_step_and_picture():
    torch.manual_seed(0)
    model, x = diffusion.Denoiser(16), X.float()
    with torch.inference_mode():
        first = model(x, torch.tensor([0, 0, 0, 0]))
        later = model(x, torch.tensor([0, 900, 0, 900]))
    assert first.shape == x.shape
    assert torch.allclose(first[::2], later[::2], atol=1e-5)
    assert not torch.allclose(first[1::2], later[1::2], atol=1e-2)


class Spy(torch.nn.Module):
    """Keeps what it is shown; predicts one number."""

    def __init__(self):
        super().__init__()
        self.number, self.shown = torch.nn.Parameter(torch.zeros(())), []

    def forward(self, x_t, t):
        self.shown.append((x_t, t))
        return self.number.expand_as(x_t)


def test_training_shows_all_levels_of_noise():
    torch.manual_seed(0)
    spy, x = Spy(), torch.ones(8, 3, 16, 16)
    diffusion.train_denoiser(spy, x, SIGNALS, n_steps=20)
    x_t, t = (torch.cat(parts) for parts in zip(*spy.shown, strict=True))
    assert t.min() < 50 and t.max() > 950
    mean, deviation = x_t.mean(dim=(1, 2, 3)), x_t.std(dim=(1, 2, 3))
    torch.testing.assert_close(mean, SIGNALS[t].sqrt(), atol=0.2, rtol=0)
    torch.testing.assert_close(deviation, (1 - SIGNALS[t]).sqrt(), atol=0.15, rtol=0)


def test_training_aims_at_the_velocity():
    """For pictures of one brightness the best single number is the mean velocity."""
    torch.manual_seed(0)
    spy, x = Spy(), torch.full((8, 3, 16, 16), 0.9)
    diffusion.train_denoiser(spy, x, SIGNALS[900:], n_steps=300, rate=3e-2)
    wanted = -(0.9 * (1 - SIGNALS[900:]).sqrt()).mean().item()
    assert spy.number.item() == pytest.approx(wanted, abs=0.05)


def test_a_trained_denoiser_draws_what_it_was_shown():
    torch.manual_seed(0)
    picture = torch.tensor(render.render(SCENE, 16)).permute(2, 0, 1) / 127.5 - 1
    model = diffusion.Denoiser(16)
    diffusion.train_denoiser(model, picture[None], SIGNALS, n_steps=150, size=16)
    made = diffusion.sample_ddim(
        model, torch.randn(4, 3, 16, 16), SIGNALS, list(range(999, -1, -100))
    )
    assert (made - picture).abs().mean() < 0.25


# --- rivals


SCENE = render.Scene("hat", "red", "plain", "studio")


def test_painter_and_critic_fit():
    z = torch.randn(5, 7)
    x = generators.painter(7)(z)
    assert x.shape == (5, 3, 16, 16) and x.abs().max() <= 1
    assert generators.critic(9)(x).shape == (5, 9)


def test_vae_learns_to_unpack_its_pictures():
    torch.manual_seed(0)
    x = torch.stack([torch.full((3, 16, 16), v) for v in (-0.8, 0.8)]).repeat(
        8, 1, 1, 1
    )
    encode, decode = generators.critic(4, C=8), generators.painter(2, C=8)
    generators.train_vae(encode, decode, x, n_steps=150, size=16)
    with torch.inference_mode():
        mean, _ = encode(x).chunk(2, dim=1)
        again = decode(mean)
    assert (again - x).abs().mean() < 0.25


class Blind(torch.nn.Module):
    """Paints one shade, whatever the numbers say."""

    def __init__(self):
        super().__init__()
        self.shade = torch.nn.Parameter(torch.zeros(()))

    def forward(self, z):
        return self.shade.expand(len(z), 3, 16, 16)


def test_vae_keeps_no_number_that_says_nothing():
    """Latents that nobody reads become pure chance: mean 0, variance 1."""
    torch.manual_seed(0)
    encode, x = generators.critic(4, C=8), torch.full((8, 3, 16, 16), 0.5)
    torch.nn.init.constant_(encode[-1].bias, 2.0)
    generators.train_vae(encode, Blind(), x, n_steps=100, size=8, rate=2e-2)
    with torch.inference_mode():
        assert encode(x).abs().max() < 0.5


def test_gan_moves_towards_its_pictures():
    torch.manual_seed(0)
    x = torch.full((16, 3, 16, 16), 0.7)
    paint, judge = generators.painter(4, C=8), generators.critic(1, C=8)
    generators.train_gan(paint, judge, x, 4, n_steps=120, size=16)
    with torch.inference_mode():
        fake = paint(torch.randn(32, 4))
        assert fake.mean().item() == pytest.approx(0.7, abs=0.35)
        assert judge(x).mean() > judge(-x).mean()


def test_sharpness_by_hand():
    x = torch.zeros(1, 1, 2, 3)
    x[..., 1:] = 1  # one edge of height 1 in two columns of steps, none between rows
    assert generators.sharpness(x).item() == pytest.approx(0.25)
    assert generators.sharpness(2 * x).item() == pytest.approx(0.5)


# --- pictures and the judge


def test_pixels_and_pictures():
    x = torch.tensor([-1.0, 0.0, 1.0, 3.0])[:, None, None, None].expand(4, 3, 2, 5)
    images = diffusion.as_images(x)
    assert [i.getpixel((0, 0))[0] for i in images] == [0, 128, 255, 255]
    assert images[0].size == (5, 2)
    assert diffusion.as_images(x, size=64)[0].size == (64, 64)
    drawn = render.render(SCENE, 64)
    x = torch.tensor(drawn).permute(2, 0, 1)[None] / 127.5 - 1
    assert (np.asarray(diffusion.as_images(x)[0]) == drawn).all()


@pytest.fixture(scope="module")
def judged():
    """Return 60 scenes and their vectors."""
    rng = random.Random(3)
    scenes = [render.sample_scene(rng) for _ in range(60)]
    return scenes, judging.look_at([Image.fromarray(render.render(s)) for s in scenes])


def test_judge_names_what_is_drawn(judged):
    scenes, vectors = judged
    right = judging.obeyed(vectors, scenes)
    assert right.shape == (60, 4)
    assert (right.mean(dim=0) > 0.9).all()
    for i, name in enumerate(("kind", "colour", "pattern", "background")):
        values = judging.seen(vectors, name)
        hits = [v == getattr(s, name) for v, s in zip(values, scenes, strict=True)]
        assert right[:, i].tolist() == [float(hit) for hit in hits]
    turned = judging.obeyed(vectors, scenes[1:] + scenes[:1])
    assert (turned.mean(dim=0) < 0.6).all()


def test_spread_is_the_mean_distance_of_pairs():
    vectors = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    torch.testing.assert_close(judging.spread(vectors, 2), torch.tensor([2**0.5, 0.0]))
    wanted = 2**0.5 * 3 / 6  # three of the six pairs differ
    assert judging.spread(vectors, 4).item() == pytest.approx(wanted)


# --- what the lesson shows


def sheet_of(ax):
    return np.asarray(ax.images[0].get_array())


def test_gallery_puts_every_picture_in_its_place():
    import matplotlib.pyplot as plt

    colours = [(40 * i, 255 - 40 * i, 100) for i in range(6)]
    images = [Image.new("RGB", (32, 16), colour) for colour in colours]
    fig, ax = plt.subplots()
    figures.gallery(ax, images, ["a", "b", "c"], columns=3)
    sheet = sheet_of(ax)
    assert sheet.shape == (2 * 16 + 2, 3 * 32 + 2 * 2, 3)
    for i, colour in enumerate(colours):
        pixel = sheet[i // 3 * 18 + 8, i % 3 * 34 + 16].astype(int)
        assert abs(pixel - colour).max() <= 4
    assert (sheet[16:18] == 255).all() and (sheet[:, 32:34] == 255).all()
    assert [t.get_text() for t in ax.texts] == ["a", "b", "c"]
    plt.close(fig)


def shown_by(monkeypatch, call):
    """Return the draw function and the choices that a widget hands to explore."""
    found = {}
    monkeypatch.setattr(
        figures, "explore", lambda draw, **choices: found.update(draw=draw, **choices)
    )
    call()
    return found


def colour_of(sheet, column):
    return sheet[4, column * 17 + 8, 0]


def test_widgets_show_the_pictures_asked_for(monkeypatch):
    import matplotlib.pyplot as plt

    def plain(*values):
        return [Image.new("RGB", (16, 16), (value, 0, 0)) for value in values]

    frames = {0: plain(0, 10), 7: plain(100, 110), 14: plain(200, 210)}
    found = shown_by(monkeypatch, lambda: widgets.denoising(frames, first=7))
    assert found["steps"] == [7, 0, 14]
    fig, ax = plt.subplots()
    found["draw"](ax, steps=14)
    assert colour_of(sheet_of(ax), 0) == 204 and "14 steps" in ax.get_title()
    frames = {1: plain(0, 20, 40, 60), 4: plain(80, 100, 120, 140)}
    found = shown_by(monkeypatch, lambda: widgets.guidance(frames, ["mug", "hat"], 2))
    assert found["scale"] == [1, 4]
    fig, ax = plt.subplots()
    found["draw"](ax, scale=4)
    sheet = sheet_of(ax)
    assert [colour_of(sheet, i) for i in (0, 1)] == [84, 124]
    assert [colour_of(sheet[17:], i) for i in (0, 1)] == [100, 140]
    assert [text.get_text() for text in ax.texts] == ["mug", "hat"]
    assert "guidance 4" in ax.get_title()
    plt.close("all")


# --- the hub profile


HUB = """
import matplotlib
matplotlib.use("agg")
import torch
from PIL import Image
from matplotlib import pyplot as plt
from labs_support import drawing, figures, judging, shelf
SEED = 0
{cell}
print(type(studio).__name__, type(shelf.text_to_image(is_own=True)).__name__)
print(tuple(judging.look_at([mug]).shape))
"""


def cell_under(heading):
    """Return the code of the first cell under a heading of the lesson."""
    cells = build.convert(build.lessons("03")[0]).cells
    place = next(i for i, c in enumerate(cells) if c.source.startswith(heading))
    return next(c.source for c in cells[place:] if c.cell_type == "code")


def test_the_hub_profile_draws_with_the_cell_of_the_lesson(tmp_path):
    tiny_stable_diffusion(tmp_path / "hub" / shelf.role("text-to-image").hub)
    minilm = shelf.role("text-encoder")
    (tmp_path / "hub" / minilm.hub).parent.mkdir()
    (tmp_path / "hub" / minilm.hub).symlink_to(shelf.folder(minilm), True)
    code = HUB.format(cell=cell_under("### The same call, a larger model"))
    run = hub_server.run_code(code, tmp_path)
    lines = run.stdout.splitlines()
    assert lines[0].endswith("(16, 16) pixels"), run.stderr
    assert lines[1:] == ["HubPipeline LumePipeline", "(1, 128)"], run.stderr


def test_without_the_hub_there_is_one_model_of_each_kind():
    assert shelf.text_to_image() is shelf.text_to_image(is_own=True)
    assert shelf.image_text() is shelf.image_text(is_own=True)
