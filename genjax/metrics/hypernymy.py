"""Whether word vectors know hypernyms, by projections from hyponym to hypernym (Fu et al. 2014).

R. Fu, J. Guo, B. Qin, W. Che, H. Wang, T. Liu: Learning Semantic Hierarchies via Word Embeddings,
ACL 2014. They report an F1 of 73.74 % (80.29 % together with a hierarchy extended from one built by
hand) on Chinese words, pairs and vectors of their own, which compares with no figure on other data.

Letters: N pairs of words (x, y), D dimensions, K clusters.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple

import numpy as np

from genjax.base import Embedding

Pair = tuple[str, str, str]  # x, y, and the relation between the two
# (x [N, D], y [N, D]) -> [N], small for hypernyms
PairDistance = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Projections(NamedTuple):
    """A linear map from hyponym to hypernym for each kind of offset between the two."""

    centres: np.ndarray  # [K, D] float32, of the offsets y - x
    maps: np.ndarray  # [K, D, D] float32, y is near maps[k] @ x


class Scores(NamedTuple):
    """Shares of 1."""

    precision: float
    recall: float
    f1: float


class _Vectors(NamedTuple):
    """Pairs of words by their vectors at length 1."""

    x: np.ndarray  # [N, D]
    y: np.ndarray  # [N, D]
    relations: np.ndarray  # str [N]


def fit_projections(
    hyponyms: np.ndarray, hypernyms: np.ndarray, *, clusters: int, seed: int = 0, ridge: float = 0.0
) -> Projections:
    """Clusters the offsets y - x by k-means and fits one projection to each cluster (section 3.3).

    Phi_k minimises sum |Phi_k x - y|^2 + ridge |Phi_k|^2 over the pairs of cluster k, all in
    float64. Fu et al. have no ridge. A cluster of fewer pairs than dimensions then has many
    solutions, of which the one with the smallest norm is taken: it maps its pairs exactly and
    predicts others badly. A ridge of about |x|^2 cures this.

    Args:
      hyponyms: x, [N, D].
      hypernyms: y, [N, D], row by row a hypernym of x.
      clusters: K; with one cluster the projection is uniform.
      seed: of k-means, which is initialised by k-means++.
      ridge: the weight of |Phi_k|^2.

    Raises:
      ValueError: clusters lies outside 1 to N, or ridge is negative.
    """
    x = np.asarray(hyponyms, np.float64)
    y = np.asarray(hypernyms, np.float64)
    if not 1 <= clusters <= len(x):
        raise ValueError(f'clusters is {clusters}; {len(x)} pairs allow 1 to {len(x)}')
    if ridge < 0:
        raise ValueError(f'ridge is {ridge}; it must not be negative')
    from threadpoolctl import threadpool_limits

    # Sums in one order give one result, and at this size threads cost more than they gain.
    with threadpool_limits(1):
        centres = _cluster_centres(y - x, clusters, seed)
        nearest = _nearest(centres, y - x)
        maps = [_projection(x[nearest == k], y[nearest == k], ridge) for k in range(clusters)]
    return Projections(centres, np.stack(maps).astype(np.float32))


def _cluster_centres(offsets, clusters, seed):
    from sklearn.cluster import KMeans

    k_means = KMeans(clusters, n_init=1, random_state=seed).fit(offsets)
    return k_means.cluster_centers_.astype(np.float32)


def _projection(x, y, ridge):
    """The map [D, D] of least squares.

    The ridge is D more pairs, from the axes, sqrt(ridge) long, to 0.
    """
    D = x.shape[1]
    x = np.concatenate([x, np.sqrt(ridge) * np.eye(D)])
    y = np.concatenate([y, np.zeros((D, D))])
    return np.linalg.lstsq(x, y)[0].T


def distances(projections: Projections, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|Phi_k x - y| of each pair, with k the cluster of the nearest centre to y - x (section 3.4).

    Args:
      projections: K of them.
      x: [N, D].
      y: [N, D].

    Returns:
      [N].
    """
    x = np.asarray(x, np.float32)
    y = np.asarray(y, np.float32)
    nearest = _nearest(projections.centres, y - x)
    predicted = np.empty_like(y)
    for k, phi in enumerate(projections.maps):
        predicted[nearest == k] = x[nearest == k] @ phi.T
    return np.linalg.norm(predicted - y, axis=1)


def _nearest(centres, offsets):
    """The index of the nearest centre, [N]."""
    squares = np.sum(centres**2, 1)[None]  # [1, K]
    return np.argmin(squares - 2 * offsets @ centres.T, 1)


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
      A row for each model: model, dev f1, and on test pairs precision, recall, f1, pairs (those
      with vectors), coverage (their share), and for each other relation, as `called NAME`, the
      share of its pairs that were called hypernyms.

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
    return _Vectors(unit_vectors[x_places], unit_vectors[y_places], relations)


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
    dev_distances = model(dev.x, dev.y)
    dev_labels = dev.relations == relation
    threshold = choose_threshold(dev_distances, dev_labels)
    dev_f1 = precision_recall_f1(dev_distances <= threshold, dev_labels).f1

    called = model(test.x, test.y) <= threshold
    test_scores = precision_recall_f1(called, test.relations == relation)
    row = {'dev f1': dev_f1} | test_scores._asdict()
    for name in sorted(set(test.relations.tolist()) - {relation}):
        row[f'called {name}'] = float(called[test.relations == name].mean())
    return row
