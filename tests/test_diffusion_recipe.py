"""The recipe of lume-diffusion: data, linear start, reader, runs, judges, card."""

import json
import random
import re

import pytest
import torch
from torch.nn import functional as F

from labs_support import shelf
from labs_support.recipes import cards, diffusion, diffusion_card
from labs_support.recipes import diffusion_data as data
from labs_support.recipes import diffusion_evaluation as evaluation
from labs_support.recipes import diffusion_judge as judging
from labs_support.recipes import diffusion_vae as coder
from labs_support.recipes.diffusion_run import WARM_UP, Run
from labs_support.recipes.muon import orthogonalized
from labs_support.slots import SlotReader
from labs_support.world import captions, store
from labs_support.world.looks import COLOURS, KINDS
from labs_support.world.wording import read_words

MODEL = store.DATA / "models" / "lume-diffusion"


@pytest.fixture(scope="module")
def pixels():
    """Return 400 pictures, uint8."""
    return data.make_pictures("any", 400, 5)["pixels"]


# --- data


def test_each_kind_has_one_colour_that_training_never_shows():
    assert sorted(kind for kind, _ in data.HELD_OUT) == sorted(KINDS)
    rng = random.Random(0)
    for held_out in (False, True):
        pairs = {
            (look["kind"], look["colour"])
            for look in (data.sample_look(rng, held_out) for _ in range(800))
        }
        assert (pairs <= data.HELD_OUT) if held_out else pairs.isdisjoint(data.HELD_OUT)
        assert len(pairs) > (14 if held_out else 150)


@pytest.mark.parametrize("kind", ["any", "shop"])
def test_pictures_are_fresh_and_show_no_held_out_pair(kind):
    found, again = (data.make_pictures(kind, 60, 3) for _ in range(2))
    assert torch.equal(found["pixels"], again["pixels"])
    assert not torch.equal(found["pixels"], data.make_pictures(kind, 60, 4)["pixels"])
    for kind_, colour, *_ in found["looks"].tolist():
        assert (KINDS[kind_], COLOURS[colour]) not in data.HELD_OUT


def test_shop_scenes_stand_in_the_middle_and_upright():
    rng = random.Random(1)
    for _ in range(50):
        scene = data.shop_scene(rng, **data.sample_look(rng))
        assert abs(scene.x - 0.5) <= 0.02 and abs(scene.angle) <= 3
        assert not scene.is_mirrored


def test_texts_name_what_their_looks_say():
    forms = {"full": 6, "kind_colour": 4, "background": 3}
    found = data.make_texts(0, forms)
    n, length, width = found["tokens"].shape
    assert found["is_token"].shape == (n, length) and width == 384 and n <= 14
    open_ = (found["looks"] == -1).sum(1).tolist()
    assert open_[0] == 4 and set(open_[1:]) == {0, 2, 3}
    assert (found["tokens"][~found["is_token"]] == 0).all()


def test_matcher_gives_a_text_that_is_true_of_the_picture():
    looks = torch.tensor([[-1] * 4, [0, 1, 2, 3], [0, -1, -1, -1], [0, 1, -1, -1]])
    matcher = data.Matcher(looks, 0)
    assert {matcher.text_for([0, 1, 2, 3], partly=0) for _ in range(20)} == {1}
    rows = {matcher.text_for([0, 1, 2, 3], partly=1) for _ in range(300)}
    assert {1, 2, 3} == rows  # the whole text where no partial one was made
    assert matcher.text_for([5, 5, 3, 5]) == 0


# --- VAE


def test_linear_start_is_close_to_the_principal_components(pixels):
    torch.manual_seed(0)
    vae, blocks = coder.untrained_vae(48), coder.as_blocks(pixels)
    coder.start_linear(vae, blocks)
    rows = blocks.permute(0, 2, 3, 1).flatten(0, 2)
    mean = rows.mean(0)
    *_, directions = torch.linalg.svd((rows - mean)[::4], full_matrices=False)
    best = directions[: coder.C_LATENT]
    error = (rows - mean - (rows - mean) @ best.T @ best).square().mean()
    linear = -10 * (error / 4).log10().item()
    assert coder.psnr(vae, pixels) > linear - 0.5
    with torch.no_grad():
        z = vae.encode(blocks).latent_dist.mode()
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(16), atol=0.05, rtol=0)


