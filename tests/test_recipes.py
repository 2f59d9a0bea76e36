"""The recipe of the language models: texts, tokenizer, loss, optimizer, resuming."""

import itertools
import json
import math
import random
from types import SimpleNamespace

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from labs_support import chat, reading
from labs_support.chat import REFUSAL, sources_prompt
from labs_support.recipes import (
    batches,
    bpe,
    evaluation,
    labelling,
    language,
    model,
    pieces,
    readings,
    talks,
)
from labs_support.recipes.muon import Muon, orthogonalized
from labs_support.recipes.pieces import ANSWER, CONTEXT, SOURCE, Piece, Row
from labs_support.world.genres import passages
from labs_support.world.store import SPLITS


@pytest.fixture(scope="module")
def tokenizer():
    return bpe.train(number=60)


@pytest.fixture(scope="module")
def made():
    return list(itertools.islice(talks.talks(5), 900))


def test_tokenizer_keeps_every_text_and_cuts_digits(tokenizer):
    text = "Das Café öffnet um 9:30, €12.50 – Ω?"
    ids = tokenizer(text).input_ids
    assert tokenizer.decode(ids) == text
    pieces = [tokenizer.decode([i]) for i in tokenizer(" 1234").input_ids]
    assert [p.strip() for p in pieces if p.strip()] == list("1234")


def test_template_marks_the_words_of_the_assistant(tokenizer):
    talk = [
        {"role": "system", "content": "Be brief."},
        {"role": "user", "content": "How much?"},
        {"role": "assistant", "content": "€5 [1]"},
    ]
    row = bpe.encode_talk(tokenizer, talk)
    learned = [i for i, w in zip(row.ids, row.weights, strict=True) if w > 1]
    assert tokenizer.decode(learned) == f" €5 [1]{bpe.END}"
    prompt = tokenizer.apply_chat_template(
        talk[:2], tokenize=False, add_generation_prompt=True
    )
    assert tokenizer.decode(row.ids).startswith(prompt)


def test_talks_are_encoded_as_their_template_writes_them(tokenizer, made):
    for talk in made[:100]:
        written = tokenizer.apply_chat_template(talk, tokenize=True, return_dict=True)
        assert bpe.encode_talk(tokenizer, talk).ids == written.input_ids[: bpe.CONTEXT]


def test_answers_point_to_themselves_in_the_source(tokenizer):
    row = pieces.encode(
        tokenizer,
        [
            Piece("Ask.\n", 1.0), Piece("A big red kite costs 35 euros.\n", 1.0, SOURCE),
            Piece("Which?", 1.0), Piece(" red kite", 4.0, ANSWER),
            Piece(" How much?", 1.0), Piece(" 35 euros [1]", 4.0, ANSWER),
            Piece(" Who?", 1.0), Piece(f" {REFUSAL}", 4.0, ANSWER),
        ],
        bpe.CONTEXT,
    )  # fmt: skip
    words = [tokenizer.decode([i]) for i in row.ids]
    copied = [(p, keys[0]) for p, keys in row.pointers if keys != [0]]
    assert "".join(words[p + 1] for p, _ in copied) == " red kite 35 euros"
    assert all(words[p + 1] == words[key] for p, key in copied)
    refusal = [p for p, keys in row.pointers if keys == [0]]
    assert [words[p] for p in refusal] == ["?"]
    assert refusal[0] > copied[-1][0]


def test_pointing_loss_is_the_attention_that_misses_the_answer():
    scores = torch.randn(2, 5, 5, generator=torch.Generator().manual_seed(0))
    loss = model.pointing_loss(scores, [[(3, [1, 2])], [(4, [0])]])
    mask = torch.ones(5, 5).tril().bool()
    share = scores.masked_fill(~mask, -torch.inf).softmax(-1)
    expected = -(share[0, 3, 1:3].sum().log() + share[1, 4, 0].log()) / 2
    assert loss.item() == pytest.approx(expected.item(), abs=1e-6)


