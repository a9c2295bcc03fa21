"""What a classifier says of generated examples: modes reached, shares of classes, and the
classifier score.

N examples, K classes.
"""

from typing import Any, NamedTuple

import numpy as np

from genjax.metrics.frechet import extrapolate
from genjax.metrics.kernel import Spread


class Modes(NamedTuple):
    reached: int  # classes with an example
    kl: float  # KL(q, p) of the shares q among the examples, nats


class Extremes(NamedTuple):
    rarest: float  # the smallest share times K: 1 where all classes are as common
    commonest: float  # the largest times K


def class_shares(labels: Any, classes: int) -> np.ndarray:
    """The share of each class among labels 0 to K - 1, int [N], as float64 [K].

    Raises:
      ValueError: there are no labels, or one is not a class.
    """
    labels = np.asarray(labels).ravel()
    if not len(labels) or labels.min() < 0 or labels.max() >= classes:
        found = f'{labels.min()} to {labels.max()}' if len(labels) else 'none'
        raise ValueError(f'labels are {found}; some from 0 to {classes - 1} are wanted')
    return np.bincount(labels, minlength=classes) / len(labels)


def extremes(shares: np.ndarray) -> Extremes:
    """How far the rarest and the commonest class are from uniform shares."""
    return Extremes(float(shares.min() * len(shares)), float(shares.max() * len(shares)))


def entropy(shares: np.ndarray) -> float:
    """The entropy of shares [K], nats; ln K where they are uniform."""
    seen = shares[shares > 0]
    return float(-(seen * np.log(seen)).sum())


def stacked_labels(digits: Any) -> np.ndarray:
    """The one of 1,000 classes that three digits, one a colour channel, int [N, 3], are (Metz et
    al. 2017, arXiv:1611.02163, section 3.3.1)."""
    return np.asarray(digits) @ np.array([100, 10, 1])


def modes(labels: Any, classes: int, p: np.ndarray | None = None) -> Modes:
    """How many classes labels [N] reach, and KL(q, p) of their shares q; p [K] is uniform if not
    given.

    Of N examples of p itself about (K - 1) / 2N nats are to be expected.
    """
    q = class_shares(labels, classes)
    p = np.full(classes, 1 / classes) if p is None else np.asarray(p, np.float64)
    seen = q > 0
    with np.errstate(divide='ignore'):  # infinite where p is 0 and q is not
        return Modes(int(seen.sum()), float((q[seen] * np.log(q[seen] / p[seen])).sum()))


def classifier_score(logits: Any, *, splits: int = 10) -> Spread:
    """exp of the mutual information between example and class, by logits [N, K], over consecutive
    splits.

    1 where the classifier says the same of every example, K where it is sure of each and all
    classes are as common. Of InceptionV3 it is the Inception Score (Salimans et al. 2016,
    arXiv:1606.03498, section 4).

    Raises:
      ValueError: splits is below 1 or more than the examples.
    """
    logits = np.asarray(logits, np.float64)
    if not 1 <= splits <= len(logits):
        raise ValueError(
            f'splits is {splits}; {len(logits)} examples can be split into 1 to as many'
        )
    edges = np.arange(splits + 1) * len(logits) // splits
    scores = [_score(logits[i:j]) for i, j in zip(edges, edges[1:], strict=False)]
    return Spread(float(np.mean(scores)), float(np.std(scores)))


def score_limit(rng: np.random.Generator, logits: Any, *, sizes: np.ndarray) -> float:
    """The score of infinitely many examples, by a straight line in 1/n through those of random
    subsets (Chong and Forsyth 2020, arXiv:1911.07023); few examples give too low a score."""
    logits = np.asarray(logits, np.float64)
    return extrapolate(
        sizes, np.array([_score(logits[rng.permutation(len(logits))[:n]]) for n in sizes])
    )


def _score(logits):
    from scipy.special import log_softmax, logsumexp

    log_p = log_softmax(logits, 1)  # [N, K]
    log_q = logsumexp(log_p, 0) - np.log(len(log_p))  # of the classes over all examples, [K]
    return np.exp((np.exp(log_p) * (log_p - log_q)).sum(1).mean())
