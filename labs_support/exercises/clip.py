"""The exercises of lesson 09: searching in one space, its losses, and two silent errors."""

import torch
from torch.nn import functional as F

from labs_support.checks import Exercise, expect, expect_number
from labs_support.tensor_checks import expect_tensor, random_tensor


def _places(got, what):
    """Return an answer that should be a list of places in a tensor."""
    if isinstance(got, torch.Tensor):
        got = got.tolist()
    is_list = isinstance(got, list | tuple) and all(isinstance(i, int) for i in got)
    expect(is_list, f"{what}: return a list of whole numbers, not {got!r:.60}")
    return list(got)


# --- 09.1 cosines


def _verify_cosines(attempt):
    pictures = torch.tensor([[3.0, 4.0], [0.0, 2.0]])
    texts = torch.tensor([[1.0, 0.0], [0.0, 5.0], [1.0, 1.0]])
    got = attempt(pictures, texts)
    expect_tensor(got, (2, 3), "2 pictures and 3 texts")
    expect_number(got[0, 0].item(), 0.6, "the cosine of [3, 4] and [1, 0]")
    expect_number(got[1, 1].item(), 1.0, "the cosine of [0, 2] and [0, 5]")
    pictures, texts = random_tensor(5, 8, seed=1) * 7, random_tensor(6, 8, seed=2)
    got = attempt(pictures, texts)
    expect_tensor(got, (5, 6), "5 pictures and 6 texts of 8 channels")
    wanted = F.cosine_similarity(pictures[:, None], texts[None], dim=-1)
    error = (got - wanted).abs().max()
    expect(error < 1e-5, f"for random vectors you are off by {error:.2f}")


def _cosines(images, texts):
    images = images / images.norm(dim=-1, keepdim=True)
    texts = texts / texts.norm(dim=-1, keepdim=True)
    return images @ texts.T


def _cosines_without_lengths(images, texts):
    return images @ texts.T


def _cosines_of_columns(images, texts):
    return F.normalize(images, dim=0) @ F.normalize(texts, dim=0).T


def _cosines_one_side(images, texts):
    return F.normalize(images, dim=-1) @ texts.T


def _cosines_one_length(images, texts):
    return images @ texts.T / (images.norm() * texts.norm())


cosines = Exercise(
    id="09.1",
    title="Every picture with every text",
    stars=1,
    minutes=4,
    verify=_verify_cosines,
    answer=_cosines,
    hints=(
        "The cosine is the dot product of two vectors of length 1.",
        "Divide every row by its own length: x.norm(dim=-1, keepdim=True).",
        "Then all dot products at once are images @ texts.T.",
    ),
    wrong={
        "plain dot products, lengths and all": _cosines_without_lengths,
        "columns instead of rows brought to length 1": _cosines_of_columns,
        "only the pictures brought to length 1": _cosines_one_side,
        "divided by one length for all": _cosines_one_length,
    },
)


# --- 09.2 recall at k


def _verify_recall(attempt):
    scores = torch.tensor([[0.9, 0.1, 0.2], [0.5, 0.4, 0.6], [0.3, 0.2, 0.1]])
    gold = torch.tensor([0, 0, 0])
    for k, wanted in ((1, 2 / 3), (2, 1.0)):
        got = attempt(scores, gold, k)
        got = got.item() if isinstance(got, torch.Tensor) and got.numel() == 1 else got
        expect_number(got, wanted, f"with gold [0, 0, 0] and k = {k} the recall")
    scores = random_tensor(50, 20, seed=3)
    gold = torch.arange(50) % 20
    ranks = [sorted(row, reverse=True).index(row[g]) for row, g in
             zip(scores.tolist(), gold.tolist(), strict=True)]  # fmt: skip
    for k in (1, 5, 20):
        got = attempt(scores, gold, k)
        got = got.item() if isinstance(got, torch.Tensor) and got.numel() == 1 else got
        wanted = sum(rank < k for rank in ranks) / 50
        expect_number(got, wanted, f"for 50 random queries over 20 items, k = {k}, it")