def test_head_scores_are_those_of_the_model():
    network = LlamaForCausalLM(small(64)).eval()
    network.set_attn_implementation("eager")
    seen = {}
    attention = network.model.layers[1].self_attn
    attention.register_forward_pre_hook(
        lambda _, __, given: seen.update(given), with_kwargs=True
    )
    ids = torch.randint(1, 64, (2, 9), generator=torch.Generator().manual_seed(0))
    out = network(ids, output_attentions=True)
    for head in range(4):
        scores = model.head_scores(
            attention, head, seen["hidden_states"], seen["position_embeddings"]
        )
        mask = torch.ones(9, 9).tril().bool()
        share = scores.masked_fill(~mask, -torch.inf).softmax(-1)
        assert torch.allclose(share, out.attentions[1][:, head], atol=1e-5)


def test_word_vectors_know_related_words(tokenizer):
    start = torch.nn.functional.normalize(bpe.word_vectors(tokenizer, 64), dim=1)
    assert start.shape == (len(tokenizer), 64)
    ids = tokenizer.get_vocab()
    days = [ids["Ġsummer"], ids["Ġwinter"]]
    others = [ids[f"Ġ{word}"] for word in ("the", "and", "with", "for")]
    assert start[days[0]] @ start[days[1]] > (start[days[0]] @ start[others].T).max()


def test_talks_end_with_the_assistant_and_alternate(made):
    for talk in made:
        roles = [m["role"] for m in talk if m["role"] != "system"]
        assert roles[0] == "user"
        assert roles[-1] == "assistant"
        assert all(a != b for a, b in itertools.pairwise(roles))
        assert not {"\x02", "\x03"} & set("".join(m["content"] for m in talk))


def test_answers_stand_in_the_source_that_they_cite():
    rng, cited, refused = random.Random(1), 0, 0
    for _ in range(150):
        talk = [m for m in talks.reading_talk(rng, {}) if m["role"] != "system"]
        for answer in (m["content"] for m in talk if m["role"] == "assistant"):
            refused += answer == REFUSAL
            text, _, number = answer.removesuffix("]").rpartition(" [")
            if answer.endswith("]") and number.isdigit():
                source = talk[0]["content"].split(f"[{number}] ")[1]
                source = source.split(f"[{int(number) + 1}] ")[0]
                assert text.lower() in source.lower()
                cited += 1
    assert cited > 200
    assert refused > 60


def test_calls_of_tools_are_json(made):
    calls = [
        m["content"] for t in made for m in t if m["content"].startswith('{"tool"')
    ]
    assert len(calls) > 10
    assert all(set(json.loads(call)) == {"tool", "arguments"} for call in calls)


def test_no_held_out_passage_is_trained_on(monkeypatch):
    drawn = []
    fill = passages.fill
    monkeypatch.setattr(
        passages, "fill", lambda name, *rest: drawn.append(name) or fill(name, *rest)
    )
    list(itertools.islice(readings.plain(3), 60))
    list(itertools.islice(talks.talks(3), 60))
    assert len(drawn) > 60
    assert not any(passages.is_held(name) for name in drawn)


def test_texts_grow_with_the_training():
    assert readings.max_facts(0) == 1
    assert readings.max_facts(1) == 10
    found = readings.marked("It costs 5.", [[9, 10]])
    assert found == [
        ("It costs", 1.0, SOURCE),
        (" 5", 4.0, ANSWER),
        (".", 1.0, CONTEXT),
    ]
    rng = random.Random(0)
    assert max(readings.longest(rng, 0) for _ in range(200)) <= 2
    assert max(readings.longest(rng, 1) for _ in range(200)) == 99


def test_a_shortened_passage_loses_the_answers_it_does_not_hold():
    for seed in range(60):
        rng = random.Random(seed)
        reading = passages.draw(rng)
        short = readings.shortened(rng, reading, 2)
        assert len(short.text) < len(reading.text)
        assert set(short.text.split()) <= set(reading.text.split())
        assert all(pieces.occurrences(a, short.text) for _, a in short.pairs)
        gone = {q for q, _ in set(reading.pairs) - set(short.pairs)}
        assert set(short.absent) - set(reading.absent) <= gone


