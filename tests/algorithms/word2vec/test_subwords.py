"""Sub-words against the dense formula, word2vec itself, and their own definition."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.word2vec import (
    Vectors,
    add_clipped_steps,
    cbow,
    mean_of_parts,
    negative_sampling,
    skip_gram,
    sum_of_parts,
    word2vec,
)
from genjax.algorithms.word2vec.subwords import add_curvatures, add_to_parts, take_parts
from genjax.algorithms.word2vec.word2vec import Setup, block_loss, sample_texts
from genjax.training import Every, Experiment, by_jit, by_pmap, make_mesh, train
from tests.algorithms.word2vec.test_word2vec import (
    COUNTS,
    RATE,
    B,
    D,
    T,
    V,
    constant_rate,
    short_texts,
    texts,
    trainers_program,
)
from tests.contracts.cases import text
from tests.marks import slow
from tests.trees import assert_trees_close, assert_trees_equal

SHARED = 13  # rows beside the words' own
SIZES = np.random.default_rng(0).integers(0, 6, V)


def rows_and_counts():
    """Each word's own row and up to five shared ones, of which some come twice."""
    draw = np.random.default_rng(1)
    rows = [[w, *(V + draw.integers(0, SHARED, n))] for w, n in enumerate(SIZES)]
    return np.array([row for word in rows for row in word]), 1 + SIZES


def dense(rows, counts):
    """How often each word has each row: [V, N]."""
    table = np.zeros((len(counts), rows.max() + 1))
    np.add.at(table, (np.repeat(np.arange(len(counts)), counts), rows), 1)
    return table


def state_of(size, dtype=jnp.float32):
    both = 0.5 * jax.random.normal(jax.random.key(0), (size + V, D), dtype)
    return Vectors(jnp.zeros((), jnp.int32), both[:size], both[size:])


OUTPUT = negative_sampling(COUNTS, negatives=6, shared=3)
OPTIONS = dict(keep=np.ones(V, np.float32), dimension=D, rate=constant_rate)


@pytest.mark.parametrize('chunk', [1, 7, 1000])
def test_a_words_vector_is_the_sum_or_mean_of_its_rows(chunk):
    rows, counts = rows_and_counts()
    state = state_of(rows.max() + 1)
    words = jnp.asarray(np.random.default_rng(2).integers(0, V, (3, 9)), jnp.int32)
    expected = dense(rows, counts) @ np.asarray(state.inputs, np.float64)
    parts = sum_of_parts(rows, counts, chunk=chunk)
    found = jax.jit(partial(take_parts, parts=parts))(state.inputs, words)
    np.testing.assert_allclose(found, expected[words], atol=1e-5)
    parts = mean_of_parts(rows, counts, chunk=chunk)
    found = jax.jit(partial(take_parts, parts=parts))(state.inputs, words)
    np.testing.assert_allclose(found, (expected / counts[:, None])[words], atol=1e-5)


@pytest.mark.parametrize(
    ('model', 'stable'), [(skip_gram, True), slow(skip_gram, False), slow(cbow, True)]
)
def test_without_subwords_it_is_word2vec_to_the_bit(model, stable):
    """Three steps of the general way, a chunk of 5 rows at a time, and the codes and losses."""
    size = 9000  # so that rows share buckets of their curvatures
    words = np.random.default_rng(3).integers(0, size, (B, 200)).astype(np.int32)
    words[:, ::2] = np.random.default_rng(4).integers(0, 3, (B, 100))  # which are shortened
    batch = {'words': jnp.asarray(words)}
    parts = mean_of_parts(np.arange(size), np.ones(size, int), chunk=5 if stable else 1000)

    def three_steps(**options):
        algorithm = word2vec(
            model(window=2, block=T),
            negative_sampling(np.ones(size)),
            keep=np.ones(size, np.float32),
            dimension=D,
            rate=lambda step: 2.0,
            stable=stable,
            **options,
        )
        key = jax.random.key(0)
        state = algorithm.init(key, batch)
        update = jax.jit(algorithm.update)
        metrics = []
        for i in range(3):
            state, found = update(jax.random.fold_in(key, i), state, batch)
            metrics.append(found)
        metrics.append(jax.jit(algorithm.evaluate)(key, state, batch))
        return state, metrics, algorithm.encode(key, state, batch)

    plain = three_steps()
    assert np.abs(plain[0].outputs).max() > 0.1
    assert_trees_equal(three_steps(parts=parts), plain)


def loss_of_words(key, words):
    """The sum of a block's losses as a function of all words' input vectors and output vectors."""
    setup = Setup(skip_gram(window=2, block=T), OUTPUT, OPTIONS['keep'])
    block = block_loss(sample_texts(key, words, setup), 0, setup)

    def loss(v, u):
        rows = block.rows
        return block.losses(type(rows)(v[rows.inputs], u[rows.targets], u[rows.noise]))[0].sum()

    return loss


