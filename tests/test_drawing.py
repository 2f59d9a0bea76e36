"""The text-to-image pipeline: its arguments, bad input, and what it must keep."""

import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from diffusers import DDPMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler
from PIL import Image

from labs_support import drawing, pictures, shelf, slots
from labs_support.recipes import diffusion
from labs_support.world import render

sys.path.insert(0, str(Path(__file__).parent))
import hub_server  # noqa: E402

SCENE = render.Scene("mug", "red", "dotted", "table", seed=3)


@pytest.fixture(scope="module")
def pipe():
    """Return a small pipeline with random weights."""
    torch.manual_seed(0)
    made = diffusion.untrained(32, 32, shelf.text_encoder())
    for weight in made.unet.conv_out.parameters():
        torch.nn.init.normal_(weight, std=0.02)
    return made


@pytest.fixture(scope="module")
def photo():
    """Return a picture of 64 x 64 pixels."""
    return Image.fromarray(render.render(SCENE, 64))


def draw(pipe, prompt="a red mug", seed=0, **options):
    """Return the picture of a seed as integers, (64, 64, 3)."""
    options = {"num_inference_steps": 3} | options
    generator = torch.Generator().manual_seed(seed)
    return np.asarray(pipe(prompt, generator=generator, **options).images[0], int)


# --- words to pictures


def test_the_same_generator_gives_the_same_picture(pipe):
    assert (draw(pipe) == draw(pipe)).all()
    assert (draw(pipe) != draw(pipe, seed=1)).any()


def test_saved_and_loaded_it_draws_the_same(pipe, tmp_path):
    pipe.register_modules(text_encoder=None)
    pipe.save_pretrained(tmp_path)
    pipe.register_modules(text_encoder=shelf.text_encoder())
    again = drawing.LumePipeline.from_pretrained(
        tmp_path, text_encoder=shelf.text_encoder()
    )
    again.set_progress_bar_config(disable=True)
    assert (draw(pipe) == draw(again)).all()


def test_output_types(pipe):
    def run(kind):
        return pipe(
            ["a", "b"], num_inference_steps=2, output_type=kind,
            generator=torch.Generator().manual_seed(0),
        ).images  # fmt: skip

    shares, tensor, z = run("np"), run("pt"), run("latent")
    assert shares.shape == (2, 64, 64, 3) and 0 <= shares.min() <= shares.max() <= 1
    assert tensor.shape == (2, 3, 64, 64) and z.shape == (2, 16, 8, 8)
    np.testing.assert_allclose(shares.transpose(0, 3, 1, 2), tensor, atol=1e-6)
    torch.testing.assert_close(pipe.decode(z) / 2 + 0.5, tensor)
    assert run("pil")[1].size == (64, 64)
    assert isinstance(pipe("a", num_inference_steps=1, return_dict=False), tuple)


def test_several_pictures_of_one_prompt(pipe):
    images = pipe(["a", "b"], num_images_per_prompt=3, num_inference_steps=1).images
    assert len(images) == 6


def test_guidance_is_the_formula(pipe):
    z = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        towards, away = (
            pipe.predict(z, 500, pipe.read([x])) for x in ("a mug", "a hat")
        )
        slots = pipe._guided_slots(["a mug"], "a hat", 4.0)
        got = pipe._guided(z, 500, slots, 4.0)
    torch.testing.assert_close(got, away + 4 * (towards - away), atol=1e-5, rtol=1e-4)


def test_without_guidance_the_negative_prompt_is_not_read(pipe):
    plain = draw(pipe, guidance_scale=1.0)
    assert (plain == draw(pipe, guidance_scale=1.0, negative_prompt="x " * 5000)).all()
    assert (plain != draw(pipe, guidance_scale=9.0)).any()
    guided = draw(pipe, guidance_scale=9.0)
    assert (
        guided != draw(pipe, guidance_scale=9.0, negative_prompt="a blue hat")
    ).any()


def test_a_negative_prompt_for_each_prompt(pipe):
    options = {"guidance_scale": 9.0, "num_inference_steps": 2, "output_type": "np"}
    noise = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(2))
    both = pipe(
        ["a mug", "a hat"],
        ["a bell", "a fish"],
        latents=noise.repeat(2, 1, 1, 1),
        **options,
    ).images
    second = pipe("a hat", "a fish", latents=noise, **options).images
    np.testing.assert_allclose(both[1:], second, atol=1e-4)


def test_callback_sees_each_step_and_may_change_it(pipe):
    seen = []

    def stop_at_zero(pipeline, i, t, found):
        seen.append((i, int(t)))
        return {"latents": torch.zeros_like(found["latents"])}

    options = {"num_inference_steps": 4, "output_type": "latent"}
    z = pipe("a", callback_on_step_end=stop_at_zero, **options).images
    assert [i for i, _ in seen] == [0, 1, 2, 3] and (z == 0).all()
    assert [t for _, t in seen] == sorted((t for _, t in seen), reverse=True)
    assert seen[0][1] == 999


@pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
@pytest.mark.parametrize(
    "sampler", [DDPMScheduler, DPMSolverMultistepScheduler, EulerDiscreteScheduler]
)
def test_other_samplers_of_diffusers_fit(pipe, photo, sampler):
    before = pipe.scheduler
    try:
        pipe.scheduler = sampler.from_config(before.config)
        options = {"num_inference_steps": 4}
        assert (draw(pipe, **options) == draw(pipe, **options)).all()
        options |= {"image": photo, "strength": 0.5}
        assert draw(pipe, **options).shape == (64, 64, 3)
    finally:
        pipe.scheduler = before


def test_one_step_of_ddim_from_pure_noise_by_hand(pipe):
    z = torch.randn(1, 16, 8, 8, generator=torch.Generator().manual_seed(3))
    got = pipe(
        "a mug",
        latents=z,
        num_inference_steps=1,
        guidance_scale=1,
        output_type="latent",
    ).images
    with torch.inference_mode():
        v = pipe.predict(z, 999, pipe.read(["a mug"]))
    share = pipe.scheduler.alphas_cumprod[999]
    torch.testing.assert_close(got, share**0.5 * z - (1 - share) ** 0.5 * v)


# --- pictures to pictures


def test_strength_zero_is_the_picture_through_the_vae(pipe, photo):
    x = torch.tensor(np.asarray(photo)).permute(2, 0, 1)[None] / 127.5 - 1
    with torch.inference_mode():
        y = pipe.decode(pipe.encode(x))
    wanted = ((y[0].permute(1, 2, 0) / 2 + 0.5) * 255).round().numpy()
    assert np.abs(draw(pipe, image=photo, strength=0) - wanted).max() <= 1


def test_strength_is_the_share_of_the_steps(pipe, photo):
    def steps(strength):
        seen = []
        pipe(
            "a", image=photo, strength=strength, num_inference_steps=10,
            callback_on_step_end=lambda p, i, t, found: seen.append(int(t)) or {},
        )  # fmt: skip
        return seen

    whole = steps(1.0)
    assert len(whole) == 10 and steps(0.3) == whole[7:]
    assert len(steps(None)) == 8  # what diffusers takes unless told


def test_inpainting_keeps_the_pixels_outside_the_mask(pipe, photo):
    product = render.mask(SCENE, 64)
    got = draw(pipe, "at night", image=photo, mask_image=255 - product)
    before = np.asarray(photo, int)
    assert (got[product == 255] == before[product == 255]).all()
    assert np.abs(got - before)[product == 0].mean() > 5
    as_picture = draw(
        pipe, "at night", image=photo, mask_image=Image.fromarray(255 - product)
    )
    assert (got == as_picture).all()
    assert (
        draw(pipe, image=photo, mask_image=np.zeros((64, 64), bool)) == before
    ).all()


def test_latents_under_black_blocks_follow_the_picture(pipe, photo):
    mask = np.zeros((64, 64), np.uint8)
    mask[:32] = 255
    x = torch.tensor(np.asarray(photo)).permute(2, 0, 1)[None] / 127.5 - 1
    z = pipe(
        "a", image=photo, mask_image=mask, num_inference_steps=3, output_type="latent"
    ).images
    with torch.inference_mode():
        wanted = pipe.encode(x)
    torch.testing.assert_close(z[:, :, 4:], wanted[:, :, 4:])
    assert (z[:, :, :4] - wanted[:, :, :4]).abs().mean() > 0.1


# --- bad input


def test_text_file_with_the_name_of_a_picture(pipe, tmp_path):
    (tmp_path / "mug.png").write_text("a red mug")
    with pytest.raises(pictures.UnusablePicture, match=r"mug\.png cannot be read"):
        draw(pipe, image=tmp_path / "mug.png")


def test_too_small_picture(pipe):
    with pytest.raises(pictures.UnusablePicture, match="The picture is 1 x 1 pixels"):
        draw(pipe, image=Image.new("RGB", (1, 1)))


@pytest.mark.parametrize("kind", ["huge", "cmyk", "gif", "grey"])
def test_unusual_pictures_are_read(pipe, photo, tmp_path, kind):
    path = tmp_path / f"{kind}.{'gif' if kind == 'gif' else 'jpg'}"
    if kind == "huge":
        photo.resize((6000, 6000)).save(path)
    elif kind == "gif":
        photo.save(path, save_all=True, append_images=[Image.new("RGB", (64, 64))])
    else:
        photo.convert("CMYK" if kind == "cmyk" else "L").save(path, quality=95)
    got, wanted = (
        draw(pipe, image=path, strength=0),
        draw(pipe, image=photo, strength=0),
    )
    if kind != "grey":
        assert np.abs(got - wanted).mean() < 8
    assert got.shape == (64, 64, 3)


@pytest.mark.parametrize(
    "wrong", [np.zeros((64, 64, 3)), np.zeros((64, 64), np.uint8), 7, [1, 2]]
)
def test_what_is_no_picture(pipe, wrong):
    with pytest.raises(pictures.UnusablePicture, match="is no picture: use"):
        draw(pipe, image=wrong)


