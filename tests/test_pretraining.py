"""Lesson 04: objectives, codes, reading on, small runs, tags, several processes."""

import json
import math
import random
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from labs_support import (
    codes,
    distributed,
    objectives,
    parameters,
    pretraining,
    small_runs,
    tagging,
)
from labs_support.objectives import END, IGNORED, MASK, PAD
from labs_support.recipes import objectives as objectives_recipe
from labs_support.recipes import scaling_runs

sys.path.insert(0, str(Path(__file__).parent))
import hub_server  # noqa: E402

ROWS = [[10, 11, 12, 13, 14, 15, 16], [20, 21, 22, 23, 24, 25, 26, 27, 28, 29]]


# --- three objectives


def test_blanks_hide_some_words_and_ask_for_those_only():
    made = objectives.blanks(ROWS, random.Random(0), share=0.3)
    x, y = made["input_ids"], made["labels"]
    assert x.shape == y.shape == (2, 11)
    for row, ids, labels in zip(ROWS, x.tolist(), y.tolist(), strict=True):
        assert ids[len(row)] == END and set(ids[len(row) + 1 :]) <= {PAD}
        for word, seen, wanted in zip(row, ids, labels, strict=False):
            assert (seen, wanted) in ((word, IGNORED), (MASK, word))
        assert ids.count(MASK) == round(0.3 * len(row))
    assert (y[:, -1] == IGNORED).all()
    assert made["attention_mask"].sum(dim=1).tolist() == [8, 11]


def test_continuations_ask_for_every_word_and_the_end():
    made = objectives.continuations(ROWS, random.Random(0))
    assert made["input_ids"][1].tolist() == [END, *ROWS[1], END]
    assert made["labels"][0].tolist() == [END, *ROWS[0], END] + [IGNORED] * 3


def test_gaps_put_one_mark_where_words_are_missing():
    sizes = set()
    for seed in range(40):
        made = objectives.gaps(ROWS, random.Random(seed))
        for row, x, y in zip(ROWS, made["input_ids"], made["labels"], strict=True):
            x, y = (
                [i for i in x.tolist() if i != PAD],
                [i for i in y.tolist() if i >= 0],
            )
            assert y[-1] == END and x[-1] == END and x.count(MASK) == 1
            place = x.index(MASK)
            assert x[:place] + y[:-1] + x[place + 1 : -1] == row
            sizes.add(len(y) - 1)
    assert sizes == {1, 2, 3, 4}


def test_fit_learns_and_a_shorter_look_is_the_beginning_of_it():
    rows = [[3, 4, 5, 6, 7, 8]] * 8

    def losses(n):
        torch.manual_seed(0)
        model = objectives.small_models(9, width=8)["GPT"]
        steps = objectives.fit(model, rows, objectives.continuations, 60, rate=1e-2)
        return [loss for loss, _ in zip(steps, range(n), strict=False)]

    whole = losses(60)
    assert whole[-1] < 0.5 * whole[0]
    assert losses(5) == whole[:5]


def test_models_of_the_three_objectives_are_of_one_size():
    sizes = [
        sum(w.numel() for w in model.parameters())
        for model in objectives.small_models(381).values()
    ]
    assert max(sizes) < 1.1 * min(sizes)


def test_tasks_cover_the_line():
    row = list(range(10, 19))
    for seed in range(200):
        made = objectives.tasks(row, random.Random(seed))
        for before, after, wanted, n in (made["blank"], made["gap"]):
            assert before and before + wanted + after == row
            assert n in (None, 1)
        before, after, wanted, _ = made["next"]
        assert before + wanted == row[: len(before) + 1] and after == []
        assert 2 <= len(made["gap"][2]) <= 4


class Oracle:
    """Answers like a perfect model of its kind, to test how answers are read."""

    def __init__(self, row):
        self.row = row

    def __call__(self, ids):
        logits = torch.zeros(1, ids.shape[1], 40)
        if ids.shape[1] == len(self.row) + 1:  # the number of marks that fits
            for i, word in enumerate(self.row):
                logits[0, i, word] = 9.0
        return type("Output", (), {"logits": logits})

    def generate(self, ids, max_new_tokens, do_sample):
        read = ids[0].tolist()
        if MASK in read:
            place = read.index(MASK)
            new = self.row[place : place + len(self.row) - len(read) + 2]
            return torch.tensor([[END, *new, END, PAD]])
        place = len(read) - 1
        new = self.row[place : place + max_new_tokens]
        return torch.tensor([read + new])


