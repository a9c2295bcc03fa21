"""Naive Bayes by counting: `naive_bayes` is the algorithm, a `Feature` says how x is counted."""

from genjax.algorithms.naive_bayes.counts import posterior_mean
from genjax.algorithms.naive_bayes.events import bernoulli, categorical, multinomial
from genjax.algorithms.naive_bayes.features import Feature
from genjax.algorithms.naive_bayes.gaussians import gaussian
from genjax.algorithms.naive_bayes.moments import ClassMoments
from genjax.algorithms.naive_bayes.naive_bayes import Counted, log_joint, losses, naive_bayes

__all__ = [
    'ClassMoments',
    'Counted',
    'Feature',
    'bernoulli',
    'categorical',
    'gaussian',
    'log_joint',
    'losses',
    'multinomial',
    'naive_bayes',
    'posterior_mean',
]
