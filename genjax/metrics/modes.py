"""Classes of generated examples by a classifier: shares, modes reached, and the classifier score.

N examples, K classes.
"""

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike

from genjax.metrics.frechet import extrapolate
from genjax.metrics.kernel import MeanStd


class Modes(NamedTuple):
    """How many classes there are among examples, and how evenly."""

    reached: int  # classes with an example
    kl: float  # KL(q, p) of the shares q among the examples, nats


class Extremes(NamedTuple):
    """Shares in units of the uniform one."""

    rarest: float  # the smallest share times K: 1 where all classes are as common
    commonest: float  # the largest times K


def class_shares(labels: ArrayLike, classes: int) -> np.ndarray:
    """The share of each class among labels 0 to K - 1, int [N], as float64 [K].

    Raises:
      ValueError: there are no labels, or one is not a class.
    """
    labels = np.asarray(labels).ravel()
    if not len(labels) or labels.min() < 0 or labels.max() >= classes:
        range_of_labels = f'{labels.min()} to {labels.max()}' if len(labels) else 'none'
        raise ValueError(f'labels are {range_of_labels}; some from 0 to {classes - 1} are wanted')
    return np.bincount(labels, minlength=classes) / len(labels)


def extremes(shares: np.ndarray) -> Extremes:
    """How far the rarest and the commonest class are from uniform shares, of shares [K]."""
    return Extremes(float(shares.min() * len(shares)), float(shares.max() * len(shares)))


def entropy(shares: np.ndarray) -> float:
    """The entropy of shares [K], nats; ln K where they are uniform."""
    positive = shares[shares > 0]
    return float(-(positive * np.log(positive)).sum())


def stacked_labels(digits: ArrayLike) -> np.ndarray:
    """The class among 1,000 of three digits, one a colour channel, int [N, 3] -> [N].

    Source: Metz et al. 2017, arXiv:1611.02163, section 3.3.1.
    """
    return np.asarray(digits) @ np.array([100, 10, 1])


def modes(labels: ArrayLike, classes: int, p: np.ndarray | None = None) -> Modes:
    """How many classes labels [N] reach, and KL(q, p) of their shares q.

    Of N examples of p itself the expected divergence is about (K - 1) / 2N nats.

    Args:
      labels: int [N], 0 to K - 1.
      classes: K.
      p: [K], the shares to compare with; None: uniform ones.

    Raises:
      ValueError: there are no labels, or one is not a class.
    """
    q = class_shares(labels, classes)
    p = np.full(classes, 1 / classes) if p is None else np.asarray(p, np.float64)
    reached = q > 0
    with np.errstate(divide='ignore'):  # infinite where p is 0 and q is not
        kl = (q[reached] * np.log(q[reached] / p[reached])).sum()
    return Modes(int(reached.sum()), float(kl))


def classifier_score(logits: ArrayLike, *, splits: int = 10) -> MeanStd:
    """exp of the mutual information between example and class, over consecutive splits.

    1 where the classifier gives every example the same probabilities, K where it is certain of each
    and all classes are as common. Of InceptionV3 it is the Inception Score (Salimans et al. 2016,
    arXiv:1606.03498, section 4).

    Args:
      logits: [N, K].
      splits: 1 to N.

    Raises:
      ValueError: splits is below 1 or more than the examples.
    """
    logits = np.asarray(logits, np.float64)
    if not 1 <= splits <= len(logits):
        raise ValueError(
            f'splits is {splits}; {len(logits)} examples can be split into 1 to as many'
        )
    edges = np.arange(splits + 1) * len(logits) // splits
    scores = [_score(logits[i:j]) for i, j in zip(edges[:-1], edges[1:], strict=True)]
    return MeanStd(float(np.mean(scores)), float(np.std(scores)))


def score_limit(rng: np.random.Generator, logits: ArrayLike, *, sizes: np.ndarray) -> float:
    """The classifier score of infinitely many examples; few examples give too low a score.

    By a straight line in 1/n through the scores of random subsets (Chong and Forsyth 2020,
    arXiv:1911.07023).

    Args:
      rng: draws the subsets.
      logits: [N, K].
      sizes: of the subsets, n.
    """
    logits = np.asarray(logits, np.float64)
    scores = [_score(logits[rng.permutation(len(logits))[:n]]) for n in sizes]
    return extrapolate(sizes, np.array(scores))


def _score(logits):
    from scipy.special import log_softmax, logsumexp

    log_p = log_softmax(logits, 1)  # [N, K]
    log_q = logsumexp(log_p, 0) - np.log(len(log_p))  # of the classes over all examples, [K]
    return np.exp((np.exp(log_p) * (log_p - log_q)).sum(1).mean())
