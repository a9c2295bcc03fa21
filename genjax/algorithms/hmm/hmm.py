"""Hidden Markov models: states q_1 .. q_L, each drawn given the one before, emit x_1 .. x_L.

Rabiner 1989, "A tutorial on hidden Markov models and selected applications in speech recognition",
whose equation numbers these are unless another paper is named: the EM of Baum and Welch, by the
forward and backward passes of `inference`.

B sequences of L places, t a place; K states, i and j.
"""

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.hmm.chain import Chain, Parameters, normalise
from genjax.algorithms.hmm.emissions import Emission, Sums
from genjax.algorithms.hmm.inference import forward, mask_padding, posterior, state_likelihoods
from genjax.algorithms.hmm.scans import Product, Scan, log_product, sequential
from genjax.base import Algorithm, Batch, Key
from genjax.parallel import all_gather, example_keys


class Estimate(NamedTuple):
    """A model in training."""

    chain: Chain  # the parameters
    sums: Chain  # expected counts of the batches so far, weighted by their step sizes
    step: Array  # [] int32, updates made


def e_step(
    chain: Chain[Parameters],
    emission: Emission[Parameters, Sums],
    batch: Batch,
    *,
    scan: Scan = sequential,
    product: Product = log_product,
) -> tuple[Array, Chain[Sums]]:
    """-log p(x) in nats, [B], and the expected counts of the batch at hand."""
    likelihoods = state_likelihoods(chain, emission, batch)
    nats, states, pairs = posterior(chain, likelihoods, scan, product)
    x, _ = mask_padding(batch)
    sums = emission.sums(chain.emission, x, states.swapaxes(0, 1))
    return jnp.sum(nats, 0), Chain(jnp.sum(states[0], 0), jnp.sum(pairs, 0), sums)


def m_step(
    chain: Chain[Parameters],
    emission: Emission[Parameters, Sums],
    sums: Chain[Sums],
    pseudocount: float = 0.0,
) -> tuple[Chain[Parameters], Chain[Sums]]:
    """The model of largest likelihood for expected counts (eqs. 40), and these in its terms.

    Args:
      chain: the old parameters; what has no counts keeps them.
      emission: what the states emit.
      sums: expected counts.
      pseudocount: added to those of first states and transitions.
    """
    parameters, restated = emission.m_step(chain.emission, sums.emission)
    initial = normalise(sums.initial + pseudocount, chain.initial)
    transition = normalise(sums.transition + pseudocount, chain.transition)
    return Chain(initial, transition, parameters), sums._replace(emission=restated)


def generate(
    key: Key, chain: Chain[Parameters], emission: Emission[Parameters, Sums], length: int
) -> tuple[Array, Array]:
    """One sequence from the model: states, int32 [length], and what they emit, [length, ...]."""
    state_key, emission_key = jax.random.split(key)
    log_a = jnp.log(chain.transition)

    def step(log_prob, key):
        state = jax.random.categorical(key, log_prob)
        return log_a[state], state

    _, states = jax.lax.scan(step, jnp.log(chain.initial), jax.random.split(state_key, length))
    draw = jax.vmap(emission.draw, (0, None, 0))
    return states, draw(jax.random.split(emission_key, length), chain.emission, states)


def random_transition(key: Key, states: int) -> Array:
    """Transitions of which any are as probable as any others, [K, K]."""
    return jax.random.dirichlet(key, jnp.ones(states), (states,))


def full_step(step: Array) -> float:
    """The step size of EM on all data, 1."""
    del step
    return 1.0


