"""Iterations of EM: Gaussian mixtures, and hidden Markov models by either order of their scan."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import mixture
from benchmarks.accelerator.clock import seconds_a_step
from benchmarks.accelerator.setting import Add, Setting
from genjax.algorithms.hmm import discrete, hmm, log_product, parallel, scaled_product, sequential

SYMBOLS = 27
SCANS = {'sequential': sequential, 'parallel': parallel}
PRODUCTS = {'log': log_product, 'scaled': scaled_product}


def measure(setting: Setting, add: Add) -> None:
    """The stage."""
    examples = 500 if setting.small else 60_000
    for structure in mixture.STRUCTURES:
        fit = mixture.ours(structure, mixture.problem(structure, examples))
        seconds = seconds_a_step(fit, 2 if setting.small else 50)
        size = f'{examples:,} x {mixture.SIZE}, {mixture.COMPONENTS} components, float32'
        add(f'mixture, {structure}', 1e3 * seconds, 'ms an iteration', size)

    for sequences, length, states in (
        ((2, 32, 3),)
        if setting.small
        else (
            (64, 512, 8),
            (1, 4096, 8),
        )
    ):
        for scan in SCANS:
            for product in PRODUCTS:
                seconds = hmm_seconds(sequences, length, states, scan, product)
                what = f'HMM, {sequences} x {length:,} symbols, {scan}, {product} product'
                add(what, 1e3 * seconds, 'ms an iteration', f'{states} states, {SYMBOLS} symbols')


def hmm_seconds(sequences: int, length: int, states: int, scan: str, product: str) -> float:
    """Seconds of one step of EM."""
    emission = discrete(SYMBOLS, pseudocount=0.1)
    algorithm = hmm(states, emission, scan=SCANS[scan], product=PRODUCTS[product], pseudocount=0.1)
    x = np.random.default_rng(0).integers(SYMBOLS, size=(sequences, length), dtype=np.int32)
    batch = {'x': jnp.asarray(x)}
    key = jax.random.key(0)
    state = jax.jit(algorithm.init)(key, batch)
    loop = jax.jit(partial(em_loop, algorithm))
    return seconds_a_step(lambda n: jax.block_until_ready(loop(n, state, batch)), 2)


def em_loop(algorithm, steps, state, batch):
    """So many steps of EM."""

    def step(_, state):
        return algorithm.update(jax.random.key(0), state, batch)[0]

    return jax.lax.fori_loop(0, steps, step, state)
