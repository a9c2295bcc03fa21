"""Naive Bayes: p(x, y) = p(y) prod_d p(x_d | y), fitted by counting, by maximum likelihood or under
a Dirichlet prior.

Bayes' rule makes a classifier of it, p(y | x) = p(x | y) p(y) / sum_c p(x | c) p(c); drawing y and
then x, a generator. The state is counts and moments, on which order and batches of the examples
leave no trace but rounding; an example seen twice counts twice. Probabilities are a pure function
of it.

B examples, D features, C classes; an example shows G events of K outcomes each.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from genjax.base import Algorithm, Key, Metrics
from genjax.parallel import all_gather, device_max, device_mean, example_keys

EXACT = jax.lax.Precision.HIGHEST  # some accelerators round the factors of other products
Pseudocounts = float | Sequence[float]  # one for all outcomes, or one each


class Feature(NamedTuple):
    """How features of one kind are counted, estimated and drawn."""

    support: str  # the values that an entry of x may have, in words
    inside: Callable[[Array], Array]  # x -> whether it has one of them, bool of the same shape
    init: Callable[[int, int], Any]  # (C, D) -> statistics of no examples
    add: Callable[
        [Any, Array, Array], Any
    ]  # (statistics, label [B], x [B, D]) -> statistics, the same on all devices
    fit: Callable[[Any], Any]  # statistics -> parameters, each with a leading axis C
    log_prob: Callable[
        ..., tuple
    ]  # (one class's parameters, x [D], floor) -> terms of `log_joint`: nats, unseen
    draw: Callable[[Key, Any], Array]  # (key, one class's parameters) -> x [D]


class Counted(NamedTuple):
    classes: Array  # [C] uint32
    features: Any  # the feature's statistics


class Moments(NamedTuple):
    """Of each class's examples, reckoned from an origin near them: a large offset costs no digits."""

    origin: Array  # [D], the mean of the first batch
    count: Array  # [C] uint32
    mean: Array  # [C, D], from the origin
    variance: Array  # [C, D], about the class's own mean


def posterior_mean(counts: Array, alpha: Pseudocounts) -> Array:
    """Probabilities of K outcomes under a Dirichlet prior, (n_k + alpha_k) / sum_j (n_j + alpha_j),
    [..., K].

    alpha = 0 is maximum likelihood, 1 Laplace's rule; for K = 2 the prior is a Beta distribution.
    Without counts and pseudocounts any probabilities would do; they are uniform, to which equal
    pseudocounts tend.
    """
    whole = counts.astype(jnp.float32) + jnp.broadcast_to(
        jnp.asarray(alpha, jnp.float32), counts.shape
    )
    total = jnp.sum(whole, -1, keepdims=True)
    return jnp.where(total > 0, whole / jnp.where(total > 0, total, 1.0), 1 / counts.shape[-1])


def counts_of(label: Array, values: Array, classes: int) -> Array:
    """Sums of integers [B, ...] over the examples of each class, on all devices: exact, uint32 [C,
    ...]."""
    return jnp.sum(
        all_gather(jax.ops.segment_sum(values, label, classes)[None]), 0, dtype=jnp.uint32
    )


def moments(label: Array, x: Array, origin: Array, classes: int) -> Moments:
    """Of the examples x [B, D] of all devices."""
    x, members = x - origin[None], jax.nn.one_hot(label, classes)  # [B, C]
    share = jnp.maximum(device_mean(jnp.mean(members, 0)), 1e-30)[:, None]
    average = lambda rows: (
        device_mean(jnp.einsum('bc,bd->cd', members, rows, precision=EXACT) / len(x)) / share
    )
    mean = average(x)
    count = counts_of(label, jnp.ones(len(x), jnp.uint32), classes)
    return Moments(origin, count, mean, average((x - mean[label]) ** 2))


