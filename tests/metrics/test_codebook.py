"""The use of a codebook."""

import numpy as np
import pytest

from genjax.metrics.codebook import codebook_use


def test_perplexity_is_the_number_of_codes_that_are_used_alike():
    assert codebook_use(np.arange(12).reshape(3, 4), 12) == pytest.approx(
        {'perplexity': 12, 'used': 1}
    )
    assert codebook_use([3, 3, 1, 1], 8) == pytest.approx({'perplexity': 2, 'used': 0.25})
    assert codebook_use([0] * 9, 4) == pytest.approx({'perplexity': 1, 'used': 0.25})


@pytest.mark.parametrize('index', [[], [4], [-1, 0]])
def test_codes_lie_in_the_codebook(index):
    with pytest.raises(ValueError, match=r'needed: some, all in 0 .. 3$'):
        codebook_use(np.array(index, int), 4)
