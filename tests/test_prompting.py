"""Lesson 05 and its modules: decoding, prompts, ROUGE and BLEU."""

import json
import math
import random
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
import torch
from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

from labs_support import build, chat, overlap, prompting, sampling, shelf
from labs_support.chat import TooLong
from labs_support.world.genres import tasks

sys.path.insert(0, str(Path(__file__).parent))
import hub_server  # noqa: E402

POLISH = (
    "Szybki lis skacze nad leniwym psem".split(),
    "Szybki brązowy lis przeskakuje nad leniwym psem".split(),
)


WORDS = "the a cat dog sat ran on mat big red".split()


def sentences(rng, n, longest=12):
    """Return n random sentences of few words, so that many repeat."""
    return [
        [rng.choice(WORDS) for _ in range(rng.randint(0, longest))] for _ in range(n)
    ]


# --- decoding


LOGITS = torch.randn(5, 40, generator=torch.Generator().manual_seed(1)) * 3
IDS = torch.randint(40, (5, 9), generator=torch.Generator().manual_seed(2))


@pytest.mark.parametrize("value", [0.2, 0.7, 1.0, 1.8])
def test_temperature_and_penalty_are_those_of_transformers(value):
    from transformers.generation import logits_process as theirs

    warped = theirs.TemperatureLogitsWarper(value)(IDS, LOGITS)
    torch.testing.assert_close(sampling.heat(LOGITS, value), warped)
    penalised = theirs.RepetitionPenaltyLogitsProcessor(value)(IDS, LOGITS)
    torch.testing.assert_close(sampling.penalise(LOGITS, IDS, value), penalised)


@pytest.mark.parametrize("k", [1, 3, 39, 40, 100])
def test_top_k_is_that_of_transformers(k):
    from transformers.generation.logits_process import TopKLogitsWarper

    assert torch.equal(sampling.keep_k(LOGITS, k), TopKLogitsWarper(k)(IDS, LOGITS))


@pytest.mark.parametrize("p", [0.01, 0.3, 0.7, 0.95, 0.999])
def test_top_p_is_that_of_transformers(p):
    from transformers.generation.logits_process import TopPLogitsWarper

    for logits in (LOGITS, LOGITS / 10, LOGITS * 4):
        assert torch.equal(sampling.keep_p(logits, p), TopPLogitsWarper(p)(IDS, logits))


def test_a_token_that_occurs_twice_is_penalised_once():
    logits = torch.tensor([[2.0, -2.0, 1.0]])
    got = sampling.penalise(logits, torch.tensor([[0, 0, 1]]), 2.0)
    assert got.tolist() == [[1.0, -4.0, 1.0]]
    assert logits.tolist() == [[2.0, -2.0, 1.0]]


def test_a_penalty_that_cannot_be_is_one_sentence():
    with pytest.raises(ValueError, match="the repetition penalty is 0; use"):
        sampling.penalise(LOGITS, IDS, 0)


# --- prompts


@pytest.fixture(scope="module")
def language():
    """A random model: its scores mean nothing, but they are always the same."""
    tokenizer = AutoTokenizer.from_pretrained(shelf.folder(shelf.role("chat-model")))
    torch.manual_seed(3)
    config = LlamaConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64,
        num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
        pad_token_id=tokenizer.pad_token_id, eos_token_id=tokenizer.eos_token_id,
        max_position_embeddings=1024, initializer_range=0.3,
    )  # fmt: skip
    return shelf.Language(LlamaForCausalLM(config).eval(), tokenizer)


SHOTS = [("The kite broke.", "bad"), ("A lovely drum.", "good")]


def test_prompts_with_and_without_examples():
    one = "The kite broke. -> bad\nA lovely drum. -> good\nIt fades. ->"
    assert prompting.few_shot(SHOTS, "It fades.") == one
    assert prompting.few_shot([], "It fades.") == "It fades. ->"
    two = prompting.few_shot(SHOTS[:1], "It fades.", "Text: {}\nLabel: {}")
    assert two == "Text: The kite broke.\nLabel: bad\n\nText: It fades.\nLabel:"


def test_a_prompt_is_refused_exactly_where_the_context_ends(language):
    tokenizer = language.tokenizer
    ids = prompting.encode(tokenizer, "The kite broke.", 0)
    assert ids[0] == tokenizer.bos_token_id
    free = tokenizer.model_max_length - len(ids)
    assert prompting.encode(tokenizer, "The kite broke.", free) == ids
    with pytest.raises(TooLong, match="show fewer examples") as error:
        prompting.encode(tokenizer, "The kite broke.", free + 1)
    assert "\n" not in str(error.value)
    with pytest.raises(TooLong):
        prompting.label_scores(language, ["word " * 3000], [["a", "b"]])