@pytest.mark.parametrize("name", ["BERT", "GPT", "T5"])
def test_a_perfect_model_gives_the_right_answers(name):
    row = list(range(10, 20))
    for seed in range(30):
        made = objectives.tasks(row, random.Random(seed))
        for task, (before, after, wanted, n) in made.items():
            if name == "GPT" and task == "gap":
                continue  # it cannot know the length
            if name != "GPT" and task == "next":
                continue  # the oracle does not know where a line breaks off
            assert objectives.answer(name, Oracle(row), before, after, n) == wanted


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Return what the recipe writes when it takes a few steps."""
    path = tmp_path_factory.mktemp("data") / "models" / "lume-objectives"
    objectives_recipe.main(["--steps", "20", "--folder", str(path)])
    return path


def test_recipe_writes_weights_log_and_card_once(folder):
    names = {"README.md", "log.jsonl", "bert.safetensors", "gpt.safetensors"}
    assert {file.name for file in folder.iterdir()} == names | {"t5.safetensors"}
    assert [r["step"] for r in objectives_recipe.curve(folder)] == [20] * 3
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert card == objectives_recipe.card(folder) and card.count("| 20 |") == 3
    written = {file: file.stat().st_mtime_ns for file in folder.glob("*.safetensors")}
    objectives_recipe.main(["--steps", "20", "--folder", str(folder)])
    assert {file: file.stat().st_mtime_ns for file in written} == written


def test_trained_models_are_the_saved_ones_and_damage_is_a_sentence(
    folder, monkeypatch
):
    from labs_support import shelf
    from labs_support.world import store

    digests = {
        f"models/{folder.name}/{f.name}": store.sha256(f) for f in folder.iterdir()
    }
    n_words = len(objectives.vocabulary())
    monkeypatch.setattr(objectives, "FOLDER", folder)
    monkeypatch.setattr(objectives.store, "published", lambda: digests)
    monkeypatch.setattr(objectives.store, "DATA", folder.parents[1])
    models = objectives.trained(n_words)
    saved = load_file(folder / "t5.safetensors")
    for name, weight in models["T5"].named_parameters():
        assert torch.equal(weight.bfloat16(), saved[name]), name
    assert not any(model.training for model in models.values())
    (folder / "gpt.safetensors").write_bytes(b"half of it")
    with pytest.raises(shelf.DamagedModel, match="gpt.safetensors is damaged"):
        objectives.trained(n_words)


# --- control codes


@pytest.fixture(scope="module")
def tokenizer():
    return codes.new_tokenizer()


def test_windows_begin_with_the_code_and_end_with_the_end(tokenizer):
    x, y = codes.window(tokenizer, "sum", "How many?")
    ids = tokenizer.encode("How many?").ids
    assert len(x) == len(y) == codes.LENGTH
    assert x[0] == codes.SIZE + codes.CODES.index("sum")
    assert x[1 : len(ids) + 1] == ids == y[: len(ids)]
    assert y[len(ids)] == codes.END
    assert set(y[len(ids) + 1 :]) == {codes.IGNORED}
    long_x, long_y = codes.window(tokenizer, "sum", "How many? " * 50)
    assert len(long_x) == codes.LENGTH and codes.END not in long_y
    assert tokenizer.decode(ids) == "How many?"


def test_windows_of_all_codes_stand_in_order(tokenizer):
    x, y = codes.windows(tokenizer, "test", n=3)
    assert x.shape == y.shape == (15, codes.LENGTH)
    assert (x[:, 0] - codes.SIZE).tolist() == [i for i in range(5) for _ in range(3)]


def test_judge_knows_the_kind_of_texts_that_it_has_not_read(tokenizer):
    name, kind = codes.judge(tokenizer), {code: code for code in codes.CODES}
    kind["complaint"] = "praise"
    right = []
    for code, some in codes.texts("test").items():
        cut = [tokenizer.decode(tokenizer.encode(t).ids[: codes.LENGTH]) for t in some]
        right += [kind[guess] == kind[code] for guess in name(cut[:60])]
    assert sum(right) / len(right) > 0.97


# --- reading on


@pytest.fixture(scope="module")
def lume():
    from labs_support import shelf

    return shelf.language_model("language-model")


TEXTS = ["The shop opens at nine.", "A kite.", "We pack every lantern in paper, twice."]


def test_perplexity_does_not_depend_on_the_batches(lume):
    alone = pretraining.perplexity(lume.model, lume.tokenizer, TEXTS, size=1)
    joined = pretraining.perplexity(lume.model, lume.tokenizer, TEXTS, size=3)
    assert alone == pytest.approx(joined, rel=1e-4)
    n_nats, n_tokens = 0.0, 0
    for text in TEXTS:
        ids = torch.tensor([lume.tokenizer(text)["input_ids"]])
        with torch.inference_mode():
            n_nats += lume.model(ids, labels=ids).loss.item() * (ids.shape[1] - 1)
        n_tokens += ids.shape[1] - 1
    assert alone == pytest.approx(math.exp(n_nats / n_tokens), rel=1e-4)


def test_a_start_does_not_count(lume):
    nats, counts = pretraining.surprise(
        lume.model, lume.tokenizer, ["A kite is red."], ["A kite is"]
    )
    whole, all_counts = pretraining.surprise(
        lume.model, lume.tokenizer, ["A kite is red."]
    )
    n_start = len(lume.tokenizer("A kite is")["input_ids"])
    assert counts.item() == all_counts.item() - (n_start - 1)
    assert 0 < nats.item() < whole.item()


def test_reading_on_teaches_and_choosing_finds(lume):
    from copy import deepcopy

    model = deepcopy(lume.model)
    before = {n: w.clone() for n, w in lume.model.named_parameters()}
    texts = ["Tessel Marn is the painter.", "Odo Vint is the baker."]
    pretraining.read_on(model, lume.tokenizer, texts, n_steps=15, rate=2e-3)
    assert not model.training
    starts, endings = ["Tessel Marn is the", "Odo Vint is the"], ["painter.", "baker."]
    assert pretraining.choose(model, lume.tokenizer, starts, endings) == [0, 1]
    for name, weight in lume.model.named_parameters():
        assert torch.equal(weight, before[name]), name


def test_what_follows_does_not_depend_on_the_filling(lume):
    starts = ["The lamp costs", "A kite and a very long list of other things costs"]
    joined = pretraining.go_on(lume.model, lume.tokenizer, starts, n_new=6)
    alone = [
        pretraining.go_on(lume.model, lume.tokenizer, [s], n_new=6) for s in starts
    ]
    assert joined == [texts[0] for texts in alone]
    assert all("\n" not in text for text in joined)


HUB = """
from labs_support import shelf
from labs_support.pretraining import choose, go_on, perplexity, read_on
model, tokenizer = shelf.language_model("language-model")
read_on(model, tokenizer, ["A kite is red."] * 8, n_steps=2)
print(perplexity(model, tokenizer, ["A kite is red.", "No."]) > 1)
print(choose(model, tokenizer, ["A kite is"], ["red.", "wet."])[0] in (0, 1))
print(len(go_on(model, tokenizer, ["A kite", "One very long lamp"], n_new=3)))
"""


def test_hub_profile_reads_on_through_the_real_code(lume, tmp_path):
    from transformers import LlamaConfig, LlamaForCausalLM

    from labs_support import shelf

    folder = tmp_path / "hub" / shelf.role("language-model").hub
    config = LlamaConfig(
        vocab_size=len(lume.tokenizer), hidden_size=16, intermediate_size=32,
        num_hidden_layers=1, num_attention_heads=2,
    )  # fmt: skip
    LlamaForCausalLM(config).save_pretrained(folder)
    lume.tokenizer.save_pretrained(folder)
    run = hub_server.run_code(HUB, tmp_path)
    assert run.stdout.split() == ["True", "True", "2"], run.stderr


# --- small runs


def test_a_size_counts_as_it_is_built_and_flops_follow():
    from labs_support.gpt import GPT

    for size in small_runs.SIZES.values():
        n_weights = sum(w.numel() for w in GPT(size).parameters())
        assert parameters.count(small_runs.description(size)).total == n_weights
        attention = 12 * size.n_layers * size.width * small_runs.CONTEXT
        assert small_runs.flops_per_token(size) == 6 * n_weights + attention


def test_texts_go_on_and_stay_the_same():
    some = small_runs.texts(1000)
    assert len(some) == 1001
    more = small_runs.texts(400_000)
    assert torch.equal(more[:1001], some) and len(more) == 400_001
    assert torch.equal(small_runs.texts(1000), some)


def test_a_run_learns_and_is_repeatable():
    size = small_runs.SIZES["16 x 1"]
    one, two = (small_runs.train(size, 40_960, seed=3) for _ in range(2))
    assert one.loss == two.loss < math.log(small_runs.VOCABULARY)
    assert one.n_tokens == 40_960 and one.n_weights == 13_552
    assert one.flops == 40_960 * small_runs.flops_per_token(size)
    with pytest.raises(ValueError, match="under ten steps of 2,048"):
        small_runs.train(size, 4096)


def test_plan_spends_what_it_says():
    for job in scaling_runs.plan(0):
        size = small_runs.SIZES[job["size"]]
        flops = small_runs.flops_per_token(size) * job["n_tokens"]
        if job["family"] == "law":
            n_weights = parameters.count(small_runs.description(size)).total
            assert job["n_tokens"] == 20 * n_weights
        else:
            assert flops == pytest.approx(float(job["family"].split()[1]), rel=1e-3)
            assert job["n_tokens"] > 10 * 2048


def test_recipe_goes_on_where_it_was_stopped(tmp_path, monkeypatch):
    trained = []

    def train(size, n_tokens, seed):
        if len(trained) == 3:
            raise KeyboardInterrupt
        trained.append(n_tokens)
        return small_runs.Run(1, n_tokens, 1.0, seed, 2.0, 1.0)

    monkeypatch.setattr(small_runs, "train", train)
    file = tmp_path / "runs.jsonl"
    with pytest.raises(KeyboardInterrupt):
        scaling_runs.main(["--seeds", "1", "--file", str(file)])
    with file.open("a") as log:
        log.write('{"family": "law", "si')  # killed while writing
    trained.clear()
    with pytest.raises(KeyboardInterrupt):
        scaling_runs.main(["--seeds", "1", "--file", str(file)])
    rows = [json.loads(line) for line in file.read_text().splitlines()]
    wanted = [(j["family"], j["size"]) for j in scaling_runs.plan(0)][:6]
    assert [(row["family"], row["size"]) for row in rows] == wanted


# --- tags and processes


def test_tags_name_makers_and_materials():
    row = {
        "description": "Made in wood by Legno & Sale. Legno is a word.",
        "supplier": "Legno & Sale",
        "material": "wood",
    }
    words, labels = tagging.tagged(row)
    assert [w for w, label in zip(words, labels, strict=True) if label == 1] == [
        "Legno", "&", "Sale",
    ]  # fmt: skip
    assert [w for w, label in zip(words, labels, strict=True) if label == 2] == ["wood"]
    learn, unseen = tagging.split()
    met = {w for words, ls in learn for w, label in zip(words, ls) if label == 1}  # noqa: B905
    new = {w for words, ls in unseen for w, label in zip(words, ls) if label == 1}  # noqa: B905
    assert met & new <= {"&"} and len(learn) + 3 * len(unseen) == 3 * 240
    tested = {w.lower() for words, ls in unseen for w, n in zip(words, ls) if n == 2}  # noqa: B905
    assert not tested & set(tagging.MATERIALS)


def test_word_vectors_depend_on_the_sentence_and_not_on_the_batch():
    one, two = ["the", "bank", "of", "the", "river"], ["a", "bank", "lends", "money"]
    found = tagging.word_vectors([one, two])
    assert found.shape == (9, 384)
    torch.testing.assert_close(
        tagging.word_vectors([two]), found[5:], atol=1e-4, rtol=0
    )
    assert (found[1] - found[6]).norm() > 0.1


def test_two_processes_take_the_step_of_one():
    result = distributed.launch(n_processes=2)
    assert result["processes"] == 2
    assert result["ddp_gap"] < 1e-6 and result["fsdp_gap"] < 1e-6
    assert result["alone_gap"] > 1e-3
    assert result["own_bytes"] == [result["all_bytes"] / 2] * 2


def test_a_failing_job_is_one_sentence(monkeypatch):
    monkeypatch.setattr(distributed, "__name__", "labs_support.no_such_module")
    with pytest.raises(RuntimeError, match="The job of 1 processes failed: ") as error:
        distributed.launch(n_processes=1)
    assert "\n" not in str(error.value)
