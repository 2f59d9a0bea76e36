"""Lesson 09 and lume-clip: losses, the tower, searching, bad pictures, the evaluation."""

import re
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from torch.nn import functional as F

from labs_support import contrastive, pictures, shelf, skills
from labs_support.recipes import clip as recipe
from labs_support.recipes import clip_data, clip_evaluation
from labs_support.world import captions, queries, store
from labs_support.world.wording import read_words

sys.path.insert(0, str(Path(__file__).parent))
import hub_server  # noqa: E402

MODEL = store.DATA / "models" / "lume-clip"


def unit(*shape, seed=0):
    """Return random vectors of length 1."""
    generator = torch.Generator().manual_seed(seed)
    return F.normalize(torch.randn(*shape, generator=generator), dim=-1)


# --- losses


@pytest.mark.parametrize("temperature", [0.01, 0.07, 1.0])
def test_loss_and_gradient_are_those_of_open_clip(temperature):
    import open_clip

    v, t = unit(17, 32, seed=1).requires_grad_(), unit(17, 32, seed=2)
    ours = contrastive.clip_loss(v, t, temperature)
    theirs = open_clip.ClipLoss()(v, t, logit_scale=1 / temperature)
    torch.testing.assert_close(ours, theirs)
    slopes = [torch.autograd.grad(loss, v)[0] for loss in (ours, theirs)]
    torch.testing.assert_close(*slopes)


def test_loss_by_hand():
    v, t = torch.eye(2), torch.tensor([[1.0, 0.0], [0.6, 0.8]])
    rows = [np.log(1 + np.exp(0.6 - 1)), np.log(1 + np.exp(0 - 0.8))]
    columns = [np.log(1 + np.exp(0 - 1)), np.log(1 + np.exp(0.6 - 0.8))]
    wanted = np.mean([np.mean(rows), np.mean(columns)])
    assert contrastive.clip_loss(v, t, 1.0).item() == pytest.approx(wanted, abs=1e-6)


def test_default_temperature_is_the_one_clip_starts_with():
    v, t = unit(8, 16, seed=3), unit(8, 16, seed=4)
    assert contrastive.clip_loss(v, t) == contrastive.clip_loss(v, t, 0.07)


def test_groups_are_losses_of_their_own():
    v, t = unit(12, 16, seed=5), unit(12, 16, seed=6)
    whole = contrastive.clip_loss(v, t)
    torch.testing.assert_close(contrastive.grouped_loss(v, t, 12), whole)
    parts = [contrastive.clip_loss(v[i : i + 4], t[i : i + 4]) for i in (0, 4, 8)]
    got = contrastive.grouped_loss(v, t, 4)
    torch.testing.assert_close(got, sum(parts) / 3)
    assert got < whole


def test_matched_loss_is_the_plain_one_where_each_text_fits_one_picture():
    v, t = unit(9, 16, seed=7), unit(9, 16, seed=8)
    got = contrastive.matched_loss(v @ t.T / 0.07, torch.eye(9))
    torch.testing.assert_close(got, contrastive.clip_loss(v, t))


def test_matched_loss_does_not_punish_a_caption_that_fits_two_pictures():
    logits = torch.tensor([[9.0, -9.0], [9.0, 9.0]])
    matches = torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    surprise = contrastive.matched_loss(logits, matches).item()
    assert surprise == pytest.approx(np.log(2) / 2, abs=1e-4)


# --- the tower of the lesson


def test_tower_gives_unit_vectors_and_learns_its_pairs():
    torch.manual_seed(0)
    x, t = torch.rand(64, 3, 32, 32) * 2 - 1, unit(64, 24, seed=9)
    tower = contrastive.Tower(24)
    contrastive.train_tower(tower, x, t, 60, contrastive.clip_loss, size=32)
    with torch.inference_mode():
        v = tower(x)
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(64))
    assert not tower.training
    assert contrastive.recall_at(t @ v.T, torch.arange(64)) > 0.9


def test_recall():
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.5, 0.4, 0.6], [0.3, 0.2, 0.1]])
    gold = torch.tensor([0, 0, 2])
    wanted = {1: 1 / 3, 2: 2 / 3, 3: 1}
    for k, share in wanted.items():
        assert contrastive.recall_at(scores, gold, k) == pytest.approx(share)


# --- texts to train with


