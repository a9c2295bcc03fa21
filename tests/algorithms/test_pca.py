"""PCA against float64, scikit-learn and closed forms."""

import functools
import itertools

import hypothesis
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.stats
from hypothesis import strategies as st
from sklearn.datasets import load_digits
from sklearn.decomposition import PCA

from genjax.algorithms import pca as module
from genjax.algorithms.pca import (
    centred,
    empty,
    exact,
    loadings,
    losses,
    merge,
    noise_variance,
    pca,
    principal_components,
    randomised,
    selection,
)
from genjax.data.tables import table
from genjax.training import Every, Experiment, make_mesh, train

KEY = jax.random.key(0)
RANDOMISED = randomised()


@functools.partial(jax.jit, static_argnums=1)
def moments(x, batch=None):
    """Those of rows x [N, D], in batches."""
    batch = batch or len(x)

    def step(i, state):
        return merge(state, jax.lax.dynamic_slice_in_dim(x, i * batch, batch))

    return jax.lax.fori_loop(0, len(x) // batch, step, empty(jnp.mean(x[:batch], 0)))


@functools.cache
def compiled(k, **options):
    """The maps of `pca`, each a program."""
    algorithm = pca(k, **options)
    names = ('update', 'evaluate', 'encode', 'decode')
    maps = {name: jax.jit(getattr(algorithm, name)) for name in names}
    return algorithm._replace(**maps, sample=jax.jit(algorithm.sample, static_argnums=2))


derived = jax.jit(principal_components, static_argnums=(1, 2, 3))


def gaussian(rows, columns, seed=0):
    """Rows [N, D] of a Gaussian whose standard deviations fall by a third between directions."""
    rng = np.random.default_rng(seed)
    rotation = scipy.stats.ortho_group.rvs(columns, random_state=rng)
    noise = rng.normal(size=(rows, columns)) * 1.5 ** -np.arange(columns) @ rotation
    return (noise + rng.normal(size=columns)).astype(np.float32)


@pytest.fixture(scope='module')
def digits():
    """scikit-learn's 1,797 digits, of which three columns are constant, and the trainer's state."""
    x = load_digits().data.astype(np.float32)
    data = table(x, batch=599, test={'x': x[:50]}, constant=True)
    experiment = Experiment(pca(10), data, {})
    return x, train(experiment, seed=0, steps=3, mesh=make_mesh(jax.devices()[:1]))


@pytest.mark.parametrize('far', [0.0, 1e4])
def test_a_million_rows_agree_with_float64_also_far_from_zero(far):
    x = gaussian(1_000_000, 5)
    x = x / x.std(0) + far * np.array([1, -1, 0, 1, -1], np.float32)
    found = moments(x, batch=250)
    expected = np.cov(x, rowvar=False, dtype=np.float64)  # of what float32 left of x
    assert found.count == 1_000_000
    np.testing.assert_allclose(found.covariance, expected, atol=1e-5)
    mean = np.asarray(found.origin, np.float64) + np.asarray(found.shift)
    np.testing.assert_allclose(mean, x.mean(0, dtype=np.float64), atol=1e-6)


def test_how_rows_come_in_batches_does_not_matter():
    x = gaussian(60, 4)
    whole = moments(x)
    uneven = empty(jnp.zeros(4))  # a poor origin, too
    for part in (x[:1], x[1:50], x[50:]):
        uneven = merge(uneven, part)
    for other in (moments(x, 1), moments(x[::-1].copy(), 15), uneven):
        assert other.count == 60
        np.testing.assert_allclose(module.mean(other), module.mean(whole), atol=1e-6)
        np.testing.assert_allclose(other.covariance, whole.covariance, atol=1e-6)


def test_it_equals_scikit_learn(digits):
    x, state = digits
    peer = PCA(10, svd_solver='full').fit(x.astype(np.float64))
    found = derived(state, 10, exact, 1)
    np.testing.assert_allclose(found.directions, peer.components_, atol=2e-5)
    np.testing.assert_allclose(found.variances, peer.explained_variance_, rtol=1e-5)
    ratio = module.explained_variance_ratio(found)
    np.testing.assert_allclose(ratio, peer.explained_variance_ratio_, rtol=1e-5)
    np.testing.assert_allclose(noise_variance(found), peer.noise_variance_, rtol=1e-5)
    algorithm = compiled(10, correction=1)
    loss = algorithm.evaluate(KEY, state, {'x': x})['loss']
    np.testing.assert_allclose(loss, -peer.score_samples(x.astype(np.float64)), rtol=1e-5)


@pytest.mark.parametrize('whiten', [False, True])
def test_codes_and_what_is_decoded_equal_scikit_learn(digits, whiten):
    x, state = digits
    peer = PCA(10, svd_solver='full', whiten=whiten).fit(x.astype(np.float64))
    algorithm = compiled(10, whiten=whiten, correction=1)
    code = algorithm.encode(KEY, state, {'x': x})
    expected = peer.transform(x.astype(np.float64))
    np.testing.assert_allclose(code, expected, atol=1e-4 * expected.std(0).max())
    decoded = algorithm.decode(KEY, state, code)
    np.testing.assert_allclose(decoded, peer.inverse_transform(expected), atol=2e-3)


def test_whitened_codes_have_unit_covariance():
    x = gaussian(500, 6)
    code = compiled(4, whiten=True).encode(KEY, moments(x), {'x': x})
    np.testing.assert_allclose(np.cov(code, rowvar=False, bias=True), np.eye(4), atol=1e-5)


def test_codes_keep_their_digits_far_from_zero():
    x = gaussian(300, 3) + np.array([1e4, 0, -1e4], np.float32)
    truth = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    code = compiled(3).encode(KEY, moments(x, 30), {'x': x})
    length = np.linalg.norm(code, axis=1)
    np.testing.assert_allclose(length, np.linalg.norm(truth, axis=1), atol=1e-5)


def test_the_error_is_that_of_the_best_matrix_of_its_rank_and_selection_never_does_better():
    x = gaussian(400, 6)
    rows = x.astype(np.float64) - x.mean(0, dtype=np.float64)
    sigma = np.linalg.svd(rows, compute_uv=False)
    variances = np.sort(rows.var(0))[::-1]

    def mean_error(k, solver):
        metrics = compiled(k, solver=solver).evaluate(KEY, moments(x), {'x': x})
        return float(jnp.mean(metrics['squared_error']))

    for k in (2, 5, 6):
        error = mean_error(k, exact)
        alternative = mean_error(k, selection)
        best = np.sum(sigma[k:] ** 2) / 400  # Eckart and Young 1936
        assert error == pytest.approx(best, rel=1e-5, abs=1e-10)
        assert alternative == pytest.approx(variances[k:].sum(), rel=1e-5, abs=1e-10)
        assert k == 6 or alternative > error


def test_selection_keeps_the_columns_of_largest_variance():
    x = gaussian(100, 5)
    x[:, 3] *= 10
    state = moments(x)
    algorithm = compiled(2, solver=selection)
    kept = module.select(state.covariance, 2)
    assert list(kept) == list(np.argsort(-x.var(0))[:2])
    assert kept[0] == 3
    code = algorithm.encode(KEY, state, {'x': x})
    np.testing.assert_allclose(code, x[:, kept] - x.mean(0)[kept], atol=1e-5)
    back = algorithm.decode(KEY, state, code)
    np.testing.assert_allclose(back[:, kept], x[:, kept], atol=1e-5)
    rest = [i for i in range(5) if i not in kept]
    np.testing.assert_allclose(back[:, rest], np.broadcast_to(x.mean(0)[rest], (100, 3)), atol=1e-6)


def model(found):
    """The covariance of probabilistic PCA in float64, written out."""
    w = np.asarray(loadings(found), np.float64)
    noise = float(noise_variance(found))
    return w.T @ w + noise * np.eye(w.shape[1])


@pytest.mark.parametrize('solver', [exact, randomised()])
def test_the_likelihood_is_that_of_the_gaussian_written_out(solver):
    x = gaussian(200, 5)
    other = gaussian(20, 5, seed=1)
    state = moments(x)
    for k in (2, 5):  # of all 5 it is the Gaussian with the whole covariance
        covariance = model(derived(state, k, solver))
        expected = -scipy.stats.multivariate_normal.logpdf(other, module.mean(state), covariance)
        loss = compiled(k, solver=solver).evaluate(KEY, state, {'x': other})['loss']
        np.testing.assert_allclose(loss, expected, rtol=1e-4)
    np.testing.assert_allclose(covariance, state.covariance, atol=1e-5)


def test_no_other_loadings_and_noise_make_the_data_likelier():
    x = gaussian(300, 4)
    state = moments(x)
    found = derived(state, 2)
    centre = np.asarray(module.mean(state), np.float64)

    def nats(w, noise):
        covariance = w.T @ w + noise * np.eye(4)
        return -scipy.stats.multivariate_normal.logpdf(x, centre, covariance).mean()

    w = np.asarray(loadings(found), np.float64)
    noise = float(noise_variance(found))
    best = float(jnp.mean(compiled(2).evaluate(KEY, state, {'x': x})['loss']))
    values = np.linalg.eigvalsh(np.cov(x, rowvar=False, bias=True).astype(np.float64))
    log_det = np.log(values[2:]).sum() + 2 * np.log(values[:2].mean())
    closed = (log_det + 4 * np.log(2 * np.pi) + 4) / 2
    assert best == pytest.approx(closed, rel=1e-5) == nats(w, noise)

    rng = np.random.default_rng(0)
    for size, _ in itertools.product((1e-2, 1e-1, 1.0), range(20)):
        other_w = w + size * rng.normal(size=w.shape)
        other_noise = noise * np.exp(size * rng.normal())
        assert nats(other_w, other_noise) > nats(w, noise)


def test_draws_have_the_mean_and_covariance_of_the_model():
    state = moments(gaussian(200, 4))
    x = compiled(2).sample(KEY, state, 200_000)
    expected = model(derived(state, 2))
    scale = np.sqrt(np.diag(expected))
    np.testing.assert_allclose((x.mean(0) - module.mean(state)) / scale, np.zeros(4), atol=0.01)
    unit = np.outer(scale, scale)
    np.testing.assert_allclose(np.cov(x, rowvar=False) / unit, expected / unit, atol=0.015)


def test_the_randomised_solver_gives_what_the_exact_one_does(digits):
    _, state = digits
    found = derived(state, 10, randomised())
    expected = derived(state, 10, exact)
    np.testing.assert_allclose(found.variances, expected.variances, rtol=1e-5)
    np.testing.assert_allclose(found.directions, expected.directions, atol=1e-4)


def test_as_few_rows_as_components_have_an_unbounded_likelihood_and_finite_codes():
    other = {'x': gaussian(10, 6, seed=1)}
    state = moments(gaussian(4, 6))  # four rows vary in three directions
    found = compiled(3, whiten=True).evaluate(KEY, state, other)
    assert np.all(np.isposinf(found['loss']))
    assert np.all(np.isfinite(found['squared_error']))
    fewer = compiled(2, whiten=True).evaluate(KEY, state, other)
    assert np.all(np.isfinite(fewer['loss']))


def test_directions_in_which_nothing_varies_have_whitened_codes_of_zero():
    x = gaussian(50, 4)
    x[:, 2] = 7.0  # a constant column
    x[:, 3] = x[:, 0]  # one that says what another says
    state = moments(x)
    algorithm = compiled(4, whiten=True)
    code = algorithm.encode(KEY, state, {'x': x})
    np.testing.assert_array_equal(code[:, 2:], np.zeros((50, 2)))
    np.testing.assert_allclose(algorithm.decode(KEY, state, code), x, atol=1e-5)
    assert np.all(np.isposinf(algorithm.evaluate(KEY, state, {'x': x})['loss']))
    assert np.all(np.isfinite(algorithm.sample(KEY, state, 3)))


def test_the_metric_is_the_variance_so_far_and_more_rows_than_can_be_counted_end_the_run(tmp_path):
    x = gaussian(40, 3)
    algorithm = compiled(1)
    state, metrics = algorithm.update(KEY, algorithm.init(KEY, {'x': x}), {'x': x})
    assert metrics['loss'] == pytest.approx(x.var(0).sum(), rel=1e-5)
    full = state._replace(count=jnp.uint32(2**32 - 20))
    assert np.isposinf(algorithm.update(KEY, full, {'x': x})[1]['loss'])


def test_what_cannot_be_is_refused_in_one_line():
    with pytest.raises(ValueError, match='^dimension is 0; at least 1 component is needed$'):
        pca(0)
    experiment = Experiment(pca(4), table(gaussian(20, 3), batch=10), {})
    message = '^dimension is 4, x has shape .10, 3.; needed: .B, D., D of 4 or more'
    with pytest.raises(ValueError, match=message):
        train(experiment, seed=0, steps=1, mesh=make_mesh(jax.devices()[:1]), every=Every())
    message = '^oversampling is -1, iterations 4; both must be at least 0$'
    with pytest.raises(ValueError, match=message):
        randomised(oversampling=-1)(jnp.eye(3), 1)


ROWS = 400
COLUMNS = 8
SPECTRA = {
    'flat': np.ones(COLUMNS),
    'graded': 4.0 ** -np.arange(COLUMNS),
    'low rank': np.where(np.arange(COLUMNS) < 3, 1, 3e-3),
    'one': np.where(np.arange(COLUMNS) < 1, 1, 1e-2),
    'singular': np.where(np.arange(COLUMNS) < 4, 1, 0),
}


@st.composite
def tables(draw):
    """Rows [N, D] of a spectrum, rotated or not, in columns of any scale, some far from 0."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    spectrum = SPECTRA[draw(st.sampled_from(sorted(SPECTRA)))]
    rotation = np.eye(COLUMNS)
    if draw(st.booleans()):
        rotation = scipy.stats.ortho_group.rvs(COLUMNS, random_state=random)
    x = random.normal(size=(ROWS, COLUMNS)) * spectrum @ rotation
    if draw(st.booleans()):
        x = x * 10 ** random.uniform(-3, 5, COLUMNS)
    if draw(st.booleans()):
        x = x + random.choice([-1e6, 0, 1e6], COLUMNS)
    return x.astype(np.float32)


@functools.partial(jax.jit, static_argnums=(2, 3))
def measured(state, x, dimension, solver):
    """The components, their loadings, and the loss of rows x."""
    found = principal_components(state, dimension, solver)
    loss = losses(found, centred(state, x))['loss']
    return found, loadings(found), noise_variance(found), loss


def nats_and_condition(covariance, rows, scale):
    """-log N(x | 0, covariance) of rows [N, D], [N], and the condition of the covariance.

    That is the largest factor by which columns of a scale [D], were they independent, would vary
    more than the covariance does, over all directions. Float64; Cholesky's factor is as exact in
    columns of any scale.
    """
    root = np.linalg.cholesky(covariance)
    z = scipy.linalg.solve_triangular(root, rows.T, lower=True)
    nats = len(root) / 2 * np.log(2 * np.pi) + np.log(np.diag(root)).sum() + (z**2).sum(0) / 2
    relative = scipy.linalg.solve_triangular(root, np.diag(scale), lower=True)
    return nats, np.linalg.norm(relative, 2) ** 2


def likeliest(rows, scale, dimension):
    """The mean loss of probabilistic PCA in float64, and the condition above of its covariance.

    Infinite where that is singular.
    """
    _, sigma, axes = np.linalg.svd(rows / np.sqrt(len(rows)), full_matrices=False)
    variances = sigma**2
    variances[dimension:] = np.mean(variances[dimension:]) if dimension < COLUMNS else 0
    if variances[-1] < 1e-24 * variances[0]:
        return -np.inf, np.inf
    nats = (COLUMNS * np.log(2 * np.pi) + np.log(variances).sum() + COLUMNS) / 2
    return nats, np.linalg.norm(axes * scale / np.sqrt(variances)[:, None], 2) ** 2


CHOICES = [
    (1, exact),
    (3, exact),
    (COLUMNS - 1, exact),
    (COLUMNS, exact),
    (3, RANDOMISED),
    (3, selection),
]


@hypothesis.settings(max_examples=60, derandomize=True, database=None, deadline=None)
@hypothesis.given(tables(), st.sampled_from(CHOICES))
def test_the_loss_is_that_of_its_parameters_and_the_least_while_float32_resolves_the_spectrum(
    x, chosen
):
    dimension, solver = chosen
    eps = np.finfo(np.float32).eps
    state = moments(x, 100)
    found, weights, noise, loss = measured(state, x, dimension, solver)
    weights = np.asarray(weights, np.float64)
    loss = np.asarray(loss, np.float64)
    x = x.astype(np.float64)
    scale = x.std(0)
    if float(noise) > 0 or (dimension == COLUMNS and np.all(found.variances > 0)):
        own = x - np.asarray(state.origin, np.float64) - np.asarray(state.shift, np.float64)
        covariance = weights.T @ weights + float(noise) * np.eye(COLUMNS)
        nats, condition = nats_and_condition(covariance, own, scale)
        # D products are rounded for a code, relative to independent columns; a code's part in the
        # loss is its square.
        squares = np.sum((own / (scale + 1e-30)) ** 2, 1)
        bound = eps * COLUMNS * np.sqrt(condition) * (COLUMNS + np.abs(nats) + squares)
        assert np.all(np.abs(loss - nats) < bound)
    else:
        assert np.all(np.isposinf(loss))
    best, condition = likeliest(x - x.mean(0), scale, dimension)
    if solver is exact and condition * COLUMNS * module.RESOLUTION < 1:
        assert loss.mean() == pytest.approx(best, abs=1e-2)


def test_whitened_codes_of_columns_of_any_scale_have_unit_covariance():
    """A column of 1e5 beside one of 1e-3 would drown it if a direction were exact to eps alone."""
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(ROWS, COLUMNS))
    mixed = noise @ (np.eye(COLUMNS) + 0.3 * rng.normal(size=(COLUMNS, COLUMNS)))
    x = (mixed * np.logspace(-3, 5, COLUMNS)).astype(np.float32)
    state = moments(x, 100)
    found = derived(state, COLUMNS)
    code = module.project(found, centred(state, x), whiten=True)
    # Of two directions, some roundings of eps / LEVEL in each.
    bound = 8 * np.finfo(np.float32).eps / module.LEVEL
    np.testing.assert_allclose(np.cov(code, rowvar=False, bias=True), np.eye(COLUMNS), atol=bound)
    rows = x - x.mean(0, dtype=np.float64)
    expected = np.linalg.svd(rows / np.sqrt(ROWS), compute_uv=False) ** 2
    np.testing.assert_allclose(found.variances, expected, rtol=bound)


@pytest.mark.parametrize('value', [7.1, 1e6])
def test_a_constant_column_does_not_vary_however_its_mean_is_rounded(value):
    x = gaussian(ROWS, COLUMNS)
    x[:, 3] = value
    x[:, 5] *= 1e-3
    found = derived(moments(x, 100), COLUMNS)
    assert np.all(found.variances[:-1] > 0)
    assert found.variances[-1] == 0
    np.testing.assert_allclose(found.directions[-1], np.eye(COLUMNS)[3], atol=1e-6)
