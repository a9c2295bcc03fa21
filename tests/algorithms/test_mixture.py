"""Mixtures: EM against scikit-learn, a float64 reference, planted mixtures and gradient descent."""

import warnings

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from scipy.linalg import solve_triangular
from scipy.special import logsumexp
from scipy.stats import multivariate_normal
from sklearn.datasets import load_digits
from sklearn.mixture import GaussianMixture

from genjax.algorithms.density import Family, density, forward_kl
from genjax.algorithms.mixture import (
    bic,
    diagonal,
    from_covariances,
    full,
    hard_start,
    mixture,
    parameters,
    tied,
    unconstrained,
)
from genjax.data.tables import table
from genjax.numerics.kmeans import plus_plus
from genjax.training import Every, Experiment, NonFinite, by_jit, by_pmap, make_mesh, train
from tests.marks import slow
from tests.trees import assert_trees_close

STRUCTURES = {'full': full, 'tied': tied, 'diag': diagonal}
structures = pytest.mark.parametrize('name', STRUCTURES)
# For long runs of one and the same code.
full_alone = pytest.mark.parametrize('name', ['full', slow('tied'), slow('diag')])
KEY = jax.random.key(0)


def clusters(n=300, size=3, components=4, spread=2.0, seed=0):
    """Rows of normal clusters that overlap, each with a covariance of its own."""
    rng = np.random.default_rng(seed)
    mixing = rng.normal(size=(components, size, size)) / np.sqrt(size) + np.eye(size)[None]
    which = rng.integers(components, size=n)
    centres = rng.normal(size=(components, size))[which] * spread
    noise = np.einsum('nij,nj->ni', mixing[which], rng.normal(size=(n, size)))
    return (centres + noise).astype(np.float32)


def given(name, x, components):
    """A start far from any optimum: rows as means, the whole data's covariance for all."""
    weights = np.arange(1, components + 1, dtype=np.float32)
    weights /= weights.sum()
    whole = np.cov(x.T).astype(np.float32)
    covariances = {
        'full': np.stack([whole] * components),
        'tied': whole[None],
        'diag': np.stack([np.diag(whole)] * components),
    }
    return weights, x[:components], covariances[name]


def steps(algorithm, batch, n, state=None):
    """The state after n updates, and their losses."""
    if state is None:
        state = jax.jit(algorithm.init)(KEY, batch)
    update = jax.jit(algorithm.update)
    losses = []
    for _ in range(n):
        state, metrics = update(KEY, state, batch)
        losses.append(float(metrics['loss']))
    return state, losses


def run(algorithm, x, n, **options):
    experiment = Experiment(algorithm, table(x, batch=None), {})
    options = {'mesh': make_mesh(jax.devices()[:1]), 'every': Every(1, 10**6, 10**6), **options}
    return train(experiment, seed=0, steps=n, **options)


@structures
def test_it_is_scikit_learns_from_the_same_start(name, floor=0.01):
    x = clusters()
    weights, means, covariances = given(name, x, 4)

    def squeeze(covariances):
        return covariances[0] if name == 'tied' else covariances

    precisions = 1 / covariances if name == 'diag' else np.linalg.inv(covariances)
    starts = dict(weights_init=weights, means_init=means, precisions_init=squeeze(precisions))
    peer = GaussianMixture(4, covariance_type=name, reg_covar=floor, tol=0, max_iter=20, **starts)
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # it warns that 20 steps are not to the end
        peer.fit(x.astype(np.float64))
    covariance = STRUCTURES[name]
    start = from_covariances(covariance, weights, means, covariances)
    algorithm = mixture(4, covariance=covariance, floor=floor, start=start)
    batch = {'x': jnp.asarray(x)}
    state, losses = steps(algorithm, batch, 20)
    found = state.mixture
    np.testing.assert_allclose(jnp.exp(found.log_weights), peer.weights_, rtol=1e-4)
    np.testing.assert_allclose(found.means, peer.means_, atol=2e-4)
    square = squeeze(covariance.square(found.factors))
    np.testing.assert_allclose(square, peer.covariances_, atol=5e-4)
    code = jax.jit(algorithm.encode)(KEY, state, batch)
    np.testing.assert_allclose(code, peer.predict_proba(x), atol=5e-4)
    # Of the E step before the last M step.
    assert losses[-1] == pytest.approx(-peer.lower_bound_, abs=1e-5)
    losses = jax.jit(algorithm.evaluate)(KEY, state, batch)['loss']
    np.testing.assert_allclose(losses, -peer.score_samples(x), atol=5e-4)
    count = parameters(covariance, 4, 3)
    assert count == peer._n_parameters()
    assert bic(float(jnp.mean(losses)), count, len(x)) == pytest.approx(peer.bic(x), rel=1e-6)