def test_batches_keep_every_row_once():
    sizes = [(i, 1 + i % 50) for i in range(200)]
    rows = [Row([i] * n, [1.0] * n, []) for i, n in sizes]
    found = []
    for batch in batches.batches(iter(rows), 0, 200):
        assert len(batch) == 1 or max(len(r.ids) for r in batch) * len(batch) <= 200
        found += [row.ids[0] for row in batch]
        if len(found) == 200:
            break
    assert sorted(found) == list(range(200))


def test_padding_and_context_do_not_count(monkeypatch):
    network = LlamaForCausalLM(small(64)).eval()
    rows = [Row([1, 5, 6], [0.0, 0.0, 4.0], []), Row([1, 7], [0.0, 4.0], [])]
    batch = batches.collate(rows, pad=0)
    monkeypatch.setattr(model, "POINTING", (1, 0))
    loss = model.weighted_loss(network, batch)
    logits = network(batch.ids).logits
    expected = torch.nn.functional.cross_entropy(
        torch.stack([logits[0, 1], logits[1, 0]]), torch.tensor([6, 7])
    )
    assert loss.item() == pytest.approx(expected.item(), abs=1e-5)


def test_muon_follows_torch():
    torch.manual_seed(0)
    start, gradient = torch.randn(24, 40), torch.randn(24, 40)
    ours, theirs = (torch.nn.Parameter(start.clone()) for _ in range(2))
    options = {"lr": 0.1, "weight_decay": 0.1}
    optimizers = [
        Muon([ours], **options),
        torch.optim.Muon([theirs], adjust_lr_fn="match_rms_adamw", **options),
    ]
    for _ in range(3):
        for parameter, optimizer in zip((ours, theirs), optimizers, strict=True):
            parameter.grad = gradient.clone()
            optimizer.step()
    # torch computes in bfloat16, with three digits
    assert (
        torch.nn.functional.cosine_similarity(
            (ours - start).flatten(), (theirs - start).flatten(), dim=0
        )
        > 0.999
    )


def test_orthogonalized_has_equal_singular_values():
    torch.manual_seed(0)
    for shape in ((2, 8, 20), (2, 20, 8)):
        values = torch.linalg.svdvals(orthogonalized(torch.randn(shape)))
        assert values.min() > 0.5
        assert values.max() < 1.4


def test_learning_rate_warms_up_and_falls():
    rates = [language.scale(p / 100, "chat") for p in range(101)]
    assert rates[0] < 0.1 < 0.99 < rates[1]
    assert rates[-1] == pytest.approx(0, abs=1e-9)
    assert all(a >= b for a, b in itertools.pairwise(rates[1:]))
    assert math.isclose(language.scale(1, "base"), 0.15)


def small(size):
    """Return the configuration of a very small model."""
    return LlamaConfig(
        vocab_size=size, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, pad_token_id=0,
        tie_word_embeddings=True, max_position_embeddings=1024,
    )  # fmt: skip


def test_training_goes_on_from_its_checkpoint(tokenizer, tmp_path, monkeypatch):
    monkeypatch.setattr(model, "SHAPE", dict(
        hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2,
    ))  # fmt: skip
    monkeypatch.setattr(language, "TOKENS_A_STEP", 600)
    monkeypatch.setattr(model, "POINTING", (1, 0))
    tokenizer.save_pretrained(tmp_path / "tokenizer")
    arguments = SimpleNamespace(
        stage="base", folder=tmp_path / "run", tokenizer=tmp_path / "tokenizer",
        start="", minutes=0, tokens=2_000, compile=False,
    )  # fmt: skip
    first = language.Run(arguments)
    first.train()
    assert first.tokens >= 2_000
    again = language.Run(arguments)
    assert (again.step, again.tokens) == (first.step, first.tokens)
    assert torch.equal(again.model.lm_head.weight, first.model.lm_head.weight)
    momentum = [
        next(iter(run.optimizers[0].state.values()))["momentum"]
        for run in (first, again)
    ]
    assert torch.equal(*momentum)
    language_model = evaluation.load(tmp_path / "run" / "model")
    talk = [talks.message("user", "Hi")]
    assert len(chat.generate(language_model, [talk], max_new_tokens=4)) == 1


