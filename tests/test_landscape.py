"""The modules of lesson 01: n-grams, recurrence, the grid world, tribes, probes."""

import math

import numpy as np
import pytest
import torch

from labs_support import gridworld, ngrams, probes, recurrent, timeline, tribes

TOY = [0, 1, 2, 0, 1, 3, 0, 4, 2]  # the red kite the red lamp the blue kite


# --- n-grams


@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_distributions_sum_to_one(order):
    model = ngrams.NGram(TOY, order, n_words=6)
    for context in ([], [0], [0, 1], [5, 5], [2, 0, 1]):
        probs = model.distribution(context)
        assert probs.shape == (6,)
        assert probs.min() > 0
        assert math.isclose(probs.sum(), 1)


def test_bigram_is_the_formula_of_kneser_and_ney():
    probs = ngrams.NGram(TOY, 2, n_words=6, discount=0.5).distribution([0])
    # after 0: 1 twice, 4 once. Different words before: 0 has 2 (2, 3), 1 has 1, 2 has 2
    # (1, 4), 3 has 1, 4 has 1: 7 kinds of pair over 5 words; the floor is uniform
    n_before = {0: 2, 1: 1, 2: 2, 3: 1, 4: 1, 5: 0}
    for word in range(6):
        lower = max(n_before[word] - 0.5, 0) / 7 + 0.5 * 5 / 7 / 6
        count = {1: 2, 4: 1}.get(word, 0)
        expected = max(count - 0.5, 0) / 3 + 0.5 * 2 / 3 * lower
        assert math.isclose(probs[word], expected), word


def test_unigram_counts_how_often_not_in_how_many_contexts():
    probs = ngrams.NGram([0, 0, 0, 1], 1, n_words=2, discount=0.5).distribution([])
    assert math.isclose(probs[0], 2.5 / 4 + 0.5 * 2 / 4 / 2)


def test_unseen_context_falls_back_to_the_shorter_one():
    model = ngrams.NGram(TOY, 3, n_words=6)
    assert np.array_equal(model.distribution([5, 0]), model.distribution([0]))


def test_perplexity():
    assert math.isclose(ngrams.perplexity([0.5, 0.5]), 2)
    assert math.isclose(ngrams.perplexity([1.0, 0.25]), 2)
    assert math.isclose(ngrams.perplexity([1 / 7] * 3000), 7)


def test_numbered_texts_share_one_vocabulary():
    vocabulary, train, test = ngrams.number_texts(["A bee, a bee", "a cat"], ["A dog"])
    assert vocabulary == [ngrams.UNKNOWN, "a", "bee", ngrams.END]
    assert train == [1, 2, 0, 1, 2, 3, 1, 0, 3]
    assert test == [1, 0, 3]


# --- recurrence


def test_states_are_those_of_the_library():
    torch.manual_seed(0)
    ours, theirs = recurrent.RNN(9, 8), torch.nn.RNN(8, 8, batch_first=True)
    x = torch.randint(9, (3, 7))
    with torch.no_grad():
        theirs.weight_ih_l0.copy_(ours.from_word.weight)
        theirs.weight_hh_l0.copy_(ours.from_state.weight)
        theirs.bias_ih_l0.copy_(ours.from_word.bias)
        theirs.bias_hh_l0.zero_()
        torch.testing.assert_close(ours.states(x), theirs(ours.embedding(x))[0])
    assert ours(x).shape == (3, 7, 9)


@pytest.mark.parametrize("kind", [recurrent.RNN, recurrent.GatedRNN])
def test_the_future_does_not_change_the_past(kind):
    torch.manual_seed(0)
    model, x = kind(9, 8), torch.randint(9, (2, 6))
    changed = x.clone()
    changed[:, 4:] = (changed[:, 4:] + 1) % 9
    torch.testing.assert_close(model(x)[:, :4], model(changed)[:, :4])
    assert not torch.equal(model(x)[:, 4], model(changed)[:, 4])