@jax.jit
def full_normals(means, factors, x, r):
    """Log densities and sums of the full structure, which takes wide rows in blocks of columns."""
    log_normals, sums = full.normals(means, factors)(x)
    return log_normals, *sums(r)


@pytest.mark.parametrize('size', [5, 70])
def test_full_densities_and_sums_are_those_of_each_component_alone(size):
    rng = np.random.default_rng(size)
    x, means = rng.normal(size=(40, size)), rng.normal(size=(3, size))
    factors = np.tril(rng.normal(size=(3, size, size)) / size) + np.eye(size)[None]
    r = rng.dirichlet(np.ones(3), size=40)
    found = full_normals(*(np.float32(value) for value in (means, factors, x, r)))
    for k in range(3):
        white = solve_triangular(factors[k], (x - means[k]).T, lower=True).T
        density = multivariate_normal(means[k], factors[k] @ factors[k].T)
        np.testing.assert_allclose(found[0][:, k], density.logpdf(x), rtol=1e-5)
        np.testing.assert_allclose(found[1][k], r[:, k] @ white, rtol=1e-4, atol=1e-4)
        scatter = white.T @ (r[:, k, None] * white)
        np.testing.assert_allclose(found[2][k], scatter, rtol=1e-4, atol=1e-4)


@jax.jit
def diagonal_normals(means, factors, x, r):
    log_normals, sums = diagonal.normals(means, factors)(x)
    return log_normals, *sums(r)


