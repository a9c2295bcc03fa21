"""Walks to 3.

For the tests of launch: gradient descent on (x - 3)^2 / 2 from x = 0, so that the loss after s
steps is 9/2 (1 - rate)^(2s). `config.fails` has it fail in some way. It draws
a picture in the shade `sampler.name`, and says yes `sampler.steps` times.
"""

import os
import signal

import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from genjax.base import Algorithm, Data, Resident
from genjax.parallel import device_mean
from genjax.training import Experiment, Probe

SHADES = {'black': 0, 'white': 255}
ERRORS = {'value': ValueError, 'file': FileNotFoundError}  # that build raises, by config.fails


def get_config():
    return ConfigDict(
        dict(
            seed=0,
            steps=4,
            batch=16,
            data_dir='',
            fails='',
            walk=dict(rate=0.5, sizes=(1, 2), fast=True, name='', limit=None),
            sampler=dict(name='black', steps=1),
            every=dict(log=2, evaluate=2, save=2),
        )
    )


def build(config):
    if config.fails in ERRORS:
        raise ERRORS[config.fails]('no data\n  anywhere')

    def losses(key, state, batch):
        return {'loss': (state['position'] - batch) ** 2 / 2}

    def update(key, state, batch):
        step = config.walk.rate * device_mean(jnp.mean(state['position'] - batch))
        if config.fails == 'shape':
            step = jnp.stack([step, step])
        loss = device_mean(jnp.mean(losses(key, state, batch)['loss']))
        return {'position': state['position'] - step}, {'loss': loss}

    def init(key, batch):
        return {'position': jnp.zeros(())}

    def whole(target, step):
        return target

    target = jnp.full(config.batch, 3.0)
    train = Resident(target, whole, config.get('data_dir') or 'threes')
    data = Data(train, [np.full(5, 3, np.float32)])

    def where(key, state):
        if config.fails == 'signal':
            os.kill(os.getpid(), signal.SIGTERM)
        if config.fails == 'late':
            raise KeyError('late')
        return {'where': f'at {state["position"]}'}

    def near(key, state):
        return {'near': ' '.join(['yes'] * config.sampler.steps)}

    def picture(key, state):
        return {'picture': np.full((2, 2, 3), SHADES[config.sampler.name], np.uint8)}

    probes = {
        'where': Probe(2, where),
        'near': Probe(4, near, scores=True),
        'picture': Probe(4, picture),
    }
    asked = ask if config.get('data_dir') is not None else None
    return Experiment(Algorithm(init, update, losses), data, probes, asked)


def ask(key, state, question):
    if question != 'where':
        raise ValueError(f'{question!r} is no question')
    places = [{'from': 0, 'to': 3}, {'from': 10, 'to': 3}]
    return {'far': 3 - state['position'], 'places': places}