def test_recall_batch_holds_the_answer_once_and_at_the_distance():
    x, y = recurrent.recall_batch(200, 5, torch.Generator().manual_seed(3))
    assert x.shape == (200, 7)
    assert torch.equal(x[:, 0], y)
    assert (x[:, 1:6] >= recurrent.N_SYMBOLS).all()
    assert (x[:, 1:6] < recurrent.QUERY).all()
    assert (x[:, 6] == recurrent.QUERY).all()
    assert set(y.tolist()) == set(range(recurrent.N_SYMBOLS))


def test_recall_is_learned_nearby_and_at_chance_far_away():
    near = recurrent.learned_recall(recurrent.RNN, 2, 64, seed=11)
    far = recurrent.learned_recall(
        recurrent.RNN, recurrent.FORGETTING_DISTANCE, 64, seed=11
    )
    assert near > 0.95
    assert abs(far - 1 / recurrent.N_SYMBOLS) < 0.04


def test_training_lowers_the_loss_of_a_language_model():
    torch.manual_seed(0)
    model, ids = recurrent.RNN(5, 16), [0, 1, 2, 3, 4] * 40
    recurrent.train_rnn(model, ids, n_steps=60)
    assert model(torch.tensor([ids[:20]])).argmax(dim=-1)[0, 5:].tolist() == ids[6:21]


def test_gradient_is_listed_from_the_last_word():
    torch.manual_seed(0)
    model = recurrent.RNN(9, 16)
    pull = recurrent.gradient_by_distance(model, torch.randint(9, (4, 12)))
    assert pull.shape == (12,)
    assert pull[0] > pull[5] > pull[11] > 0


# --- grid world


def test_moves_stop_at_walls_and_borders_and_cost_what_they_should():
    world = gridworld.GridWorld(("S~", "#G"), slip=0)
    north, south, east, west = range(4)
    assert world.outcome((0, 0), north) == ((0, 0), -1)
    assert world.outcome((0, 0), south) == ((0, 0), -1)
    assert world.outcome((0, 0), west) == ((0, 0), -1)
    assert world.outcome((0, 0), east) == ((0, 1), -11)
    assert world.outcome((0, 1), south) == ((1, 1), 29)


def test_best_values_of_a_world_without_wind_count_the_steps():
    world = gridworld.GridWorld(("S..", "#.G"), slip=0)
    values = gridworld.place_values(world)
    assert values[0].tolist() == [27, 28, 29]
    east, south = 2, 1
    policy = np.array([[east, south, south], [0, east, 0]])
    assert gridworld.place_values(world, policy)[0, 0] == 27
    assert gridworld.place_values(world, np.zeros((2, 3), int), n_sweeps=9)[0, 0] == -9


def test_wind_mixes_in_the_mean_of_all_moves():
    world = gridworld.GridWorld(("SG",), slip=0.4)
    after_one_sweep = gridworld.place_values(world, n_sweeps=1)[0, 0]
    assert math.isclose(after_one_sweep, 0.6 * 29 + 0.4 * (29 - 3) / 4)


def test_q_learning_finds_the_best_way_of_a_small_world():
    world = gridworld.GridWorld(("S.", "~G"), slip=0.1)
    q, returns = gridworld.q_learn(world, 300, seed=0)
    assert len(returns) == 300
    earned = gridworld.place_values(world, q.argmax(axis=2))[world.start]
    assert math.isclose(earned, gridworld.place_values(world)[world.start])


def test_no_policy_beats_the_best_one():
    world = gridworld.GridWorld()
    best = gridworld.place_values(world)
    rng = np.random.default_rng(0)
    policy = rng.integers(4, size=best.shape)
    assert (gridworld.place_values(world, policy) <= best + 1e-9).all()