def _recall(scores, gold, k):
    best = scores.topk(k, dim=1).indices  # (N, k)
    return (best == gold[:, None]).any(dim=1).float().mean().item()


def _recall_counts_all(scores, gold, k):
    best = scores.topk(k, dim=1).indices
    return (best == gold[:, None]).float().mean().item()


def _recall_from_below(scores, gold, k):
    best = scores.topk(k, dim=1, largest=False).indices
    return (best == gold[:, None]).any(dim=1).float().mean().item()


def _recall_of_items(scores, gold, k):
    best = scores.topk(min(k, len(scores)), dim=0).indices.T
    return (best == torch.arange(len(best))[:, None]).any(dim=1).float().mean().item()


def _recall_always_first(scores, gold, k):
    return (scores.argmax(dim=1) == gold).float().mean().item()


recall = Exercise(
    id="09.2",
    title="Recall at k",
    stars=1,
    minutes=5,
    verify=_verify_recall,
    answer=_recall,
    hints=(
        "For one query: is the gold item among the k with the highest scores?",
        "scores.topk(k, dim=1).indices is (N, k): the k best items of each query.",
        "Compare with gold[:, None], ask any(dim=1), and take the mean of it as floats.",
    ),
    wrong={
        "divides by k, as precision would": _recall_counts_all,
        "takes the lowest scores": _recall_from_below,
        "ranks the queries for each item": _recall_of_items,
        "looks at the first hit only": _recall_always_first,
    },
)


# --- 09.3 a caption that fits two pictures


def _slow_matched(logits, matches):
    """Return the specification: one row, then one column at a time."""
    total = 0.0
    for table, is_match in ((logits, matches), (logits.T, matches.T)):
        for scores, hits in zip(table, is_match, strict=True):
            surprise = -scores.log_softmax(-1)
            total = total + surprise[hits > 0].mean() / len(table)
    return total / 2


def _verify_matched(attempt):
    logits = torch.tensor([[4.0, 1.0, 0.0], [2.0, 3.0, 0.0], [0.0, 1.0, 5.0]])
    y = torch.arange(3)
    plain = (F.cross_entropy(logits, y) + F.cross_entropy(logits.T, y)) / 2
    got = attempt(logits, torch.eye(3))
    got = got.item() if isinstance(got, torch.Tensor) and got.numel() == 1 else got
    expect_number(got, plain.item(), "where every picture has one text, the loss")
    matches = torch.tensor([[1.0, 0.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    for table in (logits, random_tensor(3, 3, seed=6)):
        got = attempt(table, matches)
        got = got.item() if isinstance(got, torch.Tensor) and got.numel() == 1 else got
        wanted = _slow_matched(table, matches).item()
        expect_number(got, wanted, "where text 0 fits pictures 0 and 1, the loss")


def _matched(logits, matches):
    rows = matches / matches.sum(dim=1, keepdim=True)
    columns = matches / matches.sum(dim=0, keepdim=True)
    to_texts = -(rows * logits.log_softmax(dim=1)).sum(dim=1).mean()
    to_images = -(columns * logits.log_softmax(dim=0)).sum(dim=0).mean()
    return (to_texts + to_images) / 2


def _matched_only_diagonal(logits, matches):
    y = torch.arange(len(logits))
    return (F.cross_entropy(logits, y) + F.cross_entropy(logits.T, y)) / 2


def _matched_sums(logits, matches):
    to_texts = -(matches * logits.log_softmax(dim=1)).sum(dim=1).mean()
    to_images = -(matches * logits.log_softmax(dim=0)).sum(dim=0).mean()
    return (to_texts + to_images) / 2


def _matched_one_way(logits, matches):
    rows = matches / matches.sum(dim=1, keepdim=True)
    return -(rows * logits.log_softmax(dim=1)).sum(dim=1).mean()


def _matched_binary(logits, matches):
    return F.binary_cross_entropy_with_logits(logits, matches)


matched = Exercise(
    id="09.3",
    title="A caption that fits two pictures",
    stars=2,
    minutes=8,
    verify=_verify_matched,
    answer=_matched,
    hints=(
        "Minus log-softmax over a row is how surprising each text is for that picture.",
        "Turn each row of matches into shares: divide it by its sum.",
        "Multiply shares and minus log-softmax, sum over the row, mean over rows; the "
        "same over columns with dim=0; the loss is the mean of the two.",
    ),
    wrong={
        "still counts the diagonal only": _matched_only_diagonal,
        "sums over the matches instead of averaging": _matched_sums,
        "from pictures to texts only": _matched_one_way,
        "a yes or no for every pair": _matched_binary,
    },
)


# --- 09.4 zero-shot with several wordings


def _wordings_case():
    """Return 2 wordings of 2 classes, and pictures near the border between them."""
    prompts = torch.tensor([[[1.0, 0.0], [0.0, 1.0]], [[0.28, 0.96], [0.0, 1.0]]])
    return prompts, F.normalize(
        torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.79, 1.0]]), dim=1
    )