def test_mask_of_another_size(pipe, photo):
    with pytest.raises(
        pictures.UnusablePicture, match="32 x 20 pixels and the picture 64"
    ):
        draw(pipe, image=photo, mask_image=np.zeros((20, 32), np.uint8))


def test_mask_without_a_picture(pipe):
    with pytest.raises(slots.UnusablePrompt, match="a mask and no picture"):
        draw(pipe, mask_image=np.zeros((64, 64), np.uint8))


def test_empty_prompt_draws_and_a_very_long_one_says_why_not(pipe):
    assert draw(pipe, "").shape == (64, 64, 3)
    with pytest.raises(slots.UnusablePrompt, match=r"The prompt has [\d,]+ tokens"):
        draw(pipe, "a red mug " * 500)


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"strength": 1.5}, "strength is 1.5"),
        ({"output_type": "jpg"}, "output_type is 'jpg'"),
        ({"latents": torch.zeros(1, 4, 8, 8)}, "latents have the shape"),
        ({"negative_prompt": ["a", "b"]}, "1 prompts and 2 negative prompts"),
    ],
)
def test_settings_that_cannot_be_used(pipe, options, sentence):
    with pytest.raises(slots.UnusablePrompt, match=sentence):
        draw(pipe, **options)


@pytest.mark.parametrize("prompt", [[], [7], None])
def test_prompts_that_are_none(pipe, prompt):
    with pytest.raises(slots.UnusablePrompt, match="A prompt is a text"):
        pipe(prompt, num_inference_steps=1)


# --- the reader of texts


def test_filling_changes_nothing(pipe):
    with torch.inference_mode():
        alone = pipe.read(["a mug"])
        beside = pipe.read(
            ["a mug", "a very long text about a mug and much more beside it"]
        )
    torch.testing.assert_close(alone[0], beside[0], atol=1e-4, rtol=1e-4)


def test_reader_looks_at_tokens_only(pipe):
    tokens, is_token = slots.read_texts(
        shelf.text_encoder(), ["a mug", "a big red mug"]
    )
    assert tokens.shape == (2, int(is_token.sum(1).max()), 384)
    share = pipe.reader.attention(tokens, is_token)
    assert (share[0][:, ~is_token[0]] == 0).all()
    torch.testing.assert_close(share.sum(-1), torch.ones(2, 4))


# --- the hub profile, through a stand-in


def tiny_stable_diffusion(folder):
    """Write random weights of Stable Diffusion's architecture, as a hub repository."""
    from diffusers import (
        AutoencoderKL,
        DDIMScheduler,
        StableDiffusionPipeline,
        UNet2DConditionModel,
    )
    from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

    letters = [chr(i) for i in range(33, 127)]
    words = [*letters, *(f"{letter}</w>" for letter in letters)]
    words += ["<|startoftext|>", "<|endoftext|>"]
    vocabulary = {word: i for i, word in enumerate(words)}
    tokenizer = CLIPTokenizer(vocab=vocabulary, merges=[], model_max_length=16)
    torch.manual_seed(0)
    text = CLIPTextConfig(
        vocab_size=len(words), hidden_size=16, intermediate_size=32, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=16, projection_dim=16,
        bos_token_id=len(words) - 2, eos_token_id=len(words) - 1,
        pad_token_id=len(words) - 1,
    )  # fmt: skip
    vae = AutoencoderKL(
        block_out_channels=(8, 8), norm_num_groups=8, latent_channels=4, sample_size=16,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
    )  # fmt: skip
    unet = UNet2DConditionModel(
        sample_size=8, in_channels=4, out_channels=4, block_out_channels=(8, 8),
        norm_num_groups=8, cross_attention_dim=16, attention_head_dim=2,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"), layers_per_block=1,
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    )  # fmt: skip
    StableDiffusionPipeline(
        vae=vae, text_encoder=CLIPTextModel(text), tokenizer=tokenizer, unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, steps_offset=1), safety_checker=None,
        feature_extractor=None, requires_safety_checker=False,
    ).to(torch.float16).save_pretrained(folder, variant="fp16")  # fmt: skip


HUB = """
import numpy as np, torch
from labs_support import drawing, shelf
pipe = shelf.text_to_image()
options = {"num_inference_steps": 2, "output_type": "np", "guidance_scale": 2.0}
options["generator"] = torch.Generator().manual_seed(0)
photo = np.zeros((16, 16, 3), np.uint8)
mask = np.full((16, 16), 255, np.uint8)
for more in ({}, {"image": photo}, {"image": photo, "mask_image": mask}):
    print(pipe("a red mug", negative_prompt="blue", **more, **options).images.shape)
print(type(pipe).__name__, type(pipe.scheduler).__name__)
"""


def test_hub_profile_draws_through_the_real_code(tmp_path):
    tiny_stable_diffusion(tmp_path / "hub" / shelf.role("text-to-image").hub)
    run = hub_server.run_code(HUB, tmp_path)
    lines = run.stdout.splitlines()
    assert lines == ["(1, 16, 16, 3)"] * 3 + ["HubPipeline DDIMScheduler"], run.stderr
