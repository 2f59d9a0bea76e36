"""Five tribes of machine learning as classifiers with one interface.

A tribe is a function (x, y, seed) -> predictor, where x is an array of shape
(n_examples, n_words) that is 1 where a word occurs, y says which examples are positive,
and the predictor maps an array like x to booleans. Compared in lesson 01.

Source: Domingos (2015), The master algorithm.
"""

import numpy as np


def learn_rules(x, y, n_rules=40):
    """Return [(word, label), ...] in order, and the label where no rule applies.

    Built in lesson 01.
    """
    rules, is_left = [], np.full(len(y), True)
    while len(rules) < n_rules and is_left.sum() > 20:
        positive, negative = x[is_left & y].sum(axis=0), x[is_left & ~y].sum(axis=0)
        gain = (positive - negative) / np.sqrt(positive + negative + 1)
        word = np.abs(gain).argmax()
        rules.append((word, gain[word] > 0))
        is_left &= x[:, word] == 0
    return rules, y[is_left].sum() * 2 > is_left.sum()


def evolve(x, y, seed, n_generations=80, n_people=40):
    """Return the word weights of the fittest individual, shape (n_words,).

    Built in lesson 01.
    """
    rng = np.random.default_rng(seed)
    side = np.where(y, 1, -1)[:, None]
    people = rng.normal(0, 0.1, (n_people, x.shape[1])).astype("float32")
    for _ in range(n_generations):
        fitness = (side * (x @ people.T) > 0).mean(axis=0)
        parents = people[fitness.argsort()[-10:]]
        mothers, fathers = parents[rng.integers(10, size=(2, n_people))]
        children = np.where(rng.random(people.shape) < 0.5, mothers, fathers)
        mutations = rng.normal(0, 0.1, people.shape) * (rng.random(people.shape) < 0.05)
        people = (children + mutations).astype("float32")
        people[0] = parents[-1]  # the best survives as it is
    return people[0]


def symbolists(x, y, seed):
    """Return a predictor that applies the first rule whose word occurs."""
    rules, otherwise = learn_rules(x, y)
    words = [word for word, _ in rules]
    labels = np.array([*(label for _, label in rules), otherwise])

    def predict(x):
        occurs = x[:, words] > 0
        first = np.where(occurs.any(axis=1), occurs.argmax(axis=1), len(rules))
        return labels[first]

    return predict


def connectionists(x, y, seed):
    """Return the predictor of a network with 16 hidden units."""
    from sklearn.neural_network import MLPClassifier

    network = MLPClassifier(
        16, learning_rate_init=0.01, tol=0.02, n_iter_no_change=2, random_state=seed
    )
    return network.fit(x, y).predict


def evolutionaries(x, y, seed):
    """Return a predictor that adds up evolved word weights."""
    weights = evolve(x, y, seed)
    return lambda x: x @ weights > 0


def bayesians(x, y, seed):
    """Return the predictor of naive Bayes."""
    from sklearn.naive_bayes import BernoulliNB

    return BernoulliNB().fit(x, y).predict


def analogisers(x, y, seed):
    """Return the predictor of the 15 nearest neighbours by cosine."""
    from sklearn.neighbors import KNeighborsClassifier

    return KNeighborsClassifier(15, metric="cosine").fit(x, y).predict


TRIBES = {
    "symbolists": symbolists,
    "connectionists": connectionists,
    "evolutionaries": evolutionaries,
    "Bayesians": bayesians,
    "analogisers": analogisers,
}
