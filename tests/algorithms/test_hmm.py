"""Hidden Markov models against all paths one by one, float64, closed forms, and hmmlearn."""

import itertools
import json
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chisquare

from genjax.algorithms.hmm import (
    Chain,
    Gaussians,
    StateLikelihoods,
    diagonal,
    discrete,
    forward,
    full,
    gaussian,
    generate,
    hmm,
    log_product,
    parallel,
    posterior,
    scaled_product,
    sequential,
    state_likelihoods,
    viterbi,
)
from genjax.base import Data, Resident
from genjax.training import Every, Experiment, NonFinite, make_mesh, train
from tests.marks import slow

KEY = jax.random.key(0)
STEP = Every(log=1, evaluate=1000, save=1000)
scans = pytest.mark.parametrize('scan', [sequential, parallel])
products = pytest.mark.parametrize('product', [log_product, scaled_product])
covariances = pytest.mark.parametrize('covariance', [diagonal, full])
# What holds of full covariances in many steps would hold of diagonal ones, which are compiled as
# long.
covariances_of_many_steps = pytest.mark.parametrize('covariance', [slow(diagonal), full])


def chain_of(seed, states, symbols, zeros=()):
    """A random chain, some of whose transitions never happen."""
    rng = np.random.default_rng(seed)

    def rows(n, size):
        return rng.dirichlet(np.ones(size), n).astype(np.float32)

    transition = rows(states, states)
    for i, j in zeros:
        transition[i, j] = 0
    transition /= transition.sum(1, keepdims=True)
    initial = rows(1, states)[0]
    emission = rows(states, symbols)
    return Chain(jnp.asarray(initial), jnp.asarray(transition), jnp.asarray(emission))


def float64(chain):
    return [np.asarray(part, np.float64) for part in chain]


def every_path(chain, x):
    """-log of the likelihood, the states' posteriors, the expected transitions, and the best path.

    By summing over paths.
    """
    pi, a, b = float64(chain)
    paths = np.array(list(itertools.product(range(len(pi)), repeat=len(x))))
    emitted = b[paths, np.asarray(x)[None]].prod(1)
    p = pi[paths[:, 0]] * emitted * a[paths[:, :-1], paths[:, 1:]].prod(1)
    share = p / p.sum()

    states = np.zeros((len(x), len(pi)))
    for t, i in np.ndindex(states.shape):
        states[t, i] = share[paths[:, t] == i].sum()
    pairs = np.zeros_like(a)
    for t in range(len(x) - 1):
        np.add.at(pairs, (paths[:, t], paths[:, t + 1]), share)
    return -np.log(p.sum()), states, pairs, paths[p.argmax()]


@cache
def smoothed(symbols, scan, product):
    """(chain, batch) -> what `posterior` gives, a program."""

    def passes(chain, batch):
        likelihoods = state_likelihoods(chain, discrete(symbols), batch)
        return posterior(chain, likelihoods, scan, product)

    return jax.jit(passes)


@cache
def decoded(symbols, scan):
    """(chain, batch) -> the best path, a program."""

    def path(chain, batch):
        return viterbi(chain, state_likelihoods(chain, discrete(symbols), batch), scan)

    return jax.jit(path)


@scans
@products
@pytest.mark.parametrize('zeros', [(), ((0, 1), (2, 0), (1, 1))], ids=['dense', 'sparse'])
def test_passes_equal_the_sum_over_all_paths(scan, product, zeros):
    chain = chain_of(3, 3, 4, zeros)
    batch = jax.random.randint(KEY, (6, 5), 0, 4)
    nats, states, pairs = smoothed(4, scan, product)(chain, {'x': batch})
    path = decoded(4, scan)(chain, {'x': batch})
    for i, x in enumerate(batch):
        expected_nats, by_state, by_pair, best = every_path(chain, x)
        np.testing.assert_allclose(nats[:, i].sum(), expected_nats, rtol=1e-6)
        np.testing.assert_allclose(states[:, i], by_state, atol=2e-6)
        np.testing.assert_allclose(pairs[i], by_pair, atol=5e-6)
        np.testing.assert_array_equal(path[:, i], best)


