"""The classifier against optima known in closed form, and its small network."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.algorithms.classifier import classifier, losses
from genjax.base import Data
from genjax.data.tables import table
from genjax.networks.classifier import Classifier
from genjax.training import Every, Experiment, NonFinite, evaluate, make_mesh, train

KEY = jax.random.key(0)
DRAW = np.random.default_rng(0)


class Linear(nn.Module):
    """Logits linear in x, which is its own feature."""

    classes: int

    @nn.compact
    def __call__(self, x):
        return x, nn.Dense(self.classes)(x)


def fitted(network, data, *, steps, rate=0.3):
    optimizer = optax.adam(optax.cosine_decay_schedule(rate, steps))
    experiment = Experiment(classifier(network, optimizer), data, {})
    mesh = make_mesh(jax.devices()[:1])
    every = Every(steps, steps, steps)
    return experiment, train(experiment, seed=1, steps=steps, mesh=mesh, every=every)


def test_on_a_finite_set_the_trainer_reaches_the_shares_of_the_counts():
    """p(y | x) = count(x, y) / count(x), and the loss is the conditional entropy of y, in nats."""
    counts = np.array([[8, 1, 1], [2, 2, 6], [5, 4, 1], [1, 9, 10]])  # of (x, y)
    x, y = (np.repeat(index.ravel(), counts.ravel()) for index in np.indices(counts.shape))
    rows = np.eye(4)[x]
    data = table(rows, y, batch=None, test={'x': rows[:30], 'label': y[:30]})
    experiment, state = fitted(Linear(3), data, steps=800)
    share = counts / counts.sum(1, keepdims=True)
    probabilities = jax.nn.softmax(Linear(3).apply({'params': state.params}, jnp.eye(4))[1])
    np.testing.assert_allclose(probabilities, share, atol=1e-3)
    batch = {'x': jnp.float32(rows), 'label': jnp.int32(y)}
    metrics = experiment.algorithm.evaluate(KEY, state, batch)
    entropy = -(counts * np.log(share)).sum() / counts.sum()
    assert float(metrics['loss'].mean()) == pytest.approx(entropy, abs=1e-5)
    np.testing.assert_array_equal(metrics['error'], y != share.argmax(1)[x])
    scores = evaluate(experiment, state, seed=0, mesh=make_mesh(jax.devices()[:1]))
    assert scores['test/error'] == pytest.approx((y[:30] != share.argmax(1)[x[:30]]).mean())


def test_two_normal_classes_give_the_log_odds_of_scikit_learn_which_are_near_the_true_ones():
    """With one covariance C for both they are (m1 - m0)' C^-1 (x - (m0 + m1) / 2)."""
    from sklearn.linear_model import LogisticRegression

    means = np.array([[0.0, 0, 1], [1, 0.5, 0]])
    root = np.array([[1, 0.5, 0], [0, 1, -0.3], [0, 0, 0.8]])
    y = np.arange(4000) % 2
    x = (means[y] + DRAW.normal(size=(4000, 3)) @ root).astype(np.float32)
    dense = fitted(Linear(2), table(x, y, batch=None), steps=400)[1].params['Dense_0']
    slope = np.diff(dense['kernel'])[:, 0]
    offset = float(np.diff(dense['bias'])[0])
    peer = LogisticRegression(C=np.inf, tol=1e-8).fit(x, y)
    np.testing.assert_allclose(slope, peer.coef_[0], atol=1e-3)
    assert offset == pytest.approx(peer.intercept_[0], abs=1e-3)
    true = np.linalg.solve(root.T @ root, means[1] - means[0])
    known = np.append(true, -true @ means.mean(0))
    # Standard errors by Fisher's information.
    p = 1 / (1 + np.exp(-(x @ true + known[-1])))
    rows = np.append(x, np.ones((4000, 1)), 1)
    information = (rows * (p * (1 - p))[:, None]).T @ rows
    errors = np.sqrt(np.diag(np.linalg.inv(information)))
    assert np.all(np.abs(np.append(slope, offset) - known) < 4 * errors)


@pytest.mark.slow
def test_the_average_of_the_parameters_evaluates_and_encodes():
    batch = {'x': jnp.float32(DRAW.normal(size=(6, 5, 5, 1))), 'label': jnp.arange(6) % 3}
    network = Classifier((4, 6), 7, 3)
    algorithm = classifier(network, optax.sgd(0.5), decay=0.9)
    state, _ = jax.jit(algorithm.update)(KEY, algorithm.init(KEY, batch), batch)
    features, logits = network.apply({'params': state.average}, batch['x'])
    np.testing.assert_array_equal(algorithm.encode(KEY, state, batch), features)
    metrics = algorithm.evaluate(KEY, state, batch)
    label = np.arange(6) % 3
    nats = np.log(np.exp(np.float64(logits)).sum(1)) - np.float64(logits)[np.arange(6), label]
    np.testing.assert_allclose(metrics['loss'], nats, rtol=1e-5)
    np.testing.assert_array_equal(metrics['error'], np.argmax(logits, 1) != label)
    assert features.shape == (6, 7) and np.all(features >= 0)


@pytest.mark.parametrize('label', [-1, 3])
def test_a_label_that_is_none_stops_a_run(label):
    assert np.isnan(losses(jnp.zeros((1, 3)), jnp.array([label]))['loss'])
    batch = {'x': np.zeros((2, 3), np.float32), 'label': np.array([0, label], np.int32)}
    with pytest.raises(NonFinite, match='step 1: loss is nan'):
        fitted(Linear(3), Data([batch] * 2, []), steps=2)


def test_what_does_not_fit_is_refused_in_one_line():
    batch = {'x': jnp.zeros((2, 4)), 'label': jnp.zeros(2, jnp.int32)}
    with pytest.raises(
        ValueError,
        match=r'^the network gives \(1, 3\) for 1 examples; needed: \(features \[B, D\],',
    ):
        classifier(nn.Dense(3), optax.sgd(1.0)).init(KEY, batch)
    with pytest.raises(
        ValueError, match=r'^widths are \(4, 0\), features 7, classes 3; all must be positive'
    ):
        Classifier((4, 0), 7, 3).init(KEY, jnp.zeros((1, 8, 8, 1)))
    with pytest.raises(ValueError, match=r'^decay is 1.0'):
        classifier(Linear(3), optax.sgd(1.0), decay=1.0)