def test_diagonal_densities_and_sums_by_products_are_those_one_by_one():
    """A mean far from the others, which has no example, is all that tells the two ways apart."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(200, 20)) + 1e3
    means = rng.normal(size=(3, 20)) / 2 + 1e3
    factors = np.exp(rng.normal(size=(3, 20)) / 3)
    r = rng.dirichlet(np.ones(3), size=200)
    near = [np.float32(value) for value in (means, factors, x, r)]
    far = [
        np.concatenate([near[0], near[0][:1] + 1e3]),
        np.concatenate([near[1], near[1][:1]]),
        near[2],
        np.pad(near[3], ((0, 0), (0, 1))),
    ]
    products = diagonal_normals(*near)
    alone = diagonal_normals(*far)
    np.testing.assert_allclose(products[0], alone[0][:, :3], rtol=1e-5)
    for found, expected in zip(products[1:], alone[1:], strict=True):
        np.testing.assert_allclose(found, expected[:3], rtol=1e-4, atol=1e-4)
    assert (np.asarray(products[2]) != np.asarray(alone[2][:3])).any()


@structures
@pytest.mark.parametrize('seed', range(2))
@pytest.mark.slow
def test_the_likelihood_never_falls(name, seed):
    """In float32 to a millionth of a nat for each column, the rounding of a mean of squares."""
    size, components = [(2, 5), (8, 3)][seed]
    x = clusters(n=200, size=size, components=components, seed=seed)
    start = from_covariances(STRUCTURES[name], *given(name, x, components))
    algorithm = mixture(components, covariance=STRUCTURES[name], floor=0.0, start=start, rows=64)
    state, losses = steps(algorithm, {'x': jnp.asarray(x)}, 40)
    assert np.diff(losses).max() < 1e-6 * (1 + size)
    assert losses[0] - losses[-1] > 0.01


@structures
def test_the_likelihood_never_falls_in_float64_either(name):
    with jax.enable_x64(True):
        x = clusters(size=4, seed=5).astype(np.float64)
        values = [np.float64(value) for value in given(name, x, 4)]
        start = from_covariances(STRUCTURES[name], *map(jnp.asarray, values))
        algorithm = mixture(4, covariance=STRUCTURES[name], floor=0.0, start=start)
        update = jax.jit(algorithm.update)
        state = algorithm.init(KEY, {'x': x})
        losses = []
        for _ in range(60):
            state, metrics = update(KEY, state, {'x': x})
            losses.append(metrics['loss'])
        assert losses[0].dtype == np.float64
        assert np.diff(losses).max() < 1e-14 * 60
        assert np.diff(losses).min() < -1e-3


def reference(x, weights, means, covariances, rate):
    """One step of full covariances on natural statistics E r, E r x, E r x x^T, in float64.

    The batch makes up `rate` of them.
    """
    precisions = np.linalg.inv(covariances)
    _, log_det = np.linalg.slogdet(covariances)
    centred = x[:, None] - means[None]
    squares = np.einsum('nki,kij,nkj->nk', centred, precisions, centred)
    joint = np.log(weights)[None] - squares / 2 - log_det[None] / 2
    r = np.exp(joint - joint.max(1, keepdims=True))
    r /= r.sum(1, keepdims=True)

    def mix(old, new):
        return (1 - rate) * old + rate * new

    def outer(m):
        return m[:, :, None] * m[:, None]

    mass = mix(weights, r.mean(0))
    first = mix(weights[:, None] * means, r.T @ x / len(x))
    old_second = weights[:, None, None] * (covariances + outer(means))
    second = mix(old_second, np.einsum('nk,ni,nj->kij', r, x, x) / len(x))
    means = first / mass[:, None]
    return mass, means, second / mass[:, None, None] - outer(means)


@pytest.mark.parametrize('rate', [1.0, 0.3])
def test_a_step_mixes_the_statistics_of_the_batch_with_those_of_the_past(rate):
    x = clusters(seed=2)
    values = given('full', x, 4)
    start = from_covariances(full, *values)
    algorithm = mixture(4, covariance=full, floor=0.0, rate=lambda step: rate, start=start)
    state, _ = steps(algorithm, {'x': jnp.asarray(x)}, 2)
    expected = [np.float64(v) for v in values]
    for _ in range(2):
        expected = reference(x.astype(np.float64), *expected, rate)
    log_weights, means, factors = state.mixture
    found = jnp.exp(log_weights), means, full.square(factors)
    assert_trees_close(found, tuple(expected), atol=2e-5)


@pytest.mark.parametrize('name', ['full', slow('diag')])
def test_batches_of_a_part_come_to_the_likelihood_of_the_whole(name):
    x = clusters(n=2000, seed=4)
    start = from_covariances(STRUCTURES[name], *given(name, x, 4))
    whole = mixture(4, covariance=STRUCTURES[name], start=start)

    def rate(step):
        return (step + 2) ** -0.6

    part = mixture(4, covariance=STRUCTURES[name], start=start, rate=rate)
    experiment = Experiment(part, table(x, batch=100, seed=0), {})
    mesh = make_mesh(jax.devices()[:1])
    state = train(experiment, seed=0, steps=800, mesh=mesh, every=Every(100, 800, 800))
    batch = {'x': jnp.asarray(x)}
    loss = float(jnp.mean(jax.jit(whole.evaluate)(KEY, state, batch)['loss']))
    _, losses = steps(whole, batch, 200)
    assert loss == pytest.approx(losses[-1], abs=0.03)


@pytest.mark.parametrize('covariance', [full, slow(diagonal)])
def test_a_planted_mixture_is_found(covariance):
    rng = np.random.default_rng(0)
    means = np.array([[-4.0, 0, 0], [4, 1, 0], [0, 0, 6]])
    scales = np.array([[1, 0.5, 2], [0.3, 1, 1], [1, 1, 0.2]])
    which = rng.choice(3, size=6000, p=[0.5, 0.3, 0.2])
    x = (means[which] + scales[which] * rng.normal(size=(6000, 3))).astype(np.float32)
    state = run(mixture(3, covariance=covariance), x, 30)
    order = np.argsort(-np.asarray(state.mixture.log_weights))
    np.testing.assert_allclose(np.exp(state.mixture.log_weights)[order], [0.5, 0.3, 0.2], atol=0.02)
    np.testing.assert_allclose(state.mixture.means[order], means, atol=0.12)
    variances = covariance.square(state.mixture.factors)
    if covariance is full:
        variances = jnp.diagonal(variances, axis1=1, axis2=2)
    np.testing.assert_allclose(jnp.sqrt(variances)[order], scales, rtol=0.08)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['full', 'diag'])
def test_gradient_descent_ends_at_the_optimum_of_em(name):
    x = clusters(n=200, size=2, components=2, spread=4, seed=7)
    family = Family(*unconstrained(2, covariance=STRUCTURES[name]))
    optimizer = optax.adam(optax.cosine_decay_schedule(0.05, 400))
    found = run(density(family, forward_kl(family), optimizer), x, 400).params
    algorithm = mixture(2, covariance=STRUCTURES[name])
    expected, losses = steps(algorithm, {'x': jnp.asarray(x)}, 300)
    assert float(-jnp.mean(family.log_prob(found, x))) == pytest.approx(losses[-1], abs=1e-4)

    def sort(means, factors):
        order = jnp.argsort(means[:, 0])
        return means[order], factors[order % len(factors)]

    by_descent = sort(found.means, STRUCTURES[name].constrain(found.factors))
    by_em = sort(expected.mixture.means, expected.mixture.factors)
    assert_trees_close(by_descent, by_em, atol=0.01)
    assert family.sample(KEY, found, 5).shape == (5, 2)


@structures
def test_unconstrained_parameters_and_factors_are_the_same_thing(name):
    covariance = STRUCTURES[name]
    _, _, covariances = given(name, clusters(), 4)
    factors = covariance.factor(jnp.asarray(covariances))
    back = covariance.constrain(covariance.unconstrain(factors))
    np.testing.assert_allclose(back, factors, rtol=1e-6)


@pytest.mark.parametrize(
    ('name', 'rows'), [slow('full', 7), slow('tied', 7), ('diag', 7), slow('diag', 1000)]
)
def test_the_rows_taken_at_a_time_change_nothing(name, rows):
    batch = {'x': jnp.asarray(clusters(n=61))}
    options = dict(covariance=STRUCTURES[name], floor=0.1, start=lost(name))
    whole = mixture(3, rows=61, **options)
    parts = mixture(3, rows=rows, **options)
    state, losses = steps(whole, batch, 5)
    assert_trees_close(steps(parts, batch, 5), (state, losses), rtol=1e-3, atol=1e-4)
    expected = jax.jit(whole.evaluate)(KEY, state, batch)['loss']
    found = jax.jit(parts.evaluate)(KEY, state, batch)['loss']
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize(
    ('name', 'parallel'), [slow('diag', by_jit), ('full', by_pmap), slow('tied', by_pmap)]
)
def test_eight_devices_make_the_same_step(name, parallel):
    x = clusters(n=64)
    algorithm = mixture(3, covariance=STRUCTURES[name], floor=0.1, start=lost(name), rows=5)
    eight = run(algorithm, x, 3, mesh=make_mesh(jax.devices()), parallel=parallel)
    one, _ = steps(algorithm, {'x': jnp.asarray(x)}, 3)
    assert_trees_close(eight, one, rtol=1e-4, atol=1e-5)


def lost(name):
    """A start whose second component is too far away to explain anything."""
    weights = np.full(3, 1 / 3, np.float32)
    means = np.array([[0, 0, 0], [50, 0, 0], [1, 1, 1]], np.float32)
    covariances = {
        'full': np.stack([np.eye(3)] * 3),
        'tied': np.eye(3)[None],
        'diag': np.ones((3, 3)),
    }
    return from_covariances(STRUCTURES[name], weights, means, np.float32(covariances[name]))


@structures
def test_an_empty_component_starts_again_at_the_example_explained_worst(name):
    x = clusters(n=64)
    algorithm = mixture(3, covariance=STRUCTURES[name], start=lost(name))
    batch = {'x': jnp.asarray(x)}
    state = algorithm.init(KEY, batch)
    update = jax.jit(algorithm.update)
    worst = x[np.argmax(jax.jit(algorithm.evaluate)(KEY, state, batch)['loss'])]
    state, metrics = update(KEY, state, batch)
    assert metrics['reseeded'] == 1
    np.testing.assert_array_equal(state.mixture.means[1], worst)
    assert float(jnp.sum(jnp.exp(state.mixture.log_weights))) == pytest.approx(1, abs=1e-6)
    state, metrics = update(KEY, state, batch)
    assert metrics['reseeded'] == 0
    assert float(jnp.exp(state.mixture.log_weights[1])) > 1 / 64


def test_two_empty_components_start_at_two_examples():
    x = clusters(n=64)
    start = lost('diag')
    start = start._replace(means=start.means.at[0].set(-50.0))
    algorithm = mixture(3, covariance=diagonal, start=start)
    batch = {'x': jnp.asarray(x)}
    state, metrics = jax.jit(algorithm.update)(KEY, algorithm.init(KEY, batch), batch)
    assert metrics['reseeded'] == 2
    assert all((x == mean).all(1).any() for mean in np.asarray(state.mixture.means[:2]))
    assert (state.mixture.means[0] != state.mixture.means[1]).any()


@full_alone
def test_a_collapse_ends_the_run_in_one_line(name):
    x = clusters(n=40, size=2)
    x[0] = 100.0  # far from all others: a component of its own, of no variance
    if name == 'tied':
        # Three points and three components: nothing is left for the shared covariance.
        x = np.repeat(x[:3], 20, 0)
    algorithm = mixture(3, covariance=STRUCTURES[name], floor=0.0)
    message = r'^step \d+: (loss is (nan|-?inf)|mixture/factors holds a NaN)$'
    with pytest.raises(NonFinite, match=message):
        run(algorithm, x, 30)
    floored = mixture(3, covariance=STRUCTURES[name], floor=1e-4)
    _, losses = steps(floored, {'x': jnp.asarray(x)}, 30)
    assert np.isfinite(losses).all()


@pytest.mark.parametrize('name', ['full', 'diag'])
def test_a_collapse_in_the_last_step_ends_the_run_too(name):
    x = clusters(n=64)
    x[0] = [50, 0, 0]  # the mean of a component, which has nothing else
    with pytest.raises(NonFinite, match='^step 1: mixture/factors holds a NaN$'):
        run(mixture(3, covariance=STRUCTURES[name], floor=0.0, start=lost(name)), x, 1)


@structures
def test_a_thousand_scales_away_the_likelihood_is_finite(name):
    algorithm = mixture(3, covariance=STRUCTURES[name], start=lost(name))
    state = algorithm.init(KEY, None)
    far = {'x': jnp.asarray([[1e3, 1e3, 1e3], [-1e5, 0, 0], [1e8, 1e8, -1e8]], jnp.float32)}
    losses = jax.jit(algorithm.evaluate)(KEY, state, far)['loss']
    assert jnp.isfinite(losses).all() and (losses > 1e4).all()
    np.testing.assert_allclose(jnp.sum(jax.jit(algorithm.encode)(KEY, state, far), 1), 1, rtol=1e-5)


@structures
def test_far_from_zero_nothing_cancels(name):
    """Moved by 1,000 standard deviations, where squares about 0 would lose a variance's digits."""
    x = clusters()
    moved = x + np.float32(1024)
    exact = (moved - np.float32(1024)).astype(np.float32)  # what rounding has left of x
    covariance = STRUCTURES[name]
    weights, means, covariances = given(name, exact, 4)

    def fit(shift):
        start = from_covariances(covariance, weights, means + np.float32(shift), covariances)
        algorithm = mixture(4, covariance=covariance, start=start)
        state, _ = steps(algorithm, {'x': exact + np.float32(shift)}, 20)
        return state.mixture

    near = fit(0)
    far = fit(1024)
    np.testing.assert_allclose(far.means - 1024, near.means, atol=5e-3)
    np.testing.assert_allclose(far.factors, near.factors, atol=5e-3)