def _verify_wordings(attempt):
    prompts, pictures = _wordings_case()
    got = _places(attempt(pictures, prompts), "3 pictures, 2 wordings of 2 classes")
    expect(len(got) == 3, f"3 pictures should get 3 classes, not {len(got)}")
    expect(
        got[:2] == [0, 1],
        f"a picture that points like a class should get it: [0, 1], not {got[:2]}",
    )
    expect(
        got[2] == 0,
        "the last picture is nearer to the direction of class 0. The mean of its two "
        "wordings is shorter than 1: which step makes up for that?",
    )
    prompts = F.normalize(random_tensor(3, 5, 8, seed=4), dim=-1)
    pictures = F.normalize(random_tensor(40, 8, seed=5), dim=-1)
    got = _places(attempt(pictures, prompts), "40 pictures, 3 wordings of 5 classes")
    wanted = _with_wordings(pictures, prompts).tolist()
    n = sum(a != b for a, b in zip(got, wanted, strict=False)) + abs(40 - len(got))
    expect(n == 0, f"with 3 wordings of 5 classes {n} of 40 pictures get the wrong one")


def _with_wordings(images, prompts):
    classes = F.normalize(prompts.mean(dim=0), dim=-1)  # (K, C)
    return (images @ classes.T).argmax(dim=1)


def _wordings_not_normalised(images, prompts):
    return (images @ prompts.mean(dim=0).T).argmax(dim=1)


def _wordings_first_only(images, prompts):
    return (images @ prompts[0].T).argmax(dim=1)


def _wordings_best_single(images, prompts):
    return (images @ prompts.transpose(1, 2)).amax(dim=0).argmax(dim=1)


def _wordings_mean_of_classes(images, prompts):
    return (images @ F.normalize(prompts.mean(dim=1), dim=-1).T).argmax(dim=1)


wordings = Exercise(
    id="09.4",
    title="Zero-shot with several wordings",
    stars=2,
    minutes=6,
    verify=_verify_wordings,
    answer=_with_wordings,
    hints=(
        "One vector for each class: the mean over its wordings, dimension 0.",
        "A mean of unit vectors is shorter than 1, most where the wordings disagree.",
        "F.normalize(prompts.mean(dim=0), dim=-1), then cosines, then argmax(dim=1).",
    ),
    wrong={
        "the means are not brought back to length 1": _wordings_not_normalised,
        "uses the first wording only": _wordings_first_only,
        "takes the best single wording": _wordings_best_single,
        "averages over the classes": _wordings_mean_of_classes,
    },
)


# --- 09.5 recommend


