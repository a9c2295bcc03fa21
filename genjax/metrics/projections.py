"""Linear projections from the vectors of hyponyms to those of hypernyms (Fu et al. 2014).

R. Fu, J. Guo, B. Qin, W. Che, H. Wang, T. Liu: Learning Semantic Hierarchies via Word Embeddings,
ACL 2014.

Letters: N pairs of words (x, y), D dimensions, K clusters.
"""

from typing import NamedTuple

import numpy as np


class Projections(NamedTuple):
    """A linear map from hyponym to hypernym for each kind of offset between the two."""

    centres: np.ndarray  # [K, D] float32, of the offsets y - x
    maps: np.ndarray  # [K, D, D] float32, y is near maps[k] @ x


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
