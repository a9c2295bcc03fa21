"""A toy experiment for the tests of the spine: no network, and every number known."""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.base import Algorithm, Data, Resident
from genjax.descent import descend
from genjax.parallel import example_keys
from genjax.training import Experiment, Probe

BATCH = 16


def toy(observe: Callable[[], None] = lambda: None, factor: Callable = jnp.ones_like) -> Experiment:
    """The mean of a Gaussian, by Adam on noisy squares; `observe` is called at each trace of the
    losses."""

    def losses(key, params, batch):
        observe()
        noise = jax.vmap(lambda k: jax.random.normal(k, (3,)))(example_keys(key, len(batch['x'])))
        errors = jnp.sum((batch['x'] + 0.1 * noise - params['mean'][None]) ** 2, -1)  # [B]
        return {'loss': errors * factor(errors)}

    descent = descend(losses, optax.adam(0.1), decay=0.9)
    algorithm = Algorithm(
        init=lambda key, batch: descent.init(
            {'mean': jax.random.normal(key, batch['x'].shape[1:])}
        ),
        update=descent.update,
        evaluate=lambda key, state, batch: losses(key, state.average, batch),
        sample=lambda key, state, n: jax.vmap(
            lambda k: state.average['mean'] + jax.random.normal(k, (3,))
        )(example_keys(key, n)),
    )
    probe = Probe(20, lambda key, state: {'size': jnp.abs(state.params['mean']).sum()})
    return Experiment(algorithm, Data(gaussian_batches(), toy_tests()), {'mean': probe})


def gaussian_batches() -> Resident:
    """Batches {'x': [16, 3]} of N(1, I), made from the step alone."""

    def draw(key, step):
        return {'x': jax.random.normal(jax.random.fold_in(key, step), (BATCH, 3)) + 1}

    return Resident(jax.random.key(7), draw)


def toy_tests() -> list[dict]:
    draw = np.random.default_rng(0)
    return [{'x': draw.normal(size=(n, 3)).astype(np.float32)} for n in (BATCH, BATCH, 5)]
