"""Hidden Markov models: states q_1 .. q_L, each drawn given the one before, and what each emits,
x_1 .. x_L.

Rabiner 1989, "A tutorial on hidden Markov models and selected applications in speech recognition",
whose equation numbers these are unless another paper is named: the forward and backward passes,
Viterbi's path, Baum and Welch's EM.

All is done with logarithms, and each place is brought near nought before the next: float32 then
serves sequences of any length. A pass is a chain of products of matrices, where a `Product` says
what their sum and product are, and a `Scan` in which order they are taken: one after another, or in
a tree (Sarkka and Garcia-Fernandez 2021, arXiv:1905.13002).

What the states emit is an `Emission` of genjax.algorithms.hmm.emissions. B sequences of L places, t
a place; K states, i and j. Places stand first in what goes from place to place, [L, B, K].
"""

from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax import Array
from jax.scipy.special import logsumexp

from genjax.base import Algorithm, Batch, Key
from genjax.parallel import all_gather, example_keys

Product = Callable[
    [Array, Array], Array
]  # [..., I, K], [..., K, J] -> [..., I, J], all of them logarithms
Scan = Callable[
    [Product, Array, Array, Array], Array
]  # (product, start [B, K], log A [K, K], log b [L, B, K])
TINY = 1e-37  # holds a division by nought off


class Chain(NamedTuple):
    """The parameters of a model, or the expected counts that they are estimated from."""

    initial: Array  # [K], pi_i = P(q_1 = i)
    transition: Array  # [K, K], a_ij = P(q_{t+1} = j | q_t = i)
    emission: Any


class Seen(NamedTuple):
    """What a batch says about the states."""

    log_prob: Array  # [L, B, K], log b_j(x_t), and 0 at padding
    real: Array  # [L, B], whether the place is no padding


class Estimate(NamedTuple):
    """A model in training."""

    chain: Chain
    sums: Chain  # of the batches so far, by their step sizes
    step: Array


def log_product(a: Array, b: Array) -> Array:
    """log of exp(a) exp(b), entry by entry from its own largest term: nothing underflows."""
    return logsumexp(a[..., :, :, None] + b[..., None, :, :], -2)


def scaled_product(a: Array, b: Array) -> Array:
    """log of exp(a) exp(b) by a plain product of matrices, each row and column scaled by its
    largest entry.

    EM by it is twice as fast as by `log_product` with 8 states on a CPU, 8 times with 32. But a
    term below e^-87 of the
    scales vanishes: right where every state may follow every other, wrong where only a state that
    seemed so unlikely can go on, as in a chain without a way back.
    """
    rows, columns = _peak(a, -1), _peak(b, -2)
    return (
        jnp.log(jnp.matmul(jnp.exp(a - rows), jnp.exp(b - columns), precision='highest'))
        + rows
        + columns
    )


def max_product(a: Array, b: Array) -> Array:
    """The largest in place of the sum: the best path instead of all."""
    return jnp.max(a[..., :, :, None] + b[..., None, :, :], -2)


def _peak(x, axes):
    return _finite(jnp.max(x, axes, keepdims=True))


def _finite(x):
    """0 in place of log 0, where it is taken off: nought stays nought."""
    return jnp.where(x == -jnp.inf, 0.0, x)


def sequential(product: Product, start: Array, log_transition: Array, log_prob: Array) -> Array:
    """s_1 = start, s_{t+1} = (s_t + log b(x_t)) A, one after another; each less a constant, [L, B,
    K]."""

    def step(s, log_b):
        after = product(s + log_b, log_transition)
        return after - _peak(after, -1), s

    return jax.lax.scan(step, start, log_prob)[1]


def parallel(product: Product, start: Array, log_transition: Array, log_prob: Array) -> Array:
    """What `sequential` gives, in O(log L) turns of products of K x K matrices: for accelerators
    and long sequences."""

    def combine(a, b):
        both = product(a, b)
        return both - _peak(both, (-2, -1))

    matrices = log_prob[:-1, :, :, None] + log_transition[None, None]
    products = jax.lax.associative_scan(combine, matrices)
    return jnp.concatenate([start[None], product(start[None, :, None], products)[:, :, 0]])


def look(chain: Chain, emission: Any, batch: Batch) -> Seen:
    """The likelihood of every state at every place of a batch; whatever stands in padding has no
    say."""
    x, real = _read(batch)
    return Seen(
        jnp.where(real[..., None], emission.log_prob(chain.emission, x), 0.0).swapaxes(0, 1), real.T
    )