def test_measure_tells_readers_from_others():
    rows = [r for split in SPLITS for r in evaluation.questions.load(split)]
    gold = {r["question"]: r["answer"] or REFUSAL for r in rows}
    held = {t[-1]["content"]: a for t, a in evaluation.held_out_readings(200)}

    def perfect(asked):
        contents = [talk[-1]["content"] for talk in asked]
        questions = [text.rpartition("Question: ")[2] for text in contents]
        return [
            held.get(text) or (gold[q] if q != text else "no idea")
            for text, q in zip(contents, questions, strict=True)
        ]

    best = evaluation.measure(perfect)
    none = {name for name in best if "answerable" in name and "un" not in name}
    none |= {"closed_book"}
    assert len(none) == 3
    assert best == {name: 0.0 if name in none else 1.0 for name in best}
    mute = evaluation.measure(lambda asked: [REFUSAL] * len(asked))
    assert mute["abstains_unanswerable"] == mute["abstains_answerable"] == 1
    assert mute["exact_match"] == mute["f1"] == mute["closed_book"] == 0
    assert mute["held_out_passages"] < 0.5


def test_labelling_tells_learners_from_guessers(monkeypatch):
    rng = random.Random(0)
    text, labels, kind = labelling.prompt(rng, 4)
    lines = text.split("\n")
    assert len(lines) == 5
    assert all(line.endswith(labels) for line in lines[:4])
    assert lines[4].endswith(" ->")
    kinds = [labelling.prompt(random.Random(s), 2)[2] for s in range(60)]
    assert 15 < sum(kinds) < 45
    monkeypatch.setattr(labelling, "is_right", lambda _, __, ___, kind: kind)
    assert 0.3 < labelling.accuracy(None, 2, n=100) < 0.7


def test_the_likelier_label_is_the_answer(tokenizer):
    class Parrot(torch.nn.Module):
        device = "cpu"

        def forward(self, ids):
            logits = torch.zeros(*ids.shape, len(tokenizer))
            logits[..., liked] = 9.0
            return SimpleNamespace(logits=logits)

    liked = tokenizer(" ka", add_special_tokens=False).input_ids
    language_model = labelling.Language(Parrot(), tokenizer)
    text, labels = "x -> ka\ny -> zo\nx ->", ("ka", "zo")
    assert labelling.is_right(language_model, text, labels, 0)
    assert not labelling.is_right(language_model, text, labels, 1)


def test_condensed_keeps_the_sentences_about_the_question():
    sources = [
        ("Opening", "We open at nine. The door is green.\n- No dogs."),
        ("Post", "Letters cost 2 euros. Parcels are weighed. We like stamps."),
    ]
    kept = reading.condensed(sources, "When do you open?", 1)
    assert kept == [("Opening", "We open at nine."), ("Post", "")]
    two = reading.condensed(sources, "What is the price of a letter to you?", 2)
    assert two[1][1].startswith("Letters cost 2 euros.")
    assert reading.condensed(sources, "dogs", 99)[0][1] == (
        "We open at nine. The door is green. - No dogs."
    )


def test_gold_sources_hold_the_answers():
    rows = [r for r in evaluation.questions.load("test") if r["type"] == "single"]
    sources = evaluation.gold_sources(rows)
    holds = [
        any(evaluation.holds(text, row["answer"]) for _, text in found)
        for row, found in zip(rows, sources, strict=True)
    ]
    assert sum(holds) / len(holds) > 0.9
    assert all(len(found) == 1 for found in sources)


def test_numbered_sources():
    assert sources_prompt([("Fees", "It is €5."), ("", "No.")], "How much?") == (
        "Question: How much?\n\n[1] Fees\nIt is €5.\n\n[2] No.\n\nQuestion: How much?"
    )
