"""word2vec against its definition pair by pair, and against the optima that theory gives."""

import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import PartitionSpec

from genjax.algorithms.word2vec import (
    Vectors,
    add_clipped_steps,
    add_steps,
    cbow,
    full_softmax,
    keep_probability,
    negative_sampling,
    pair_loss,
    skip_gram,
    word2vec,
)
from genjax.algorithms.word2vec.bands import offsets
from genjax.base import Data, Embedding, Resident
from genjax.data.text import Corpus, Vocabulary, read_corpus
from genjax.data.text.excerpts import excerpts
from genjax.data.text.planted import analogies as planted_analogies
from genjax.data.text.planted import planted
from genjax.metrics.analogies import analogies
from genjax.training import Every, Experiment, NonFinite, by_jit, evaluate, make_mesh, train
from genjax.training.feed import feed_args
from genjax.training.loop import fold_steps
from genjax.training.mesh import placement
from tests.marks import slow
from tests.trees import assert_trees_close

V, D, B, L, T = 11, 6, 2, 20, 8
COUNTS = np.arange(V, 0, -1) ** 2
RATE = 0.1
SPLIT = [(name, PartitionSpec('model')) for name in ('inputs', 'outputs')]
models = pytest.mark.parametrize('model', [skip_gram, cbow])
# For what takes a program of its own and has no share in the model.
one_model = pytest.mark.parametrize('model', [skip_gram, slow(cbow)])
# Each model and each output once.
models_and_outputs = pytest.mark.parametrize(
    ('softmax', 'model'),
    [(False, skip_gram), (True, cbow), slow(False, cbow), slow(True, skip_gram)],
)


def texts(seed=0):
    words = np.random.default_rng(seed).integers(0, V, (B, L)).astype(np.int32)
    words[:, 7] = words[0, 15] = -1
    return {'words': jnp.asarray(words)}


def vectors(seed=0, size=V):
    both = 0.5 * jax.random.normal(jax.random.key(seed), (2 * size, D))
    return Vectors(jnp.zeros((), jnp.int32), both[:size], both[size:])


def table_of(state):
    """The input vectors, and the output vectors after them: [2V, D]."""
    return jnp.concatenate([state.inputs, state.outputs])


def constant_rate(step):
    del step
    return RATE


def learner(model, output, **options):
    options = dict(keep=np.ones(V, np.float32), dimension=D, rate=constant_rate) | options
    return word2vec(model(window=2, block=T), output, **options)


def predictions(model, key, words):
    """(input words, the word that they predict), of one update that has a single block."""
    architecture = model(window=2, block=T)
    keys = jax.vmap(jax.random.split)(keys_of_texts(key))[:, 0]
    packed, blocks = architecture.pack(keys, words, jnp.ones(V))
    assert blocks == 1
    inputs, targets, mask = map(np.asarray, architecture.cut_block(packed, 0))
    for b, t in np.ndindex(*mask.shape[1:]):
        neighbours = [t + 2 + o for j, o in enumerate(offsets(2)) if mask[j, b, t]]
        if model is skip_gram:
            for place in neighbours:
                yield [int(inputs[b, t])], int(targets[b, place])
        elif neighbours:
            yield [int(inputs[b, place]) for place in neighbours], int(targets[b, t])


def keys_of_texts(key):
    return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(B))


def short_texts():
    return {'words': texts()['words'][:, :T]}


def by_definition(model, key, words, table, loss):
    """The step of plain descent, in which each input word has the whole error of a prediction."""
    step = np.zeros_like(table)
    for inputs, target in predictions(model, key, words):
        v = table[np.array(inputs)].mean(0)
        to_v, to_u = jax.grad(loss, (0, 1))(v, table[V:], target)
        np.add.at(step, np.array(inputs), -RATE * np.asarray(to_v))
        step[V:] -= RATE * np.asarray(to_u)
    return step


def no_negatives_loss(v, u, target):
    return pair_loss(v, u[target], jnp.zeros((0, D)))


def softmax_loss(v, u, target):
    return -jax.nn.log_softmax(u @ v)[target]


@one_model
@pytest.mark.slow
def test_without_negatives_the_step_is_that_of_the_definition(model):
    key = jax.random.key(3)
    state = vectors()
    batch = short_texts()
    algorithm = learner(model, negative_sampling(COUNTS, negatives=0))
    expected = by_definition(model, key, batch['words'], table_of(state), no_negatives_loss)
    found = table_of(jax.jit(algorithm.update)(key, state, batch)[0]) - table_of(state)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)
    assert np.abs(expected).max() > 0.01