def merged(a: Moments, b: Moments) -> Moments:
    """Of two sets together, with one origin (Chan et al. 1983, "Algorithms for computing the sample
    variance")."""
    count = a.count + b.count
    share = (b.count.astype(jnp.float32) / jnp.maximum(count, 1).astype(jnp.float32))[:, None]
    shift = b.mean - a.mean
    # Steps from a: a share too small for float32 changes nothing, where weights of 1 - share,
    # rounded, would inflate.
    variance = a.variance + share * (b.variance - a.variance + (1 - share) * shift**2)
    return Moments(a.origin, count, a.mean + share * shift, variance)


def pooled(each: Moments) -> tuple[Array, Array, Array]:
    """Of all classes together: mean from the origin, variance, and mean variance within a class;
    each [D]."""
    count = each.count.astype(jnp.float32)[:, None]
    average = lambda values: jnp.sum(count * values, 0) / jnp.maximum(jnp.sum(count), 1.0)
    mean, within = average(each.mean), average(each.variance)
    return mean, within + average((each.mean - mean[None]) ** 2), within


def gaussian(smoothing: float = 1e-9, *, shared: bool = False) -> Feature:
    """Real features, normal within a class; the parameters are means and variances, [C, D]: of a
    class without examples those of all, and where nothing has varied yet a variance of 1.

    Args:
      smoothing: this times the largest variance of a feature over all examples is added to every
        variance, as in scikit-learn's GaussianNB; a feature that is constant within a class would
        have no density.
      shared: one variance a feature, the mean of the classes'; p(y | x) then has the form of a
        logistic regression (Ng and Jordan 2002, "On discriminative vs. generative classifiers").

    Raises:
      ValueError: smoothing is not positive.
    """
    if not 0 < smoothing < np.inf:
        raise ValueError(f'smoothing is {smoothing}; it must be positive')

    def fit(state):
        seen, (mean, variance, within) = (state.count > 0)[:, None], pooled(state)
        own = jnp.broadcast_to(within[None], state.variance.shape) if shared else state.variance
        own = jnp.where(seen, own, variance[None]) + smoothing * jnp.max(variance)
        return state.origin[None] + jnp.where(seen, state.mean, mean[None]), jnp.where(
            own > 0, own, 1.0
        )

    def add(state, label, x):
        origin = jnp.where(jnp.any(state.count > 0), state.origin, device_mean(jnp.mean(x, 0)))
        return merged(state._replace(origin=origin), moments(label, x, origin, len(state.count)))

    def log_prob(parameters, x, floor):
        mean, variance = parameters
        return -jnp.sum((x - mean) ** 2 / variance + jnp.log(2 * jnp.pi * variance)) / 2, 0.0

    init = lambda classes, d: Moments(
        jnp.zeros(d), jnp.zeros(classes, jnp.uint32), *jnp.zeros((2, classes, d))
    )
    draw = lambda key, parameters: (
        parameters[0] + jnp.sqrt(parameters[1]) * jax.random.normal(key, parameters[0].shape)
    )
    return Feature('the finite numbers', jnp.isfinite, init, add, fit, log_prob, draw)


def categorical(levels: int, alpha: Pseudocounts = 1.0) -> Feature:
    """Features with the values 0 to levels - 1; the parameters are their probabilities, [C, D,
    levels]; a ValueError unless levels >= 2 and pseudocounts are not negative."""
    if levels < 2:
        raise ValueError(f'levels is {levels}; a feature needs at least 2')
    shown = lambda x: jax.nn.one_hot(x.astype(jnp.int32), levels)
    draw = lambda key, p: jax.random.categorical(key, jnp.log(p)).astype(jnp.float32)
    return _events(f'the whole numbers 0 to {levels - 1}', levels, shown, draw, alpha)


def bernoulli(alpha: Pseudocounts = 1.0) -> Feature:
    """Features 0 or 1; alpha is one pseudocount for both or those of 0 and of 1, so that Beta(a, b)
    is (b, a)."""
    return categorical(2, alpha)


