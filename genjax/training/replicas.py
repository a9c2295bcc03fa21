"""Many seeds as one Algorithm: n independent copies of a run, trained as one program."""

import jax
import jax.numpy as jnp

from genjax.base import Algorithm, Key


def replicas(algorithm: Algorithm, n: int) -> Algorithm:
    """n copies of an algorithm that see the same batches and differ in every random choice.

    Copy i spends fold_in(key, i) where a single run spends key. Every leaf of the state has a
    leading axis [n]; metrics carry the copy's number, as 'loss/3'; samples, codes and what is
    decoded from them are [B, n, ...], the copies on the second axis.

    Raises:
      ValueError: n is below 1.
    """
    if n < 1:
        raise ValueError(f'n is {n}; at least 1 replica is needed')

    def keys(key: Key) -> Key:
        return jax.vmap(jax.random.fold_in, (None, 0))(key, jnp.arange(n))

    def init(key, batch):
        return jax.tree.map(
            lambda *leaves: jnp.stack(leaves), *(algorithm.init(k, batch) for k in keys(key))
        )

    def update(key, state, batch):
        state, metrics = jax.vmap(algorithm.update, (0, 0, None))(keys(key), state, batch)
        return state, _numbered(metrics)

    def evaluate(key, state, batch):
        return _numbered(jax.vmap(algorithm.evaluate, (0, 0, None))(keys(key), state, batch))

    def sample(key, state, n):
        return jax.vmap(lambda k, s: algorithm.sample(k, s, n), out_axes=1)(keys(key), state)

    def encode(key, state, batch):
        return jax.vmap(algorithm.encode, (0, 0, None), out_axes=1)(keys(key), state, batch)

    def decode(key, state, code):
        return jax.vmap(algorithm.decode, (0, 0, 1), out_axes=1)(keys(key), state, code)

    maps = (algorithm.sample and sample, algorithm.encode and encode, algorithm.decode and decode)
    return Algorithm(init, update, evaluate, *maps)


def _numbered(metrics):
    return {
        f'{name}/{i}': value for name, values in metrics.items() for i, value in enumerate(values)
    }
