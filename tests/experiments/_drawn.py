"""Images of 4 x 4 pixels by label, for the tests of samples.

The parameters walk towards the grey of each label, and samples are that and a texture of noise that
goes through two matrices. `config.kind` says what is sampled: images 'labelled' or 'plain', 'rows'
of pixels with a view as images, or 'points' in the plane.
"""

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from genjax.averages import fixed
from genjax.base import Algorithm, Data, Resident
from genjax.descent import descend
from genjax.training import Experiment, Labelled, Probe

CLASSES = 3


def get_config():
    return ConfigDict(
        dict(
            seed=0,
            steps=6,
            batch=16,
            kind='labelled',
            rate=0.1,
            cosine=False,
            sampler=dict(scale=0.5),
            every=dict(log=2, evaluate=2, save=2),
        )
    )


def build(config):
    level = np.linspace(-0.5, 0.5, CLASSES, dtype=np.float32)
    label = np.arange(config.batch, dtype=np.int32) % CLASSES
    rate = optax.cosine_decay_schedule(config.rate, config.steps) if config.cosine else config.rate

    def losses(key, params, batch):
        error = params['grey'][batch['label']] - batch['x']
        return {'loss': error**2}

    descent = descend(losses, optax.sgd(rate), decay=0.5, others={'long': fixed(0.9)})

    def init(key, batch):
        return descent.init({'grey': jnp.zeros(CLASSES)})

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    def one(key, params, label):
        matrices = jax.random.normal(jax.random.key(7), (2, 16, 16)) / 4
        noise = jax.random.normal(key, (16,))
        texture = jnp.tanh(noise @ matrices[0]) @ matrices[1]
        return (params['grey'][label] + config.sampler.scale * texture).reshape(4, 4, 1)

    def sample_labelled(key, state, label):
        keys = jax.random.split(key, len(label))
        return jax.vmap(one, (0, None, 0))(keys, state.average, label)

    def sample(key, state, n):
        images = sample_labelled(key, state, jnp.zeros(n, jnp.int32))
        if config.kind == 'rows':
            return images.reshape(n, 16)
        return images[:, 0, :2, 0] if config.kind == 'points' else images

    def images(key, state, n):
        return sample(key, state, n).reshape(n, 4, 4, 1)

    def picture(key, state):
        grey = 128 + 127 * jnp.tanh(state.average['grey'])
        return {'picture': np.asarray(grey).astype(np.uint8).reshape(1, CLASSES, 1)}

    def whole(batch, step):
        return batch

    data = Data(
        Resident({'x': jnp.asarray(level[label]), 'label': jnp.asarray(label)}, whole, 'greys'),
        [{'x': level, 'label': label[:CLASSES]}],
    )
    return Experiment(
        Algorithm(init, descent.update, evaluate, sample),
        data,
        {'picture': Probe(config.steps, picture)},
        labelled=Labelled(sample_labelled, CLASSES) if config.kind == 'labelled' else None,
        images=images if config.kind == 'rows' else None,
    )