def _read(batch):
    """x with 0 at padding, and where there is none, [B, L]."""
    x, (b, length) = batch['x'], batch['x'].shape[:2]
    real = jnp.arange(length)[None] < batch.get('length', jnp.full(b, length))[:, None]
    return jnp.where(real.reshape(b, length, *[1] * (x.ndim - 2)), x, 0), real


def forward(
    chain: Chain, seen: Seen, scan: Scan = sequential, product: Product = log_product
) -> tuple[Array, Array]:
    """log P(q_t = j | x_1 .. x_{t-1}) [L, B, K], and -log p(x_t | x_1 .. x_{t-1}) in nats, 0 at
    padding, [L, B].

    The latter's sum over the places is -log p(x) (eqs. 18-21, scaled as in 91 and 103).
    """
    start = jnp.broadcast_to(jnp.log(chain.initial), seen.log_prob.shape[1:])
    ahead = scan(product, start, jnp.log(chain.transition), seen.log_prob)
    ahead -= _finite(logsumexp(ahead, -1, keepdims=True))
    return ahead, jnp.where(seen.real, -logsumexp(ahead + seen.log_prob, -1), 0.0)


def posterior(chain: Chain, seen: Seen, scan: Scan = sequential, product: Product = log_product):
    """Nats as of `forward`; P(q_t = i | x), 0 at padding, [L, B, K] (eq. 27); expected transitions,
    the sum over t of P(q_t = i, q_{t+1} = j | x), [B, K, K] (eq. 37)."""
    ahead, nats = forward(chain, seen, scan, product)
    log_a, log_b = jnp.log(chain.transition), seen.log_prob
    # log p(x_{t+1} .. x_L | q_t), eq. 25
    behind = scan(product, jnp.zeros_like(ahead[0]), log_a.T, log_b[::-1])[::-1]
    whole = logsumexp(ahead + log_b + behind, -1, keepdims=True)
    states = jnp.where(seen.real[..., None], jnp.exp(ahead + log_b + behind - whole), 0.0)
    left = jnp.roll(ahead + log_b + nats[..., None], 1, 0)  # the place before; the first has none
    right = jnp.where(seen.real.at[0].set(False)[..., None], log_b + behind - whole, -jnp.inf)
    pairs = log_a[None] + product(left.transpose(1, 2, 0), right.swapaxes(0, 1))
    return nats, states, jnp.exp(pairs)


def viterbi(chain: Chain, seen: Seen, scan: Scan = sequential) -> Array:
    """The most probable path of states, int32 [L, B]; at padding it stays where it is (eqs. 32-35)."""
    start = jnp.broadcast_to(jnp.log(chain.initial), seen.log_prob.shape[1:])
    log_a, states = jnp.log(chain.transition), jnp.arange(len(chain.initial))[None, None, None]
    best = scan(max_product, start, log_a, seen.log_prob) + seen.log_prob
    back = jnp.argmax(best[:-1, :, :, None] + log_a[None, None], -2)  # the state before each
    back = jnp.where(seen.real[1:, :, None], back, states[0])
    end = jnp.maximum(jnp.sum(seen.real, 0) - 1, 0)
    last = jnp.argmax(jnp.take_along_axis(best, end[None, :, None], 0), -1)  # [1, B]
    # From state to state before is a map, and maps compose: all are followed at once. The values of
    # a map are found by comparing: XLA takes minutes to compile gathers of gathers of gathers.
    compose = lambda late, early: jnp.sum(
        jnp.where(late[..., None] == states, early[..., None, :], 0), -1
    )
    maps = jax.lax.associative_scan(compose, back, reverse=True)
    return jnp.concatenate([jnp.take_along_axis(maps, last[..., None], -1)[..., 0], last])


def expected(chain: Chain, emission: Any, batch: Batch, **passes) -> tuple[Array, Chain]:
    """Nats [B], and the expected counts of the batch at hand; `passes` are the scan and the
    product."""
    nats, states, pairs = posterior(chain, look(chain, emission, batch), **passes)
    sums = emission.sums(chain.emission, _read(batch)[0], states.swapaxes(0, 1))
    return jnp.sum(nats, 0), Chain(jnp.sum(states[0], 0), jnp.sum(pairs, 0), sums)


def maximised(
    chain: Chain, emission: Any, sums: Chain, pseudocount: float = 0.0
) -> tuple[Chain, Chain]:
    """The model of largest likelihood for expected counts (eqs. 40), and these counts in its terms."""
    parameters, restated = emission.maximum(chain.emission, sums.emission)
    initial = _shares(sums.initial + pseudocount, chain.initial)
    transition = _shares(sums.transition + pseudocount, chain.transition)
    return Chain(initial, transition, parameters), sums._replace(emission=restated)