@models
def test_shared_negatives_have_the_expected_gradient_of_negatives_for_each_pair(model):
    """The expectation is exact over noise words; the mean of draws is as near as its error says."""
    state = vectors()
    batch = short_texts()
    draws = 4000
    k = 5
    noise = jnp.asarray(COUNTS**0.75 / np.sum(COUNTS**0.75), jnp.float32)

    def expected_loss(v, u, target):
        of_words = jax.vmap(lambda w: jax.nn.softplus(w @ v))(u)
        return jax.nn.softplus(-u[target] @ v) + k * noise @ of_words

    # The windows are drawn by the text's key too, so the key stays and the noise words are drawn
    # by others.
    key = jax.random.key(3)
    expected = by_definition(model, key, batch['words'], table_of(state), expected_loss)
    output = negative_sampling(COUNTS, negatives=k, shared=3)

    def step(draw):
        def noise_words(key, n):
            return output.noise_words(jax.random.fold_in(key, draw), n)

        redrawn = output._replace(noise_words=noise_words)
        after, _ = learner(model, redrawn).update(key, state, batch)
        return table_of(after) - table_of(state)

    steps = np.asarray(
        jax.jit(lambda n: jax.lax.map(step, n, batch_size=200))(jnp.arange(draws)), np.float64
    )
    error = steps.std(0) / np.sqrt(draws)
    assert (np.abs(steps.mean(0) - expected) < 5 * error + 1e-6).all()
    assert np.median(error[error > 0]) < 0.02 * np.abs(expected).max()  # so the test could fail


@one_model
def test_the_step_of_the_full_softmax_is_that_of_the_definition(model):
    key = jax.random.key(3)
    state = vectors()
    batch = short_texts()
    expected = by_definition(model, key, batch['words'], table_of(state), softmax_loss)
    for chunk in (3, 4, V, 50):
        algorithm = learner(model, full_softmax(V, chunk=chunk))
        found = table_of(jax.jit(algorithm.update)(key, state, batch)[0]) - table_of(state)
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


@models
@pytest.mark.slow
def test_the_reported_losses_are_the_mean_over_pairs(model):
    key = jax.random.key(3)
    state = vectors()
    batch = short_texts()
    table = table_of(state)
    words = batch['words']

    def loss(inputs, target):
        return softmax_loss(table[np.array(inputs)].mean(0), table[V:], target)

    def mean(words):
        return float(np.mean([loss(*prediction) for prediction in predictions(model, key, words)]))

    # Each text alone, in its place, which its key goes by
    alone = [jnp.full_like(words, -1).at[b].set(words[b]) for b in range(B)]
    algorithm = learner(model, full_softmax(V))
    _, metrics = algorithm.update(key, state, batch)
    assert float(metrics['loss']) == pytest.approx(mean(words), rel=1e-5)
    found = algorithm.evaluate(key, state, batch)['loss']
    np.testing.assert_allclose(found, [mean(text) for text in alone], rtol=1e-5)


def negative_pairs(key, words, output):
    """Of each pair of a block of skip-gram its centre, its target, and its text's noise words."""
    architecture = skip_gram(window=2, block=T)
    keys = jax.vmap(jax.random.split)(keys_of_texts(key))
    packed, _ = architecture.pack(keys[:, 0], words, jnp.ones(V))
    centres, places, mask = map(np.asarray, architecture.cut_block(packed, 0))
    noise = np.array([output.noise_words(noise_key, 1)[0] for noise_key in keys[:, 1]])
    j, text, t = np.nonzero(mask)
    return centres[text, t], places[text, t + 2 + np.array(offsets(2))[j]], noise[text]


