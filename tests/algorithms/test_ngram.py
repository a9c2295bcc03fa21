"""n-gram models against hand tables, a plain oracle of dictionaries, closed forms, and NLTK."""

import itertools
import lzma
import math
from collections import Counter
from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import gammaln
from scipy.stats import chisquare

from genjax.algorithms.ngram import (
    add_k,
    kneser_ney,
    log_probability,
    margin,
    maximum_likelihood,
    ngram,
    ngrams,
    perplexity,
    probabilities,
)
from genjax.base import Data, Resident
from genjax.training import Every, Experiment, NonFinite, by_jit, by_pmap, make_mesh, train
from tests.marks import slow
from tests.trees import assert_trees_equal

LECTURE = 'I like deep learning .', 'I like NLP .', 'I enjoy flying .'
# Eight words, the end, the beginning
NAMES = [*dict.fromkeys(' '.join(LECTURE).split()), '</s>', '<s>']
END, BEGIN = 8, 9
KEY = jax.random.key(0)
SMOOTHINGS = {
    'maximum_likelihood': maximum_likelihood,
    'laplace': add_k(1.0),
    'lidstone': add_k(0.1),
    'kneser_ney': kneser_ney(0.75),
    'nltk_kneser_ney': kneser_ney(0.6, unigram=0.0),
}
every_smoothing = pytest.mark.parametrize('name', SMOOTHINGS)
orders = pytest.mark.parametrize('order', [1, 2, 3])


def ids_of(lines):
    return [[NAMES.index(word) for word in line.split()] for line in lines]


def flat(sentences):
    return np.concatenate([[*sentence, -1] for sentence in sentences]).astype(np.int32)