@structures
def test_samples_have_the_moments_of_the_mixture(name):
    weights, means, covariances = given(name, clusters(), 4)
    start = from_covariances(STRUCTURES[name], weights, means, covariances)
    algorithm = mixture(4, covariance=STRUCTURES[name], start=start)
    state = algorithm.init(KEY, {'x': clusters()})
    x = np.asarray(jax.jit(algorithm.sample, static_argnums=2)(KEY, state, 40_000), np.float64)
    whole = np.diag(covariances[0]) if name == 'diag' else covariances[0]
    mean = weights @ means
    between = (weights[:, None] * (means - mean[None])).T @ (means - mean[None])
    np.testing.assert_allclose(x.mean(0), mean, atol=0.08)
    np.testing.assert_allclose(np.cov(x.T), whole + between, atol=0.3)


@pytest.mark.parametrize('name', ['full', 'diag'])
def test_the_density_integrates_to_one_and_codes_are_posterior_probabilities(name):
    x = clusters(size=2)
    start = from_covariances(STRUCTURES[name], *given(name, x, 4))
    algorithm = mixture(4, covariance=STRUCTURES[name], start=start)
    state, _ = steps(algorithm, {'x': jnp.asarray(x)}, 5)
    line = np.linspace(-15, 15, 301, dtype=np.float32)
    points = np.stack(np.meshgrid(line, line), -1).reshape(-1, 2)
    losses = jax.jit(algorithm.evaluate)(KEY, state, {'x': points})['loss']
    assert float(jnp.sum(jnp.exp(-losses))) * 0.1**2 == pytest.approx(1, abs=1e-3)
    code = jax.jit(algorithm.encode)(KEY, state, {'x': jnp.asarray(x)})
    of_component = jax.jit(posterior, static_argnums=0)
    expected = [of_component(algorithm.evaluate, state, k, x) for k in range(4)]
    np.testing.assert_allclose(code, np.stack(expected, 1), atol=1e-5)
    decoded = algorithm.decode(KEY, state, jnp.eye(4))
    np.testing.assert_allclose(decoded, state.mixture.means, rtol=1e-6)