@scans
def test_places_after_the_length_have_no_effect(scan):
    chain = chain_of(4, 3, 4)
    rubbish = np.array([[2, 0, 1, -7, 99], [1, 1, 1, 1, 1]], np.int32)
    batch = {'x': rubbish, 'length': np.array([3, 1], np.int32)}
    nats, states, pairs = smoothed(4, scan, log_product)(chain, batch)
    path = decoded(4, scan)(chain, batch)
    for i, length in enumerate((3, 1)):
        expected_nats, by_state, by_pair, best = every_path(chain, rubbish[i, :length])
        by_state = np.pad(by_state, ((0, 5 - length), (0, 0)))
        np.testing.assert_allclose(nats[:, i].sum(), expected_nats, rtol=1e-6)
        np.testing.assert_allclose(states[:, i], by_state, atol=2e-6)
        np.testing.assert_allclose(pairs[i], by_pair, atol=5e-6)
        np.testing.assert_array_equal(path[:length, i], best)


def test_a_sequence_of_one_place_is_a_mixture():
    chain = chain_of(5, 3, 4)
    nats, states, pairs = smoothed(4, parallel, log_product)(chain, {'x': jnp.array([[2]])})
    path = decoded(4, parallel)(chain, {'x': jnp.array([[2]])})
    joint = np.asarray(chain.initial * chain.emission[:, 2], np.float64)
    np.testing.assert_allclose(nats[0, 0], -np.log(joint.sum()), rtol=1e-6)
    np.testing.assert_allclose(states[0, 0], joint / joint.sum(), rtol=1e-5)
    assert path[0, 0] == joint.argmax() and not pairs.any()


@cache
def long_sequence():
    """A chain, 100,000 symbols of it, and their nats, posteriors and best path in float64."""
    chain = chain_of(0, 3, 5)
    _, x = jax.jit(generate, static_argnums=(2, 3))(KEY, chain, discrete(5), 100_000)
    x = np.asarray(x)
    pi, a, b = float64(chain)

    predicted = np.zeros((len(x), 3))
    predicted[0] = pi
    nats = 0.0
    for t, symbol in enumerate(x):
        joint = predicted[t] * b[:, symbol]
        nats -= np.log(joint.sum())
        if t + 1 < len(x):
            predicted[t + 1] = joint @ a / joint.sum()

    backward = np.zeros((len(x), 3))
    backward[-1] = 1
    for t in range(len(x) - 1, 0, -1):
        backward[t - 1] = a @ (b[:, x[t]] * backward[t])
        backward[t - 1] /= backward[t - 1].sum()

    states = predicted * b[:, x].T * backward
    states /= states.sum(1, keepdims=True)
    return chain, x, nats, states, float64_viterbi(pi, a, b[:, x].T)


def float64_viterbi(pi, a, likelihood):
    """The best path, int [L], of likelihoods [L, K]."""
    best = np.log(pi) + np.log(likelihood[0])
    previous = []
    for row in likelihood[1:]:
        candidates = best[:, None] + np.log(a)
        previous.append(candidates.argmax(0))
        best = candidates.max(0) + np.log(row)

    path = [best.argmax()]
    for pointers in previous[::-1]:
        path.append(pointers[path[-1]])
    return np.array(path[::-1])


def log_joint(chain, x, path):
    pi, a, b = (np.log(part) for part in float64(chain))
    return pi[path[0]] + a[path[:-1], path[1:]].sum() + b[path, x].sum()


@pytest.mark.parametrize(
    ('scan', 'product'),
    [(sequential, log_product), (sequential, scaled_product), slow(parallel, log_product)],
)
@pytest.mark.slow
def test_100_000_symbols_have_the_likelihood_and_the_states_of_float64(scan, product):
    chain, x, expected_nats, by_state, _ = long_sequence()
    nats, states, _ = smoothed(5, scan, product)(chain, {'x': x[None]})
    np.testing.assert_allclose(nats.sum(), expected_nats, rtol=1e-6)
    np.testing.assert_allclose(states[:, 0], by_state, atol=1e-4)


@pytest.mark.slow
def test_the_best_path_of_100_000_symbols_is_that_of_float64():
    chain, x, _, _, best = long_sequence()
    path = np.asarray(decoded(5, sequential)(chain, {'x': x[None]})[:, 0])
    np.testing.assert_allclose(log_joint(chain, x, path), log_joint(chain, x, best), rtol=1e-7)
    assert np.mean(path == best) > 0.999  # where they part they are as probable