@pytest.mark.parametrize('parts_of', [sum_of_parts, slow(mean_of_parts)])
def test_the_step_is_the_gradient_of_the_dense_formula(parts_of):
    """Of a sum; of a mean each row takes the step of the whole vector. In float64."""
    key = jax.random.key(3)
    words = short_texts()['words']
    rows, counts = rows_and_counts()
    parts = parts_of(rows, counts, chunk=10)
    with jax.enable_x64(True), jax.numpy_dtype_promotion('standard'):
        state = state_of(rows.max() + 1, jnp.float64)
        matrix = jnp.asarray(dense(rows, counts))
        loss = loss_of_words(key, words)
        if parts_of is sum_of_parts:
            gradient = jax.grad(lambda z, u: loss(matrix @ z, u), (0, 1))
            to_inputs, to_outputs = jax.jit(gradient)(state.inputs, state.outputs)
        else:
            means = matrix @ state.inputs / counts[:, None]
            to_means, to_outputs = jax.jit(jax.grad(loss, (0, 1)))(means, state.outputs)
            to_inputs = matrix.T @ to_means
        algorithm = word2vec(skip_gram(window=2, block=T), OUTPUT, **OPTIONS, parts=parts)
        after, _ = jax.jit(algorithm.update)(key, state, {'words': words})
        for name, gradient in (('inputs', to_inputs), ('outputs', to_outputs)):
            change = getattr(after, name) - getattr(state, name)
            rtol = 1e-9 if parts_of is sum_of_parts else 1e-6  # the weights 1 / n are float32
            np.testing.assert_allclose(change, -RATE * gradient, rtol=rtol, atol=rtol / 1e3)
        assert np.abs(to_inputs[V:]).max() > 1


def test_a_rows_curvature_is_that_of_all_words_that_have_it():
    rows, counts = rows_and_counts()
    words = jnp.asarray(np.random.default_rng(2).integers(0, V, 20), jnp.int32)
    curvatures = jnp.asarray(np.random.default_rng(3).random(20), jnp.float32)
    of_words = np.zeros(V)
    np.add.at(of_words, np.asarray(words), curvatures)
    matrix = dense(rows, counts)
    for parts, factors in (
        (mean_of_parts(rows, counts, chunk=7), np.ones(V)),
        (sum_of_parts(rows, counts, chunk=7), counts),
    ):
        expected = matrix.T @ (factors * of_words)
        found = jax.jit(partial(add_curvatures, parts=parts))(
            jnp.zeros(len(expected) + 2), words, curvatures
        )
        np.testing.assert_allclose(found[:-2], expected, rtol=1e-5)
        folded = expected[:5] + np.pad(expected, (0, -len(expected) % 5)).reshape(-1, 5)[1:].sum(0)
        found = add_curvatures(jnp.zeros(5), words, curvatures, parts)
        np.testing.assert_allclose(found, folded, rtol=1e-5)


def test_steps_are_scaled_row_by_row_and_limits_hold_for_a_turn():
    rows, counts = rows_and_counts()
    matrix = dense(rows, counts)
    words = np.random.default_rng(2).integers(0, V, 20)
    steps = np.random.default_rng(3).normal(size=(20, D))
    of_words = np.zeros((V, D))
    np.add.at(of_words, words, steps)
    table = jnp.zeros((matrix.shape[1], D))
    given = (table, jnp.asarray(words, jnp.int32), jnp.asarray(steps, jnp.float32))
    parts = sum_of_parts(rows, counts, chunk=1000)

    def add(table, rows, steps):
        return table.at[rows].add(steps)

    def scale(rows):
        return 1 / (1 + rows.astype(jnp.float32))

    found = add_to_parts(*given, parts, add=add, scale=scale)
    expected = matrix.T @ of_words
    np.testing.assert_allclose(found, expected / (1 + np.arange(len(expected)))[:, None], atol=1e-5)
    found = add_to_parts(*given, parts, add=add_clipped_steps(0.3))
    norm = np.linalg.norm(expected, axis=1, keepdims=True)
    assert norm.max() > 0.3
    clipped = expected * (0.3 / np.maximum(norm, 0.3))
    np.testing.assert_allclose(found, clipped, atol=1e-5)