def posterior(evaluate, state, k, x):
    """p(k | x) as w_k N(x; m_k, S_k) / p(x), the normal density as a mixture of one weight."""
    weights = jnp.where(jnp.arange(4) == k, 0.0, -jnp.inf)
    alone = state._replace(mixture=state.mixture._replace(log_weights=weights))

    def loss(state):
        return evaluate(KEY, state, {'x': x})['loss']

    return jnp.exp(state.mixture.log_weights[k] - loss(alone) + loss(state))


def test_more_components_than_different_rows_have_a_finite_start():
    x = np.repeat(np.arange(5, dtype=np.float32)[:, None] * 10, 20, 0)
    start = hard_start(KEY, diagonal, x, 7, 1e-3, 256)
    assert all(jnp.isfinite(leaf).all() for leaf in jax.tree.leaves(start))


def test_the_hard_start_is_the_m_step_of_k_means():
    x = clusters(n=100)
    centres = np.asarray(plus_plus(KEY, jnp.asarray(x), 3))
    for _ in range(21):
        nearest = np.argmin(np.sum((x[:, None] - centres[None]) ** 2, -1), 1)
        centres = np.stack([x[nearest == k].mean(0) for k in range(3)])
    start = hard_start(KEY, full, x, 3, 0.0, 256)
    np.testing.assert_allclose(jnp.exp(start.log_weights), np.bincount(nearest) / 100, rtol=1e-5)
    for k in range(3):
        np.testing.assert_allclose(start.means[k], x[nearest == k].mean(0), atol=1e-5)
        covariance = start.factors[k] @ start.factors[k].T
        np.testing.assert_allclose(covariance, np.cov(x[nearest == k].T, ddof=0), atol=1e-5)