def one_by_one(language, prompt, label):
    """Return the specification of label_scores: one prompt, one label, no cache."""
    model, tokenizer = language
    start = prompting.encode(tokenizer, prompt, 0)
    end = tokenizer(f" {label}", add_special_tokens=False).input_ids
    with torch.inference_mode():
        logs = model(torch.tensor([start + end])).logits[0].log_softmax(-1)
    places = range(len(start) - 1, len(start) + len(end) - 1)
    return sum(logs[t, i].item() for t, i in zip(places, end, strict=True)) / len(end)


def test_scores_of_labels_are_those_of_each_alone(language):
    texts = ["It fades.", "A toy", "What a beautiful lantern this is, and so cheap"]
    prompts = [
        prompting.few_shot(SHOTS * (2 - i), text) for i, text in enumerate(texts)
    ]
    labels = [("good", "unbelievably bad"), ("zorana", "vito"), ("x", "good")]
    wanted = [
        [one_by_one(language, prompt, label) for label in row]
        for prompt, row in zip(prompts, labels, strict=True)
    ]
    for batch in (1, 2, 16):
        got = prompting.label_scores(language, prompts, labels, batch=batch)
        torch.testing.assert_close(got, torch.tensor(wanted), rtol=1e-4, atol=1e-4)


def test_greedy_completion_is_that_of_transformers(language):
    model, tokenizer = language
    got = prompting.complete(
        language, "The red", 12, lambda logits, ids: logits.argmax(-1)
    )
    ids = torch.tensor([prompting.encode(tokenizer, "The red", 12)])
    out = model.generate(
        ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
    )
    wanted = tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)
    assert got == wanted and got


def test_completion_stops_at_the_end_mark_and_gets_all_ids(language):
    end, seen = language.tokenizer.eos_token_id, []

    def choose(logits, ids):
        seen.append(ids.shape[1])
        return torch.tensor([end if len(seen) == 3 else 40])

    text = prompting.complete(language, "The red", 12, choose)
    assert text == language.tokenizer.decode([40, 40])
    assert [n - seen[0] for n in seen] == [0, 1, 2]


def test_a_test_item_is_found_in_a_prompt_in_any_spelling():
    prompts = ["A kite, lovely -> good\nThe drum broke after a day -> bad"]
    items = ["a KITE: lovely", "The drum broke", "drum", "broken", "A lovely kite"]
    assert prompting.leaked(prompts, items) == items[:3]
    assert prompting.leaked([], items) == []


@pytest.mark.parametrize("task", [tasks.by_time, tasks.by_number])
def test_invented_labels_tell_nothing_and_no_query_is_an_example(task):
    seen = set()
    for seed in range(20):
        rng = random.Random(seed)
        shots, queries, labels = prompting.invented_labels(rng, 8, 12, task)
        assert sorted(label for _, label in shots) == sorted(labels * 4)
        assert len(queries) == 12
        assert not prompting.leaked([prompting.few_shot(shots, "")], queries)
        seen.add(tuple(label == labels[0] for _, label in shots))
        if task is tasks.by_number:
            assert [int(q) % 2 for q in queries] == [0, 1] * 6
            assert all(
                (int(text) % 2 == 0) == (label == labels[0]) for text, label in shots
            )
    assert len(seen) > 10


# --- small tasks


def test_a_question_comes_with_the_sentence_that_answers_it():
    found = prompting.questions_with_sources("test")
    assert len(found) > 60
    for question, answer, (title, sentence) in found:
        assert question and title and answer in sentence
        assert len(sentence) < 400


def test_a_rule_is_told_by_its_examples_alone():
    places = set()
    for seed in range(40):
        shots, queries, made, place = prompting.rewriting(random.Random(seed), 3, 4)
        places.add(place)
        assert len(shots) == 3 and len(queries) == len(made) == 4
        assert all(prompting.RULES[place](word) == new for word, new in shots)
        assert not {word for word, _ in shots} & set(queries)
        for word, options in zip(queries, made, strict=True):
            assert len(set(options)) == 4 and word not in options
    assert places == {0, 1, 2, 3}
    assert [rule("key") for rule in prompting.RULES] == [
        "keys",
        "KEY",
        "key key",
        "yek",
    ]


def test_variants_differ_in_one_word_or_in_all():
    rng = random.Random(2)
    for _ in range(50):
        said, again, negated, harmless = prompting.variants(rng)
        assert said != again
        plain = said.split()
        for text, added in ((negated, {"not"}), (harmless, set(prompting.HARMLESS))):
            extra = text.split()
            place = next(i for i, word in enumerate(extra) if word in added)
            assert extra[:place] + extra[place + 1 :] == plain


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("The goods cost 3 x 6.00 = 18.00 euros.", (True, True)),
        ("3 x 6.00 = 10.50 euros. 3 x 6.00 = 18.00", (True, False)),
        ("The price is 3 x 7 = 21.", (False, True)),
        ("100 - 18 = 82.", (False, True)),
        ("6 / 0 = 5", (False, False)),
        ("20 / 3 = 6.67.", (True, True)),
        ("Left: 20 + 3 = 23", (True, True)),
        ("I do not know.", (False, False)),
    ],
)
def test_the_first_step_of_a_sum_is_judged(text, wanted):
    question = "Farah pays for 3 kites at 6.00 euros each and has 20 euros."
    assert prompting.first_step(text, question) == wanted