@pytest.mark.slow
def test_float32_counts_transitions_and_symbols_of_a_long_sequence():
    chain, x, _, states, _ = long_sequence()
    _, _, pairs = smoothed(5, sequential, log_product)(chain, {'x': x[None]})
    pairs = np.asarray(pairs[0])
    np.testing.assert_allclose(pairs.sum(1), states[:-1].sum(0), rtol=1e-5)
    np.testing.assert_allclose(pairs.sum(0), states[1:].sum(0), rtol=1e-5)
    weights = jnp.asarray(states[None], jnp.float32)
    counts = discrete(5).sums(chain.emission, jnp.asarray(x[None]), weights)
    expected = [[states[x == v, i].sum() for v in range(5)] for i in range(3)]
    np.testing.assert_allclose(counts, expected, rtol=1e-5)


@scans
def test_log_product_keeps_what_a_product_of_matrices_loses(scan):
    """An outlier makes the state without a way back seem certain.

    All that follows says that it was not entered.
    """
    chain = Chain(jnp.array([1.0, 0.0]), jnp.array([[0.5, 0.5], [0.0, 1.0]]), None)
    likelihood = jnp.zeros((30, 1, 2)).at[5, 0, 0].set(-200.0).at[6:, 0, 1].set(-50.0)
    likelihoods = StateLikelihoods(likelihood, jnp.ones((30, 1), bool))
    nats, states, pairs = jax.jit(partial(posterior, scan=scan))(chain, likelihoods)
    np.testing.assert_allclose(nats.sum(), 200 + 29 * np.log(2) - np.log1p(np.exp(-50)), rtol=1e-6)
    np.testing.assert_allclose(states[:, 0], np.eye(2)[[0] * 30], atol=1e-6)
    np.testing.assert_allclose(pairs[0], [[29, 0], [0, 0]], atol=1e-4)
    scaled = jax.jit(partial(forward, scan=scan, product=scaled_product))
    _, lost = scaled(chain, likelihoods)
    assert not np.sum(lost) < 1000


def test_log_product_has_its_terms_never_in_memory():
    """A product [I, J] has terms [I, K, J]; of all pairs of states K is a sequence's length."""
    rng = np.random.default_rng(0)
    a = rng.normal(size=(16, 300)).astype(np.float32)
    b = rng.normal(size=(300, 16)).astype(np.float32)
    a[0] = -np.inf
    program = jax.jit(log_product).lower(a, b).compile()
    with np.errstate(divide='ignore'):
        expected = np.log(np.exp(np.float64(a)) @ np.exp(np.float64(b)))
    np.testing.assert_allclose(program(a, b), expected, rtol=1e-5)
    assert program.memory_analysis().temp_size_in_bytes < 4 * 16 * 300 * 16 / 4


@scans
def test_viterbi_is_a_path_even_where_all_are_alike(scan):
    """Two states that must alternate, and nothing in the data that says where it starts."""
    chain = Chain(
        jnp.array([0.5, 0.5]), jnp.array([[0.0, 1.0], [1.0, 0.0]]), jnp.full((2, 3), 1 / 3)
    )
    path = np.asarray(decoded(3, scan)(chain, {'x': jnp.zeros((1, 9), jnp.int32)})[:, 0])
    assert (path[1:] != path[:-1]).all()


def full_batch(batch):
    """The same sequences at every step, and as the test set."""
    arrays = jax.tree.map(jnp.asarray, batch)
    return Data(Resident(arrays, lambda arrays, step: arrays), [batch])


def run(algorithm, data, steps, workdir=None, seed=0, **options):
    mesh = make_mesh(jax.devices()[:1])
    return train(
        Experiment(algorithm, data, {}),
        seed=seed,
        steps=steps,
        mesh=mesh,
        workdir=workdir,
        **options,
    )


def updated(algorithm, batch, steps=1):
    """The state and the metrics after so many updates by all data."""
    state = jax.jit(algorithm.init)(KEY, batch)
    update = jax.jit(algorithm.update)
    for _ in range(steps):
        state, metrics = update(KEY, state, batch)
    return state, metrics


def losses(folder):
    rows = [json.loads(line) for line in (folder / 'metrics.jsonl').read_text().splitlines()]
    return np.array([row['loss'] for row in rows])