def test_bad_settings_are_refused_in_one_line():
    message = r'^0 components, rows 256, floor 1e-06; needed: at least 1, 1 and 0$'
    with pytest.raises(ValueError, match=message):
        mixture(0, covariance=full)
    with pytest.raises(ValueError, match='floor -1'):
        mixture(2, covariance=full, floor=-1)
    with pytest.raises(ValueError, match=r'^9 components for 8 examples; each needs one'):
        run(mixture(9, covariance=full), clusters(n=8), 1)


def nats64(mixture, x):
    """-log p(x) of the mixture that full or tied factors name, in float64, [B]."""
    log_weights, means, factors = (np.asarray(part, np.float64) for part in mixture)
    joint = []
    for k, mean in enumerate(means):
        factor = factors[k % len(factors)]
        white = solve_triangular(factor, (x - mean[None]).T, lower=True)
        constant = np.log(np.diag(factor)).sum() + len(factor) / 2 * np.log(2 * np.pi)
        joint.append(log_weights[k] - (white**2).sum(0) / 2 - constant)
    return -logsumexp(joint, 0)


def peer_losses(name, start, x, n, floor):
    """The losses of scikit-learn in float64 before each of n steps from a start, and after them."""
    factors = np.asarray(start.factors, np.float64)
    peer = GaussianMixture(len(start.means), covariance_type=name, reg_covar=floor)
    peer.weights_ = np.exp(np.asarray(start.log_weights, np.float64))
    peer.means_ = np.asarray(start.means, np.float64)
    cholesky = np.linalg.inv(factors).swapaxes(1, 2)
    peer.precisions_cholesky_ = cholesky[0] if name == 'tied' else cholesky
    losses = []
    for _ in range(n):
        log_prob, log_resp = peer._e_step(x)
        losses.append(-log_prob)
        peer._m_step(x, log_resp)
    log_prob, _ = peer._e_step(x)
    return np.array([*losses, -log_prob])


