"""The transformer: what each place sees is what its mask says, and memory changes nothing."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.transformer import Block, Transformer
from tests.marks import slow
from tests.networks.drawn import random_params

NETWORK = Transformer(5, 8, 2, 2, 'float64')
IDS = jnp.asarray([[0, 4, 5, 2, 1, 3], [5, 5, 1, 0, 0, 4]], jnp.int32)
CAUSAL = np.tril(np.ones((6, 6), bool))
SOME = np.eye(6, dtype=bool) | (np.arange(6) % 2 == 0)


@pytest.mark.parametrize('mask', [slow(CAUSAL), SOME], ids=['causal', 'some'])
def test_the_gradient_of_a_place_to_one_that_it_does_not_see_is_nought(mask):
    with jax.enable_x64(True):
        x = jax.random.normal(jax.random.key(0), (1, 6, 8))
        block = Block(2, 16, 'float64')
        places = jnp.arange(6)
        params = random_params(block, x, mask, places)

        def output(x):
            return block.apply({'params': params}, x, mask, places)[0][0]

        jacobian = np.abs(jax.jit(jax.jacobian(output))(x)[:, :, 0]).max((1, 3))  # [N, N]
    assert np.all(jacobian[~mask] == 0)
    assert np.all(jacobian[mask] > 1e-6)


def test_a_later_symbol_changes_nothing_before_it_to_the_bit():
    with jax.enable_x64(True):
        params = random_params(NETWORK, IDS)
        changed = IDS.at[:, 3].set(4)
        apply = jax.jit(NETWORK.apply)
        before, after = (apply({'params': params}, ids, CAUSAL) for ids in (IDS, changed))
        seen_by_all = np.abs(apply({'params': params}, IDS) - apply({'params': params}, changed))
    np.testing.assert_array_equal(before[:, :3], after[:, :3])
    assert np.all(np.abs(before - after)[:, 3:].max(-1) > 1e-6)
    assert np.all(seen_by_all.max(-1) > 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize('parts', [slow([1] * 6), [4, 2], slow([6])])
def test_places_one_after_the_other_give_what_all_at_once_do(parts):
    with jax.enable_x64(True):
        params = {'params': random_params(NETWORK, IDS)}
        whole = NETWORK.apply(params, IDS, CAUSAL)
        memory = NETWORK.empty_memory(2, 9)
        place = 0
        found = []
        for n in parts:
            ids = IDS[:, place : place + n]
            logits, memory = NETWORK.apply(params, ids, jnp.asarray(place), memory, method='extend')
            found.append(logits)
            place += n
    np.testing.assert_allclose(np.concatenate(found, 1), whole, rtol=1e-12)


def test_it_begins_flat_and_has_the_parameters_of_its_size():
    network = Transformer(27, 768, 12, 12)
    params = jax.eval_shape(network.init, jax.random.key(0), IDS)['params']
    block = 12 * 768**2 + (4 + 4 + 1) * 768 + 4 * 768
    assert sum(x.size for x in jax.tree.leaves(params)) == (
        28 * 768 + 12 * block + 2 * 768 + 27 * 769
    )


def test_places_are_told_apart_by_their_features_alone_where_all_symbols_are_alike():
    """Rotary places are differences, which say nothing of where a place is."""
    ids = jnp.full((1, 6), 5)
    plain, placed = (
        np.asarray(network.apply({'params': random_params(network, ids)}, ids)[0])
        for network in (Transformer(5, 8, 2, 2), Transformer(5, 8, 2, 2, places=6))
    )
    np.testing.assert_allclose(plain, plain[:1].repeat(6, 0), rtol=1e-4)
    assert np.abs(placed[0] - placed[1:]).max(1).min() > 1e-2


@pytest.mark.parametrize('sizes', [(0, 8, 1, 1), (3, 6, 1, 2), (3, 8, 0, 1)])
def test_sizes_that_do_not_fit_are_refused_in_one_line(sizes):
    with pytest.raises(ValueError, match=r'^symbols, width, depth, heads are .*; all at least 1'):
        Transformer(*sizes).init(jax.random.key(0), IDS)