@cache
def symbols_drawn():
    """60 sequences of up to 100 symbols of a known chain, which goes from state to state rarely."""
    rows = [[0.5, 0.5], [[0.95, 0.05], [0.1, 0.9]], [[0.8, 0.15, 0.05], [0.1, 0.2, 0.7]]]
    chain = Chain(*(jnp.array(part) for part in rows))
    x = sequences(chain, discrete(3), n=60, length=100)
    length = np.random.default_rng(0).integers(70, 101, 60).astype(np.int32)
    return chain, {'x': x, 'length': length}


@cache
def points_drawn():
    """30 sequences of up to 50 points of three correlated Gaussians."""
    mean = jnp.array([[0.0, 0.0], [4.0, 0.0], [0.0, 5.0]])
    covariance = jnp.array(
        [[[1.0, 0.6], [0.6, 1.0]], [[0.5, 0.0], [0.0, 2.0]], [[1.0, -0.4], [-0.4, 0.5]]]
    )
    transition = jnp.full((3, 3), 0.1) + 0.7 * jnp.eye(3)
    chain = Chain(jnp.full(3, 1 / 3), transition, Gaussians(mean, full.factor(covariance)))
    x = sequences(chain, gaussian(full), n=30, length=50)
    length = np.random.default_rng(1).integers(30, 51, 30).astype(np.int32)
    return chain, {'x': x, 'length': length}


def sequences(chain, emission, *, n, length):
    """n sequences of a chain, [n, length, ...]."""

    def draw(key):
        _, x = generate(key, chain, emission, length)
        return x

    return np.asarray(jax.vmap(draw)(jax.random.split(KEY, n)))


@pytest.mark.parametrize('seed', [0, slow(1), slow(2)])
def test_the_likelihood_never_falls(seed, tmp_path):
    rng = np.random.default_rng(seed)
    batch = {
        'x': rng.integers(0, 6, (8, 30), np.int32),
        'length': rng.integers(1, 31, 8).astype(np.int32),
    }
    run(hmm(3, discrete(6)), full_batch(batch), 60, tmp_path, seed, every=STEP)
    found = losses(tmp_path)
    assert len(found) == 60 and found[-1] < found[0] - 0.01
    assert np.diff(found).max() <= 5e-7 * found[0]


@pytest.mark.slow
@covariances
def test_the_likelihood_of_points_never_falls(covariance, tmp_path):
    _, batch = points_drawn()
    run(hmm(4, gaussian(covariance)), full_batch(batch), 25, tmp_path, every=STEP)
    found = losses(tmp_path)
    assert found[-1] < found[0] - 0.1 and np.diff(found).max() <= 1e-6 * found[0]


def test_with_pseudocounts_it_is_the_posterior_that_never_falls():
    batch = {'x': np.random.default_rng(3).integers(0, 6, (5, 12), np.int32)}
    k = 0.5
    algorithm = hmm(3, discrete(6, pseudocount=k), pseudocount=k)
    state = algorithm.init(KEY, batch)
    update = jax.jit(algorithm.update)
    found = []
    for _ in range(40):
        prior = k * sum(np.log(part).sum() for part in float64(state.chain))
        state, metrics = update(KEY, state, batch)
        found.append(prior - 60 * float(metrics['loss']))
    assert found[-1] > found[0] + 1 and np.diff(found).min() > -1e-4
    assert min(np.min(part) for part in state.chain) > 0


@pytest.mark.slow
def test_em_finds_the_chain_that_made_the_symbols():
    truth, batch = symbols_drawn()
    algorithm = hmm(2, discrete(3))
    state = run(algorithm, full_batch(batch), 80)
    order = np.argsort(state.chain.emission[:, 2])
    np.testing.assert_allclose(state.chain.emission[order], truth.emission, atol=0.04)
    np.testing.assert_allclose(state.chain.transition[order][:, order], truth.transition, atol=0.04)
    evaluate = jax.jit(algorithm.evaluate)

    def nats(chain):
        return np.sum(evaluate(KEY, state._replace(chain=chain), batch)['nats'])

    # What 7 free numbers fit beyond the truth is little.
    assert nats(truth) - 20 < nats(state.chain) < nats(truth)