def fit(algorithm, x, n):
    """n steps from the algorithm's own start.

    Returns:
      The start, the end, the losses before each step and after the last, and each example's then.
    """
    batch = {'x': jnp.asarray(x, jnp.float32)}
    start = jax.jit(algorithm.init)(KEY, batch)
    state, losses = steps(algorithm, batch, n, start)
    last = np.asarray(jax.jit(algorithm.evaluate)(KEY, state, batch)['loss'], np.float64)
    return start.mixture, state.mixture, np.array([*losses, last.mean()]), last


def thin(seed):
    """Two groups of rows whose standard deviations span up to 1 to 1e-5, in any directions.

    Columns have scales 1e-3 to 1e5; rows are as far from 0 as they still differ by many spacings of
    floats.
    """
    rng = np.random.default_rng(seed)
    rotation, _ = np.linalg.qr(rng.normal(size=(4, 4)))
    axes = rotation * np.geomspace(1, 10 ** rng.uniform(-5, 0), 4)
    x = rng.normal(size=(300, 4)) * rng.choice([0.5, 1, 2], (300, 1))
    x += 2 * rng.normal(size=(2, 4))[rng.integers(2, size=300)]
    return (x @ axes.T * 10 ** rng.uniform(-3, 5, 4)).astype(np.float32)


