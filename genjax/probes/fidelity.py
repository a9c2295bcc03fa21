"""Fidelity of samples: their scores beside those of other real examples, and class shares.

`comparison` fixes what is compared with what; `fidelity_scores` and `fidelity_pictures` are
measures of it for Probes. Samples are drawn by the last of the protocol's seeds and not by the
probe's key, so that a score is a function of its protocol and the state.

N samples, M held-out examples, K classes of the extractor.
"""

import functools
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

import jax
import numpy as np
from jax.typing import ArrayLike

from genjax.base import State
from genjax.compiling import jit_briefly
from genjax.metrics.fidelity import Extractor, Features, features_of, protocol_of, scores
from genjax.metrics.frechet import bias_curve, default_sizes
from genjax.metrics.modes import class_shares, extremes
from genjax.metrics.protocol import Score, score_name, to_json
from genjax.probes.fidelity_figures import bias_picture, class_picture
from genjax.probes.fidelity_table import score_table
from genjax.probes.figures import Measure, Sample

CHUNK = 250  # samples drawn at a time, at the most

View = Callable[[jax.Array], jax.Array]  # shows samples as images [B, H, W, C] in [-1, 1]


class Comparison(NamedTuple):
    """Samples of a state beside real examples.

    What does not depend on the state is computed at its first use and kept; what does, for the last
    state.

    Attributes:
      extractor: of the features.
      real_features: of the examples that samples are compared with.
      held_out_features: of other real examples, [M, D].
      sample_features: state -> features of N samples.
      score: features -> all measures of them against the real examples.
      held_out_scores: n -> the same of n held-out examples, as of a perfect generator.
      seeds: of the protocol.
      of_first: n -> the comparison of the first n samples with the first n real examples.
    """

    extractor: Callable[[], Extractor]
    real_features: Callable[[], Features]
    held_out_features: Callable[[], Features]
    sample_features: Callable[[State], Features]
    score: Callable[[Features], list[Score]]
    held_out_scores: Callable[[int], list[Score]]
    seeds: tuple[int, ...]
    of_first: Callable[[int], 'Comparison']


def first(features: Features, n: int) -> Features:
    """The features of the first n examples."""
    return Features(features.pooled[:n], features.logits[:n])


def fidelity_scores(comparison: Comparison) -> Measure:
    """Every score, beside those of held-out examples in the samples' place.

    Where held-out examples are fewer than the samples, a second table compares as many of both.

    Returns:
      A measure of every score by its name; the shares of the 'rarest' and the 'commonest' class, 1
      where all are as common; and 'scores', the same as text with protocol and bias.
    """

    def measure(key, state):
        del key
        fake = comparison.sample_features(state)
        n = len(fake.pooled)
        fewer = min(n, len(comparison.held_out_features().pooled))
        held_out_scores = comparison.held_out_scores(fewer)
        if fewer < n:
            second_table = [score_table(comparison.score(first(fake, fewer)), held_out_scores)]
            reference = ()
        else:
            second_table = []
            reference = held_out_scores
        # The score of all samples comes last: it is the one that is kept for other measures.
        fake_scores = comparison.score(fake)
        tables = [score_table(fake_scores, reference), *second_table]
        values = {score.name: score.value for score in fake_scores}
        values |= extremes(_class_shares(fake))._asdict()
        return values | {'scores': '\n'.join(tables)}

    return measure


def fidelity_pictures(comparison: Comparison) -> Measure:
    """Pictures of class shares and of the bias of the Frechet distance, and a file of scores.

    Returns:
      A measure of 'classes', 'bias' and 'scores.json'.
    """

    def measure(key, state):
        del key
        fake = comparison.sample_features(state)
        real = comparison.real_features()
        held_out = comparison.held_out_features()
        name = score_name('Frechet distance', comparison.extractor().name)
        shares = {
            'samples': _class_shares(fake),
            'held-out examples': _class_shares(held_out),
            'compared with': _class_shares(real),
        }
        curves = {
            'samples': _bias_curve(comparison, fake),
            'held-out examples': _bias_curve(comparison, held_out),
        }
        return {
            'classes': class_picture(shares),
            'bias': bias_picture(curves, name),
            'scores.json': to_json(comparison.score(fake)).encode(),
        }

    return measure