@pytest.mark.slow
def test_em_finds_the_gaussians_that_made_the_points():
    truth, batch = points_drawn()
    state = run(hmm(3, gaussian(full)), full_batch(batch), 60)
    mean = state.chain.emission.mean
    covariance = state.chain.emission.covariance
    order = np.array([np.argmin(np.sum((mean - m[None]) ** 2, 1)) for m in truth.emission.mean])
    np.testing.assert_allclose(mean[order], truth.emission.mean, atol=0.25)
    np.testing.assert_allclose(covariance[order], truth.emission.covariance, atol=0.35)


@pytest.mark.slow
def test_batches_with_falling_steps_come_near_what_all_data_give():
    _, batch = symbols_drawn()

    def select(arrays, step):
        return jax.tree.map(lambda x: x[(step * 4 + jnp.arange(4)) % 60], arrays)

    parts = Data(Resident(jax.tree.map(jnp.asarray, batch), select), [])
    falling = hmm(2, discrete(3), stepsize=lambda step: (step + 1) ** -0.6)
    few = run(falling, parts, 300)

    algorithm = hmm(2, discrete(3))
    evaluate = jax.jit(algorithm.evaluate)

    def nats(state):
        return np.sum(evaluate(KEY, state, batch)['nats'])

    best = nats(run(algorithm, full_batch(batch), 80))
    assert best - 1e-3 < nats(few) < best + 5


def test_one_state_counts_symbols_and_a_prior_joins_in():
    batch = {
        'x': np.array([[0, 1, 1, 3], [1, 0, 0, 0]], np.int32),
        'length': np.array([4, 2], np.int32),
    }
    for k in (0.0, 0.5):
        state, _ = updated(hmm(1, discrete(5, pseudocount=k)), batch)
        expected = (np.array([2, 3, 0, 1, 0]) + k) / (6 + 5 * k)
        np.testing.assert_allclose(state.chain.emission[0], expected, rtol=1e-6)
    np.testing.assert_array_equal(state.chain.transition, [[1.0]])


@covariances
def test_one_state_has_the_mean_and_covariance_of_all_points(covariance):
    _, batch = points_drawn()
    state, _ = updated(hmm(1, gaussian(covariance)), batch)
    points, _ = rows_of(batch)
    expected = np.cov(points.T, bias=True)
    if covariance is diagonal:
        expected = np.diag(expected)
    np.testing.assert_allclose(state.chain.emission.mean[0], points.mean(0), rtol=1e-5)
    np.testing.assert_allclose(state.chain.emission.covariance[0], expected, rtol=1e-5)


@covariances_of_many_steps
def test_sums_of_points_are_weighted_by_the_steps_sizes(covariance):
    _, batch = points_drawn()
    x = batch['x'] + np.array([3, -2], np.float32)
    parts = x[:12, :40], x[12:24, :40] * np.float32(2)  # batches of different means
    algorithm = hmm(1, gaussian(covariance), stepsize=lambda step: 0.3)
    state = algorithm.init(KEY, {'x': parts[1]})  # far from the first step's
    update = jax.jit(algorithm.update)
    for part in parts:
        state, _ = update(KEY, state, {'x': part})

    points = np.concatenate(parts).reshape(-1, 2).astype(np.float64)
    weights = np.repeat([0.7, 1.0], 480)
    mean = np.average(points, 0, weights)
    expected = np.cov(points.T, bias=True, aweights=weights)
    if covariance is diagonal:
        expected = np.diag(expected)
    np.testing.assert_allclose(state.chain.emission.mean[0], mean, rtol=1e-5)
    np.testing.assert_allclose(state.chain.emission.covariance[0], expected, rtol=1e-5)


@covariances_of_many_steps
def test_points_far_from_zero_lose_no_digits(covariance):
    _, batch = points_drawn()
    x = batch['x'] + np.float32(1000)
    algorithm = hmm(3, gaussian(covariance))
    near, _ = updated(algorithm, {'x': x - np.float32(1000)}, 5)
    far, _ = updated(algorithm, {'x': x}, 5)
    near = near.chain.emission
    far = far.chain.emission
    np.testing.assert_allclose(near.covariance, far.covariance, atol=2e-3)
    np.testing.assert_allclose(near.mean, far.mean - 1000, atol=1e-3)