def _verify_recommend(attempt):
    vectors = F.normalize(
        torch.tensor([[1.0, 0.0], [0.9, 0.3], [0.8, 0.7], [0.0, 1.0], [-1.0, 0.0]]),
        dim=1,
    )
    stock = torch.tensor([3, 5, 2, 9, 4])
    got = _places(attempt(vectors, [0], stock, 2), "liked [0], n = 2")
    expect(
        0 not in got, f"for liked [0] you recommend {got}: product 0 is known already"
    )
    expect(got == [1, 2], f"for liked [0] and n = 2 it should be [1, 2], not {got}")
    got = _places(attempt(vectors, [0, 3], stock, 1), "liked [0, 3]")
    expect(got == [2], f"between products 0 and 3 lies product 2; you recommend {got}")
    stock[1] = 0
    got = _places(attempt(vectors, [0], stock, 2), "product 1 sold out")
    expect(1 not in got, f"you recommend {got}, but product 1 has a stock of 0")
    expect(got == [2, 3], f"with product 1 sold out it should be [2, 3], not {got}")
    stock[:] = torch.tensor([0, 1, 1, 1, 1])
    got = _places(attempt(vectors, [0], stock, 9), "n = 9 of 4 products left")
    expect(
        got == [1, 2, 3, 4],
        f"asked for 9 where 4 are left it should be those 4, not {got}",
    )


def _recommend(vectors, liked, stock, n):
    taste = vectors[liked].mean(dim=0)
    scores = vectors @ taste
    order = scores.argsort(descending=True).tolist()
    return [i for i in order if i not in liked and stock[i] > 0][:n]


def _recommend_the_known(vectors, liked, stock, n):
    order = (vectors @ vectors[liked].mean(dim=0)).argsort(descending=True).tolist()
    return [i for i in order if stock[i] > 0][:n]


def _recommend_sold_out(vectors, liked, stock, n):
    order = (vectors @ vectors[liked].mean(dim=0)).argsort(descending=True).tolist()
    return [i for i in order if i not in liked][:n]


def _recommend_cut_too_early(vectors, liked, stock, n):
    best = (vectors @ vectors[liked].mean(dim=0)).argsort(descending=True)[:n].tolist()
    return [i for i in best if i not in liked and stock[i] > 0]


def _recommend_by_the_first(vectors, liked, stock, n):
    order = (vectors @ vectors[liked[0]]).argsort(descending=True).tolist()
    return [i for i in order if i not in liked and stock[i] > 0][:n]


def _recommend_the_farthest(vectors, liked, stock, n):
    order = (vectors @ vectors[liked].mean(dim=0)).argsort().tolist()
    return [i for i in order if i not in liked and stock[i] > 0][:n]


recommend = Exercise(
    id="09.5",
    title="You might also like",
    stars=2,
    minutes=6,
    verify=_verify_recommend,
    answer=_recommend,
    hints=(
        "One vector for the customer's taste: the mean of what they liked.",
        "(vectors @ taste).argsort(descending=True).tolist() is everything, nearest first.",
        "Leave out what is liked or sold out before you take the first n.",
    ),
    wrong={
        "recommends what the customer has": _recommend_the_known,
        "recommends what is sold out": _recommend_sold_out,
        "filters after taking the first n": _recommend_cut_too_early,
        "looks at the first liked product only": _recommend_by_the_first,
        "the farthest first": _recommend_the_farthest,
    },
)


# --- 09.6 bug museum: long vectors win


def _verify_search(attempt):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        _search_is_fair(attempt)


def _search_is_fair(attempt):
    features = random_tensor(200, 16, seed=7)
    features[:3] *= 20  # three pictures whose features are long
    queries = F.normalize(features[50:90] + 0.3 * random_tensor(40, 16, seed=8), dim=1)
    found = []
    for i, query in enumerate(queries):
        got = _places(attempt(query, features, 5), f"query {i}, n = 5")
        expect(len(got) == 5, f"asked for 5 you return {len(got)}")
        found.append(got)
    n_long = sum(got[0] < 3 for got in found)
    expect(
        n_long < 4,
        f"the same three pictures are the first hit of {n_long} in 40 different queries: "
        "their features are 20 times as long as the others",
    )
    wanted = [
        (F.normalize(features, dim=1) @ q).topk(5).indices.tolist() for q in queries
    ]
    n = sum(a != b for a, b in zip(found, wanted, strict=True))
    expect(n == 0, f"{n} of 40 queries do not get the 5 largest cosines, largest first")


