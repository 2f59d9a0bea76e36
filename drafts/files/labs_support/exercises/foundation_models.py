"""The exercises of lesson 04: weights, bytes, operations, routing, duplicates, a bug."""

import math

import torch

from labs_support.checks import Exercise, expect, expect_number

# --- 04.1 a block of LLaMA


def _verify_block(attempt):
    cases = (
        ((4096, 11_008, 32, 32, 128), 202_383_360, "LLaMA 2 7B, 32 groups"),
        ((8192, 28_672, 64, 8, 128), 855_654_400, "LLaMA 2 70B, 64 heads, 8 groups"),
        ((10, 7, 2, 1, 3), 410, "C = 10, F = 7, 2 heads and 1 group of size 3"),
    )
    for numbers, wanted, what in cases:
        got = attempt(*numbers)
        is_right = isinstance(got, int | float) and got == wanted
        expect(is_right, f"for {what} it should be {wanted:,}, not {got!r:.40}")


def _block(C, F, heads, groups, size):
    attention = 2 * C * heads * size + 2 * C * groups * size
    return attention + 3 * C * F + 2 * C


def _block_without_groups(C, F, heads, groups, size):
    return 4 * C * heads * size + 3 * C * F + 2 * C


def _block_of_gpt(C, F, heads, groups, size):
    return 2 * C * size * (heads + groups) + 2 * C * F + 2 * C


def _block_shared_outputs(C, F, heads, groups, size):
    return C * size * (heads + 3 * groups) + 3 * C * F + 2 * C


def _block_without_norms(C, F, heads, groups, size):
    return 2 * C * size * (heads + groups) + 3 * C * F


block = Exercise(
    id="04.1",
    title="Count a block of LLaMA",
    stars=2,
    minutes=8,
    verify=_verify_block,
    answer=_block,
    hints=(
        "A matrix from a channels to b channels has a times b weights.",
        "Queries lead from C to heads * size, the output back again; keys and values "
        "lead from C to groups * size.",
        "Add 3 * C * F for the MLP and 2 * C for the norms.",
    ),
    wrong={
        "every query head has a key head of its own": _block_without_groups,
        "an MLP of two matrices, as in GPT": _block_of_gpt,
        "the output counted with the groups": _block_shared_outputs,
        "no norms": _block_without_norms,
    },
)


# --- 04.2 conversations beside the weights


def _verify_conversations(attempt):
    cases = (
        ((80e9, 14e9, 32, 32, 128, 4096), 30, "80 GB, 14 GB of weights, 32 groups"),
        ((80e9, 14e9, 32, 8, 128, 4096), 122, "the same with 8 groups"),
        ((1000, 0, 1, 1, 5, 10), 5, "1,000 bytes and 200 for a conversation"),
        ((10e9, 14e9, 32, 32, 128, 4096), 0, "weights that do not fit"),
    )
    for numbers, wanted, what in cases:
        got = attempt(*numbers)
        expect_number(got, wanted, f"for {what} the number")