def test_scale_makes_latents_of_unit_variance(pixels):
    torch.manual_seed(0)
    vae = coder.untrained_vae(32)
    coder.set_scale(vae, pixels[:200])
    z = coder.encode_all(vae, pixels[:200]).float()
    torch.testing.assert_close(z.std((0, 2, 3)), torch.ones(16), atol=0.02, rtol=0)
    assert z.mean((0, 2, 3)).abs().max() < 0.02
    pipe = diffusion.untrained(32, 32)
    pipe.register_modules(vae=vae)
    with torch.no_grad():
        x = pixels[:5].float() / 127.5 - 1
        torch.testing.assert_close(pipe.encode(x), z[:5], atol=5e-3, rtol=1e-2)


def test_psnr_by_hand(pixels):
    torch.manual_seed(0)
    vae = coder.untrained_vae(32)
    x = pixels[:1].float() / 127.5 - 1
    with torch.no_grad():
        y = vae.decode(vae.encode(F.pixel_unshuffle(x, 8)).latent_dist.mode()).sample
    error = ((F.pixel_shuffle(y.clamp(-1, 1), 8) - x) * 127.5).square().mean()
    wanted = 10 * (255**2 / error).log10()
    assert coder.psnr(vae, pixels[:1]) == pytest.approx(wanted.item(), abs=1e-3)


# --- reader and denoiser


def test_reader_learns_what_texts_name(monkeypatch):
    monkeypatch.setattr(diffusion, "READER", diffusion.READER | {"steps": 100})
    torch.manual_seed(0)
    texts = data.make_texts(0, {"kind": 40, "colour": 40})
    reader = SlotReader(tuple(data.N_VALUES.values()))
    assert diffusion.train_reader(reader, texts) > 0.6


