"""Lesson 02: tokenizer, attention and encoder-decoder against the libraries."""

from functools import partial

import pytest
import torch
from torch.nn import functional as F

from labs_support import attention, cost, gpt2, tokens, transformer, translation
from labs_support.world import store
from labs_support.world.looks import COLOURS

HARD = "naïve café € 漢字 🎈 ___  \n\n tabs\t end...   aaaa aaaaa"


@pytest.fixture(scope="module")
def reviews():
    return {
        split: "\n".join(row["text"] for row in store.rows("reviews", split)[:300])
        for split in ("train", "test")
    }


# --- tokens


@pytest.mark.parametrize("size", [256, 300, 420])
def test_tokenizer_gives_the_ids_of_the_library(reviews, size):
    ours = tokens.Tokenizer(reviews["train"], size)
    library = tokens.library_twin(reviews["train"], size)
    assert len(ours.tokens) == library.get_vocab_size() == size
    for text in (reviews["test"], HARD, ""):
        assert ours.encode(text) == library.encode(text).ids
        assert ours.decode(ours.encode(text)) == text


@pytest.mark.parametrize(
    "text", ["aaaa aaa aa", "abab baba ab", "the then them he", "x"]
)
def test_ties_and_overlaps_are_merged_as_in_the_library(text):
    ours = tokens.Tokenizer(text, 264)
    library = tokens.library_twin(text, 264)
    assert len(ours.tokens) == library.get_vocab_size()
    for other in (text, "aaaaaaa", "ababa then he"):
        assert ours.encode(other) == library.encode(other).ids


def test_merge_joins_from_left_to_right():
    assert tokens.merge([1, 1, 1, 2, 1, 1], (1, 1), 9) == [9, 1, 2, 9]
    assert tokens.count_pairs([([1, 1, 2], 3), ([1, 2], 1)]) == {(1, 1): 3, (1, 2): 4}


# --- attention


def random_qkv(T=7, S=7):
    torch.manual_seed(0)
    return torch.randn(2, 3, T, 8), torch.randn(2, 3, S, 8), torch.randn(2, 3, S, 8)


@pytest.mark.parametrize("S", [7, 11])
def test_attention_equals_torch(S):
    q, k, v = random_qkv(S=S)
    mask = torch.rand(7, S) < 0.5
    mask[:, 0] = True
    for m in (None, mask):
        theirs = F.scaled_dot_product_attention(q, k, v, m)
        assert torch.allclose(
            attention.attention(q, k, v, m), theirs, atol=1e-6, rtol=0
        )
    weights = attention.attention_weights(q, k, mask)
    assert torch.allclose(weights.sum(-1), torch.ones(2, 3, 7))
    assert (weights[..., ~mask] == 0).all()


def test_causal_mask_is_that_of_torch():
    q, k, v = random_qkv()
    ours = attention.attention(q, k, v, attention.causal_mask(7))
    theirs = F.scaled_dot_product_attention(q, k, v, is_causal=True)
    assert torch.allclose(ours, theirs, atol=1e-6, rtol=0)


def test_heads_equal_those_of_torch():
    torch.manual_seed(0)
    ours = attention.MultiHeadAttention(C=16, H=4)
    theirs = torch.nn.MultiheadAttention(16, 4, batch_first=True)
    transformer._copy_attention(ours, theirs)
    x, source = torch.randn(2, 5, 16), torch.randn(2, 9, 16)
    with torch.no_grad():
        found, weights = theirs(x, source, source, average_attn_weights=False)
        assert torch.allclose(ours(x, source), found, atol=1e-6, rtol=0)
    assert torch.allclose(ours.weights, weights, atol=1e-6, rtol=0)


# --- encoder and decoder


def padded_batch():
    torch.manual_seed(1)
    x, y = torch.randint(3, 20, (8, 9)), torch.randint(3, 30, (8, 7))
    x[:4, 6:] = transformer.PAD
    return x, y


def library_logits(model, x, y):
    library = transformer.library_twin(model)
    is_pad = x == transformer.PAD
    z = library(
        model.source(x) + model.positions[: x.shape[1]],
        model.target(y) + model.positions[: y.shape[1]],
        tgt_mask=~attention.causal_mask(y.shape[1]),
        src_key_padding_mask=is_pad,
        memory_key_padding_mask=is_pad,
    )
    return model.head(z)


def test_translator_equals_nn_transformer():
    torch.manual_seed(0)
    model = transformer.Translator(20, 30, C=32, H=4).eval()
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.1 * torch.randn_like(weight))
        x, y = padded_batch()
        difference = (library_logits(model, x, y) - model(x, y)).abs().max()
    assert difference < 1e-5


