"""The use of a codebook, over all batches of a set."""

import jax
import numpy as np
import pytest

from genjax.probes.codebook import codebook_probe


def test_it_is_of_the_codes_of_all_batches():
    def encode(key, state, batch):
        del key
        return batch['x'] + state

    batches = [{'x': np.array([[0, 1], [0, 1]])}, {'x': np.array([[2, 2]])}]
    found = codebook_probe(encode, batches, size=6)(jax.random.key(0), 1)
    assert found == pytest.approx({'perplexity': 3, 'used': 0.5})