def test_a_writer_learns_the_end_of_rows_only():
    generator = torch.Generator().manual_seed(0)

    def rows(n):
        x = torch.randint(10, (n, 2), generator=generator)
        return torch.cat([x, torch.full((n, 1), 10), x[:, :1]], dim=1)

    batches = [rows(64) for _ in range(60)]
    model = prompting.train_writer(batches, n_read=3, seed=1)
    test = rows(200)
    with torch.inference_mode():
        logits = model(test[:, :-1])
    assert (logits[:, -1].argmax(-1) == test[:, -1]).float().mean() > 0.9
    mark = logits[:, 1].softmax(-1)[:, 10]  # given, so nothing is learned of it
    assert mark.mean() < 0.5
    again = prompting.train_writer(batches[:3], n_read=3, seed=1)
    other = prompting.train_writer(batches[:3], n_read=3, seed=2)
    assert not torch.equal(again.tokens.weight, other.tokens.weight)


# --- ROUGE


@pytest.mark.parametrize("name", ["rouge1", "rouge2", "rougeL"])
def test_rouge_is_that_of_rouge_score(name):
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer([name])
    rng = random.Random(name)
    for a, b in zip(sentences(rng, 300), sentences(rng, 300), strict=True):
        theirs = scorer.score(" ".join(b), " ".join(a))[name]
        n = name.removeprefix("rouge")
        ours = overlap.rouge_l(a, b) if n == "L" else overlap.rouge_n(a, b, int(n))
        wanted = theirs.precision, theirs.recall, theirs.fmeasure
        assert ours == pytest.approx(wanted, abs=1e-12), (a, b)


def test_words_are_those_of_rouge_score():
    from rouge_score.tokenize import tokenize

    for text in ("It's 5.90 EUR, isn't it?", "brązowy lis", "", "  A-b_c\n\tD  ", "…"):
        assert overlap.words(text) == tokenize(text, None)


def test_rouge_by_hand():
    got = overlap.rouge_n("the the the cat".split(), "the cat sat".split(), 1)
    assert got == pytest.approx((2 / 4, 2 / 3, 4 / 7))
    assert overlap.rouge_n(["a"], [], 1) == overlap.rouge_l([], ["a"]) == (0, 0, 0)
    assert overlap.rouge_n(["a", "b"], ["b", "a"], 2) == (0, 0, 0)
    assert overlap.longest_common("a b c d".split(), "b x d a".split()) == 2


# --- BLEU


def theirs(candidates, references, n_max=4):
    from sacrebleu.metrics import BLEU

    columns = [
        [" ".join(row[i]) for row in references] for i in range(len(references[0]))
    ]
    scorer = BLEU(
        tokenize="none", smooth_method="none", max_ngram_order=n_max, force=True
    )
    return scorer.corpus_score([" ".join(c) for c in candidates], columns).score


@pytest.mark.parametrize("n_max", [1, 2, 3, 4])
@pytest.mark.parametrize("n_references", [1, 3])
def test_bleu_of_a_sentence_is_that_of_sacrebleu(n_max, n_references):
    rng, n_positive = random.Random(n_max), 0
    for a in sentences(rng, 300):
        references = [r or ["a"] for r in sentences(rng, n_references)]
        if rng.random() < 0.5 and len(a) > 2:
            references[0] = a[: rng.randint(2, len(a))] + references[0][:3]
        got = overlap.corpus_bleu([a], [references], n_max)
        assert got == pytest.approx(theirs([a], [references], n_max), abs=1e-9)
        n_positive += 0 < got < 100
    assert n_positive > 50


def test_bleu_of_a_corpus_is_that_of_sacrebleu():
    rng = random.Random(5)
    for _ in range(40):
        references = [[r or ["a"] for r in sentences(rng, 2)] for _ in range(20)]
        candidates = [
            r[0][: rng.randint(1, 12)] + rng.choice(sentences(rng, 1, 4))
            for r in references
        ]
        got = overlap.corpus_bleu(candidates, references)
        assert got == pytest.approx(theirs(candidates, references), abs=1e-9)


