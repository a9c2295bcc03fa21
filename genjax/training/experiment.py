"""What is trained: an algorithm, its data and its probes; and the keys that a run spends."""

from collections.abc import Callable
from typing import NamedTuple

import jax

from genjax.base import Algorithm, Data, Key, State
from genjax.training.values import Values


class Probe(NamedTuple):
    """A look at the state, every so many steps."""

    every: int  # steps
    measure: Callable[[Key, State], Values]
    scores: bool = False  # part of an evaluation: quick, and numbers, texts or tables to be printed


class Labelled(NamedTuple):
    """Samples of the classes that are asked for.

    Attributes:
      sample: (key, state, label) -> x [n, ...], where label is int32 [n] in 0..C - 1.
      classes: C.
    """

    sample: Callable[[Key, State, jax.Array], jax.Array]
    classes: int


class Experiment(NamedTuple):
    algorithm: Algorithm
    data: Data
    probes: dict[str, Probe]
    # Answers a question in words about a state; raises ValueError if it cannot.
    ask: Callable[[Key, State, str], Values] | None = None
    # Samples by label, where the model has labels.
    labelled: Labelled | None = None
    # (key, state, n) -> samples as images in [-1, 1], [n, H, W, C], where algorithm.sample gives
    # something else, as rows of pixels.
    images: Callable[[Key, State, int], jax.Array] | None = None


class Keys(NamedTuple):
    """All keys of a run."""

    steps: Key  # step s spends fold_in(steps, s)
    init: Key
    test: Key  # the same at every evaluation: what changes between two evaluations is the state
    probes: Key  # the same at every look
    samples: Key  # sample i of many spends fold_in(samples, i)


def run_keys(seed: int) -> Keys:
    """The keys that all randomness of a run comes from."""
    root = jax.random.key(seed)

    def from_the_end(i):
        # From the far end of the numbers that steps are folded in from, where no run ever comes.
        return jax.random.fold_in(root, 2**32 - 1 - i)

    return Keys(
        steps=root,
        init=from_the_end(0),
        test=from_the_end(1),
        probes=from_the_end(2),
        samples=from_the_end(3),
    )