def _shares(counts, otherwise):
    """Counts over their sum along the last axis; where nothing was counted it stays as it was."""
    total = jnp.sum(counts, -1, keepdims=True)
    return jnp.where(total > 0, counts / jnp.maximum(total, TINY), otherwise)


def generate(key: Key, chain: Chain, emission: Any, length: int) -> tuple[Array, Any]:
    """One sequence from the model: its states int32 [length], and what they emit, [length, ...]."""
    walk, draws = jax.random.split(key)
    log_a = jnp.log(chain.transition)

    def step(log_prob, key):
        state = jax.random.categorical(key, log_prob)
        return log_a[state], state

    states = jax.lax.scan(step, jnp.log(chain.initial), jax.random.split(walk, length))[1]
    return states, jax.vmap(emission.draw, (0, None, 0))(
        jax.random.split(draws, length), chain.emission, states
    )


evenly = lambda key, states: jax.random.dirichlet(
    key, jnp.ones(states), (states,)
)  # rows of any kind alike


def hmm(
    states: int,  # K
    emission: Any,  # `discrete` or `gaussian` of genjax.algorithms.hmm.emissions
    *,
    scan: Scan = sequential,  # or `parallel`
    product: Product = log_product,  # or `scaled_product`
    stepsize: Callable[[Array], Any] = lambda step: 1.0,  # gamma of a step, which comes as float32
    # Of a first state and of a transition, added to the expected counts of a batch
    pseudocount: float = 0.0,
    start: Callable[
        [Key, int], Array
    ] = evenly,  # the transitions at first, [K, K]; where they are 0 they stay 0
    length: int = 100,  # of a sample
) -> Algorithm:
    """A hidden Markov model: batches are {'x': [B, L, ...], 'length': int32 [B]}, each L where
    there is no length.

    An update is a step of EM: expected counts, sums <- (1 - gamma) sums + gamma counts, and the
    model of largest likelihood for the sums. With gamma 1 and all sequences in every batch the
    likelihood never falls (Baum et al. 1970); batches of some of them want a gamma that begins at 1
    and falls as (step + 1)^-0.6, say (Cappe and Moulines 2009, arXiv:0712.4273). A pseudocount k
    makes it the mode under Dirichlet priors of parameter 1 + k.

    The loss is nats a symbol, in an update those of the batch before it; `evaluate` adds 'nats' and
    'symbols' of a sequence. Codes are P(q_t = i | x), [B, L, K]. EM ends at an optimum near its
    start, which is random.

    Raises:
      ValueError: no states, a negative pseudocount, or sequences that the emission does not take.
    """
    if not (states >= 1 and pseudocount >= 0 and length >= 1):
        raise ValueError(
            f'hmm of states {states}, pseudocount {pseudocount}, length {length}; needed: >= 1, 0, 1'
        )
    count = partial(expected, emission=emission, scan=scan, product=product)

    def init(key, batch):
        first, next_, emitted = jax.random.split(key, 3)
        parameters = emission.init(emitted, *_read(batch), states)
        chain = Chain(
            jax.random.dirichlet(first, jnp.ones(states)), start(next_, states), parameters
        )
        sums = jax.tree.map(jnp.zeros_like, jax.eval_shape(count, chain, batch=batch)[1])
        return Estimate(chain, sums, jnp.zeros((), jnp.int32))

    def update(key, state, batch):
        nats, counts = count(state.chain, batch=batch)
        found = jnp.sum(nats), jnp.sum(_read(batch)[1], dtype=jnp.float32), counts
        nats, symbols, counts = jax.tree.map(
            lambda x: jnp.sum(all_gather(x[None]), 0), found
        )  # of all devices
        gamma = stepsize(state.step.astype(jnp.float32))
        sums = jax.tree.map(lambda old, new: (1 - gamma) * old + gamma * new, state.sums, counts)
        chain, sums = maximised(state.chain, emission, sums, pseudocount)
        return Estimate(chain, sums, state.step + 1), {'loss': nats / jnp.maximum(symbols, 1.0)}

    def evaluate(key, state, batch):
        seen = look(state.chain, emission, batch)
        nats, symbols = (
            jnp.sum(forward(state.chain, seen, scan, product)[1], 0),
            jnp.sum(seen.real, 0, jnp.float32),
        )
        return {'loss': nats / jnp.maximum(symbols, 1.0), 'nats': nats, 'symbols': symbols}

    def sample(key, state, n):
        return jax.vmap(lambda key: generate(key, state.chain, emission, length)[1])(
            example_keys(key, n)
        )

    states_of = lambda chain, batch: posterior(chain, look(chain, emission, batch), scan, product)[
        1
    ]
    encode = lambda key, state, batch: states_of(state.chain, batch).swapaxes(0, 1)
    return Algorithm(init, update, evaluate, sample, encode)