def multinomial(alpha: Pseudocounts = 1.0, *, trials: int = 100) -> Feature:
    """Features that count how often each of D outcomes came up; the parameters are probabilities,
    [C, 1, D].

    p(x | y) is that of one sequence with these counts, as in scikit-learn's MultinomialNB. What is
    drawn has `trials` events. A ValueError unless trials >= 1 and pseudocounts are not negative."""
    if trials < 1:
        raise ValueError(f'trials is {trials}; a draw needs at least 1')
    chosen = lambda key, p: jax.random.choice(key, p.shape[-1], (trials,), p=p[0])
    draw = lambda key, p: jnp.bincount(chosen(key, p), length=p.shape[-1]).astype(jnp.float32)
    return _events('the whole numbers from 0', np.inf, lambda x: x[None], draw, alpha)


def _events(support, limit, shown, draw, alpha):
    """A Feature of counts, uint32 [C, G, K]; shown: x [D] -> how often it shows each outcome, [G,
    K]."""
    _require_pseudocounts(alpha)
    inside = lambda x: (x >= 0) & (x == jnp.round(x)) & (x < limit)

    def init(classes, d):
        groups, outcomes = jax.eval_shape(shown, jnp.zeros(d)).shape
        _require_pseudocounts(alpha, outcomes)
        return jnp.zeros((classes, groups, outcomes), jnp.uint32)

    def log_prob(p, x, floor):
        total = lambda values: jnp.vdot(shown(x), values, precision=EXACT)
        return total(jnp.log(jnp.maximum(p, floor))), total((p <= 0).astype(jnp.float32))

    add = lambda counts, label, x: (
        counts + counts_of(label, jax.vmap(shown)(x).astype(jnp.uint32), len(counts))
    )
    return Feature(
        support, inside, init, add, lambda counts: posterior_mean(counts, alpha), log_prob, draw
    )


def _require_pseudocounts(alpha, outcomes=None):
    if not np.all((np.asarray(alpha) >= 0) & np.isfinite(alpha)):
        raise ValueError(f'alpha is {alpha}; pseudocounts must be finite and at least 0')
    if np.ndim(alpha) and outcomes and np.shape(alpha) != (outcomes,):
        raise ValueError(
            f'alpha is {alpha}; {outcomes} outcomes have one pseudocount for all or one each'
        )


def log_joint(
    feature: Feature, prior: Array, parameters: Any, x: Array, floor: float
) -> tuple[Array, Array]:
    """log p(x, y) for every y, nats [B, C], and how many of the events in (x, y) have probability
    0, [B, C].

    Each such event counts as `floor`: the class with fewest of them wins, as in the limit of small
      pseudocounts.
    """
    every_class = jax.vmap(feature.log_prob, (0, None, None))
    nats, unseen = jax.vmap(lambda x: every_class(parameters, x, floor))(x)
    return nats + jnp.log(jnp.maximum(prior, floor))[None], unseen + (prior <= 0).astype(
        jnp.float32
    )[None]


def measure(joint: Array, unseen: Array, label: Array) -> Metrics:
    """Of each example 'loss', -log p(y | x), and 'joint', -log p(x, y), in nats; 'error', 1 where
    another class is the most probable; 'unseen', how many of its events have probability 0; each
    [B]."""
    own = lambda values: jnp.take_along_axis(values, label[:, None], 1, mode='clip')[:, 0]
    error = (jnp.argmax(joint, -1) != label).astype(jnp.float32)
    return {
        'loss': -own(jax.nn.log_softmax(joint)),
        'joint': -own(joint),
        'error': error,
        'unseen': own(unseen),
    }


def outside(feature: Feature, classes: int, batch: Any) -> dict[str, Array]:
    """Which examples of a batch are none, by what is wrong with them, bool [B] each."""
    label = batch['label']
    return {
        f'x outside {feature.support}': jnp.any(~feature.inside(batch['x']), -1),
        f'label outside 0 to {classes - 1}': (label < 0) | (label >= classes),
    }