@covariances_of_many_steps
def test_no_variance_falls_below_the_floor(covariance):
    x = np.zeros((2, 6, 2), np.float32)
    x[:, ::2, 0] = 5  # in the other direction there is no variance
    state, metrics = updated(hmm(2, gaussian(covariance, floor=0.01)), {'x': x})
    found = state.chain.emission.covariance
    assert np.isfinite(metrics['loss'])
    assert np.isfinite(found).all()
    least = found[:, 1, 1] if covariance is full else found[:, 1]
    np.testing.assert_allclose(least, 0.01, rtol=1e-5)


def em64(chain, x, n):
    """Nats a place before each of n steps of EM on x [B, L, D], and after the last, in float64.

    Covariances are full.
    """
    pi, a = (np.asarray(part, np.float64) for part in chain[:2])
    mean, factor = (np.asarray(part, np.float64) for part in chain.emission)
    covariance = factor @ factor.swapaxes(1, 2)
    losses = []
    for _ in range(n + 1):
        factor = np.linalg.cholesky(covariance)
        white = np.einsum('kde,btke->btkd', np.linalg.inv(factor), x[:, :, None] - mean[None, None])
        log_det = np.log(np.diagonal(factor, axis1=1, axis2=2)).sum(1)
        log_b = -(white**2).sum(-1) / 2 - log_det[None, None] - x.shape[-1] / 2 * np.log(2 * np.pi)
        peak = log_b.max(-1, keepdims=True)
        b = np.exp(log_b - peak)

        filtered = np.empty_like(b)
        scale = np.empty(b.shape[:2])
        for t in range(x.shape[1]):
            predicted = pi[None] if t == 0 else filtered[:, t - 1] @ a
            joint = predicted * b[:, t]
            scale[:, t] = joint.sum(-1)
            filtered[:, t] = joint / scale[:, t, None]
        backward = np.ones_like(b)
        for t in range(x.shape[1] - 1, 0, -1):
            backward[:, t - 1] = (b[:, t] * backward[:, t]) @ a.T / scale[:, t, None]
        losses.append(-np.mean(np.log(scale) + peak[..., 0]))

        states = filtered * backward
        after = b[:, 1:] * backward[:, 1:] / scale[:, 1:, None]
        pi = states[:, 0].mean(0)
        a = a * np.einsum('bti,btj->ij', filtered[:, :-1], after)
        a /= a.sum(1, keepdims=True)
        mass = states.sum((0, 1))
        mean = np.einsum('btk,btd->kd', states, x) / mass[:, None]
        centred = x[:, :, None] - mean[None, None]
        scatter = np.einsum('btk,btkd,btke->kde', states, centred, centred)
        covariance = scatter / mass[:, None, None]
    return np.array(losses)


def test_thin_noise_of_any_scale_is_that_of_float64():
    """In any directions standard deviations span up to 1 to 1e-4; columns have scales to 1e5."""
    algorithm = hmm(2, gaussian(full, floor=1e-30))
    init = jax.jit(algorithm.init)
    update = jax.jit(algorithm.update)
    for seed in range(6):
        rng = np.random.default_rng(seed)
        rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
        axes = rotation * np.geomspace(1, 10 ** rng.uniform(-4, 0), 3)
        x = (rng.normal(size=(6, 40, 3)) + 3 * rng.integers(2, size=(6, 40, 1))) @ axes.T
        x = np.float32(x * 10 ** rng.uniform(-3, 5, 3))
        state = init(KEY, {'x': x})
        chain = state.chain
        found = []
        for _ in range(9):
            state, metrics = update(KEY, state, {'x': x})
            found.append(float(metrics['loss']))
        np.testing.assert_allclose(found, em64(chain, np.float64(x), 8), atol=1e-2)
        assert np.diff(found).max() < 1e-4


def test_columns_that_determine_each_other_are_finite_and_the_likelihood_never_falls():
    algorithm = hmm(2, gaussian(full))
    init = jax.jit(algorithm.init)
    update = jax.jit(algorithm.update)
    rng = np.random.default_rng(5)
    t = rng.normal(size=(6, 40)) + 8 * (np.arange(40) // 10 % 2)[None]
    for scale, offset in [(1e-3, 0), (1, 0), (10, 0), (1e3, 0), (1e5, 0), (1, 1e6)]:
        x = np.float32(scale * np.stack([t, 2 * t + 1, t], -1) + offset)
        state = init(KEY, {'x': x})
        found = []
        for _ in range(10):
            state, metrics = update(KEY, state, {'x': x})
            found.append(float(metrics['loss']))
        assert np.isfinite(found).all()
        assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(state))
        # Rounding at the least thinness, (1 / 32)^2 a column.
        assert np.diff(found).max() < 3e-3, (scale, offset)


