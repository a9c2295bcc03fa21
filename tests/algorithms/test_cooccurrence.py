"""Counts against plain loops, vectors against numpy and scipy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse.linalg

from genjax.algorithms.cooccurrence import (
    SparseMatrix,
    cooccurrence,
    count_matrix,
    dynamic,
    harmonic,
    pmi,
    ppmi,
    sparse,
    svd,
    svd_vectors,
    to_scipy,
    uniform,
)
from genjax.algorithms.cooccurrence.sparse import multiply, totals
from genjax.data.text import Corpus, Vocabulary
from genjax.data.text.excerpts import passage
from genjax.training import Experiment, NonFinite, make_mesh, train

V = 12
KEY = jax.random.key(0)
NONE = Vocabulary((), np.zeros(0))  # ids say it all

LECTURE = 'I like deep learning . / I like NLP . / I enjoy flying .'
WORDS = ['I', 'like', 'enjoy', 'deep', 'learning', 'NLP', 'flying', '.']
TABLE = """
0 2 1 0 0 0 0 0
2 0 0 1 0 1 0 0
1 0 0 0 0 0 1 0
0 1 0 0 1 0 0 0
0 0 0 1 0 0 0 1
0 1 0 0 0 0 0 1
0 0 1 0 0 0 0 1
0 0 0 0 1 1 1 0
"""


def corpus(seed, length=400):
    """Words of Zipf's law, some pairs more often than by chance, 20 words a sentence."""
    draw = np.random.default_rng(seed)
    words = draw.choice(V, length, p=1 / np.arange(1, V + 1) / np.sum(1 / np.arange(1, V + 1)))
    words[1:] = np.where(draw.random(length - 1) < 0.3, (words[:-1] * 5 + 1) % V, words[1:])
    return np.where(draw.random(length) < 0.05, -1, words).astype(np.int32)


def brute(words, window, weight=uniform, symmetric=True):
    """N(w, c), [V, V], word by word."""
    table = np.zeros((V, V), np.int64)
    for i, word in enumerate(words):
        for d in range(1, window + 1):
            if i + d < len(words) and (words[i : i + d + 1] >= 0).all():
                table[word, words[i + d]] += weight(d)
                table[words[i + d], word] += weight(d) * symmetric
    return table


def count(words, **options):
    algorithm = cooccurrence(V, **{'capacity': V * V, **options})
    batch = {'words': jnp.asarray(words)}
    return algorithm, jax.jit(algorithm.update)(KEY, algorithm.init(KEY, batch), batch)[0]


def dense(counts, symmetric=True):
    return to_scipy(counts, V, symmetric).toarray()


def test_the_lectures_three_sentences_give_its_table():
    ids = [WORDS.index(word) if word in WORDS else -1 for word in LECTURE.split()]
    _, state = count(np.asarray([ids], np.int32), window=1)
    expected = [[int(x) for x in row.split()] for row in TABLE.strip().splitlines()]
    np.testing.assert_array_equal(dense(state)[:8, :8], expected)


@pytest.mark.parametrize('symmetric', [True, False])
@pytest.mark.parametrize(('window', 'weight'), [(1, uniform), (3, harmonic(3)), (5, dynamic(5))])
def test_weighted_counts_equal_brute_force(window, weight, symmetric):
    words = corpus(0).reshape(8, 50)
    _, state = count(words, window=window, weight=weight, symmetric=symmetric)
    expected = sum(brute(row, window, weight, symmetric) for row in words)
    np.testing.assert_array_equal(dense(state, symmetric), expected)
    assert expected.any(0).all() and expected.diagonal().any()


def test_weights_are_the_fields():
    assert [harmonic(5)(d) / harmonic(5)(1) for d in range(1, 6)] == pytest.approx(
        [1, 1 / 2, 1 / 3, 1 / 4, 1 / 5]
    )
    # The share of windows drawn uniformly from 1..5 that reach distance d.
    assert [dynamic(5)(d) / 5 for d in range(1, 6)] == [
        np.mean(np.arange(1, 6) >= d) for d in range(1, 6)
    ]


def test_weights_of_1_by_d_fit_in_32_bits():
    assert harmonic(22)(1) < 2**32
    with pytest.raises(ValueError, match='window is 23; weights of 1/d take 1 to 22'):
        harmonic(23)


def test_a_window_wider_than_the_excerpt_is_no_trouble():
    words = corpus(1, 12).reshape(4, 3)
    _, state = count(words, window=5)
    np.testing.assert_array_equal(dense(state), sum(brute(row, 5) for row in words))