def test_no_held_out_word_is_in_the_training_words():
    pool, own = read_words("captions"), read_words("queries")
    slots = (*captions.ATTRIBUTES, "adorned")
    held = [w for s in slots for v in pool[s].values() for w in v["held_out"]]
    for slot in slots:
        for value in pool[slot]:
            for word in queries.words(slot, value):
                plain = word.replace("-", " ")
                for out in held:
                    whole = rf"(?<!\w){re.escape(out)}s?(?!\w)"
                    assert not re.search(whole, word) and not re.search(whole, plain), (
                        f"{word!r} holds {out!r}"
                    )
    assert {s: set(own[s]) for s in slots} == {s: set(pool[s]) for s in slots}


def test_fresh_words_are_in_no_other_list():
    pool, own = read_words("captions")["kind"], read_words("queries")
    for value, words in own["fresh"].items():
        known = {*queries.words("kind", value), *pool[value]["held_out"]}
        assert len(words) == 3 and known.isdisjoint(words)
    assert own["fresh"].keys() == pool.keys()


def test_a_text_names_what_its_form_says():
    import random

    rng = random.Random(0)
    look = {"kind": "hat", "colour": "red", "pattern": "dotted", "background": "sky"}
    for form, named in queries.NAMED.items():
        for _ in range(30):
            text = queries.query(form, look, rng)
            assert "{" not in text and "~" not in text
            if form == "description":
                continue
            for slot, value in look.items():
                words = set(queries.words(slot, value))
                if slot == "pattern":
                    words |= set(queries.words("adorned", value))
                assert (slot in named) <= any(word in text for word in words), text


def test_no_product_of_the_catalogue_is_trained_on():
    made = clip_data.make_pictures(200, seed=5)
    left_out = clip_data.catalogue_looks()
    assert len(left_out) == 240
    assert not {tuple(look) for look in made["looks"].tolist()} & left_out
    assert made["pixels"].shape == (200, 3, 64, 64)


def test_a_picture_meets_only_texts_that_are_true_of_it():
    full, kind = [3, 1, 2, 0], [3, -1, -1, -1]
    texts = {
        "looks": torch.tensor([full, kind, [4, -1, -1, -1]], dtype=torch.int16),
        "forms": torch.tensor([0, list(clip_data.FORMS).index("kind")] + [7]),
    }
    matcher = clip_data.Matcher(texts, seed=0)
    assert {matcher.text_for(full) for _ in range(50)} == {0, 1}
    looks = torch.tensor([full, [3, 1, 2, 5], [4, 1, 2, 0]])
    matches = matcher.matches(torch.tensor([0, 1, 2]), looks)
    assert matches.tolist() == [[1, 1, 0], [0, 1, 0], [0, 0, 1]]


def test_training_sees_pictures_as_the_model_will(clip):
    pixels = torch.randint(256, (1, 3, 64, 64), dtype=torch.uint8)
    picture = Image.fromarray(pixels[0].permute(1, 2, 0).numpy())
    mine = recipe.normalised(pixels.float())[0]
    torch.testing.assert_close(mine, clip.preprocess(picture), atol=1e-4, rtol=0)


def test_recipe_trains_and_its_weights_load_again(tmp_path, clip):
    rng = np.random.default_rng(0)
    looks = torch.tensor(rng.integers(0, 4, (300, 4)), dtype=torch.int16)
    texts = {
        "vectors": unit(3000, 384).half(),
        "looks": looks.repeat(10, 1),
        "forms": torch.zeros(3000, dtype=torch.long),
    }
    drawn = {
        "pixels": torch.randint(256, (300, 3, 64, 64), dtype=torch.uint8),
        "looks": looks,
    }
    fresh = shelf.untrained_image_text(MODEL / "lume-clip.json").model
    before = {k: v.clone() for k, v in fresh.state_dict().items()}
    recipe.train(fresh, drawn, texts, steps=2, seed=0, log=lambda line: None)
    for name, weight in fresh.state_dict().items():
        if name.startswith(shelf.FROZEN):
            assert torch.equal(weight, before[name]), name
    assert not torch.equal(fresh.logit_scale, before["logit_scale"])
    recipe.save(fresh, tmp_path)
    saved = load_file(tmp_path / "model.safetensors")
    assert saved.keys() == load_file(MODEL / "model.safetensors").keys()


# --- the model on the shelf


@pytest.fixture(scope="module")
def clip():
    return shelf.image_text()