def test_samples_are_distributed_as_the_model_says():
    chain = chain_of(6, 3, 4)
    algorithm = hmm(3, discrete(4), length=3)
    state = algorithm.init(KEY, {'x': jnp.zeros((1, 2), jnp.int32)})._replace(chain=chain)
    x = np.asarray(jax.jit(algorithm.sample, static_argnums=2)(KEY, state, 20_000))
    pi, a, b = float64(chain)
    expected = np.einsum('i,iu,ij,jv,jk,kw->uvw', pi, b, a, b, a, b)
    counts = np.zeros((4, 4, 4))
    np.add.at(counts, tuple(x.T), 1)
    assert chisquare(counts.ravel(), 20_000 * (expected / expected.sum()).ravel()).pvalue > 1e-3


def test_points_sampled_have_the_moments_of_their_state():
    truth, _ = points_drawn()
    chain = truth._replace(initial=jnp.array([1.0, 0.0, 0.0]), transition=jnp.eye(3))
    _, x = jax.jit(generate, static_argnums=(2, 3))(KEY, chain, gaussian(full), 20_000)
    x = np.asarray(x)
    np.testing.assert_allclose(x.mean(0), [0, 0], atol=0.03)
    np.testing.assert_allclose(np.cov(x.T), truth.emission.covariance[0], atol=0.04)


def test_codes_and_losses_are_those_of_the_passes():
    chain = chain_of(3, 3, 4)
    batch = {'x': jnp.array([[0, 1, 2, 3], [3, 3, 1, 0]]), 'length': jnp.array([4, 2])}
    algorithm = hmm(3, discrete(4), scan=parallel)
    state = algorithm.init(KEY, batch)._replace(chain=chain)
    found = jax.jit(algorithm.evaluate)(KEY, state, batch)
    codes = jax.jit(algorithm.encode)(KEY, state, batch)
    exact = [every_path(chain, x[:n]) for x, n in zip(batch['x'], (4, 2), strict=True)]
    np.testing.assert_allclose(found['nats'], [nats for nats, *_ in exact], rtol=1e-6)
    np.testing.assert_allclose(found['loss'], np.divide(found['nats'], [4, 2]), rtol=1e-6)
    np.testing.assert_array_equal(found['symbols'], [4, 2])
    np.testing.assert_allclose(codes[1, :2], exact[1][1], atol=1e-6)


def test_an_impossible_sequence_has_a_likelihood_of_zero_and_not_a_nan():
    chain = Chain(jnp.array([1.0, 0.0]), jnp.eye(2), jnp.array([[1.0, 0.0], [0.5, 0.5]]))
    for scan in (sequential, parallel):
        algorithm = hmm(2, discrete(2), scan=scan)
        state = algorithm.init(KEY, {'x': jnp.zeros((2, 4), jnp.int32)})._replace(chain=chain)
        x = jnp.array([[0, 1, 0, 0], [0, 0, 0, 0]])
        metrics = jax.jit(algorithm.evaluate)(KEY, state, {'x': x})
        np.testing.assert_array_equal(metrics['loss'], [np.inf, 0])


@pytest.mark.parametrize('symbol', [-1, 5])
def test_a_symbol_out_of_range_ends_the_run(symbol):
    with pytest.raises(NonFinite, match='step 1: loss is nan'):
        run(hmm(2, discrete(5)), full_batch({'x': np.array([[0, symbol, 4]], np.int32)}), 2)


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: hmm(0, discrete(5)), 'hmm of states 0, pseudocount 0.0, length 100'),
        (
            lambda: hmm(2, discrete(5), pseudocount=-1.0),
            'hmm of states 2, pseudocount -1.0, length 100',
        ),
        (lambda: discrete(0), 'symbols are 0, pseudocount 0.0'),
        (lambda: gaussian(floor=0.0), 'floor is 0.0; a variance must be positive'),
        (
            lambda: abstract_init(hmm(2, discrete(5)), jnp.zeros((3, 4))),
            r'x is float32 \[3, 4\]; .* integers \[B, L\]',
        ),
        (
            lambda: abstract_init(hmm(2, gaussian()), jnp.zeros((3, 4))),
            r'x is float32 \[3, 4\]; .* floats \[B, L, D\]',
        ),
        (
            lambda: abstract_init(hmm(2, gaussian()), jnp.zeros((3, 4, 2), jnp.int32)),
            r'x is int32 \[3, 4, 2\]',
        ),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError, match=message) as error:
        make()
    assert '\n' not in str(error.value)


