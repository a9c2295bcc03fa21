"""Texts in tables, and bits a character over all characters of all batches."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.probes.texts import bits_per_character, text_table

KEY = jax.random.key(0)


def test_bits_are_of_all_characters_alike():
    def evaluate(key, state, batch):
        del key
        return {'nats': state * batch['x'], 'letters': batch['n']}

    batches = [
        {'x': np.array([1.0, 4.0, 2.0]), 'n': np.array([1.0, 10.0, 1.0])},
        {'x': np.array([3.0]), 'n': np.array([8.0])},
    ]
    batches = [{name: x.astype(np.float32) for name, x in batch.items()} for batch in batches]
    measure = bits_per_character(evaluate, batches, count='letters')
    found = measure(KEY, jnp.float32(2.0))['bits_per_character']
    assert found == pytest.approx(2 * 10 / 20 / np.log(2), rel=1e-6)


def test_a_table_has_the_texts():
    def sample(key, state, n):
        del key
        return jnp.asarray([[0, 1, -1], [2, 0, 0]])[:n] + state

    measure = text_table(sample, 'abc', n=2)
    assert measure(KEY, 0) == {'texts': [{'text': 'ab'}, {'text': 'caa'}]}