def test_codes_are_the_vectors_of_sums_and_zero_where_there_is_no_word():
    rows, counts = rows_and_counts()
    parts = sum_of_parts(rows, counts)
    state = state_of(parts.size)
    words = texts()['words']
    algorithm = word2vec(skip_gram(window=2, block=T), OUTPUT, **OPTIONS, parts=parts)
    codes = jax.jit(algorithm.encode)(jax.random.key(0), state, {'words': words})
    present = np.asarray(words) >= 0
    expected = dense(rows, counts) @ np.asarray(state.inputs)
    np.testing.assert_allclose(codes[present], expected[words[present]], atol=1e-5)
    assert not codes[~present].any()


@pytest.mark.parametrize('stable', [True, False])
@pytest.mark.slow
def test_the_trainers_program_never_copies_the_table(stable):
    counts = np.full(500, 2)
    rows = np.stack([np.arange(500), 500 + np.arange(500) % 77], 1).ravel()
    algorithm = word2vec(
        skip_gram(window=2, block=T),
        negative_sampling(np.ones(500)),
        keep=np.ones(500, np.float32),
        dimension=D,
        rate=constant_rate,
        stable=stable,
        parts=mean_of_parts(rows, counts),
    )
    text = trainers_program(algorithm, make_mesh(jax.devices()[:1]))
    assert len(re.findall(r'= f32\[577,6\]\S* scatter', text)) == 2
    assert not re.findall(r'= f32\[577,6\]\S* copy\(', text)


@pytest.mark.parametrize(
    ('rows', 'counts', 'line'),
    [
        ([0, 1], [1, 2], '2 sub-words of 2 words, by their counts 3'),
        ([0, 1], [2, 0], 'each word needs at least one'),
        ([0, -1], [1, 1], 'each word needs at least one, of 0 or more'),
    ],
)
def test_parts_that_do_not_fit_are_refused(rows, counts, line):
    with pytest.raises(ValueError, match=line):
        mean_of_parts(np.array(rows), np.array(counts))


def test_a_chunk_of_nothing_and_parts_of_other_words_are_refused():
    with pytest.raises(ValueError, match='chunk is 0'):
        sum_of_parts(np.arange(3), np.ones(3, int), chunk=0)
    parts = sum_of_parts(np.arange(3), np.ones(3, int))
    with pytest.raises(ValueError, match='parts are those of 3 words; there are 11'):
        word2vec(skip_gram(window=2, block=T), OUTPUT, **OPTIONS, parts=parts)


def run(devices=1, parallel=by_jit, **options):
    """Six steps of the real trainer, three blocks of a text each, of which each ends elsewhere."""
    size = 20
    counts = 1 + np.arange(size) % 4
    rows = np.concatenate([[w, *range(size, size + n - 1)] for w, n in enumerate(counts)])
    algorithm = word2vec(
        skip_gram(window=3, block=8),
        negative_sampling(0.85 ** np.arange(size), shared=3),
        keep=np.full(size, 0.7, np.float32),
        dimension=D,
        rate=lambda step: 0.5,
        stable=True,
        parts=mean_of_parts(rows, counts, chunk=16),
    )
    mesh = make_mesh(jax.devices()[:devices])
    experiment = Experiment(algorithm, text(24), {})
    every = Every(3, 6, 6)
    return train(experiment, seed=3, steps=6, mesh=mesh, parallel=parallel, every=every, **options)


@pytest.mark.parametrize(('devices', 'parallel'), [(2, by_jit), (8, by_jit), (8, by_pmap)])
@pytest.mark.slow
def test_devices_agree(devices, parallel):
    expected = run()
    assert np.abs(expected.outputs).max() > 0.1
    assert_trees_close(run(devices, parallel), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.slow
def test_stop_and_resume_is_exact_to_the_bit(tmp_path):
    whole = run(workdir=tmp_path / 'whole')
    run(workdir=tmp_path / 'parts', until=4)
    assert_trees_equal(run(workdir=tmp_path / 'parts'), whole)


@pytest.mark.slow
def test_a_word_outside_the_vocabulary_is_no_score_and_changes_no_other_text():
    rows, counts = rows_and_counts()
    parts = mean_of_parts(rows, counts)
    algorithm = word2vec(skip_gram(window=2, block=T), OUTPUT, **OPTIONS, parts=parts)
    key = jax.random.key(0)
    state = state_of(parts.size)
    batch = texts()
    clean = algorithm.evaluate(key, state, batch)['loss']
    for word in (V, 2**31 - 1):
        odd = {'words': batch['words'].at[1, 3].set(word)}
        found = algorithm.evaluate(key, state, odd)['loss']
        assert np.isnan(found[1]) and found[0] == clean[0]
        assert np.isnan(algorithm.update(key, state, odd)[1]['loss'])
        code = np.asarray(algorithm.encode(key, state, odd))
        assert np.isnan(code[1, 3]).all() and np.isnan(code).sum() == D
