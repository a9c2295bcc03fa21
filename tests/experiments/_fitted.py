"""Fits a line by gradient descent, with an average that is not the parameters.

For the tests of weights that go from run to run. `config.width` is the number of slopes, and
`config.curved` adds a parameter.
"""

import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from genjax.averages import fixed
from genjax.base import Algorithm, Data, Resident
from genjax.descent import descend
from genjax.numerics.normals import example_normals
from genjax.training import Experiment, Probe


def get_config():
    return ConfigDict(
        dict(
            seed=0,
            steps=4,
            batch=16,
            rate=0.1,
            width=3,
            curved=False,
            every=dict(log=2, evaluate=2, save=2),
        )
    )


def build(config):
    rng = np.random.default_rng(0)
    points = rng.normal(size=(21, config.width)).astype(np.float32)

    def losses(key, params, batch):
        noise = example_normals(key, len(batch), (config.width,))
        inputs = batch + 0.1 * noise
        error = inputs @ params['line']['slopes'] + params['line']['offset'] - batch.sum(1) - 2
        if config.curved:
            error = error + (inputs**2) @ params['curve']
        return {'loss': error**2}

    descent = descend(losses, optax.adam(config.rate), decay=fixed(0.5), others={'slow': 0.9})

    def init(key, batch):
        del key, batch
        line = {'slopes': jnp.zeros(config.width), 'offset': jnp.zeros(())}
        curve = {'curve': jnp.ones(config.width)} if config.curved else {}
        return descent.init({'line': line} | curve)

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    def whole(points, step):
        return points

    def found(key, state):
        return {'slope': state.average['line']['slopes'][0]}

    data = Data(Resident(jnp.asarray(points[:16]), whole, 'points'), [points[16:]])
    probes = {'found': Probe(4, found, scores=True)}
    return Experiment(Algorithm(init, descent.update, evaluate), data, probes)
