"""Whether word vectors know hypernyms, by projections from hyponym to hypernym (Fu et al. 2014).

R. Fu, J. Guo, B. Qin, W. Che, H. Wang, T. Liu: Learning Semantic Hierarchies via Word Embeddings,
ACL 2014. They report an F1 of 73.74 % (80.29 % together with a hierarchy extended from one built by
hand) on Chinese words, pairs and vectors of their own, which compares with no figure on other data.

Letters: N pairs of words (x, y), D dimensions, K clusters.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from genjax.base import Embedding

Pair = tuple[str, str, str]  # x, y, and the relation between the two


class Projections(NamedTuple):
    """A linear map from hyponym to hypernym for each kind of offset between the two."""

    centres: np.ndarray  # [K, D] float32, of the offsets y - x
    maps: np.ndarray  # [K, D, D] float32, y is near maps[k] @ x


class Scores(NamedTuple):
    """Shares of 1."""

    precision: float
    recall: float
    f1: float


def fit_projections(
    hyponyms: np.ndarray, hypernyms: np.ndarray, *, clusters: int, seed: int = 0, ridge: float = 0.0
) -> Projections:
    """Clusters the offsets y - x by k-means and fits one projection to each cluster (section 3.3).

    Phi_k minimises sum |Phi_k x - y|^2 + ridge |Phi_k|^2 over the pairs of cluster k, all in
    float64. Fu et al. have no ridge. A cluster of fewer pairs than dimensions then has many
    solutions, of which the one with the smallest
    norm is taken: it goes through its pairs exactly and predicts others badly, which a ridge of
      about |x|^2 mends.

    Args:
      hyponyms: x, [N, D].
      hypernyms: y, [N, D], row by row a hypernym of x.
      clusters: K; with one cluster the projection is uniform.
      seed: of k-means, which begins by k-means++.

    Raises:
      ValueError: clusters lies outside 1 to N, or ridge is negative.
    """
    x, y = np.asarray(hyponyms, np.float64), np.asarray(hypernyms, np.float64)
    if not 1 <= clusters <= len(x):
        raise ValueError(f'clusters is {clusters}; {len(x)} pairs allow 1 to {len(x)}')
    if ridge < 0:
        raise ValueError(f'ridge is {ridge}; it must not be negative')
    from threadpoolctl import threadpool_limits

    with threadpool_limits(
        1
    ):  # sums in one order give one result, and at this size threads cost more than they bring
        centres = _centres(y - x, clusters, seed)
        nearest = _nearest(centres, y - x)
        maps = [_projection(x[nearest == k], y[nearest == k], ridge) for k in range(clusters)]
    return Projections(centres, np.stack(maps).astype(np.float32))


def _centres(offsets, clusters, seed):
    from sklearn.cluster import KMeans

    return (
        KMeans(clusters, n_init=1, random_state=seed)
        .fit(offsets)
        .cluster_centers_.astype(np.float32)
    )


def _projection(x, y, ridge):
    """The map [D, D] of least squares; the ridge is D more pairs, from the axes, sqrt(ridge) long,
    to 0."""
    x = np.concatenate([x, np.sqrt(ridge) * np.eye(x.shape[1])])
    y = np.concatenate([y, np.zeros((y.shape[1],) * 2)])
    return np.linalg.lstsq(x, y)[0].T


def distances(projections: Projections, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """|Phi_k x - y| of each pair, [N], with k the cluster whose centre is nearest to y - x (section
    3.4).

    Args:
      x, y: [N, D].
    """
    x, y = np.asarray(x, np.float32), np.asarray(y, np.float32)
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
    """The distance up to which pairs are best called hypernyms: of all thresholds that with the
    greatest F1.

    Args:
      distances: [N].
      labels: [N], whether the pair is one. Of equally good thresholds the smallest is taken.

    Raises:
      ValueError: no pair is one.
    """
    distances, labels = np.asarray(distances), np.asarray(labels, bool)
    if not labels.any():
        raise ValueError(f'none of {len(labels)} labels is true; a threshold needs one')
    order = np.argsort(distances)
    distances = distances[order]
    hits, called = np.cumsum(labels[order]), np.arange(1, len(labels) + 1)
    f1 = 2 * hits / (called + labels.sum())
    last = np.append(
        distances[1:] > distances[:-1], True
    )  # of equal distances: they are called together
    return float(distances[np.argmax(np.where(last, f1, -1))])


def precision_recall_f1(predicted: np.ndarray, labels: np.ndarray) -> Scores:
    """Of pairs called hypernyms the share that are, of those that are the share called, and their
    harmonic mean.

    Args:
      predicted, labels: [N] bool. A share of nothing is 0.
    """
    predicted, labels = np.asarray(predicted, bool), np.asarray(labels, bool)
    hits, called, true = int((predicted & labels).sum()), int(predicted.sum()), int(labels.sum())
    return Scores(hits / max(called, 1), hits / max(true, 1), 2 * hits / max(called + true, 1))


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
) -> list[dict[str, Any]]:
    """How well projections, and simpler models beside them, tell hypernyms from other pairs of
    words.

    Vectors are scaled to length 1 first, since a length tells more of a word's frequency than of
    its meaning. Every model gives each pair a number that should be small for hypernyms, and takes
    its threshold from the development
    pairs. The simpler models: `everything` calls all pairs hypernyms; `hypernym alone` measures
    from y to the mean of the training hypernyms and never sees x; `cosine` looks for similar words;
    `mean offset` measures from y to x plus the mean of y - x.

    Args:
      train, dev, test: (x, y, relation); of train only hypernyms are used. Pairs that lack a vector
        are left out.
      clusters: a number K for each row of projections.
      ridge: of fit_projections. 1 is the weight of one more pair in every direction, and steadies
        small clusters.
      relation: the one that says that y is a hypernym of x.

    Returns:
      A row a model: model, dev f1, and on test pairs precision, recall, f1, pairs (those with
      vectors), coverage (their share), and for each other relation, as `called NAME`, the share of
      its pairs that were called hypernyms.

    Raises:
      ValueError: no training or development pair is a hypernym with vectors, or a number of
        clusters does not fit.
    """
    look_up = _look_up(embedding)
    x, y, _ = look_up([pair for pair in train if pair[2] == relation])
    if not len(x):
        raise ValueError(
            f'train has {len(train)} pairs, none of them {relation} with vectors; at least 1 is needed'
        )
    dev, seen = look_up(dev), look_up(test)
    about = {'pairs': len(seen[2]), 'coverage': len(seen[2]) / max(len(test), 1)}
    models = _models(x, y, clusters, seed, ridge)
    return [
        {'model': name} | _row(model, dev, seen, relation) | about for name, model in models.items()
    ]


def _look_up(embedding):
    """pairs -> (x [N, D], y [N, D], relations [N]) of those with vectors, which are scaled to
    length 1."""
    index = {word: i for i, word in enumerate(embedding.words)}
    lengths = np.linalg.norm(embedding.vectors, axis=1, keepdims=True)
    unit = embedding.vectors / np.where(lengths > 0, lengths, 1)

    def look_up(pairs):
        known = [pair for pair in pairs if pair[0] in index and pair[1] in index]
        x, y = (unit[np.array([index[pair[side]] for pair in known], int)] for side in (0, 1))
        return x, y, np.array([pair[2] for pair in known], str)

    return look_up


def _models(x, y, clusters, seed, ridge):
    """Name -> (x, y) -> [N], small for hypernyms; x and y here are the training hypernyms."""
    middle, offset = y.mean(0), (y - x).mean(0)
    models = {
        'everything': lambda x, y: np.zeros(len(x)),
        'hypernym alone': lambda x, y: np.linalg.norm(y - middle[None], axis=1),
        'cosine': lambda x, y: 1 - np.sum(x * y, 1),
        'mean offset': lambda x, y: np.linalg.norm(x + offset[None] - y, axis=1),
    }
    fit = lambda k: fit_projections(x, y, clusters=k, seed=seed, ridge=ridge)
    return models | {f'{k} projection{"s" * (k > 1)}': partial(distances, fit(k)) for k in clusters}


def _row(model, dev, test, relation):
    """A threshold from the development pairs, and what it gives on the test pairs."""
    (*on_dev, dev_relations), (*on_test, relations) = dev, test
    dev_distances, dev_labels = model(*on_dev), dev_relations == relation
    threshold = choose_threshold(dev_distances, dev_labels)
    called = model(*on_test) <= threshold
    dev_f1 = precision_recall_f1(dev_distances <= threshold, dev_labels).f1
    others = sorted(set(relations.tolist()) - {relation})
    shares = {f'called {name}': float(called[relations == name].mean()) for name in others}
    return (
        {'dev f1': dev_f1} | precision_recall_f1(called, relations == relation)._asdict() | shares
    )