def _bias_curve(comparison, features):
    real = comparison.real_features().pooled
    sizes = default_sizes(min(len(real), len(features.pooled)))
    rng = np.random.default_rng(comparison.seeds)
    return bias_curve(rng, real, features.pooled, sizes=sizes)


def _class_shares(features):
    return class_shares(np.argmax(features.logits, -1), features.logits.shape[-1])


def comparison(
    sample: Sample,
    extractor: Callable[[], Extractor],
    real: Iterable[ArrayLike],
    held_out: Iterable[ArrayLike],
    *,
    n: int,
    split: str,
    average: str,
    seeds: Sequence[int],
    view: View | None = None,
) -> Comparison:
    """Compares n samples with real images; nothing is drawn, read or trained before its first use.

    Args:
      sample: (key, state, n) -> x [n, ...].
      extractor: makes the extractor, called at every use; it should keep what it made.
      real: batches of images [B, H, W, C] in [-1, 1] that samples are compared with, read once.
      held_out: batches of other real images, in place of a perfect generator's.
      n: how many samples.
      split, average, seeds: as in `Protocol`; the last seed draws the samples.
      view: shows x as images; it can be traced. None: samples are images.

    Raises:
      ValueError: n is below 20, too few for some measures.
    """
    if n < 20:
        raise ValueError(f'n is {n}; the measures need at least 20 samples')
    size = min(n, CHUNK)

    @partial(jit_briefly, static_argnums=2)
    def draw(key, state, n):
        x = sample(key, state, n)
        return x if view is None else view(x)

    @functools.cache
    def real_features():
        return _extract(extractor(), real)

    @functools.cache
    def held_out_features():
        return _extract(extractor(), held_out)

    @_cache_last
    def sample_features(state):
        keys = jax.random.split(jax.random.key(seeds[-1]), -(-n // size))
        batches = (draw(key, state, size) for key in keys)
        return first(_extract(extractor(), batches), n)

    protocol = partial(protocol_of, split=split, average=average, seeds=tuple(seeds))
    return _compare(extractor, real_features, held_out_features, sample_features, protocol)


def _compare(extractor, real_features, held_out_features, sample_features, protocol):
    """A `Comparison` of features; protocol is (extractor, real, features) -> Protocol."""

    @_cache_last
    def score(features):
        real = real_features()
        return scores(extractor(), real, features, protocol(extractor(), real, features))

    @functools.cache
    def held_out_scores(n):
        return score(first(held_out_features(), n))

    def of_first(n):
        return _compare(
            extractor,
            functools.cache(lambda: first(real_features(), n)),
            held_out_features,
            _cache_last(lambda state: first(sample_features(state), n)),
            protocol,
        )

    return Comparison(
        extractor,
        real_features,
        held_out_features,
        sample_features,
        score,
        held_out_scores,
        protocol.keywords['seeds'],
        of_first,
    )


def _extract(extractor, batches):
    """The features of all images of some batches."""
    parts = [features_of(extractor, np.asarray(batch), batch=len(batch)) for batch in batches]
    return Features(
        np.concatenate([part.pooled for part in parts]),
        np.concatenate([part.logits for part in parts]),
    )


def _cache_last(function):
    """The function of one argument with its last result kept.

    The result is given again where the argument is the very same object, which need not be
    hashable.
    """
    last_argument = object()  # that nobody else has
    last_result = None

    def cached(argument):
        nonlocal last_argument, last_result
        if last_argument is not argument:
            last_result = function(argument)
            last_argument = argument
        return last_result

    return cached
