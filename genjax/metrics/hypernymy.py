"""How well hypernyms can be told by word vectors: projections beside simpler models.

R. Fu, J. Guo, B. Qin, W. Che, H. Wang, T. Liu: Learning Semantic Hierarchies via Word Embeddings,
ACL 2014. They report an F1 of 73.74 % (80.29 % together with a hierarchy extended from one built by
hand) on Chinese words, pairs and vectors of their own, which compares with no figure on other data.

Letters: N pairs of words (x, y), D dimensions.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from genjax.base import Embedding
from genjax.metrics.projections import distances, fit_projections

Pair = tuple[str, str, str]  # x, y, and the relation between the two
# (x [N, D], y [N, D]) -> [N], small for hypernyms
PairDistance = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Scores(NamedTuple):
    """Shares of 1."""

    precision: float
    recall: float
    f1: float


class _Vectors(NamedTuple):
    """Pairs of words by their vectors at length 1."""

    x: np.ndarray  # [N, D]
    y: np.ndarray  # [N, D]
    places: np.ndarray  # int [N, 2], of the two words in the vocabulary
    relations: np.ndarray  # str [N]


def choose_threshold(distances: np.ndarray, labels: np.ndarray) -> float:
    """The threshold of the distance with the greatest F1; of equally good ones the smallest.

    Args:
      distances: [N]; pairs up to the threshold are called hypernyms.
      labels: bool [N], whether the pair is one.

    Raises:
      ValueError: no pair is one.
    """
    distances = np.asarray(distances)
    labels = np.asarray(labels, bool)
    if not labels.any():
        raise ValueError(f'none of {len(labels)} labels is true; a threshold needs one')
    order = np.argsort(distances)
    distances = distances[order]
    hits = np.cumsum(labels[order])
    called = np.arange(1, len(labels) + 1)
    f1 = 2 * hits / (called + labels.sum())
    # Equal distances are called together: a threshold ends at the last of them.
    is_last = np.append(distances[1:] > distances[:-1], True)
    return float(distances[np.argmax(np.where(is_last, f1, -1))])


def precision_recall_f1(predicted: np.ndarray, labels: np.ndarray) -> Scores:
    """Precision, recall and their harmonic mean; a share of nothing is 0.

    Args:
      predicted: bool [N], whether a pair is called a hypernym.
      labels: bool [N], whether it is one.
    """
    predicted = np.asarray(predicted, bool)
    labels = np.asarray(labels, bool)
    hits = int((predicted & labels).sum())
    called = int(predicted.sum())
    true = int(labels.sum())
    return Scores(
        precision=hits / max(called, 1),
        recall=hits / max(true, 1),
        f1=2 * hits / max(called + true, 1),
    )


def close_transitively(pairs: np.ndarray, called: np.ndarray) -> np.ndarray:
    """The pairs that are called hypernyms or follow from those: x < z and z < y give x < y.

    Args:
      pairs: of words (x, y), int [N, 2], 0 or more.
      called: bool [N], whether y is called a hypernym of x.

    Returns:
      bool [N].

    Source: Fu et al. 2014, section 3.3.3, condition 2. Circles, which they break at their weakest
      link, stay.
    """
    pairs = np.asarray(pairs, int).reshape(-1, 2)
    links = np.unique(pairs[np.asarray(called, bool)], axis=0).tolist()
    # A word's hypernyms so far as the bits of one integer
    above = {x: 0 for x, _ in links}
    changed = True
    while changed:
        changed = False
        for x, y in reversed(links):
            wider = above[x] | (1 << y) | above.get(y, 0)
            changed |= wider != above[x]
            above[x] = wider
    return np.array([above.get(x, 0) >> y & 1 for x, y in pairs.tolist()], bool)


def score_row(
    dev: tuple[np.ndarray, np.ndarray],
    test: tuple[np.ndarray, np.ndarray],
    places: np.ndarray,
    relation: str = 'hyper',
) -> dict[str, float]:
    """The scores of a model that gives each pair a number, small for hypernyms.

    Args:
      dev: those numbers [N] and the relations str [N] of the pairs that choose the threshold.
      test: those of the pairs that are scored.
      places: the words of the test pairs, int [N, 2].
      relation: the name of the relation that y is a hypernym of x.

    Returns:
      dev f1, and on test pairs precision, recall, f1, the f1 after `close_transitively`, and for
      each other relation, as `called NAME`, the share of its pairs that were called hypernyms.
    """
    dev_distances, dev_relations = dev
    distances, relations = test
    dev_labels = dev_relations == relation
    threshold = choose_threshold(dev_distances, dev_labels)
    dev_f1 = precision_recall_f1(dev_distances <= threshold, dev_labels).f1

    called = distances <= threshold
    labels = relations == relation
    closed = precision_recall_f1(close_transitively(places, called), labels)
    row = {'dev f1': dev_f1} | precision_recall_f1(called, labels)._asdict()
    row['f1 closed'] = closed.f1
    for name in sorted(set(relations.tolist()) - {relation}):
        row[f'called {name}'] = float(called[relations == name].mean())
    return row


def hypernymy_scores(
    embedding: Embedding,
    train: Sequence[Pair],
    dev: Sequence[Pair],
    test: Sequence[Pair],
    *,
    clusters: Sequence[int] = (1, 5, 10, 25, 50),
    seed: int = 0,
    ridge: float = 1.0,
    relation: str = 'hyper',
) -> list[dict[str, str | float]]:
    """How well projections, and simpler models beside them, tell hypernyms from other word pairs.

    Vectors are scaled to length 1 first, since a length tells more of a word's frequency than of
    its meaning. Every model gives each pair a number that should be small for hypernyms, and takes
    its threshold from the development pairs. The simpler models: `everything` calls all pairs
    hypernyms; `hypernym alone` measures from y to the mean of the training hypernyms and ignores x;
    `cosine` takes similar words; `mean offset` measures from y to x plus the mean of y - x.

    Args:
      embedding: whose vectors are scored.
      train: pairs (x, y, relation), of which only hypernyms are used. Pairs that lack a vector are
        left out, here and below.
      dev: for the thresholds.
      test: for the scores.
      clusters: a number K for each row of projections.
      seed: of k-means.
      ridge: of fit_projections. 1 is the weight of one more pair in every direction, and steadies
        small clusters.
      relation: the name of the relation that y is a hypernym of x.

    Returns:
      A row for each model: model, what `score_row` gives, pairs (the test pairs with vectors) and
      coverage (their share).

    Raises:
      ValueError: no training or development pair is a hypernym with vectors, or a number of
        clusters does not fit.
    """
    hypernyms = [pair for pair in train if pair[2] == relation]
    train_vectors = _pair_vectors(embedding, hypernyms)
    if not len(train_vectors.x):
        raise ValueError(
            f'train has {len(train)} pairs, none of them {relation} with vectors; '
            'at least 1 is needed'
        )
    dev_vectors = _pair_vectors(embedding, dev)
    test_vectors = _pair_vectors(embedding, test)
    pairs = len(test_vectors.relations)
    counts = {'pairs': pairs, 'coverage': pairs / max(len(test), 1)}
    models = _models(train_vectors, clusters, seed, ridge)
    return [
        {'model': name} | _score_model(model, dev_vectors, test_vectors, relation) | counts
        for name, model in models.items()
    ]


def _pair_vectors(embedding, pairs):
    """The vectors of the pairs whose words both have one."""
    index = {word: i for i, word in enumerate(embedding.words)}
    lengths = np.linalg.norm(embedding.vectors, axis=1, keepdims=True)
    unit_vectors = embedding.vectors / np.where(lengths > 0, lengths, 1)
    known = [pair for pair in pairs if pair[0] in index and pair[1] in index]
    x_places = np.array([index[pair[0]] for pair in known], int)
    y_places = np.array([index[pair[1]] for pair in known], int)
    relations = np.array([pair[2] for pair in known], str)
    places = np.stack([x_places, y_places], 1)
    return _Vectors(unit_vectors[x_places], unit_vectors[y_places], places, relations)


def _models(train, clusters, seed, ridge) -> dict[str, PairDistance]:
    """{name: distance} of every model, from the vectors of training hypernyms."""
    mean_hypernym = train.y.mean(0)
    mean_offset = (train.y - train.x).mean(0)

    def everything(x, y):
        return np.zeros(len(x))

    def hypernym_alone(x, y):
        return np.linalg.norm(y - mean_hypernym[None], axis=1)

    def cosine(x, y):
        return 1 - np.sum(x * y, 1)

    def offset_distance(x, y):
        return np.linalg.norm(x + mean_offset[None] - y, axis=1)

    models = {
        'everything': everything,
        'hypernym alone': hypernym_alone,
        'cosine': cosine,
        'mean offset': offset_distance,
    }
    for k in clusters:
        projections = fit_projections(train.x, train.y, clusters=k, seed=seed, ridge=ridge)
        name = '1 projection' if k == 1 else f'{k} projections'
        models[name] = partial(distances, projections)
    return models


def _score_model(model, dev, test, relation):
    """The threshold from the development pairs, and its scores on the test pairs."""
    dev_numbers = model(dev.x, dev.y), dev.relations
    test_numbers = model(test.x, test.y), test.relations
    return score_row(dev_numbers, test_numbers, test.places, relation)