def test_velocity_is_alpha_noise_minus_sigma_latents():
    sampler = diffusion.scheduler()
    z, noise, t = (
        torch.randn(3, 16, 8, 8),
        torch.randn(3, 16, 8, 8),
        torch.tensor([0, 500, 999]),
    )
    z_t, velocity = diffusion.noised(z, noise, t, sampler)
    alpha = sampler.alphas_cumprod[t][:, None, None, None].sqrt()
    sigma = (1 - alpha**2).sqrt()
    torch.testing.assert_close(z_t, alpha * z + sigma * noise, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(
        velocity, alpha * noise - sigma * z, atol=1e-4, rtol=1e-4
    )


def test_some_pictures_lose_their_text():
    latents, looks = torch.randn(10, 16, 8, 8), torch.zeros(10, 4, dtype=torch.long)
    slots = torch.tensor([0.0, 1.0])[:, None, None].expand(2, 4, 8)
    text_looks = torch.tensor([[-1] * 4, [0] * 4])
    batches = diffusion.Batches(latents, looks, slots, text_looks, 0)
    torch.manual_seed(0)
    _, drawn = batches.draw(4000)
    assert (drawn[:, 0, 0] == 0).float().mean().item() == pytest.approx(0.1, abs=0.02)


def test_run_goes_on_where_it_stopped(tmp_path):
    def new(minutes):
        torch.manual_seed(0)
        model = torch.nn.Sequential(torch.nn.Conv2d(2, 4, 3), torch.nn.Linear(4, 3))
        return Run("test", model, 1e-2, minutes, tmp_path), model

    run, model = new(0.002)

    def loss_of(step):
        torch.manual_seed(step)
        x = model[0](torch.randn(4, 2, 6, 6)).mean((2, 3))
        return (model[1](x) - 1).square().mean()

    run.train(loss_of)
    assert run.seconds >= 0.12 and run.scale() == 0
    run.step += 5
    run.log(loss=9.0)  # steps after the last checkpoint are lost, and so is their line
    run.step -= 5
    again, other = new(1)
    assert (again.step, again.seconds) == (run.step, run.seconds)
    assert again.scale() == min(1, (run.step + 1) / WARM_UP)  # with time left again
    for a, b in zip(model.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
    for name, weight in run.average.items():
        assert torch.equal(weight, again.average[name])
        assert not torch.equal(weight, dict(model.named_parameters())[name])
    for a, b in zip(run.optimizers, again.optimizers, strict=True):
        for x, y in zip(a.state.values(), b.state.values(), strict=True):
            assert all(
                torch.equal(torch.as_tensor(x[k]), torch.as_tensor(y[k])) for k in x
            )
    lines = (tmp_path / "test.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == run.step
    run.use_average()
    assert torch.equal(model[1].bias, run.average["1.bias"])


def test_muon_turns_all_singular_values_to_about_one():
    torch.manual_seed(0)
    for shape in ((3, 8, 40), (2, 40, 8), (1, 16, 16)):
        sizes = torch.linalg.svdvals(orthogonalized(torch.randn(shape)))
        assert 0.5 < sizes.min() and sizes.max() < 1.3


# --- judges and card


def test_judge_learns_from_drawn_pictures():
    judge = judging.train_judge(data.make_pictures("any", 400, 8), steps=60)
    fresh = data.make_pictures("any", 100, 9)
    right = judging.named(judge, fresh["pixels"]) == fresh["looks"]
    assert right[:, 3].float().mean() > 0.6  # backgrounds come first
    assert judging.spoiled(fresh["pixels"]).shape == (100, 3, 64, 64)


def test_prompts_ask_for_what_they_are_scored_on():
    texts, gold = evaluation.prompts(60, "test")
    again, _ = evaluation.prompts(60, "test")
    assert texts == again and texts != evaluation.prompts(60, "other")[0]
    pool = read_words("captions")
    for text, look in zip(texts, gold.tolist(), strict=True):
        words = data.words_of(look)
        assert not data.is_held_out(words)
        known = pool["background"][words["background"]]["known"]
        assert any(word in text.lower() for word in known)
    _, held = evaluation.prompts(60, "test", held_out=True)
    assert all(data.is_held_out(data.words_of(look)) for look in held.tolist())
    texts, _ = evaluation.prompts(60, "test", held_out_words=True)
    unseen = [
        w for s in (*captions.ATTRIBUTES, "adorned") for v in pool[s].values()
        for w in v["held_out"]
    ]  # fmt: skip
    assert all(any(w in text.lower() for w in unseen) for text in texts)


def test_card_takes_new_scores():
    text = diffusion_card.CARD.replace("{scores}", "| kind | 0.100 |").replace(
        "{curve}", ""
    )
    new = diffusion_card.with_scores(text, {"kind": 0.25, "colour": 0.5})
    assert "| kind | 0.250 |\n| colour | 0.500 |\n" in new and "0.100" not in new
    assert new.endswith(text[text.index("\n## Training") :])


needs_model = pytest.mark.skipif(
    not MODEL.exists(), reason="lume-diffusion is not there"
)


@needs_model
def test_model_on_the_shelf_fits_its_card():
    scores = json.loads((MODEL / "metrics.json").read_text(encoding="utf-8"))
    page = (MODEL / "README.md").read_text(encoding="utf-8")
    for name, value in scores.items():
        assert f"| {name} | {value:.3f} |" in page
    for file in MODEL.glob("**/*.safetensors"):
        assert store.sha256(file) in page
    size = sum(f.stat().st_size for f in MODEL.glob("**/*") if f.is_file())
    assert size < 11e6
    assert not re.search(r"\{\w+\}", page)


@needs_model
def test_quick_look_agrees_with_the_card():
    scores = json.loads((MODEL / "metrics.json").read_text(encoding="utf-8"))
    quick = evaluation.evaluate(share=0.08)
    assert quick.keys() == scores.keys()
    for name in ("background", "colour"):
        name = f"{name}, by the classifier"
        assert quick[name] == pytest.approx(scores[name], abs=0.25)
    assert quick["VAE on unseen pictures, PSNR in dB"] == pytest.approx(
        scores["VAE on unseen pictures, PSNR in dB"], abs=0.5
    )


@needs_model
def test_shelf_gives_the_pipeline():
    pipe = shelf.text_to_image()
    assert pipe is shelf.text_to_image() and pipe.size == 64
    assert cards.measure("lume-diffusion") is evaluation.evaluate