def test_the_step_is_the_gradient_of_the_plain_loss_of_all_pairs():
    """The gathered rows, bands and two scatters against autodiff of both tables, in float64."""
    key = jax.random.key(3)
    words = short_texts()['words']
    output = negative_sampling(COUNTS, negatives=6, shared=3)  # a weight that float32 has exactly
    with jax.enable_x64(True), jax.numpy_dtype_promotion('standard'):
        centre, target, noise = negative_pairs(key, words, output)

        def plain_loss(v, u):
            hidden = v[centre]
            true = jnp.log1p(jnp.exp(-jnp.sum(hidden * u[target], -1)))
            false = jnp.log1p(jnp.exp(jnp.einsum('nd,nmd->nm', hidden, u[noise])))
            return jnp.sum(true) + 2 * jnp.sum(false)

        state = vectors()
        inputs = state.inputs.astype(jnp.float64)
        outputs = state.outputs.astype(jnp.float64)
        state = Vectors(state.step, inputs, outputs)
        gradient = jax.jit(jax.grad(plain_loss, (0, 1)))(inputs, outputs)
        update = jax.jit(learner(skip_gram, output).update)
        after, _ = update(key, state, {'words': words})
        changes = (after.inputs - inputs, after.outputs - outputs)
        expected = jax.tree.map(lambda x: -RATE * x, gradient)
        assert changes[0].dtype == jnp.float64 and len(centre) > 20
        assert_trees_close(changes, expected, rtol=1e-9, atol=1e-12)


def test_the_loss_of_negative_sampling_is_the_oracles_on_a_held_out_text():
    """Ten thousand pairs, each judged alone by pair_loss against negatives of its own."""
    rng = np.random.default_rng(5)
    k = 5
    words = rng.choice(V, (8, 600), p=COUNTS / COUNTS.sum()).astype(np.int32)
    state = vectors(2)
    output = negative_sampling(COUNTS, negatives=k, shared=16)
    algorithm = word2vec(
        skip_gram(window=1, block=32),
        output,
        keep=np.ones(V, np.float32),
        dimension=D,
        rate=constant_rate,
    )
    metrics = algorithm.evaluate(jax.random.key(0), state, {'words': jnp.asarray(words)})
    found = float(metrics['loss'].mean())
    forwards = np.stack([words[:, :-1], words[:, 1:]], -1).reshape(-1, 2)
    pairs = np.concatenate([forwards, forwards[:, ::-1]])
    noise = rng.choice(V, (len(pairs), k), p=COUNTS**0.75 / (COUNTS**0.75).sum())
    table = table_of(state)
    losses = jax.vmap(pair_loss)(table[pairs[:, 0]], table[V + pairs[:, 1]], table[V + noise])
    # Of the shared negatives, generously
    error = float(losses.std()) / np.sqrt(8 * 600 / 32 * 16 / k)
    assert found == pytest.approx(float(losses.mean()), abs=3 * error)
    assert error < 0.05 * found


def test_subsampling_keeps_what_word2vec_c_keeps():
    counts = np.array([10_000, 1_000, 10, 1])
    f = counts / counts.sum()
    expected = [min(1, (np.sqrt(x / 1e-3) + 1) * 1e-3 / x) for x in f]  # as the C program writes it
    np.testing.assert_allclose(keep_probability(counts, 1e-3), expected, rtol=1e-6)


def test_without_subsampling_every_word_is_kept():
    np.testing.assert_array_equal(
        keep_probability(np.array([10_000, 10, 1]), 0), np.ones(3, np.float32)
    )
    for sample in (-1e-3, float('nan')):
        with pytest.raises(ValueError, match='0 for no subsampling'):
            keep_probability(np.array([3, 1]), sample)


@models_and_outputs
def test_a_stable_step_is_that_of_the_definition_times_the_share_of_its_row(softmax, model):
    """Each score s has a curvature |dl/ds| (1 + |partner|^2), added up by the row, pair by pair."""
    key = jax.random.key(3)
    state = vectors()
    batch = short_texts()
    rate = 3.0
    if softmax:
        output = full_softmax(V, chunk=4)
        loss = softmax_loss
    else:
        output = negative_sampling(COUNTS, negatives=0)
        loss = no_negatives_loss
    table = np.asarray(table_of(state), np.float64)
    v, u = table[:V], table[V:]
    c = np.zeros(2 * V)
    for inputs, target in predictions(model, key, batch['words']):
        scores = u @ v[inputs].mean(0)
        size = 1 + np.mean(np.sum(v[inputs] ** 2, 1))
        slopes = np.zeros(V)
        if softmax:
            slopes += np.exp(scores - np.logaddexp.reduce(scores))
            slopes[target] += 1
        else:
            slopes[target] = 1 / (1 + np.exp(scores[target]))
        np.add.at(c, inputs, rate * np.sum(slopes * (1 + np.sum(u**2, 1))))
        c[V:] += rate * slopes * size
    c = np.maximum(c, 1e-9)  # of words that do not occur
    share = np.minimum(1, np.minimum(4, 2 + 16 / c) / c)
    assert share.min() < 0.5 < share.max()
    step = by_definition(model, key, batch['words'], table_of(state), loss)
    expected = step * (rate / RATE) * share[:, None]
    algorithm = learner(model, output, rate=lambda _: rate, stable=True)
    found = table_of(jax.jit(algorithm.update)(key, state, batch)[0]) - table_of(state)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