def test_model_is_small_and_its_text_tower_is_minilm(clip):
    assert sum(f.stat().st_size for f in MODEL.iterdir()) <= 3e6
    ids = clip.tokenizer(["a crimson vessel", "a kite"])
    with torch.inference_mode():
        out = clip.model.text.transformer(ids, attention_mask=(ids != 0).long())
        pooled = clip.model.text.pooler(out, (ids != 0).long())
    wanted = skills.embed(["a crimson vessel", "a kite"])
    np.testing.assert_allclose(F.normalize(pooled, dim=-1), wanted, atol=1e-5)


def test_vectors_have_length_one_and_do_not_depend_on_the_batch(clip):
    folder = store.DATA / "catalogue"
    some = store.rows("catalogue")[:3]
    seen = [pictures.open_picture(folder / row["picture"]) for row in some]
    v = contrastive.embed_pictures(clip, seen)
    torch.testing.assert_close(v.norm(dim=-1), torch.ones(3))
    alone = contrastive.embed_pictures(clip, seen[1:2])
    torch.testing.assert_close(v[1:2], alone, atol=1e-5, rtol=0)
    texts = ["a kite", "a long text about a kite that flies over the beach at night"]
    t = contrastive.embed_texts(clip, texts, size=1)
    both = contrastive.embed_texts(clip, texts)
    torch.testing.assert_close(t, both, atol=1e-5, rtol=0)


def test_stored_vectors_are_those_of_the_model(clip):
    stored = load_file(MODEL / "catalogue.safetensors")["pictures"].float()
    made = clip_evaluation.catalogue_vectors(clip)
    torch.testing.assert_close(stored, made, atol=2e-3, rtol=0)


def test_evaluation_reaches_what_a_release_must(clip):
    scores = clip_evaluation.evaluate(clip)
    for name, least in clip_evaluation.LEAST.items():
        assert scores[name] >= least, name
    card = (MODEL / "README.md").read_text(encoding="utf-8")
    for name, value in scores.items():
        (shown,) = re.findall(rf"\| {re.escape(name)} \| (\S+) \|", card)
        assert float(shown) == pytest.approx(value, abs=0.006), name


def test_evaluation_notices_a_model_that_knows_nothing(clip):
    fresh = shelf.untrained_image_text(MODEL / "lume-clip.json")
    fresh.model.eval()
    scores = clip_evaluation.zero_shot(fresh)
    assert max(scores.values()) < 0.5


# --- finding by picture, and bad pictures


def test_a_fresh_drawing_finds_its_product():
    row = store.rows("catalogue")[17]
    look = {name: row[name] for name in captions.ATTRIBUTES}
    found = skills.find_by_picture(skills.draw(**look, seed=3), n=2)
    assert found[0].item["sku"] == row["sku"]
    assert found[0].score > found[1].score


def test_own_catalogue_picture_is_the_first_hit_of_any_form(tmp_path):
    row = store.rows("catalogue")[40]
    file = store.DATA / "catalogue" / row["picture"]
    picture = Image.open(file).convert("RGB")
    picture.convert("CMYK").save(tmp_path / "cmyk.jpg", quality=95)
    other = Image.new("RGB", picture.size, "black")
    picture.save(tmp_path / "two.gif", save_all=True, append_images=[other])
    picture.resize((6000, 6000)).save(tmp_path / "large.jpg")
    paths = [file, str(file), *tmp_path.iterdir()]
    for path in (*paths, picture, np.asarray(picture)):
        assert skills.find_by_picture(path, n=1)[0].item == row, path