def hmm(
    states: int,
    emission: Emission,
    *,
    scan: Scan = sequential,
    product: Product = log_product,
    stepsize: Callable[[Array], Array | float] = full_step,
    pseudocount: float = 0.0,
    start: Callable[[Key, int], Array] = random_transition,
    length: int = 100,
) -> Algorithm:
    """A hidden Markov model: batches are {'x': [B, L, ...], 'length': int32 [B]}.

    Without 'length' each sequence has L places. The state is an `Estimate`.

    An update is a step of EM: expected counts, sums <- (1 - gamma) sums + gamma counts, and the
    model of largest likelihood for the sums. With gamma 1 and all sequences in every batch the
    likelihood never falls (Baum et al. 1970); batches of some of them want a gamma that begins at 1
    and falls as (step + 1)^-0.6, say (Cappe and Moulines 2009, arXiv:0712.4273).

    The loss is nats a symbol, in an update those of the batch before it; `evaluate` adds 'nats' and
    'symbols' of a sequence. Codes are P(q_t = i | x), [B, L, K]. EM ends at an optimum near its
    start, which is random.

    Args:
      states: K.
      emission: `discrete` or `gaussian`.
      scan: `sequential` or `parallel`.
      product: `log_product` or `scaled_product`.
      stepsize: gamma of a step, which comes as float32 [].
      pseudocount: k, added to the expected counts of first states and transitions in a batch; it
        makes the model the mode under Dirichlet priors of parameter 1 + k.
      start: (key, K) -> the transitions at first, [K, K]; where they are 0 they stay 0.
      length: places of a sample.

    Raises:
      ValueError: no states, a negative pseudocount, no length, or sequences that the emission does
        not take.
    """
    if not (states >= 1 and pseudocount >= 0 and length >= 1):
        raise ValueError(
            f'hmm of states {states}, pseudocount {pseudocount}, length {length}; '
            'needed: >= 1, 0, 1'
        )

    def expected_counts(chain, batch):
        return e_step(chain, emission, batch, scan=scan, product=product)

    def init(key, batch):
        initial_key, transition_key, emission_key = jax.random.split(key, 3)
        x, mask = mask_padding(batch)
        parameters = emission.init(emission_key, x, mask, states)
        initial = jax.random.dirichlet(initial_key, jnp.ones(states))
        chain = Chain(initial, start(transition_key, states), parameters)

        _, shapes = jax.eval_shape(expected_counts, chain, batch)
        sums = jax.tree.map(jnp.zeros_like, shapes)
        return Estimate(chain, sums, jnp.zeros((), jnp.int32))

    def update(key, state, batch):
        nats, counts = expected_counts(state.chain, batch)
        _, mask = mask_padding(batch)
        device_sums = jnp.sum(nats), jnp.sum(mask, dtype=jnp.float32), counts
        nats, symbols, counts = jax.tree.map(_sum_over_devices, device_sums)

        gamma = stepsize(state.step.astype(jnp.float32))
        sums = jax.tree.map(lambda old, new: (1 - gamma) * old + gamma * new, state.sums, counts)
        chain, sums = m_step(state.chain, emission, sums, pseudocount)
        metrics = {'loss': nats / jnp.maximum(symbols, 1.0)}
        return Estimate(chain, sums, state.step + 1), metrics

    def evaluate(key, state, batch):
        likelihoods = state_likelihoods(state.chain, emission, batch)
        _, nats = forward(state.chain, likelihoods, scan, product)
        nats = jnp.sum(nats, 0)
        symbols = jnp.sum(likelihoods.mask, 0, jnp.float32)
        return {'loss': nats / jnp.maximum(symbols, 1.0), 'nats': nats, 'symbols': symbols}

    def sample(key, state, n):
        def draw(key):
            _, x = generate(key, state.chain, emission, length)
            return x

        return jax.vmap(draw)(example_keys(key, n))

    def encode(key, state, batch):
        likelihoods = state_likelihoods(state.chain, emission, batch)
        _, probabilities, _ = posterior(state.chain, likelihoods, scan, product)
        return probabilities.swapaxes(0, 1)

    return Algorithm(init, update, evaluate, sample, encode)


def _sum_over_devices(x):
    return jnp.sum(all_gather(x[None]), 0)