# What conftest.py switches off, where XLA still knows of it.
OUTSIDE_OF_TESTS = (
    {'xla_cpu_use_fusion_emitters': True} if jax.version.__version_info__ < (0, 11) else None
)


def trainers_program(algorithm, mesh, rules=()):
    """The compiled text of ten steps in the trainer."""
    feed = Resident(jnp.tile(texts()['words'], (4, 1)), lambda held, step: {'words': held})
    with jax.set_mesh(mesh):
        state = algorithm.init(jax.random.key(0), texts())
        places = placement(mesh, rules, state)
        fold = by_jit(fold_steps(algorithm, feed, 10), mesh, places)
        held = feed_args(feed, mesh, 10, 0)(10)
        lowered = fold.lower(
            jax.random.key(0), jax.device_put(state, places), held, np.int32(0), np.int32(10)
        )
        return lowered.compile(OUTSIDE_OF_TESTS).as_text()


@models_and_outputs
def test_the_trainers_program_never_copies_the_table(softmax, model):
    output = full_softmax(500) if softmax else negative_sampling(np.ones(500))
    keep = np.ones(500, np.float32)
    algorithm = word2vec(
        model(window=2, block=T), output, keep=keep, dimension=D, rate=constant_rate
    )
    text = trainers_program(algorithm, make_mesh(jax.devices()[:1]))
    # One a table, of the first block and of all others in a loop
    assert len(re.findall(r'= f32\[500,6\]\S* scatter', text)) == 4
    # The full softmax gathers the whole table for every text of a block: there a copy is cheap.
    assert softmax or not re.findall(r'= f32\[500,6\]\S* copy', text)


@one_model
def test_the_trainers_program_of_stable_steps_never_copies_the_table(model):
    options = dict(keep=np.ones(500, np.float32), dimension=D, rate=constant_rate, stable=True)
    algorithm = word2vec(model(window=2, block=T), negative_sampling(np.ones(500)), **options)
    text = trainers_program(algorithm, make_mesh(jax.devices()[:1]))
    assert len(re.findall(r'= f32\[500,6\]\S* scatter', text)) == 4
    assert not re.findall(r'= f32\[500,6\]\S* copy', text)


@pytest.mark.parametrize(
    ('split', 'stable'), [slow(False, False), (True, True), slow(False, True), slow(True, False)]
)
def test_devices_exchange_rows_and_never_tables(split, stable):
    rules = SPLIT if split else ()
    keep = np.ones(500, np.float32)
    output = negative_sampling(np.ones(500), shared=3)
    options = dict(keep=keep, dimension=D, rate=constant_rate, stable=stable)
    algorithm = word2vec(skip_gram(window=2, block=T), output, **options)
    text = trainers_program(algorithm, make_mesh(model=4), rules)
    exchanged = re.findall(
        r'= \(?\w+\[([\d,]*)\]\S* (?:all-\w+|collective-\w+|reduce-scatter)', text
    )
    places = 8 * (T + T + 4 + 3)  # of all texts: inputs, targets, negatives
    assert exchanged and all(
        np.prod([int(n) for n in shape.split(',') if n]) <= places * D for shape in exchanged
    )


def run(algorithm, data, steps, **options):
    every = Every(steps, steps, steps)
    return train(
        Experiment(algorithm, data, {}),
        seed=0,
        steps=steps,
        mesh=make_mesh(jax.devices()[:1]),
        every=every,
        **options,
    )


def chain_text(size=8, length=40_000):
    """A text of a Markov chain with every pair of words, and its counts of neighbours.

    The counts are [size, size].
    """
    rng = np.random.default_rng(0)
    moves = (rng.dirichlet(np.full(size, 2.0), size) + 0.02).cumsum(1)
    ids = np.zeros(length, np.int32)
    for i, u in enumerate(rng.random(length - 1)):
        ids[i + 1] = np.searchsorted(moves[ids[i]], u * moves[ids[i], -1])
    pairs = np.zeros((size, size))
    np.add.at(pairs, (ids[:-1], ids[1:]), 1)
    return Corpus(ids, Vocabulary(tuple(map(str, range(size))), np.bincount(ids))), pairs + pairs.T