def test_the_polish_example_by_hand():
    candidate, reference = POLISH
    shares = [overlap.clipped(candidate, [reference], n) for n in (1, 2, 3, 4)]
    assert shares == [(5, 6), (2, 5), (1, 4), (0, 3)]
    penalty = overlap.brevity_penalty(6, 7)
    assert penalty == pytest.approx(math.exp(1 - 7 / 6))
    wanted = 100 * penalty * (5 / 6 * 2 / 5 * 1 / 4) ** (1 / 3)
    assert overlap.corpus_bleu([candidate], [[reference]], 3) == pytest.approx(wanted)
    assert overlap.corpus_bleu([candidate], [[reference]]) == 0


def test_repeated_words_are_clipped_and_short_ones_pay():
    the = ["the"] * 7
    reference = "the cat is on the mat".split()
    assert overlap.clipped(the, [reference], 1) == (2, 7)
    assert overlap.brevity_penalty(6, 6) == overlap.brevity_penalty(9, 6) == 1
    assert (
        overlap.brevity_penalty(0, 6) == overlap.corpus_bleu([[]], [[reference]]) == 0
    )


def test_of_two_references_the_closest_in_length_counts():
    candidate = "a b c d".split()
    references = ["a b c d e".split(), "a b c".split()]
    assert overlap.corpus_bleu([candidate], [references]) == pytest.approx(100)
    assert overlap.corpus_bleu([candidate], [references[:1]]) == pytest.approx(
        100 * math.exp(1 - 5 / 4)
    )


@pytest.mark.parametrize("references", [[], [[]], [[["a"]], [["a"]]]])
def test_translations_without_references_are_refused(references):
    with pytest.raises(ValueError, match="list of at least one reference"):
        overlap.corpus_bleu([["a"]], references)


# --- the hub profile


def test_the_hub_profile_scores_and_completes_through_the_real_code(language, tmp_path):
    folder = tmp_path / "hub" / shelf.role("language-model").hub
    language.model.save_pretrained(folder)
    language.tokenizer.save_pretrained(folder)
    run = hub_server.run_code(HUB, tmp_path)
    text = prompting.complete(
        language, "The red", 5, lambda logits, _: logits.argmax(-1)
    )
    scores = prompting.label_scores(language, ["It fades. ->"], [("good", "bad")])
    assert run.stdout, run.stderr
    got_text, got_scores = json.loads(run.stdout)
    assert got_text == text
    torch.testing.assert_close(torch.tensor(got_scores), scores, rtol=1e-4, atol=1e-4)


HUB = """
import json
from labs_support import prompting, shelf

hub = shelf.language_model()
text = prompting.complete(hub, "The red", 5, lambda logits, _: logits.argmax(-1))
scores = prompting.label_scores(hub, ["It fades. ->"], [("good", "bad")])
print(json.dumps([text, scores.tolist()]))
"""


# --- the lesson with a provider


class Provider(BaseHTTPRequestHandler):
    """Speaks the wire format of OpenAI; says of a review whether it holds a "not"."""

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        roles = [message["role"] for message in body["messages"]]
        last = body["messages"][-1]["content"]
        self.server.roles.append(roles)
        mood = "Negative." if "not" in last.split() else "Positive."
        message = {"role": "assistant", "content": mood if len(roles) == 2 else "Hm"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        data = json.dumps(
            {"id": "1", "object": "chat.completion", "created": 0, "model": "m",
             "choices": [choice]}
        ).encode()  # fmt: skip
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *args):
        pass


@pytest.fixture
def provider(monkeypatch):
    """A stand-in for a provider that LABS_CHAT names; holds the roles it was sent."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Provider)
    server.roles = []
    Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("LABS_CHAT", "openai:m")
    monkeypatch.setenv("OPENAI_API_KEY", "none")
    monkeypatch.setenv("OPENAI_API_BASE", f"http://127.0.0.1:{server.server_port}")
    chat.provider.cache_clear()
    yield server
    chat.provider.cache_clear()
    server.shutdown()
    server.server_close()


def cells_with(*pieces):
    """Return the code of the lesson's cells that hold these pieces, in order."""
    cells = build.convert(build.lessons("05")[0]).cells
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    found = [next(source for source in code if piece in source) for piece in pieces]
    assert len(found) == len(pieces)
    return found


def test_the_lesson_labels_reviews_with_a_provider(provider):
    names = {}
    *head, labelling = cells_with(
        "figures.use_style()", "def instruct", "def usable", 'f"reviews-{SEED}"'
    )
    assert "500)" in labelling
    for source in (*head, labelling.replace("500)", "30)")):
        exec(source, names)
    assert names["precise"].mean() == 1 and names["vague"].mean() == 0
    wanted = [
        "negative" if "not" in row["text"].split() else "positive"
        for row in names["rows"]
    ]
    assert names["answers"] == wanted
    roles = provider.roles
    assert roles.count(["user"]) == 40 and roles.count(["system", "user"]) == 40 + 30