def excerpts(ids, order, length=12, multiple=1):
    """Rows of `length` places after a margin, which repeats the last places of the row before."""
    front = margin(order)
    rows = -(-len(ids) // (length * multiple)) * multiple
    padded = np.full(front + rows * length, -1, np.int32)
    padded[front : front + len(ids)] = ids
    return np.stack([padded[i * length : i * length + front + length] for i in range(rows)])


def model(vocabulary_size, order, smoothing=maximum_likelihood, **options):
    return ngram(
        vocabulary_size, order=order, capacity=[1000] * order, smoothing=smoothing, **options
    )


def counted(sentences, vocabulary_size, order):
    algorithm = model(vocabulary_size, order)
    batch = {'words': jnp.asarray(excerpts(flat(sentences), order))}
    return jax.jit(algorithm.update)(KEY, algorithm.init(KEY, batch), batch)[0]


def chances(state, grams, vocabulary_size, smoothing):
    model_of = dict(vocabulary_size=vocabulary_size, smoothing=smoothing)
    return np.asarray(jax.jit(partial(probabilities, **model_of))(state, jnp.asarray(grams)))


@cache
def random_sentences():
    """120 sentences of 1 to 9 words, of six, some of them frequent and some rare."""
    draw = np.random.default_rng(0)
    return [[int(6 * draw.random() ** 2) for _ in range(draw.integers(1, 10))] for _ in range(120)]


@cache
def random_state(order):
    return counted(random_sentences(), 6, order)


def padded(sentence, order, end, begin):
    """The n-grams of a sentence as textbooks have them."""
    places = [begin] * (order - 1) + list(sentence) + [end]
    return [tuple(places[i : i + order]) for i in range(len(sentence) + 1)]


def occurrences(sentences, order, vocabulary_size):
    return Counter(
        g for s in sentences for g in padded(s, order, vocabulary_size, vocabulary_size + 1)
    )


def textbook(sentences, order, vocabulary_size):
    """The tables of each order by dictionaries: n-grams, and below them the words before them."""
    tables = [occurrences(sentences, order, vocabulary_size)]
    while len(tables) < order:
        tables.insert(0, Counter(gram[1:] for gram in tables[0]))
    return tables


def oracle(name, tables, gram, outcomes, m=None):
    """P of an n-gram by the formulas, a word at a time."""
    order = len(tables)
    m = order if m is None else m
    if m == 0:
        return 1 / outcomes
    table = tables[m - 1]
    context = gram[-m:-1]
    after = [c for g, c in table.items() if g[:-1] == context]
    total = sum(after)
    own = table[gram[-m:]]
    if 'kneser' not in name:
        k = {'maximum_likelihood': 0.0, 'laplace': 1.0, 'lidstone': 0.1}[name]
        return (own + k) / (total + k * outcomes) if total + k else 1 / outcomes
    d = {'kneser_ney': 0.75, 'nltk_kneser_ney': 0.0 if m == 1 else 0.6}[name]
    shorter = oracle(name, tables, gram, outcomes, m - 1)
    return (max(own - d, 0) + d * len(after) * shorter) / total if total else shorter


def as_counters(state):
    counters = []
    for table in jax.device_get(state):
        keys = [tuple(key) for key in table.keys[: table.size].tolist()]
        values = table.values[: table.size].tolist()
        counters.append(Counter(dict(zip(keys, values, strict=True))))
    return counters


def every_gram(order, vocabulary_size):
    """All n-grams of outcomes after contexts that a sentence can have, [., outcomes, n]."""
    begin = vocabulary_size + 1
    contexts = set()
    for i in range(order):
        for words in itertools.product(range(vocabulary_size), repeat=order - 1 - i):
            contexts.add((begin,) * i + words)
    outcomes = range(vocabulary_size + 1)
    return np.array([[(*c, w) for w in outcomes] for c in sorted(contexts)], np.int32)


def feed(rows, batch):
    def make_batch(rows, step):
        return {'words': jax.lax.dynamic_slice_in_dim(rows, step * batch, batch)}

    return Resident(jnp.asarray(rows), make_batch)


def run(algorithm, rows, *, devices=1, batch=8, workdir=None, **options):
    experiment = Experiment(algorithm, Data(feed(rows, batch), [{'words': rows[:3]}]), {})
    mesh = make_mesh(jax.devices()[:devices])
    steps = len(rows) // batch
    every = Every(1, 100, 100)
    return train(
        experiment, seed=0, steps=steps, mesh=mesh, every=every, workdir=workdir, **options
    )


def test_an_excerpt_becomes_its_events_each_with_the_context_at_hand():
    words = jnp.asarray([[4, 5, 6, -1, -1, 7, 3, 2, -1, 0]])
    assert ngrams(words, 3, 8).tolist() == [
        [
            [4, 5, 6],
            [5, 6, END],
            [-1] * 3,
            [BEGIN, BEGIN, 7],
            [BEGIN, 7, 3],
            [7, 3, 2],
            [3, 2, END],
            [BEGIN, BEGIN, 0],
        ]
    ]
    assert ngrams(words, 1, 8)[0, :, 0].tolist() == [5, 6, END, -1, 7, 3, 2, END, 0]


@orders
@pytest.mark.parametrize('length', [1, 5, 12])
def test_excerpts_that_overlap_by_the_margin_hold_every_event_once(order, length):
    words = jnp.asarray(excerpts(flat(random_sentences()), order, length))
    grams = ngrams(words, order, 6).reshape(-1, order)
    found = Counter(tuple(gram) for gram in grams.tolist() if gram[0] >= 0)
    assert found == occurrences(random_sentences(), order, 6)


@pytest.mark.parametrize(
    ('order', 'devices', 'parallel'),
    [
        (1, 1, by_jit),
        (3, 8, by_jit),
        slow(2, 8, by_jit),
        slow(3, 1, by_jit),
        slow(3, 8, by_pmap),
    ],
)
def test_one_run_over_a_corpus_counts_as_dictionaries_do(order, devices, parallel):
    rows = excerpts(flat(random_sentences()), order, multiple=8)
    state = run(model(6, order), rows, devices=devices, parallel=parallel)
    assert as_counters(state) == textbook(random_sentences(), order, 6)


@pytest.mark.slow
def test_a_run_that_was_stopped_goes_on_to_the_bit(tmp_path):
    rows = excerpts(flat(random_sentences()), 3, multiple=8)
    run(model(6, 3), rows, workdir=tmp_path, until=4)
    resumed = run(model(6, 3), rows, workdir=tmp_path)
    whole = run(model(6, 3), rows)
    assert_trees_equal(resumed, whole)


def test_a_table_that_is_full_stops_the_run_by_name():
    algorithm = ngram(6, order=3, capacity=(7, 20, 1000))
    rows = excerpts(flat(random_sentences()), 3, multiple=8)
    with pytest.raises(NonFinite, match='2-grams is inf'):
        run(algorithm, rows)


def test_maximum_likelihood_gives_the_lectures_fractions():
    state = counted(ids_of(LECTURE), 8, 2)
    expected = {
        '<s> I': 1,
        'I like': 2 / 3,
        'I enjoy': 1 / 3,
        'like NLP': 1 / 2,
        'like .': 0,
        '. </s>': 1,
    }
    np.testing.assert_allclose(
        chances(state, ids_of(expected), 8, maximum_likelihood), list(expected.values()), rtol=1e-6
    )
    once = chances(counted(ids_of(LECTURE), 8, 1), np.arange(9)[:, None], 8, maximum_likelihood)
    np.testing.assert_allclose(once, np.array([3, 2, 1, 1, 3, 1, 1, 1, 3]) / 16, rtol=1e-6)


def test_kneser_ney_gives_the_table_worked_out_by_hand():
    # Eleven different bigrams: the full stop ends three of them, every other outcome one. With D =
    # 3/4 and nine outcomes P(w) = (N1+(. w) - 3/4) / 11 + 3/4 9/11 1/9 = N1+(. w) / 11.
    state = counted(ids_of(LECTURE), 8, 2)
    expected = {
        'I like': 1.25 / 3 + 0.75 * 2 / 3 / 11,
        'I .': 0.75 * 2 / 3 * 3 / 11,
        'like NLP': 0.25 / 2 + 0.75 / 11,
        '. </s>': 2.25 / 3 + 0.75 / 3 / 11,
        '<s> I': 2.25 / 3 + 0.75 / 3 / 11,
        'NLP flying': 0.75 / 11,
    }
    p = chances(state, ids_of(expected), 8, kneser_ney(0.75))
    np.testing.assert_allclose(p, list(expected.values()), rtol=1e-6)


# Each order and each smoothing; the other pairs are slow.
PAIRS = {
    ('maximum_likelihood', 1),
    ('laplace', 2),
    ('lidstone', 3),
    ('kneser_ney', 3),
    ('nltk_kneser_ney', 2),
}


@pytest.mark.parametrize(
    ('name', 'order'),
    [
        (name, order) if (name, order) in PAIRS else slow(name, order)
        for name in SMOOTHINGS
        for order in (1, 2, 3)
    ],
)
def test_probabilities_are_the_textbooks_for_every_context_seen_or_not_and_sum_to_one(name, order):
    # A word that never occurs, 6 of the 7, makes unseen contexts at every order.
    grams = every_gram(order, 7)
    state = counted(random_sentences(), 7, order)
    tables = textbook(random_sentences(), order, 7)
    p = chances(state, grams, 7, SMOOTHINGS[name])
    expected = [oracle(name, tables, tuple(gram), 8) for gram in grams.reshape(-1, order).tolist()]
    np.testing.assert_allclose(p.reshape(-1), expected, rtol=2e-6, atol=1e-9)
    np.testing.assert_allclose(p.sum(-1), 1, rtol=2e-6)


def test_the_probabilities_of_all_sentences_sum_to_one():
    # Bigrams of the lecture's corpus have no cycle, so that no sentence is longer than five words.
    state = counted(ids_of(LECTURE), 8, 2)
    rows = [s + (-1,) * (5 - n) for n in range(1, 6) for s in itertools.product(range(8), repeat=n)]
    log_p = jax.jit(partial(log_probability, vocabulary_size=8, smoothing=maximum_likelihood))
    p = np.exp(log_p(state, np.array(rows)))
    assert float(p.sum()) == pytest.approx(1, rel=1e-5)
    likes_nlp = rows.index((*ids_of(LECTURE)[1], -1))
    assert float(p[likes_nlp]) == pytest.approx(1 / 3, rel=1e-6)


@pytest.mark.parametrize('order', [1, 3])
def test_maximum_likelihood_reaches_the_entropy_of_the_counts_and_add_k_stays_above(order):
    counts = occurrences(random_sentences(), order, 6)
    contexts = Counter(gram[:-1] for gram in counts.elements())
    nats = -sum(c * math.log(c / contexts[gram[:-1]]) for gram, c in counts.items())
    entropy = nats / counts.total()
    tests = [{'words': excerpts(flat(random_sentences()), order)}]

    def log_perplexity(smoothing):
        measure = perplexity(model(6, order, smoothing).evaluate, tests)
        return math.log(measure(KEY, random_state(order))['perplexity'])

    assert log_perplexity(maximum_likelihood) == pytest.approx(entropy, rel=1e-6)
    assert log_perplexity(add_k(5.0)) > entropy + 1e-4


def test_add_k_is_the_posterior_mean_under_a_symmetric_dirichlet_prior():
    # Bayes' rule by brute force: distributions drawn from the prior, each weighted with its
    # likelihood.
    counts = np.array([3, 0, 1, 2])  # three words and the end of two sentences
    k = 0.5
    state = counted([[0, 0, 2], [0]], 3, 1)
    prior = np.random.default_rng(0).dirichlet([k] * 4, 400_000)
    likelihood = np.prod(prior**counts, -1)
    posterior_mean = likelihood @ prior / likelihood.sum()
    p = chances(state, np.arange(4)[:, None], 3, add_k(k))
    error = np.sqrt(likelihood**2 @ (prior - posterior_mean) ** 2) / likelihood.sum()
    assert (np.abs(p - posterior_mean) < 4 * error).all() and error.max() < 0.002
    # The maximum of likelihood is another answer.
    assert np.abs(counts / 6 - posterior_mean).max() > 0.02


def test_add_ks_predictions_multiply_to_the_evidence_of_the_dirichlet_prior():
    # P(data) by total probability, Gamma(K k) / Gamma(N + K k) prod Gamma(c + k) / Gamma(k), is
    # what an update's losses add up to if each batch is one event, coded before it is counted.
    k = 0.5
    sentences = [[0, 0, 2], [], [0]]
    ids = flat(sentences)
    algorithm = ngram(3, order=1, capacity=(4,), smoothing=add_k(k))
    rows = excerpts(ids, 1, length=1)
    state = algorithm.init(KEY, {'words': rows[:1]})
    update = jax.jit(algorithm.update)
    nats = 0.0
    for row in rows:
        state, metrics = update(KEY, state, {'words': jnp.asarray(row[None])})
        nats += float(metrics['loss'])
    counts = np.array([3, 0, 1, 2])
    evidence = gammaln(4 * k) - gammaln(6 + 4 * k) + np.sum(gammaln(counts + k) - gammaln(k))
    assert nats == pytest.approx(-evidence, rel=1e-5)


def test_perplexity_weighs_events_alike_and_counts_the_impossible_ones():
    state = random_state(3)
    rows = [
        [0, 1, 2, 3, 0, 0, 1, 0, -1],
        [5, -1, -1, -1, -1, -1, -1, -1, -1],
        [-1] * 9,
        [5, 5, 5, 5, 5, -1, 0, -1, -1],
    ]
    words = np.pad(np.array(rows, np.int32), ((0, 0), (2, 0)), constant_values=-1)
    algorithm = model(6, 3, floor=1e-4)
    tables = textbook(random_sentences(), 3, 6)
    found = jax.jit(algorithm.evaluate)(KEY, state, {'words': words})
    p = []
    for row in ([[0, 1, 2, 3, 0, 0, 1, 0]], [[5]], [], [[5] * 5, [0]]):
        grams = [gram for sentence in row for gram in padded(sentence, 3, 6, 7)]
        p.append([oracle('maximum_likelihood', tables, gram, 7) for gram in grams])
    nats = [sum(-math.log(max(q, 1e-4)) for q in row) for row in p]
    assert found['events'].tolist() == [9, 2, 0, 8] and found['loss'][2] == 0
    np.testing.assert_allclose(found['nats'], nats, rtol=1e-5)
    impossible = sum(q == 0 for row in p for q in row)
    assert impossible and found['unseen'].sum() == impossible
    batches = [{'words': words[:3]}, {'words': words[3:]}]
    whole = perplexity(algorithm.evaluate, batches)(KEY, state)
    assert whole == pytest.approx(
        {'perplexity': math.exp(sum(nats) / 19), 'unseen': impossible / 19}, rel=1e-5
    )


@pytest.mark.parametrize(
    ('order', 'name'),
    [(1, 'laplace'), (2, 'maximum_likelihood'), slow(2, 'lidstone'), slow(3, 'kneser_ney')],
)
def test_samples_follow_the_models_own_probabilities(order, name):
    # A sample's first two places: a word and what follows it, or the end of a sentence of no words.
    pairs = [(a, b) for a in range(6) for b in range(-1, 6)] + [(-1, -1)]

    def gram(*outcomes):
        return [*[7] * (order - 1), *(w % 7 for w in outcomes)][-order:]

    grams = [[gram(a), gram(a, b)] for a, b in pairs]
    p, after = chances(random_state(order), grams, 6, SMOOTHINGS[name]).T
    expected = p * np.where([a >= 0 for a, _ in pairs], after, 1.0)
    drawn = Counter(map(tuple, sample(order, name, 4000)[:, :2].tolist()))
    found = np.array([drawn[pair] for pair in pairs])
    assert found.sum() == 4000 and not found[expected == 0].any()
    possible = expected > 0
    wanted = 4000 * expected[possible] / expected.sum()
    assert chisquare(found[possible], wanted, sum_check=False).pvalue > 1e-3


@cache
def sample(order, name, n):
    algorithm = model(6, order, SMOOTHINGS[name], length=9)
    draw = jax.jit(algorithm.sample, static_argnums=2)
    return np.asarray(draw(jax.random.key(1), random_state(order), n))


def test_samples_end_once_and_do_not_depend_on_their_number():
    drawn = sample(2, 'maximum_likelihood', 4000)
    ended = np.cumsum(drawn < 0, 1) > 0
    assert drawn.shape == (4000, 9) and (drawn[ended] == -1).all() and (drawn[~ended] < 6).all()
    assert 0.5 < ended[:, -1].mean() < 1  # those that are not are cut
    np.testing.assert_array_equal(sample(2, 'maximum_likelihood', 7), drawn[:7])
    certain = jax.jit(partial(log_probability, vocabulary_size=6, smoothing=maximum_likelihood))
    assert np.isfinite(certain(random_state(2), drawn[ended[:, -1]])).all()


@pytest.mark.parametrize(
    ('make', 'message'),
    [
        (lambda: ngram(6, order=0, capacity=()), 'order is 0, capacity ()'),
        (lambda: ngram(6, order=2, capacity=(7,)), 'order is 2, capacity (7,)'),
        (lambda: add_k(-1.0), 'k is -1.0; added counts must be at least 0'),
        (
            lambda: kneser_ney(1.5),
            'discounts are 1.5 and, at order 1, 1.5; they must lie in [0, 1]',
        ),
        (
            lambda: model(6, 3).init(KEY, {'words': np.zeros((1, 2))}),
            'excerpts have 2 places; order 3 needs 3',
        ),
    ],
)
def test_what_makes_no_sense_is_refused_in_one_line(make, message):
    with pytest.raises(ValueError) as caught:
        make()
    assert message in str(caught.value) and '\n' not in str(caught.value)


@pytest.mark.peers
@orders
def test_scores_equal_nltks(order):
    from nltk.lm import MLE, KneserNeyInterpolated, Lidstone, Vocabulary

    # NLTK is given the textbook's n-grams. Its own pipeline pads with n - 1 end markers and scores
    # begin markers as if they were words, so that its probabilities of words sum to less than one.
    # Its vocabulary always holds <UNK>, which is our word 5; the end marker is the other outcome.
    names = [*'abcde', '<UNK>', '</s>', '<s>']
    grams = [tuple(names[i] for i in g) for s in random_sentences() for g in padded(s, order, 6, 7)]
    everything = [[g[i:] for g in grams for i in range(order)]]

    def vocabulary():
        return Vocabulary([*names[:5], '</s>'])

    peers = {
        'maximum_likelihood': MLE(order, vocabulary()),
        'lidstone': Lidstone(0.1, order, vocabulary()),
    }
    # NLTK has no Kneser-Ney of order 1, for want of bigrams; its unigrams take no discount.
    if order > 1:
        peers['nltk_kneser_ney'] = KneserNeyInterpolated(order, 0.6, vocabulary=vocabulary())
    contexts = {g[:-1] for g in textbook(random_sentences(), order, 6)[-1]}
    for name, peer in peers.items():
        # Not by peer.fit, which would put <UNK> in the place of <s>.
        peer.counts.update(everything)
        asked = every_gram(order, 6).reshape(-1, order).tolist()
        p = chances(random_state(order), asked, 6, SMOOTHINGS[name])
        expected = [
            peer.unmasked_score(names[g[-1]], tuple(names[i] for i in g[:-1])) for g in asked
        ]
        # After a context that never occurred NLTK's MLE is 0, ours uniform.
        kept = [name != 'maximum_likelihood' or tuple(g[:-1]) in contexts for g in asked]
        np.testing.assert_allclose(
            np.asarray(p)[kept], np.array(expected)[kept], rtol=1e-6, atol=1e-7
        )
        assert not any(np.array(expected)[~np.array(kept)])


@pytest.mark.slow
def test_on_held_out_english_longer_contexts_help_kneser_ney_which_beats_add_k(real_data):
    with lzma.open(real_data / 'text' / 'corpus.txt.xz', 'rt') as lines:
        text = [line.split() for line in itertools.islice(lines, 14_000)]  # about 320,000 words
    ranked = [word for word, _ in Counter(itertools.chain(*text[:-1000])).most_common(4999)]
    ids = {word: i for i, word in enumerate(ranked)}
    numbered = [[ids.get(word, 4999) for word in sentence] for sentence in text]
    held_in, held_out = numbered[:-1000], numbered[-1000:]

    def reached(order, *smoothings):
        algorithm = partial(ngram, 5000, order=order, capacity=[400_000] * order)
        rows = excerpts(flat(held_in), order, length=256, multiple=128)
        state = run(algorithm(), rows, batch=128)
        tests = [{'words': excerpts(flat(held_out), order, length=256)}]
        measures = [perplexity(algorithm(smoothing=s).evaluate, tests) for s in smoothings]
        return [measure(KEY, state)['perplexity'] for measure in measures]

    one = reached(1, kneser_ney(0.9))[0]
    two = reached(2, kneser_ney(0.9))[0]
    three, *added = reached(3, kneser_ney(0.9), *(add_k(k) for k in (1.0, 0.1, 0.01, 0.001)))
    assert one > 1.5 * two and two > 1.02 * three and min(added) > 2 * three
