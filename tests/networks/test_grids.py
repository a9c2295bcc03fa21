"""Convolutions to a grid of tokens and back: forms, and what a token sees."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.grids import GridDecoder, GridEncoder

KEY = jax.random.key(0)


def test_tokens_stand_in_the_rows_of_the_grid():
    """A change of one pixel moves the tokens around its place and no others."""
    network = GridEncoder((4, 4), 3)
    x = jax.random.normal(KEY, (2, 16, 16, 1))
    variables = network.init(KEY, x)
    changed = network.apply(variables, x.at[0, 4, 9].add(1.0)) != network.apply(variables, x)
    assert changed.shape == (2, 64, 3) and not changed[1].any()
    moved = np.argwhere(changed[0].any(-1).reshape(8, 8))
    assert len(moved) > 0 and np.all(np.abs(moved - [2, 4]) <= 1)


def test_a_token_is_drawn_at_its_place():
    network = GridDecoder((4, 4), 2)
    tokens = jax.random.normal(KEY, (1, 64, 3))
    variables = network.init(KEY, tokens)
    drawn = network.apply(variables, tokens)
    changed = network.apply(variables, tokens.at[0, 8 * 2 + 4].add(1.0)) != drawn
    assert drawn.shape == (1, 16, 16, 2)
    moved = np.argwhere(changed[0].any(-1))
    # Two rows about the token's, a pixel more by either of the convolutions at this resolution.
    assert len(moved) > 0 and np.all((moved >= [0, 4]) & (moved <= [9, 13]))


@pytest.mark.parametrize(
    ('network', 'x', 'message'),
    [
        (GridEncoder((), 2), (1, 8, 8, 1), 'widths are'),
        (GridEncoder((4, 4), 2), (1, 7, 8, 1), 'widths are'),
        (GridDecoder((4,), 1), (1, 6, 2), 'there are 6 tokens'),
    ],
)
def test_what_has_no_grid_is_refused_in_one_line(network, x, message):
    with pytest.raises(ValueError, match=f'^{message}') as error:
        network.init(KEY, jnp.zeros(x))
    assert '\n' not in str(error.value)