def test_no_logit_depends_on_the_future_or_on_padding():
    torch.manual_seed(0)
    model = transformer.Translator(20, 30, C=32, H=4).eval()
    x, y = padded_batch()
    with torch.no_grad():
        before = model(x, y)
        for t in range(1, 7):
            changed = y.clone()
            changed[:, t] = (y[:, t] - 2) % 27 + 3
            after = model(x, changed)
            assert torch.equal(before[:, :t], after[:, :t])
            assert (before[:, t:] - after[:, t:]).abs().amax(-1).min() > 0
        shorter = model(x[:4, :6], y[:4])
    assert torch.allclose(before[:4], shorter, atol=1e-5)


def test_positions_depend_on_distance_alone():
    p = transformer.positions(40, 16)
    assert p.shape == (40, 16)
    assert torch.equal(p[0], torch.tensor([0.0, 1.0] * 8))
    assert torch.allclose(p[3] @ p[8], p[23] @ p[28], atol=1e-4)
    assert p[5, 2] == pytest.approx(torch.tensor(5 / 10_000 ** (2 / 16)).sin().item())


def test_dropout_is_off_in_eval_and_on_in_training():
    torch.manual_seed(0)
    model = transformer.Translator(20, 30, C=32, H=4, dropout=0.5)
    x, y = padded_batch()
    assert not torch.equal(model(x, y), model(x, y))
    model.eval()
    assert torch.equal(model(x, y), model(x, y))


def test_gpt2_of_the_library_and_ours_agree():
    torch.manual_seed(0)
    library = gpt2.random_gpt2(40)
    ids = torch.randint(40, (3, 20))
    with torch.no_grad():
        difference = (gpt2.from_gpt2(library)(ids) - library(ids).logits).abs().max()
    assert difference < 1e-5


# --- measuring


ROW = {
    "en": "my small red boat",
    "fr": "mon petit bateau rouge",
    "alignment": [[0, 0], [1, 1], [2, 3], [3, 2]],
}


def test_order_of_adjectives_is_read_from_the_output():
    red, small = ("red",), ("small",)
    row = ROW | {"en": "my red boat", "alignment": [[0, 0], [1, 3], [2, 2]]}
    assert translation.after_noun([row], ["mon bateau rouge"], red) == [True]
    assert translation.after_noun([row], ["mon rouge bateau"], red) == [False]
    row = ROW | {"en": "my small boat", "alignment": [[0, 0], [1, 1], [2, 2]]}
    assert translation.after_noun([row], ["mon petit bateau"], small) == [False]


def test_gold_translations_have_colours_after_and_short_adjectives_before_the_noun():
    rows = store.rows("phrases", "test")
    gold = [row["fr"] for row in rows]
    colours = translation.after_noun(rows, gold, COLOURS)
    short = translation.after_noun(rows, gold, translation.SHORT_ADJECTIVES)
    assert len(colours) > 90 and all(colours)
    assert len(short) > 90 and not any(short)


def test_order_is_read_past_other_adjectives_and_at_the_noun_itself():
    row = ROW | {"en": "two small red boats and a red bell"}
    row["fr"] = "deux petits bateaux rouges et une cloche rouge"
    row["alignment"] = [[0, 0], [1, 1], [2, 3], [3, 2], [4, 4], [5, 5], [6, 7], [7, 6]]
    assert translation.after_noun([row], [row["fr"]], ("small",)) == [False]
    assert translation.after_noun([row], [row["fr"]], ("red",)) == [True, True]
    twice = ROW | {"en": "a grey kite and a grey fish"}
    twice["fr"] = "un kite gris et un poisson gris"
    twice["alignment"] = [[0, 0], [1, 2], [2, 1], [3, 3], [4, 4], [5, 6], [6, 5]]
    assert translation.after_noun([twice], [twice["fr"]], ("grey",)) == [True, True]
    wrong = "un kite gris et un gris poisson"
    assert translation.after_noun([twice], [wrong], ("grey",)) == [True, False]


def test_shares_are_written_behind_their_words():
    text = translation.shares("a boat", torch.tensor([0.25, 0.75]))
    assert text == "a ≈ 0.25, boat ≈ 0.75"


def test_share_on_link_counts_target_words():
    looks = torch.zeros(1, 5, 4)
    for fr, en in ((0, 0), (1, 1), (2, 3), (3, 3)):  # the last one is wrong
        looks[0, fr, en] = 1
    assert translation.share_on_link([ROW], looks) == 0.75


def test_ids_and_back():
    rows = [ROW, ROW | {"en": "my boat", "fr": "mon bateau"}]
    words = translation.vocabulary(rows, "en")
    assert words == ["<pad>", "<start>", "<end>", "boat", "my", "red", "small"]
    ids = translation.to_ids(["my boat", "boat"], words, is_target=True)
    assert ids.tolist() == [[1, 4, 3, 2], [1, 3, 2, 0]]
    assert translation.bleu(rows, [row["fr"] for row in rows]) == pytest.approx(100)


def test_colours_are_swapped_where_there_are_two():
    assert translation.has_two_colours("a red drum and a pink bell")
    assert not translation.has_two_colours("a red drum and a red bell")
    assert not translation.has_two_colours("a red drum")
    swapped = translation.swap_colours("a red drum and a pink bell")
    assert swapped == "a pink drum and a red bell"