def quadratic_rate(start, steps):
    def rate(step):
        return start * (1 - step / steps) ** 2 + 1e-4

    return rate


@pytest.mark.slow
def test_negative_sampling_at_full_rank_reaches_pmi_less_log_k():
    """Levy and Goldberg 2014, equation 7: u.v = log(#(w, c) |D| / (#(w) #(c))) - log k.

    The noise is drawn by the counts.
    """
    corpus, pairs = chain_text()
    counts = corpus.vocabulary.counts
    k = 2
    steps = 1500
    output = negative_sampling(counts, negatives=k, shared=16, power=1.0)
    keep = np.ones(8, np.float32)
    rate = quadratic_rate(0.03, steps)
    algorithm = word2vec(skip_gram(window=1, block=16), output, keep=keep, dimension=8, rate=rate)
    state = run(algorithm, excerpts(corpus, batch=8, steps=steps, epochs=20, seed=0), steps)
    optimum = np.log(pairs / (pairs.sum(1, keepdims=True) * (counts / counts.sum()))) - np.log(k)
    assert np.abs(state.inputs @ state.outputs.T - optimum).max() < 0.1
    assert np.ptp(optimum) > 2


def test_the_full_softmax_at_full_rank_reaches_the_conditional_counts():
    corpus, pairs = chain_text()
    steps = 400
    keep = np.ones(8, np.float32)
    rate = quadratic_rate(0.03, steps)
    algorithm = word2vec(
        skip_gram(window=1, block=16), full_softmax(8), keep=keep, dimension=8, rate=rate
    )
    state = run(algorithm, excerpts(corpus, batch=8, steps=steps, epochs=6, seed=0), steps)
    found = jax.nn.softmax(state.inputs @ state.outputs.T)
    assert np.abs(found - pairs / pairs.sum(1, keepdims=True)).max() < 0.01


@pytest.mark.slow
def test_a_large_block_learns_if_it_is_bounded_and_only_then():
    """A thousand centres of eight words: each row's step is a sum of hundreds at one point."""
    corpus, _ = chain_text(length=20_000)
    output = negative_sampling(corpus.vocabulary.counts)
    data = excerpts(corpus, batch=16, steps=50, epochs=5, seed=0, test=corpus)

    def loss(add):
        options = dict(keep=np.ones(8, np.float32), dimension=8, rate=lambda _: 0.05, add=add)
        algorithm = word2vec(skip_gram(window=1, block=64), output, **options)
        experiment = Experiment(algorithm, data, {})
        mesh = make_mesh(jax.devices()[:1])
        state = train(experiment, seed=0, steps=50, mesh=mesh, every=Every(50, 50, 50))
        return evaluate(experiment, state, seed=0, mesh=mesh)['test/loss']

    with pytest.raises(NonFinite):
        loss(add_steps)
    # What vectors of zero give, less what there is to learn
    assert loss(add_clipped_steps(0.3)) < 6 * np.log(2) - 0.3


def least_loss(ids, counts, k=5):
    """The least mean loss of k negatives, window 5: each pair (w, c) at its own best score."""
    pairs = np.zeros((len(counts), len(counts)))
    for distance in range(1, 6):
        share = (6 - distance) / 5  # of the centres, whose windows are drawn from 1 to 5
        first, second = ids[:-distance], ids[distance:]
        together = (first >= 0) & (second >= 0)
        np.add.at(pairs, (first[together], second[together]), share)
        np.add.at(pairs, (second[together], first[together]), share)
    noise = k * pairs.sum(1, keepdims=True) * (counts**0.75 / np.sum(counts**0.75))
    true = np.maximum(pairs, 1e-9) / (np.maximum(pairs, 1e-9) + noise)
    return -np.sum(pairs * np.log(true) + noise * np.log1p(-true)) / pairs.sum()


def crowded_texts():
    """Few words, and lines of one word: ids [N] by name, each of 20 words."""
    rng = np.random.default_rng(0)
    moves = rng.choice([1, 1, 2, 7], 12_000)
    zipf = 1 / np.arange(1, 21)
    bursts = rng.choice(20, 12_000, p=zipf / zipf.sum())
    for word, start in enumerate(range(0, 12_000, 600)):
        bursts[start : start + 200] = word
    mostly_two = np.arange(12_000) % 2
    mostly_two[::600] = np.arange(20)
    return {'chain': np.cumsum(moves) % 20, 'bursts': bursts, 'two': mostly_two}