def fatal(feature: Feature, before: Counted, after: Counted, batch: Any) -> Metrics:
    """What ends a run by being infinite instead of 0: examples that are none, and counts that have
    wrapped around."""
    smaller = jax.tree.map(lambda a, b: (a.dtype == jnp.uint32) & jnp.any(b < a), before, after)
    wrapped = {'counts over 2^32': jax.tree.reduce(jnp.logical_or, smaller)}
    found = outside(feature, len(before.classes), batch) | wrapped
    return {name: device_max(_infinite(jnp.any(bad))) for name, bad in found.items()}


def judged(metrics: Metrics, found: dict[str, Array]) -> Metrics:
    """What `measure` gives, beside each kind of `outside`, infinite instead of 0 where it is found.

    Of an example that is none every metric is infinite: none that could be taken for a score enters
    a mean.
    """
    bad = jnp.any(jnp.stack(list(found.values())), 0)
    scores = {name: jnp.where(bad, jnp.inf, values) for name, values in metrics.items()}
    return scores | {name: _infinite(values) for name, values in found.items()}


def _infinite(bad):
    return jnp.where(bad, jnp.inf, 0.0)


def naive_bayes(
    classes: int,  # C
    feature: Feature,
    *,
    alpha: Pseudocounts = 0.0,  # of the classes
    # The probability that an impossible event counts as, for metrics must be finite
    floor: float = 1e-20,
) -> Algorithm:
    """Naive Bayes: batches are {'x': float32 [B, D], 'label': int32 [B]}, the state is a `Counted`.

    `evaluate` gives what `judged` does, and an update the means of `measure` over the batch before
    that is counted (prequential, Dawid 1984), beside what `fatal` does. What the model allows and
    training never showed is no error in
    either: it is counted as unseen. `encode` needs no label and gives log p(y | x), [B, C], no
    numbers for an x outside the support; `sample` draws from p(x, y), in the form of a batch.

    Raises:
      ValueError: classes < 2, negative pseudocounts, a floor outside (0, 1), or batches of another
        form.
    """
    if not (classes >= 2 and 0 < floor < 1):
        raise ValueError(
            f'naive Bayes of classes {classes}, floor {floor}; needed: classes >= 2, 0 < floor < 1'
        )
    _require_pseudocounts(alpha, classes)
    fitted = lambda state: (posterior_mean(state.classes, alpha), feature.fit(state.features))
    joint = lambda state, x: log_joint(feature, *fitted(state), x, floor)

    def scores(state, batch):
        return measure(*joint(state, batch['x']), batch['label'])

    def init(key, batch):
        shapes = {name: batch[name].shape for name in ('x', 'label') if name in batch}
        if len(shapes.get('x', ())) != 2 or shapes.get('label') != shapes['x'][:1]:
            raise ValueError(f'a batch has {shapes}; naive Bayes needs x [B, D] and label [B]')
        return Counted(jnp.zeros(classes, jnp.uint32), feature.init(classes, shapes['x'][1]))

    def update(key, state, batch):
        label, means = batch['label'], device_mean(jax.tree.map(jnp.mean, scores(state, batch)))
        new = counts_of(label, jnp.ones(len(label), jnp.uint32), classes)
        after = Counted(state.classes + new, feature.add(state.features, label, batch['x']))
        return after, means | fatal(feature, state, after, batch)

    def sample(key, state, n):
        prior, parameters = fitted(state)
        which, what = jax.vmap(jax.random.split, out_axes=1)(example_keys(key, n))
        label = jax.vmap(jax.random.categorical, (0, None))(which, jnp.log(prior))
        return {
            'x': jax.vmap(feature.draw)(what, jax.tree.map(lambda p: p[label], parameters)),
            'label': label,
        }

    def evaluate(key, state, batch):
        return judged(scores(state, batch), outside(feature, classes, batch))

    def encode(key, state, batch):
        inside = jnp.all(feature.inside(batch['x']), -1, keepdims=True)
        return jnp.where(inside, jax.nn.log_softmax(joint(state, batch['x'])[0]), jnp.nan)

    return Algorithm(init, update, evaluate, sample, encode)
