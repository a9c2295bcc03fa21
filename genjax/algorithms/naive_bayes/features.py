"""Features of naive Bayes: how one kind is counted, estimated and drawn.

B examples, D features, C classes.
"""

from collections.abc import Callable
from typing import Generic, NamedTuple, TypeVar

from jax import Array

from genjax.base import Key

Statistics = TypeVar('Statistics')
Parameters = TypeVar('Parameters')


class Feature(NamedTuple, Generic[Statistics, Parameters]):
    """One kind of feature."""

    # the values that an entry of x may have, in words
    support: str
    # x -> whether it has one of them, bool of the same shape
    inside: Callable[[Array], Array]
    # (C, D) -> statistics of no examples
    init: Callable[[int, int], Statistics]
    # (statistics, label [B], x [B, D]) -> statistics, the same on all devices
    add: Callable[[Statistics, Array, Array], Statistics]
    # statistics -> parameters, each with a leading axis C
    fit: Callable[[Statistics], Parameters]
    # (one class's parameters, x [D], floor) -> log p(x | class) in nats, and how many of the events
    # in x have probability 0
    log_prob: Callable[[Parameters, Array, float], tuple[Array, Array | float]]
    # (key, one class's parameters) -> x [D]
    draw: Callable[[Key, Parameters], Array]