@pytest.mark.parametrize('devices', [1, 8])
def test_a_run_over_overlapping_excerpts_counts_every_pair_once(devices):
    words = corpus(2, 1000)
    data = passage(Corpus(words, NONE), batch=8, steps=14, overlap=4)
    assert data.train[0]['words'].shape == (8, 4 + 9)
    algorithm = cooccurrence(V, window=4, capacity=V * V, margin=4)
    mesh = make_mesh(jax.devices()[:devices])
    state = train(Experiment(algorithm, data, {}), seed=0, steps=14, mesh=mesh)
    np.testing.assert_array_equal(dense(state), brute(words, 4))
    assert state.size == np.count_nonzero(np.triu(brute(words, 4)))


def test_a_table_that_is_too_small_stops_the_run():
    data = passage(Corpus(corpus(2), NONE), batch=8, steps=14, overlap=4)
    algorithm = cooccurrence(V, window=4, capacity=20, margin=4)
    with pytest.raises(NonFinite, match='pairs is inf'):
        train(Experiment(algorithm, data, {}), seed=0, steps=14, mesh=make_mesh(jax.devices()[:1]))


def plain_pmi(table, shift, smoothing):
    """By the definition, in float64; 0 where nothing was seen."""
    joint = table / table.sum()
    contexts = table.sum(0) ** smoothing
    chance = joint.sum(1)[:, None] * (contexts / contexts.sum())[None]
    return np.where(
        table > 0,
        np.log(np.where(table > 0, joint, 1) / np.where(table > 0, chance, 1)) - np.log(shift),
        0,
    )


@pytest.mark.parametrize('symmetric', [True, False])
@pytest.mark.parametrize('shift', [1, 2.5])
@pytest.mark.parametrize('smoothing', [1.0, 0.75])
def test_pmi_equals_its_definition(symmetric, shift, smoothing):
    _, state = count(corpus(3)[None], window=2, symmetric=symmetric)
    expected = plain_pmi(dense(state, symmetric).astype(np.float64), shift, smoothing)

    def dense_association(association):
        matrix = count_matrix(state, symmetric)
        associated = association(matrix, V, shift=shift, smoothing=smoothing)
        return multiply(associated, jnp.eye(V), V)

    actual = jax.jit(dense_association, static_argnums=0)
    np.testing.assert_allclose(actual(pmi), expected, atol=2e-6)
    np.testing.assert_allclose(actual(ppmi), np.maximum(expected, 0), atol=2e-6)


def test_totals_are_exact_where_float32_sums_are_not():
    values = np.asarray([2**32 - 1, 2**31] + [1] * 4096, np.uint32)
    found = totals(jnp.asarray(values), jnp.ones(len(values), jnp.int32), 3)
    np.testing.assert_array_equal(found, np.float32([0, values.sum(dtype=np.int64), 0]))
    one_by_one = np.cumsum(values.astype(np.float32), dtype=np.float32)[-1]
    assert one_by_one != found[1]


def decaying(seed, v=60):
    """A matrix whose singular values fall by a quarter each: sparse, in random order, and dense."""
    draw = np.random.default_rng(seed)
    left, right = (np.linalg.qr(draw.normal(size=(v, v)))[0] for _ in range(2))
    whole = (left * 0.75 ** np.arange(v)) @ right
    rows, columns = np.divmod(draw.permutation(v * v), v)

    def pad(x, dtype):  # a table has room for more
        return jnp.asarray(np.pad(x, (0, 100)), dtype)

    matrix = SparseMatrix(
        rows=pad(rows, jnp.int32),
        columns=pad(columns, jnp.int32),
        values=pad(whole[rows, columns], jnp.float32),
        size=jnp.int32(v * v),
    )
    return matrix, whole


def test_multiplication_by_chunks_is_the_matrix_product(monkeypatch):
    matrix, whole = decaying(0)
    x = np.random.default_rng(1).normal(size=(60, 3)).astype(np.float32)
    for chunk in (7, 512, 3700, 10**6):
        monkeypatch.setattr(sparse, 'CHUNK', chunk)
        np.testing.assert_allclose(multiply(matrix, jnp.asarray(x), 60), whole @ x, atol=1e-5)


def test_svd_equals_scipys():
    matrix, whole = decaying(1)
    u, sigma, vt = jax.jit(svd, static_argnums=(2, 3))(KEY, matrix, 60, 8)
    left, values, right = scipy.sparse.linalg.svds(whole, 8, random_state=0)
    np.testing.assert_allclose(sigma, values[::-1], rtol=1e-5)
    signs = np.sign(np.take_along_axis(left, np.abs(left).argmax(0)[None], 0))
    np.testing.assert_allclose(u, (left * signs)[:, ::-1], atol=1e-4)
    np.testing.assert_allclose(vt, (right * signs.T)[::-1], atol=1e-4)


def test_svd_gives_the_best_approximation_of_its_rank():
    matrix, whole = decaying(2)
    u, sigma, vt = jax.jit(svd, static_argnums=(2, 3))(KEY, matrix, 60, 5)
    best = np.sqrt(np.sum(0.75 ** (2.0 * np.arange(5, 60))))
    assert np.linalg.norm(whole - (u * sigma[None]) @ vt) == pytest.approx(best, rel=1e-4)