def write_bad_pictures(folder):
    """Write one file of every kind that must be refused."""
    (folder / "text.png").write_text("not a picture")
    Image.new("RGB", (1, 1)).save(folder / "dot.png")
    (folder / "empty.jpg").write_bytes(b"")
    Image.new("1", (12_000, 12_000)).save(folder / "huge.png")
    Image.new("1", (20_000, 20_000)).save(folder / "bomb.png")
    Image.effect_noise((64, 64), 50).save(folder / "cut.png")
    data = (folder / "cut.png").read_bytes()
    (folder / "cut.png").write_bytes(data[: len(data) // 2])


REFUSED = {
    "text.png": "cannot be read as a picture",
    "dot.png": "is 1 x 1 pixels: a picture needs at least 16 on each side",
    "empty.jpg": "cannot be read as a picture",
    "huge.png": "has more than 100,000,000 pixels",
    "bomb.png": "has more than 100,000,000 pixels",
    "cut.png": "cannot be read as a picture",
}


def test_bad_pictures_are_one_sentence_each(tmp_path):
    write_bad_pictures(tmp_path)
    for name, sentence in REFUSED.items():
        with pytest.raises(pictures.UnusablePicture) as error:
            skills.find_by_picture(tmp_path / name)
        text = str(error.value)
        assert text.startswith(name) and sentence in text and "\n" not in text
    with pytest.raises(pictures.UnusablePicture, match="There is no picture"):
        skills.find_by_picture(tmp_path / "missing.png")


def test_a_folder_gives_what_is_good_and_says_what_is_not(tmp_path):
    write_bad_pictures(tmp_path)
    (tmp_path / "notes.txt").write_text("passed over")
    (tmp_path / "sub.png").mkdir()
    Image.new("RGB", (64, 32), "red").save(tmp_path / "a.webp")
    good, problems = pictures.read_folder(tmp_path)
    assert list(good) == ["a.webp"] and good["a.webp"].mode == "RGB"
    assert sorted(p.partition(" ")[0] for p in problems) == sorted(REFUSED)
    with pytest.raises(pictures.UnusablePicture, match="holds no picture"):
        pictures.read_folder(tmp_path / "sub.png")
    with pytest.raises(pictures.UnusablePicture, match="There is no folder"):
        pictures.read_folder(tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("mode", "colour", "wanted"),
    [
        ("RGBA", (255, 0, 0, 0), (255, 255, 255)),
        ("RGBA", (255, 0, 0, 255), (255, 0, 0)),
        ("LA", (7, 0), (255, 255, 255)),
        ("L", 100, (100, 100, 100)),
        ("I;16", 40_000, (156, 156, 156)),
        ("1", 1, (255, 255, 255)),
        ("P", 0, (0, 0, 0)),
    ],
)
def test_every_mode_becomes_rgb(tmp_path, mode, colour, wanted):
    Image.new(mode, (32, 32), colour).save(tmp_path / "picture.png")
    picture = pictures.open_picture(tmp_path / "picture.png")
    assert picture.mode == "RGB" and picture.getpixel((5, 5)) == wanted


def test_photos_are_turned_upright_and_made_small(tmp_path):
    picture = Image.new("RGB", (2000, 1000), "red")
    exif = Image.Exif()
    exif[0x0112] = 6  # held upright: turn by 90 degrees
    picture.save(tmp_path / "photo.jpg", exif=exif)
    assert pictures.open_picture(tmp_path / "photo.jpg").size == (256, 512)


# --- the hub profile


HUB = """
import numpy as np
from labs_support import contrastive, shelf, skills
clip = shelf.image_text()
print(contrastive.embed_texts(clip, ["a red kite"]).shape)
print(len(skills.find_by_picture(np.zeros((64, 64, 3), dtype=np.uint8), n=4)))
"""


def tiny_open_clip(folder: Path) -> None:
    """Save a random CLIP of the architecture of ViT-B-32 as a hub repository."""
    import json

    import open_clip
    from safetensors.torch import save_file

    text = {"context_length": 77, "vocab_size": 49408, "width": 16, "heads": 2}
    config = {
        "embed_dim": 24,
        "vision_cfg": {"image_size": 64, "layers": 2, "width": 32, "patch_size": 32,
                       "head_width": 16},
        "text_cfg": text | {"layers": 1},
    }  # fmt: skip
    torch.manual_seed(0)
    weights = open_clip.CLIP(**config).state_dict()
    folder.mkdir(parents=True)
    save_file(weights, folder / "open_clip_model.safetensors")
    whole = {"model_cfg": config, "preprocess_cfg": {}}
    (folder / "open_clip_config.json").write_text(json.dumps(whole))


def test_hub_profile_loads_a_vit_through_the_real_code(tmp_path):
    repo = tmp_path / "hub" / shelf.role("image-text").hub
    tiny_open_clip(repo)
    run = hub_server.run_code(HUB, tmp_path)
    assert run.stdout.split("\n")[:2] == ["torch.Size([1, 24])", "4"], run.stderr


def test_hub_profile_opens_no_pickle(tmp_path):
    repo = tmp_path / "hub" / shelf.role("image-text").hub
    tiny_open_clip(repo)
    (repo / "open_clip_model.safetensors").rename(repo / "open_clip_pytorch_model.bin")
    run = hub_server.run_code(HUB, tmp_path)
    assert "has no open_clip_model.safetensors" in run.stderr.splitlines()[-1]