def test_chains_are_counted():
    x = torch.ones(2, requires_grad=True)
    step = x * 2
    assert cost.longest_chain(step) == 2  # reading x, and one product
    assert cost.longest_chain((step + 1) * (x - 1)) == 4
    assert cost.seconds(torch.add, x, x) > 0
    calls = []
    slow, fast = partial(sum, range(300_000)), partial(calls.append, 1)
    assert cost.times_longer(slow, fast, repeats=4) > 10
    assert len(calls) == 4


# --- found by the planted faults of `make mutants`


def test_recaller_reads_the_first_token():
    torch.manual_seed(0)
    model, x = attention.Recaller(9, 16), torch.randint(9, (4, 6))
    changed = x.clone()
    changed[:, 0] = (x[:, 0] + 1) % 9
    assert model(x).shape == (4, 1, 9)
    assert (model(x) - model(changed)).abs().amax(dim=(1, 2)).min() > 1e-4


def test_bleu_falls_with_every_wrong_word():
    rows = [ROW | {"fr": "mon petit bateau rouge est ici"}] * 2
    right, wrong = rows[0]["fr"], "mon petit bateau bleu est ici"
    scores = [translation.bleu(rows, o) for o in ([right, wrong], [wrong, wrong])]
    assert 100 > scores[0] > scores[1] > 0


def test_translation_goes_on_from_the_words_written_so_far():
    class Counter(torch.nn.Linear):
        """Writes the word after the last one, and notes what it was given."""

        def encode(self, x):
            return x, x != 0

        def decode(self, y, memory, mask):
            return F.one_hot((y + 2) % 7, 7).float()  # 1 start -> 3, 3 -> 5, 5 -> 0

    words = ["<pad>", "<start>", "<end>", "un", "x", "bateau", "y"]
    (text,) = translation.translate(Counter(1, 1), ["un"], words, words)
    assert text == "un bateau <pad>"


# --- found by the review


class Writes(torch.nn.Linear):
    """A translator that writes one word again and again."""

    def __init__(self, word):
        super().__init__(1, 1)
        self.word = word

    def encode(self, x):
        return x, x != 0

    def decode(self, y, memory, mask):
        return F.one_hot(torch.full_like(y, self.word), 4).float()


def test_what_follows_the_end_is_cut_off_even_at_the_start():
    words = ["<pad>", "<start>", "<end>", "un"]
    assert translation.translate(Writes(2), ["un", "un un"], words, words) == ["", ""]
    (text,) = translation.translate(Writes(3), ["un"], words, words)
    assert text == " ".join(["un"] * translation.MAX_WORDS)


def test_shares_of_nothing_are_refused():
    with pytest.raises(ValueError, match="no phrase has an adjective and a noun"):
        translation.after_noun([], [], ("red",))
    with pytest.raises(ValueError, match="no phrase has a word with a link"):
        translation.share_on_link([], torch.zeros(0, 5, 4))


def test_sentence_longer_than_the_positions_is_refused():
    model = transformer.Translator(20, 30, C=32, H=4)
    fits, long = (torch.ones(1, T, dtype=torch.long) for T in (64, 65))
    assert model(fits, fits).shape == (1, 64, 30)
    for x, y in ((long, fits), (fits, long)):
        with pytest.raises(ValueError, match="65 tokens are more than the 64 places"):
            model(x, y)


def test_translator_runs_where_its_weights_are():
    place = torch.device("meta")  # tensors without numbers, on a device of their own
    model = transformer.Translator(20, 30, C=32, H=4).to(place)
    x, y = (batch.to(place) for batch in padded_batch())
    logits = model(x, y)
    assert logits.shape == (8, 7, 30) and logits.device.type == "meta"
    ids = translation.to_ids(["un"], ["<pad>", "<start>", "<end>", "un"], device=place)
    assert ids.device.type == "meta"


def test_translate_puts_its_tensors_beside_the_weights():
    seen = []

    class Stop(Exception):
        """Ends the translation: a tensor without numbers cannot be read."""

    class Notes(Writes):
        def decode(self, y, memory, mask):
            seen.extend((y.device.type, memory.device.type))
            raise Stop

    words = ["<pad>", "<start>", "<end>", "un"]
    with pytest.raises(Stop):
        translation.translate(Notes(3).to("meta"), ["un"], words, words)
    assert seen == ["meta", "meta"]


def test_combining_marks_are_cut_differently_from_the_library():
    apart = "cafe\u0301s"  # the accent is a character of its own
    assert len(tokens.cut(apart)) > len(tokens.cut("caf\u00e9s")) == 1
    ours, library = tokens.Tokenizer("x", 256), tokens.library_twin("x", 256)
    assert ours.decode(ours.encode(apart)) == apart
    assert library.pre_tokenizer.pre_tokenize_str(apart)[0][1] == (0, len(apart))