def _conversations(memory, weights, layers, groups, size, tokens):
    one = 2 * layers * groups * size * tokens * 2
    return max(0, int((memory - weights) // one))


def _conversations_in_numbers(memory, weights, layers, groups, size, tokens):
    one = 2 * layers * groups * size * tokens
    return max(0, int((memory - weights) // one))


def _conversations_keys_only(memory, weights, layers, groups, size, tokens):
    one = layers * groups * size * tokens * 2
    return max(0, int((memory - weights) // one))


def _conversations_rounded(memory, weights, layers, groups, size, tokens):
    one = 2 * layers * groups * size * tokens * 2
    return max(0, math.ceil((memory - weights) / one))


def _conversations_below_zero(memory, weights, layers, groups, size, tokens):
    one = 2 * layers * groups * size * tokens * 2
    return int((memory - weights) // one)


conversations = Exercise(
    id="04.2",
    title="How many conversations fit?",
    stars=1,
    minutes=5,
    verify=_verify_conversations,
    answer=_conversations,
    hints=(
        "One conversation takes 2 * layers * groups * size * tokens numbers.",
        "A number has 2 bytes; what is free is memory - weights.",
        "Whole conversations: //, and never fewer than 0.",
    ),
    wrong={
        "numbers instead of bytes": _conversations_in_numbers,
        "keys without values": _conversations_keys_only,
        "a part of a conversation counted as a whole": _conversations_rounded,
        "a negative number where the weights do not fit": _conversations_below_zero,
    },
)


# --- 04.3 a whole life


def _verify_lifetime(attempt):
    cases = (
        ((10, 200, 50), 13_000, "10 weights, 200 tokens read, 50 written"),
        ((10, 200, 0), 12_000, "the same without an answer"),
        ((7e9, 2e12, 1e13), 2.24e23, "LLaMA 2 7B and 10 trillion tokens written"),
    )
    for numbers, wanted, what in cases:
        expect_number(attempt(*numbers), wanted, f"for {what} it")


def _lifetime(n, d, answers):
    return 6 * n * d + 2 * n * answers


def _lifetime_same_price(n, d, answers):
    return 6 * n * (d + answers)


def _lifetime_training(n, d, answers):
    return 6 * n * d


def _lifetime_forward(n, d, answers):
    return 2 * n * (d + answers)


lifetime = Exercise(
    id="04.3",
    title="What the optimum leaves out",
    stars=2,
    minutes=6,
    verify=_verify_lifetime,
    answer=_lifetime,
    hints=(
        "Training takes 6 operations per weight and token, writing takes 2.",
        "6 * n * d for the training, and 2 * n for each token written.",
    ),
    wrong={
        "writing as dear as training": _lifetime_same_price,
        "training only": _lifetime_training,
        "training without the backward pass": _lifetime_forward,
    },
)


# --- 04.4 the router


def _verify_route(attempt):
    logits = torch.tensor([[1.0, 3.0, 2.0]])
    found = attempt(logits, 2)
    expect(
        isinstance(found, tuple) and len(found) == 2,
        f"return the weights and the numbers of the experts, not {found!r:.60}",
    )
    generator = torch.Generator().manual_seed(4)
    for table, k in ((logits, 2), (torch.randn(5, 8, generator=generator) * 3, 3)):
        weights, places = attempt(table, k)
        what = f"{len(table)} token(s), {table.shape[1]} experts, k = {k}"
        shapes = tuple(weights.shape), tuple(places.shape)
        wanted = (len(table), k)
        expect(
            shapes == (wanted, wanted), f"{what}: shapes {shapes}, not {wanted} twice"
        )
        best, order = table.topk(k)
        expect(
            torch.equal(torch.as_tensor(places), order),
            f"{what}: the experts should be {order[0].tolist()}, not "
            f"{places[0].tolist()}, for the first token",
        )
        error = (weights - best.softmax(-1)).abs().max().item()
        expect(error < 1e-5, f"{what}: the weights are off by {error:.3f}")


def _route(logits, k):
    best, places = logits.topk(k, dim=-1)
    return best.softmax(dim=-1), places


def _route_without_norm(logits, k):
    weights, places = logits.softmax(dim=-1).topk(k, dim=-1)
    return weights, places


def _route_raw(logits, k):
    return logits.topk(k, dim=-1)[0], logits.topk(k, dim=-1)[1]


def _route_over_tokens(logits, k):
    best, places = logits.topk(k, dim=-1)
    return best.softmax(dim=0), places


def _route_worst(logits, k):
    best, places = logits.topk(k, dim=-1, largest=False)
    return best.softmax(dim=-1), places


route = Exercise(
    id="04.4",
    title="Route a token",
    stars=2,
    minutes=7,
    verify=_verify_route,
    answer=_route,
    hints=(
        "logits.topk(k, dim=-1) gives the k largest values and their places.",
        "The softmax comes after the choice, over the k values of each token.",
    ),
    wrong={
        "the softmax over all experts, so that the weights miss 1": _route_without_norm,
        "logits in place of weights": _route_raw,
        "the softmax over the tokens": _route_over_tokens,
        "the worst experts": _route_worst,
    },
)


# --- 04.5 near duplicates


def _letters(text):
    return set(text)


def _verify_deduplicate(attempt):
    cases = (
        (["abc", "abc", "xyz"], 1.0, ["abc", "xyz"], "the same text twice"),
        (["abcd", "abce", "wxyz"], 0.6, ["abcd", "wxyz"], "overlaps of 3 in 5"),
        (["abcd", "abce", "wxyz"], 0.7, ["abcd", "abce", "wxyz"], "a limit of 0.7"),
        (["abcd", "abcdefgh"], 0.6, ["abcd", "abcdefgh"], "a text inside a longer one"),
        (["abcd", "bcde", "cdef"], 0.6, ["abcd", "cdef"], "a chain of texts"),
    )
    for texts, limit, wanted, what in cases:
        got = attempt(list(texts), _letters, limit)
        expect(
            isinstance(got, list),
            f"for {texts}: return a list, not a {type(got).__name__}",
        )
        expect(got == wanted, f"for {what}, {texts}: keep {wanted}, not {got!r:.80}")


def _deduplicate(texts, shingles, limit):
    kept, sets = [], []
    for text in texts:
        mine = shingles(text)
        if all(len(mine & s) / len(mine | s) < limit for s in sets):
            kept.append(text)
            sets.append(mine)
    return kept


def _deduplicate_exact(texts, shingles, limit):
    return list(dict.fromkeys(texts))


def _deduplicate_by_own_size(texts, shingles, limit):
    kept, sets = [], []
    for text in texts:
        mine = shingles(text)
        if all(len(mine & s) / min(len(mine), len(s)) < limit for s in sets):
            kept.append(text)
            sets.append(mine)
    return kept


def _deduplicate_all_before(texts, shingles, limit):
    kept, sets = [], []
    for text in texts:
        mine = shingles(text)
        if all(len(mine & s) / len(mine | s) < limit for s in sets):
            kept.append(text)
        sets.append(mine)
    return kept


def _deduplicate_above(texts, shingles, limit):
    kept, sets = [], []
    for text in texts:
        mine = shingles(text)
        if all(len(mine & s) / len(mine | s) <= limit for s in sets):
            kept.append(text)
            sets.append(mine)
    return kept


deduplicate = Exercise(
    id="04.5",
    title="Nearly the same",
    stars=2,
    minutes=6,
    verify=_verify_deduplicate,
    answer=_deduplicate,
    hints=(
        "Keep two lists that grow together: the texts kept, and their sets.",
        "For sets, a & b is what both have and a | b what either has.",
        "A text is kept if its overlap with every set kept before is below the limit.",
    ),
    wrong={
        "only exact copies": _deduplicate_exact,
        "divided by the smaller text": _deduplicate_by_own_size,
        "compared with dropped texts too": _deduplicate_all_before,
        "an overlap equal to the limit kept": _deduplicate_above,
    },
)


# --- 04.6 bug museum: perplexity per batch


def _verify_per_token(attempt):
    log2 = math.log(2)
    got = attempt([log2, log2], [10, 10])
    expect_number(got, 2.0, "two batches of ln 2 nats: the perplexity")
    wanted = math.exp((90 * 1.0 + 10 * 4.0) / 100)
    got = attempt([1.0, 4.0], [90, 10])
    expect_number(got, wanted, "90 tokens at 1 nat and 10 at 4: the perplexity")
    split = attempt([1.0, 1.0, 4.0], [60, 30, 10])
    expect_number(split, wanted, "the 90 tokens cut into 60 and 30: the perplexity")


def _per_token(losses, counts):
    pairs = zip(losses, counts, strict=True)
    return math.exp(sum(loss * n for loss, n in pairs) / sum(counts))


def _per_token_starter(losses, counts):
    """Return the perplexity of all tokens of all batches."""
    return math.exp(sum(losses) / len(losses))


def _per_token_mean_of_exp(losses, counts):
    pairs = zip(losses, counts, strict=True)
    return sum(math.exp(loss) * n for loss, n in pairs) / sum(counts)


def _per_token_nats(losses, counts):
    pairs = zip(losses, counts, strict=True)
    return sum(loss * n for loss, n in pairs) / sum(counts)


def _per_token_sum(losses, counts):
    pairs = zip(losses, counts, strict=True)
    return math.exp(sum(loss * n for loss, n in pairs) / len(losses) / max(counts))


per_token = Exercise(
    id="04.6",
    title="Bug museum: the batches of unlike length",
    stars=1,
    minutes=5,
    verify=_verify_per_token,
    answer=_per_token,
    hints=(
        "A batch of 10 tokens should not weigh as much as one of 90.",
        "Turn means into sums: loss * count, added up, divided by all tokens.",
    ),
    wrong={
        "the perplexities averaged instead of the nats": _per_token_mean_of_exp,
        "nats without the exponential": _per_token_nats,
        "divided by the number and length of batches": _per_token_sum,
    },
    starter=_per_token_starter,
)

ALL = (block, conversations, lifetime, route, deduplicate, per_token)