@pytest.mark.parametrize('power', [0.0, 0.5, 1.0])
def test_vectors_are_those_of_the_dense_matrix(power):
    vectors = svd_vectors(V, dimension=4, power=power, rounds=20)
    algorithm, state = count(corpus(4)[None], window=2, vectors=vectors)
    u, sigma, _ = np.linalg.svd(np.maximum(plain_pmi(dense(state).astype(np.float64), 1, 0.75), 0))
    signs = np.sign(np.take_along_axis(u, np.abs(u).argmax(0)[None], 0))
    expected = (u * signs * sigma**power)[:, :4]
    np.testing.assert_allclose(jax.jit(vectors)(KEY, state), expected, atol=1e-4)
    words = np.asarray([[0, 3, -1], [V - 1, -1, -1]], np.int32)
    code = jax.jit(algorithm.encode)(jax.random.key(1), state, {'words': words})
    np.testing.assert_allclose(code, np.where(words[..., None] >= 0, expected[words], 0), atol=1e-4)


@pytest.mark.parametrize('symmetric', [True, False])
def test_the_loss_is_the_mean_over_pairs_by_their_weight(symmetric):
    k = 0.5
    window = 3
    weight = dynamic(3)
    algorithm, state = count(
        corpus(5)[None], window=window, weight=weight, symmetric=symmetric, smoothing=k
    )
    table = dense(state, symmetric)
    nats = -np.log((table + k) / (table.sum(1, keepdims=True) + k * V))
    rows = np.concatenate([corpus(6, 60), np.full(20, -1, np.int32)]).reshape(4, 20)
    counts = [brute(row, window, weight, symmetric) for row in rows]
    expected = [np.sum(nats * n) / n.sum() for n in counts[:3]] + [np.log(V)]
    found = jax.jit(algorithm.evaluate)(KEY, state, {'words': jnp.asarray(rows)})['loss']
    np.testing.assert_allclose(found, expected, rtol=1e-5)


def test_the_conditional_counts_are_the_best_prediction_of_the_text_counted():
    words = corpus(7)[None]
    losses = []
    for k in (1e-6, 0.1, 10.0):
        algorithm, state = count(words, window=2, smoothing=k)
        found = jax.jit(algorithm.evaluate)(KEY, state, {'words': jnp.asarray(words)})['loss']
        losses.append(float(found[0]))
    table = dense(state)
    entropy = (
        -np.sum(table * np.log(np.where(table, table, 1) / table.sum(1, keepdims=True)))
        / table.sum()
    )
    assert losses == sorted(losses)
    assert losses[0] == pytest.approx(entropy, rel=1e-5)


def test_a_one_hot_product_is_a_row_lookup_with_the_same_gradient():
    motel, hotel = jax.nn.one_hot(jnp.asarray([4, 9]), V)
    assert motel @ hotel == 0 and motel @ motel == 1
    ids = jnp.asarray([4, 9, 4, 0])
    weights = jax.random.normal(KEY, (V, 3))
    cotangent = jnp.arange(12.0).reshape(4, 3) - 5

    def product(w):
        return jnp.matmul(jax.nn.one_hot(ids, V), w, precision='highest')

    def lookup(w):
        return w[ids]

    def gradient(f):
        return jax.grad(lambda w: jnp.sum(cotangent * f(w)))(weights)

    np.testing.assert_array_equal(product(weights), lookup(weights))
    np.testing.assert_array_equal(gradient(product), gradient(lookup))
    expected = np.zeros((V, 3))
    for i, row in zip(ids.tolist(), np.asarray(cotangent), strict=True):
        expected[i] += row
    np.testing.assert_array_equal(gradient(lookup), expected)


@pytest.mark.parametrize(
    ('options', 'message'),
    [
        ({'window': 0}, r'window 0, weights \[\]'),
        ({'weight': lambda d: 1 / d}, r'weights \[1.0, 0.5\]'),
        ({'weight': lambda d: 2 - d}, r'weights \[1, 0\]'),
        ({'margin': -1}, 'margin -1'),
        ({'smoothing': 0.0}, 'smoothing 0.0'),
        ({'capacity': 0}, 'capacity 0'),
    ],
)
def test_what_is_impossible_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        count(np.zeros((1, 3), np.int32), **{'window': 2, **options})


@pytest.mark.parametrize('dimension', [0, V + 1])
def test_no_more_dimensions_than_words(dimension):
    with pytest.raises(
        ValueError, match=f'dimension is {dimension}, power 0.5; needed: 1 to 12 words, 0 to 1'
    ):
        svd_vectors(V, dimension=dimension)
