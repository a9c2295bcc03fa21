"""The transformer of tokens: causal, and the same whole or token by token."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.causal import CausalTransformer


def prepared():
    network = CausalTransformer(5, 2, width=8, depth=2, heads=2)
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(size=(3, 5, 2)), jnp.float32)
    params = network.init(jax.random.key(0), x)['params']

    def moved(leaf):
        return leaf + jnp.asarray(0.3 * rng.normal(size=leaf.shape), jnp.float32)

    return network, {'params': jax.tree.map(moved, params)}, x


@pytest.mark.slow
def test_a_row_depends_on_the_tokens_up_to_it_and_on_all_of_them():
    network, params, x = prepared()
    changes = jax.jacfwd(lambda x: network.apply(params, x[None])[0])(x[0])  # [N, 2 C, N, C]
    by_token = np.abs(np.asarray(changes)).max((1, 3))
    assert not by_token[np.triu_indices(5, 1)].any()
    assert by_token[np.tril_indices(5)].all()


def test_token_by_token_it_gives_what_it_gives_at_once():
    network, params, x = prepared()
    extend = jax.jit(lambda *given: network.apply(params, *given, method='extend'))
    memory = network.empty_memory(3)
    rows = []
    for i in range(5):
        outputs, memory = extend(x[:, i : i + 1], jnp.int32(i), memory)
        rows.append(outputs)
    np.testing.assert_allclose(jnp.concatenate(rows, 1), network.apply(params, x), atol=1e-5)


@pytest.mark.parametrize(
    ('fields', 'shape', 'line'),
    [
        (
            dict(width=6, heads=2),
            (5, 2),
            r'tokens, entries, width, depth, heads, outputs are \(5, 2, 6, 1, 2, 2\); '
            'all at least 1, and width a multiple of 2 heads',
        ),
        (
            dict(width=8, heads=2),
            (4, 2),
            r'tokens are \(4, 2\); the network is made for \(5, 2\)',
        ),
    ],
)
def test_what_does_not_fit_is_refused(fields, shape, line):
    network = CausalTransformer(5, 2, depth=1, **fields)
    with pytest.raises(ValueError, match=rf'^{line}(\n|$)'):
        jax.eval_shape(network.init, jax.random.key(0), jnp.zeros((1, *shape)))