def abstract_init(algorithm, x):
    return jax.eval_shape(algorithm.init, KEY, {'x': x})


def rows_of(batch):
    """Sequences one after another, and their lengths, as hmmlearn has them."""
    rows = np.concatenate([x[:n] for x, n in zip(batch['x'], batch['length'], strict=True)])
    if rows.ndim == 1:
        return rows[:, None], batch['length']
    return rows.astype(np.float64), batch['length']


def set_to(peer, chain):
    peer.startprob_, peer.transmat_ = float64(chain[:2])
    return peer


def agrees(peer, algorithm, state, batch, emission):
    """Sees that likelihoods, posteriors and paths are the same, and the model after EM.

    But for its emission.
    """
    rows, lengths = rows_of(batch)
    nats = np.sum(algorithm.evaluate(KEY, state, batch)['nats'])
    np.testing.assert_allclose(-peer.score(rows, lengths), nats, rtol=2e-6)
    mask = np.arange(batch['x'].shape[1])[None] < lengths[:, None]
    codes = algorithm.encode(KEY, state, batch)[mask]
    np.testing.assert_allclose(codes, peer.predict_proba(rows, lengths), atol=2e-4)

    @jax.jit
    def best_path(chain):
        return viterbi(chain, state_likelihoods(chain, emission, batch))

    path = np.asarray(best_path(state.chain)).T[mask]
    assert np.mean(path == peer.predict(rows, lengths)) > 0.999

    peer.fit(rows, lengths)
    for _ in range(peer.n_iter):
        state, _ = jax.jit(algorithm.update)(KEY, state, batch)
    np.testing.assert_allclose(state.chain.initial, peer.startprob_, atol=2e-5)
    np.testing.assert_allclose(state.chain.transition, peer.transmat_, atol=2e-5)
    return state


@pytest.mark.peers
@pytest.mark.parametrize('k', [0.0, 0.5])
def test_symbols_equal_hmmlearn(k):
    from hmmlearn.hmm import CategoricalHMM

    _, batch = symbols_drawn()
    emission = discrete(3, pseudocount=k)
    algorithm = hmm(3, emission, pseudocount=k)
    state = algorithm.init(KEY, batch)
    priors = dict.fromkeys(('startprob_prior', 'transmat_prior', 'emissionprob_prior'), 1 + k)
    peer = set_to(CategoricalHMM(3, n_iter=5, tol=-np.inf, init_params='', **priors), state.chain)
    peer.emissionprob_ = np.asarray(state.chain.emission, np.float64)
    peer.n_features = 3
    state = agrees(peer, algorithm, state, batch, emission)
    np.testing.assert_allclose(state.chain.emission, peer.emissionprob_, atol=2e-5)


@pytest.mark.peers
@pytest.mark.parametrize(('covariance', 'kind'), [(diagonal, 'diag'), (full, 'full')])
def test_points_equal_hmmlearn(covariance, kind):
    from hmmlearn.hmm import GaussianHMM

    _, batch = points_drawn()
    emission = gaussian(covariance)
    algorithm = hmm(3, emission)
    state = algorithm.init(KEY, batch)
    free = dict(covars_prior=0, covars_weight=0, n_iter=5, tol=-np.inf, init_params='')
    peer = set_to(GaussianHMM(3, kind, **free), state.chain)
    found = state.chain.emission
    peer.means_ = np.asarray(found.mean, np.float64)
    peer.covars_ = np.asarray(found.covariance, np.float64)
    state = agrees(peer, algorithm, state, batch, emission)
    np.testing.assert_allclose(state.chain.emission.mean, peer.means_, atol=1e-4)
    np.testing.assert_allclose(state.chain.emission.covariance, peer._covars_, atol=2e-4)