@pytest.mark.parametrize('name', ['full', 'tied'])
def test_at_any_scale_and_condition_em_is_that_of_float64(name):
    algorithm = mixture(2, covariance=STRUCTURES[name], floor=1e-30)
    for seed in range(8):
        x = thin(seed)
        start, found, losses, last = fit(algorithm, x, 10)
        expected = peer_losses(name, start, np.float64(x), 10, 1e-30)
        np.testing.assert_allclose(losses, expected, atol=1e-2)
        assert np.diff(losses).max() < 1e-4, seed
        assert abs(nats64(found, np.float64(x)).mean() - last.mean()) < 1e-3


def degenerate():
    """Rows [300, 3] of which a covariance has no inverse, or float32 none."""
    rng = np.random.default_rng(5)
    t = np.concatenate([rng.normal(0, 1, 150), rng.normal(8, 1, 150)])
    line = np.stack([t, 2 * t + 1, 5 - t], 1)
    outlier = rng.normal(size=(300, 3))
    outlier[0] = 1e6
    return {
        **{f'a line at scale {scale}': scale * line for scale in (1e-3, 1.0, 10.0, 1e3, 1e5)},
        'a line far from zero': line + 1e6,
        'equal columns': 1e4 * np.stack([t, t, t], 1),
        'constant columns': np.stack([t, 0 * t + 7, 0 * t], 1),
        'a point': np.ones((300, 3)),
        'two points': np.repeat([[1.0, 2, 3], [4, 5, 7]], 150, 0),
        'an outlier': outlier,
    }


@full_alone
def test_with_the_default_floor_nothing_is_nan_and_the_likelihood_never_falls(name):
    algorithm = mixture(3, covariance=STRUCTURES[name])
    for what, x in degenerate().items():
        _, found, losses, last = fit(algorithm, x, 10)
        assert np.isfinite(last).all(), what
        assert all(np.isfinite(part).all() for part in found), what
        # What rounding a factor of the least thinness does to a likelihood is up to (1 / 32)^2 a
        # column. A floor as large as the variances changes it by more, in scikit-learn as here: it
        # is added, not the most likely.
        if what != 'a line at scale 0.001':
            assert np.diff(losses).max() < 3e-3, what
        if name != 'diag':
            assert abs(nats64(found, np.float64(np.float32(x))).mean() - last.mean()) < 3e-3, what


@pytest.mark.parametrize('name', ['full', slow('tied')])
def test_a_line_at_scale_10_has_the_likelihood_of_scikit_learn(name):
    x = degenerate()['a line at scale 10.0'][:, :2]
    algorithm = mixture(2, covariance=STRUCTURES[name])
    start, _, losses, _ = fit(algorithm, x, 10)
    expected = peer_losses(name, start, np.float64(np.float32(x)), 10, 1e-6)
    np.testing.assert_allclose(losses, expected, atol=1e-2)


@pytest.mark.parametrize('name', ['full', slow('tied')])
@pytest.mark.parametrize(
    ('examples', 'components'),
    [(200, 4), slow(1797, 30)],
    ids=['few', 'all'],
)
def test_raw_digits(name, examples, components):
    """Columns without any variance, and components of fewer examples than columns."""
    x = load_digits().data[:examples]
    algorithm = mixture(components, covariance=STRUCTURES[name])
    start, found, losses, last = fit(algorithm, x, 6)
    np.testing.assert_allclose(losses, peer_losses(name, start, x, 6, 1e-6), atol=1e-2)
    assert np.diff(losses).max() < 1e-3
    assert abs(nats64(found, x).mean() - last.mean()) < 1e-3