def test_the_dry_way_is_longer_than_the_shortest():
    harbour = gridworld.GridWorld()
    assert gridworld.n_moves(harbour) == 12
    assert gridworld.n_moves(harbour, closed="~") == 14
    with pytest.raises(ValueError, match="no way leads from S to G"):
        gridworld.n_moves(gridworld.GridWorld(("S~G",)), closed="~")


def test_route_lists_the_tiles_entered():
    world = gridworld.GridWorld(("S~", "#G"))
    east, south = 2, 1
    assert gridworld.route(world, np.array([[east, south], [0, 0]])) == "~G"
    assert gridworld.route(world, np.zeros((2, 2), int), limit=5) == "SSSSS"


# --- tribes, probes, timeline


@pytest.mark.parametrize("name", tribes.TRIBES)
def test_every_tribe_learns_that_one_word_decides(name):
    rng = np.random.default_rng(1)
    x = (rng.random((300, 12)) < 0.3).astype("float32")
    y = x[:, 4] > 0
    x[:, 5] = ~y  # and another one says the opposite
    predict = tribes.TRIBES[name](x[:200], y[:200], 0)
    assert (predict(x[200:]) == y[200:]).mean() > 0.9


def test_first_rule_is_the_word_that_decides():
    x = np.array([[1, 1], [0, 1], [1, 0], [0, 0]] * 10, dtype="float32")
    rules, _ = tribes.learn_rules(x, x[:, 1] > 0)
    assert rules[0][0] == 1
    assert rules[0][1]


@pytest.mark.parametrize(
    ("n_phrases", "n_trees"), [(0, 1), (1, 2), (2, 5), (3, 14), (4, 42)]
)
def test_readings_are_the_catalan_numbers(n_phrases, n_trees):
    sentence = "the teacher taught the student" + " with the book" * n_phrases
    assert probes.n_trees(sentence) == n_trees


def test_what_is_no_sentence_has_no_tree():
    assert probes.n_trees("the the teacher taught") == 0


def test_probes_are_what_they_claim_to_be():
    examples = probes.language()
    assert all(len(pairs) == 6 for pairs in examples["pairs"].values())
    assert all(len(s) == 8 for s in examples["bank"].values())
    for one, other in examples["reversals"]:
        assert one != other
        assert sorted(one.split()) == sorted(other.split())


def test_every_score_and_event_has_its_source():
    history = timeline.read("events")
    fields = {field["name"] for field in history["fields"]}
    for event in history["events"]:
        assert event["field"] in fields
        assert len(event["source"]) > 10
    for benchmark in timeline.read("benchmarks"):
        assert benchmark["human"]["source"]
        assert benchmark["human"]["people"]
        assert all(machine.get("samples", 2) > 1 for machine in benchmark["machines"])
        years = [machine["year"] for machine in benchmark["machines"]]
        assert years == sorted(years)
        assert years[0] >= benchmark["introduced"]
        assert all(machine["source"] for machine in benchmark["machines"])


def test_levels_run_from_zero_to_the_human_score():
    benchmark = {
        "machines": [{"year": 2000, "score": 20.0}, {"year": 2004, "score": 5.0}],
        "human": {"score": 10.0},
    }
    assert timeline.levels(benchmark) == [(2000, 0.0), (2004, 1.5)]
    assert timeline.first_past(benchmark)["year"] == 2004


# --- found by the planted faults of `make mutants`


def test_q_learning_values_what_lies_ahead():
    world = gridworld.GridWorld(("S...G",), slip=0)
    q, _ = gridworld.q_learn(world, 400, seed=0)
    assert q[world.start].max() == pytest.approx(26, abs=0.5)  # 30 and four steps


def test_a_word_of_the_held_out_texts_stays_unknown():
    vocabulary, train, test = ngrams.number_texts(["red bee red bee cat"], ["cat cat"])
    assert vocabulary == [ngrams.UNKNOWN, "red", "bee"]
    assert test == [0, 0, 0]
