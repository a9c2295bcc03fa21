"""Fidelity as a run reports it: scores of samples beside those of other real examples, and shares
of classes.

`judge` says what is compared with what; `scored` and `shown` make of it what Probes can hold.
Samples are drawn by the last of the protocol's seeds and not by the probe's key, so that a score is
a function of its protocol and the state.

N samples, M held-out examples, K classes of the extractor.
"""

import functools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from genjax.base import Key, State
from genjax.metrics.fidelity import (
    Extractor,
    Features,
    Score,
    features_of,
    protocol_of,
    score_name,
    score_table,
    scores,
    to_json,
)
from genjax.metrics.frechet import bias_curve, default_sizes
from genjax.metrics.modes import class_shares, extremes
from genjax.probes.fidelity_figures import COLOURS, bias_picture
from genjax.probes.figures import Measure, drawn

CHUNK = 250  # samples drawn at a time, at the most


class Judge(NamedTuple):
    """What knows both sides; what does not depend on the state is made once, where it is first
    wanted."""

    extractor: Callable[[], Extractor]
    real: Callable[[], Features]  # of the examples that samples are compared with
    held_out: Callable[[], Features]  # of other real examples, [M, D]
    fake: Callable[[State], Features]  # of samples, [N, D]
    score: Callable[
        [Features], list[Score]
    ]  # all measures of features, against those of the real examples
    perfect: Callable[[int], list[Score]]  # the same of so many held-out examples
    seeds: tuple[int, ...]


def judge(
    sample: Callable[[Key, State, int], Any],
    extractor: Callable[[], Extractor],
    real: Iterable[Any],
    held_out: Iterable[Any],
    *,
    n: int,
    split: str,
    average: bool,
    seeds: Sequence[int],
    view: Callable[[Any], Any] = lambda x: x,
) -> Judge:
    """What compares n samples with real images; nothing is drawn, read or trained before it is
    asked.

    Args:
      sample: (key, state, n) -> x [n, ...].
      extractor: makes the extractor, called where it is wanted; it should remember what it made.
      real: batches of images [B, H, W, C] in [-1, 1] that samples are compared with, read once.
      held_out: batches of other real images, which stand for a perfect generator's.
      split, average, seeds: as in `Protocol`; the last seed draws the samples.
      view: shows x as images in [-1, 1]; it can be traced.

    Raises:
      ValueError: n is below 20, which leaves some measures nothing to go by.
    """
    if n < 20:
        raise ValueError(f'n is {n}; the measures need at least 20 samples')
    size = min(n, CHUNK)
    draw = jax.jit(lambda key, state: view(sample(key, state, size)))
    compared, other = (
        functools.cache(lambda own=own: _features(extractor(), own)) for own in (real, held_out)
    )

    def fake(state):
        keys = jax.random.split(jax.random.key(seeds[-1]), -(-n // size))
        return first(_features(extractor(), (draw(key, state) for key in keys)), n)

    def score(features):
        given = extractor(), compared(), features
        return scores(*given, protocol_of(*given, split=split, average=average, seeds=seeds))

    perfect = functools.cache(lambda n: score(first(other(), n)))
    return Judge(
        extractor, compared, other, _remembering(fake), _remembering(score), perfect, tuple(seeds)
    )


def _remembering(function):
    """The function, which gives its last answer again where it is asked again of the very same
    thing."""
    held = [(None, None)]

    def remembered(thing):
        asked, answer = held[0]
        if asked is not thing:
            answer = function(thing)
            held[0] = thing, answer
        return answer

    return remembered


def first(features: Features, n: int) -> Features:
    return Features(*(rows[:n] for rows in features))


def _features(extractor, batches):
    parts = [features_of(extractor, np.asarray(batch), batch=len(batch)) for batch in batches]
    return Features(*map(np.concatenate, zip(*parts, strict=True)))


def scored(judge: Judge) -> Measure:
    """Every score by its name, the shares of the 'rarest' and the 'commonest' class, 1 where all
    are as common, and 'scores', the same as text with protocol and bias, beside those of held-out
    examples in the samples' place.

    Where these are fewer than the samples, a second table compares as many of both.
    """

    def measure(key, state):
        fake = judge.fake(state)
        n, few = len(fake.pooled), min(len(fake.pooled), len(judge.held_out().pooled))
        perfect = judge.perfect(few)
        fewer = [score_table(judge.score(first(fake, few)), perfect)] if few < n else []
        found = judge.score(fake)  # last, so that it is remembered
        tables = [score_table(found, perfect if few == n else ()), *fewer]
        values = {score.name: score.value for score in found} | extremes(_shares(fake))._asdict()
        return values | {'scores': '\n'.join(tables)}

    return measure


def shown(judge: Judge) -> Measure:
    """Pictures of the shares of 'classes' and of the 'bias' of the Frechet distance, and the file
    'scores.json'."""

    def measure(key, state):
        fake, real, held_out = judge.fake(state), judge.real(), judge.held_out()
        name = score_name('Frechet distance', judge.extractor().name)
        shares = {
            'samples': _shares(fake),
            'held-out examples': _shares(held_out),
            'compared with': _shares(real),
        }
        curves = {'samples': _curve(judge, fake), 'held-out examples': _curve(judge, held_out)}
        files = {'scores.json': to_json(judge.score(fake)).encode()}
        return {'classes': class_picture(shares), 'bias': bias_picture(curves, name)} | files

    return measure


def _curve(judge, features):
    real = judge.real().pooled
    sizes = default_sizes(min(len(real), len(features.pooled)))
    return bias_curve(np.random.default_rng(judge.seeds), real, features.pooled, sizes=sizes)


def _shares(features):
    return class_shares(np.argmax(features.logits, -1), features.logits.shape[-1])


def class_picture(shares: Mapping[str, np.ndarray]) -> np.ndarray:
    """Shares of classes [K] by name, at most four sets, as bars beside each other; uint8 pixels [H,
    W, 3]."""
    from matplotlib.figure import Figure

    figure = Figure((8, 5), 100, layout='tight')
    axes = figure.add_subplot(
        xlabel='class that the extractor finds', ylabel='share, uniform being 1'
    )
    width = 0.8 / len(shares)
    for i, ((name, share), colour) in enumerate(zip(shares.items(), COLOURS, strict=False)):
        classes = np.arange(len(share))
        axes.bar(
            classes + (i - (len(shares) - 1) / 2) * width,
            share * len(share),
            width,
            color=colour,
            label=name,
        )
    for times in (0.5, 1, 2):
        axes.axhline(times, color='black', linewidth=0.8, linestyle='-' if times == 1 else ':')
    axes.set_xticks(classes if len(classes) <= 20 else [])
    axes.legend()
    return drawn(figure)
