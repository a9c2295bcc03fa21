"""What language models report of texts: sums over the words that there are."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.numerics.texts import text_metrics, word_nats


def test_a_word_costs_minus_its_log_probability_and_no_word_nothing():
    log_p = jax.nn.log_softmax(jax.random.normal(jax.random.key(0), (2, 3, 4)))
    words = jnp.asarray([[0, 3, -1], [2, -1, -1]])
    found = word_nats(log_p, words)
    expected = [[-log_p[0, 0, 0], -log_p[0, 1, 3], 0], [-log_p[1, 0, 2], 0, 0]]
    np.testing.assert_array_equal(found, np.array(expected))


def test_a_text_has_nats_a_word_and_one_of_unknown_words_none():
    words = jnp.asarray([[0, 3, -1], [-1, -1, -1], [4, 0, 0]])
    found = text_metrics(jnp.asarray([3.0, 0.0, 1.0]), words, 4)
    np.testing.assert_array_equal(found['loss'], [1.5, 0, np.nan])
    np.testing.assert_array_equal(found['nats'], [3, 0, np.nan])
    assert found['words'].tolist() == [2, 0, 3]