def _search_by_dot_product(query, features, n):
    """Return the places of the n pictures nearest to a text, nearest first."""
    scores = features @ query
    return scores.topk(n).indices.tolist()


def _search(query, features, n):
    scores = F.normalize(features, dim=-1) @ query
    return scores.topk(n).indices.tolist()


def _search_normalised_over_pictures(query, features, n):
    return (F.normalize(features, dim=0) @ query).topk(n).indices.tolist()


def _search_query_only(query, features, n):
    return (features @ F.normalize(query, dim=-1)).topk(n).indices.tolist()


def _search_softmax(query, features, n):
    return (features @ query).softmax(dim=0).topk(n).indices.tolist()


unnormalised = Exercise(
    id="09.6",
    title="Bug museum: always the same three pictures",
    stars=1,
    minutes=4,
    verify=_verify_search,
    answer=_search,
    hints=(
        "What is different about a picture that wins whatever is asked?",
        "A dot product grows with the length of the vector; a cosine does not.",
        "F.normalize(features, dim=-1) brings every row to length 1.",
    ),
    wrong={
        "columns brought to length 1": _search_normalised_over_pictures,
        "only the query brought to length 1": _search_query_only,
        "a softmax of the same scores": _search_softmax,
    },
    starter=_search_by_dot_product,
)


# --- 09.7 bug museum: captions shuffled in half the batch


def _verify_mirrored(attempt):
    pictures = random_tensor(6, 3, 4, 5, seed=9)
    before = pictures.clone()
    got = attempt(pictures)
    expect_tensor(got, (6, 3, 4, 5), "6 pictures of 3 x 4 x 5")
    expect(
        torch.equal(pictures, before), "the pictures handed in should stay unchanged"
    )
    for i in range(6):
        others = [j for j in range(6) if j != i and _same_content(got[i], before[j])]
        expect(
            not others,
            f"place {i} of the batch now holds picture {others and others[0]}: it meets "
            "the caption of another one",
        )
    for i in range(1, 6, 2):
        expect(torch.equal(got[i], before[i]), f"picture {i} should stay as it is")
    for i in range(0, 6, 2):
        expect(
            torch.equal(got[i], before[i].flip(-1)),
            f"picture {i} should be mirrored left to right: column 0 becomes column 4",
        )


def _same_content(a, b):
    return torch.equal(a.flatten().sort().values, b.flatten().sort().values)


def _mirror_the_batch(pictures):
    """Return a batch in which every second picture is mirrored, left to right."""
    mixed = pictures.clone()  # (B, 3, height, width)
    mixed[::2] = mixed[::2].flip(0)
    return mixed


def _mirrored(pictures):
    mixed = pictures.clone()  # (B, 3, height, width)
    mixed[::2] = mixed[::2].flip(-1)
    return mixed


def _mirrored_upside_down(pictures):
    mixed = pictures.clone()
    mixed[::2] = mixed[::2].flip(-2)
    return mixed


def _mirrored_all(pictures):
    return pictures.flip(-1)


def _mirrored_in_place(pictures):
    pictures[::2] = pictures[::2].flip(-1)
    return pictures


def _mirrored_channels(pictures):
    mixed = pictures.clone()
    mixed[::2] = mixed[::2].flip(1)
    return mixed


shuffled = Exercise(
    id="09.7",
    title="Bug museum: half the captions lie",
    stars=2,
    minutes=5,
    verify=_verify_mirrored,
    answer=_mirrored,
    hints=(
        "Give it four pictures of one colour each. Which colour is where afterwards?",
        "flip(0) turns the first dimension round. Which dimension is that here?",
        "The shape is (B, 3, height, width): left and right are the last dimension, -1.",
    ),
    wrong={
        "upside down instead of left to right": _mirrored_upside_down,
        "mirrors all of them": _mirrored_all,
        "changes the pictures handed in": _mirrored_in_place,
        "exchanges red and blue": _mirrored_channels,
    },
    starter=_mirror_the_batch,
)

ALL: tuple[Exercise, ...] = (
    cosines,
    recall,
    matched,
    wordings,
    recommend,
    unnormalised,
    shuffled,
)