@pytest.mark.parametrize(
    ('model', 'name'),
    [
        (skip_gram, 'bursts'),
        slow(skip_gram, 'two'),
        slow(skip_gram, 'chain'),
        slow(cbow, 'bursts'),
        slow(cbow, 'two'),
        slow(cbow, 'chain'),
    ],
)
@pytest.mark.slow
def test_a_text_of_few_words_trains_at_the_default_rate(model, name):
    """In 120 blocks of 512 centres it is within a tenth of what skip-gram can learn."""
    ids = crowded_texts()[name].astype(np.int32)
    counts = np.bincount(ids, minlength=20)
    order = np.argsort(-counts, kind='stable')
    ids, counts = np.argsort(order)[ids].astype(np.int32), counts[order]
    corpus = Corpus(ids, Vocabulary(tuple(map(str, range(20))), counts))
    steps = 120

    def rate(step):
        return 0.025 + (1e-4 - 0.025) * step / steps

    options = dict(keep=keep_probability(counts, 0), dimension=24, rate=rate, stable=True)
    algorithm = word2vec(model(window=5), negative_sampling(counts), **options)
    data = excerpts(corpus, batch=8, steps=steps, epochs=5, seed=0, test=corpus)
    state = run(algorithm, data, steps)
    lengths = np.linalg.norm(state.inputs, axis=1)
    assert np.isfinite(table_of(state)).all() and lengths.max() < 8  # as gensim's of such texts
    experiment = Experiment(algorithm, data, {})
    metrics = evaluate(experiment, state, seed=0, mesh=make_mesh(jax.devices()[:1]))
    loss = metrics['test/loss']
    start = 6 * np.log(2)
    least = least_loss(ids, counts)
    assert loss < least + 0.1 * (start - least)


@pytest.mark.slow
@pytest.mark.usefixtures('optimised')
@models
def test_every_planted_analogy_is_answered(model):
    corpus = read_corpus(planted(0, 12_000)[0], min_count=1)
    counts = corpus.vocabulary.counts
    steps = 1000
    output = negative_sampling(counts)
    algorithm = word2vec(
        model(window=2, block=32),
        output,
        keep=np.ones(len(counts), np.float32),
        dimension=40,
        rate=quadratic_rate(0.05, steps),
    )
    state = run(algorithm, excerpts(corpus, batch=4, steps=steps, epochs=30, seed=0), steps)
    embedding = Embedding(corpus.vocabulary.words, np.asarray(state.inputs))
    sections = analogies(embedding, planted_analogies(), restrict=None)
    assert [(s.right, s.answered) for s in sections] == [(s.asked, s.asked) for s in sections]


@pytest.mark.parametrize('stable', [False, slow(True)])
@pytest.mark.slow
def test_tables_split_over_devices_learn_the_same(stable):
    data = Data(RandomTexts(), [])
    options = dict(
        keep=np.ones(12), dimension=D, rate=lambda _: 3.0 if stable else RATE, stable=stable
    )
    algorithm = word2vec(skip_gram(window=2, block=T), negative_sampling(np.ones(12)), **options)
    experiment = Experiment(algorithm, data, {})
    options = dict(seed=0, steps=5)
    whole = train(experiment, **options, mesh=make_mesh(jax.devices()[:1]))
    split = train(experiment, **options, mesh=make_mesh(model=4), rules=SPLIT)
    assert {shard.data.shape for shard in split.inputs.addressable_shards} == {(3, D)}
    assert_trees_close(split, whole, rtol=1e-5, atol=1e-6)


class RandomTexts:
    """Batches of words, each a function of the step alone."""

    def __getitem__(self, step):
        return {'words': np.random.default_rng(step).integers(0, 12, (8, L)).astype(np.int32)}


def test_codes_are_input_vectors_and_zero_where_there_is_no_word():
    state = vectors()
    batch = texts()
    codes = learner(skip_gram, negative_sampling(COUNTS)).encode(jax.random.key(0), state, batch)
    words = np.asarray(batch['words'])
    np.testing.assert_array_equal(codes[words >= 0], state.inputs[words[words >= 0]])
    assert not codes[words < 0].any()
