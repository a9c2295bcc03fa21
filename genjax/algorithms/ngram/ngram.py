"""n-gram language models: P(w_i | w_{i-n+1} .. w_{i-1}) from counts, by maximum likelihood, add-k
or Kneser-Ney.

Kneser and Ney 1995, "Improved backing-off for m-gram language modeling"; Chen and Goodman 1999, "An
empirical study of smoothing techniques for language modeling". An event is a word, or the end of a
sentence, after its context h: the n - 1 words before it, or begin markers before the sentence's
first.

The state is a tuple of n tables. That of order n holds how often each n-gram was seen; that of an
order m below it how many different words stood in front of each m-gram, N1+(. w_1 .. w_m), which is
all that Kneser-Ney asks of shorter contexts. Rows of a table are sorted, so what follows a context
is one range of them.

B excerpts of L places, n the order, m = 1 .. n, V words. `model` is the vocabulary_size and
smoothing of a model.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array

from genjax.base import Algorithm, Batch, Key, Metrics, State
from genjax.counting import ABSENT, Counts, add, empty, find, lookup, stored
from genjax.parallel import device_mean, example_keys, shard_batch

# (m, n, outcomes, count of h w, total of h, kinds after h) -> (the part of P(w | h) that is w's
# own, the weight of P(w) after a shorter h), for h of m - 1 words in a model of order n; the first,
# summed over w, and the second make one.
Smoothing = Callable[..., tuple[Any, Any]]


def add_k(k: float) -> Smoothing:
    """P(w | h) = (c(h w) + k) / (c(h) + k (V + 1)): Lidstone's rule, for k = 1 Laplace's.

    It is the posterior mean of P(. | h) under the symmetric Dirichlet prior of parameter k.

    Raises:
      ValueError: k is negative.
    """
    if not k >= 0:
        raise ValueError(f'k is {k}; added counts must be at least 0')

    def smoothing(m, n, outcomes, count, total, kinds):
        if m < n:
            return (
                0.0,
                1.0,
            )  # shorter contexts have no say: what is left goes to the uniform distribution
        whole = total + k * outcomes
        return _ratio(count, whole, 0.0), _ratio(k * outcomes, whole, 1.0)

    return smoothing


# P(w | h) = c(h w) / c(h). After a context never seen any distribution would do; add_k's limit is
# the uniform one.
maximum_likelihood = add_k(0.0)


def kneser_ney(discount: float = 0.75, unigram: float | None = None) -> Smoothing:
    """P(w | h) = (max(c(h w) - D, 0) + D N1+(h .) P(w | h without its first word)) / c(h),
    interpolated.

    Below the highest order c(h w) is N1+(. h w), the number of different words seen before h w
    (Kneser and Ney's), and c(h) its sum over w. The last of the shorter distributions is the
    uniform one over V + 1 outcomes.

    Args:
      discount: D, taken off every count.
      unigram: D at order 1, by default the same; at 0 nothing is left for words never seen, as in
        NLTK.

    Raises:
      ValueError: a discount lies outside [0, 1].
    """
    unigram = discount if unigram is None else unigram
    if not (0 <= discount <= 1 and 0 <= unigram <= 1):
        raise ValueError(
            f'discounts are {discount} and, at order 1, {unigram}; they must lie in [0, 1]'
        )

    def smoothing(m, n, outcomes, count, total, kinds):
        d = unigram if m == 1 else discount
        return _ratio(jnp.maximum(count - d, 0.0), total, 0.0), _ratio(d * kinds, total, 1.0)

    return smoothing


def _ratio(part, whole, otherwise):
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1.0), otherwise)


def margin(order: int) -> int:
    """Places at the front of an excerpt that are context alone: enough to see a whole one, or a
    sentence's end."""
    return max(order - 1, 1)


def ngrams(words: Array, order: int, vocabulary_size: int) -> Array:
    """The n-gram that ends at each place after the margin, int32 [B, L - margin, n]; ABSENT where
    there is no event.

    Consecutive excerpts of a corpus that overlap by the margin give every event once, with its
    whole context; the first one begins with separators. A sentence by itself is laid out as
    `log_probability` does.

    Args:
      words: [B, L], ids 0 .. V - 1, or -1 where there is no word. The first -1 after a word ends
        the sentence: it is the outcome V. Contexts that reach back beyond a -1 hold begin markers,
        V + 1, from there on.
    """
    back = lambda j: words[:, margin(order) - j : words.shape[1] - j]  # the place j before each
    inside, context = True, []
    for j in range(1, order):
        inside &= back(j) >= 0
        context.insert(0, jnp.where(inside, back(j), vocabulary_size + 1))
    grams = jnp.stack([*context, jnp.where(back(0) >= 0, back(0), vocabulary_size)], -1)
    return jnp.where(((back(0) >= 0) | (back(1) >= 0))[..., None], grams, ABSENT)


def counted(state: State, grams: Array) -> State:
    """Adds n-grams [M, n] to the tables: at each order below, what is new to the one above has one
    more left word."""
    tables = []
    for table in reversed(state):
        table, new = add(table, grams, jnp.ones(len(grams), jnp.uint32))
        tables.insert(0, table)
        grams = shard_batch(new)[:, 1:]  # every device has all that is new
    return tuple(tables)


def probabilities(
    state: State, grams: Array, *, vocabulary_size: int, smoothing: Smoothing
) -> Array:
    """P(w_n | w_1 .. w_{n-1}) of n-grams [..., n] as `ngrams` writes them, float32 [...].

    Over the V + 1 outcomes they sum to one, for every context, seen or not.
    """
    outcomes = vocabulary_size + 1
    p = jnp.full(grams.shape[:-1], 1 / outcomes)
    for m, table in enumerate(state, 1):
        tail = grams[..., len(state) - m :]
        _, total, kinds = _after(table, _sums(table), tail, outcomes)
        seen = (x.astype(jnp.float32) for x in (lookup(table, tail), total, kinds))
        own, rest = smoothing(m, len(state), outcomes, *seen)
        p = own + rest * p
    return p


def _sums(table: Counts) -> Array:
    """The sum of the values before each row, and of all, uint32 [C + 1]."""
    return jnp.append(jnp.zeros(1, jnp.uint32), jnp.cumsum(table.values))


def _after(table, sums, grams, outcomes):
    """Of what was seen after the contexts of m-grams [..., m]: its first row, its total and its
    number of kinds."""
    first, last = (find(table, grams.at[..., -1].set(word))[0] for word in (0, outcomes))
    return first, sums[last] - sums[first], last - first


def log_probability(state: State, sentences: Array, **model) -> Array:
    """log P of sentences [B, T], padded with -1, by the chain rule, nats [B]; 0 for a row without a
    word."""
    words = jnp.pad(sentences, ((0, 0), (margin(len(state)), 1)), constant_values=-1)
    grams = ngrams(words, len(state), model['vocabulary_size'])
    return jnp.sum(
        jnp.where(grams[..., 0] >= 0, jnp.log(probabilities(state, grams, **model)), 0.0), -1
    )


def measure(state: State, words: Array, *, floor: float, **model) -> Metrics:
    """Of each excerpt's events: 'nats' their sum of -log P, 'events' their number, 'loss' nats an
    event, and 'unseen' the number of those of probability 0, which count as `floor`; each [B].

    Nats and loss of an excerpt with a word outside 0 to V - 1 are no numbers, which ends a run.
    """
    grams = ngrams(words, len(state), model['vocabulary_size'])
    p, event = probabilities(state, grams, **model), grams[..., 0] >= 0  # [B, L - margin]
    total = lambda x: jnp.sum(jnp.where(event, x, 0.0), -1)
    outside = jnp.any(words >= model['vocabulary_size'], -1)
    nats = jnp.where(outside, jnp.nan, total(-jnp.log(jnp.maximum(p, floor))))
    sums = {'nats': nats, 'events': total(1.0), 'unseen': total(jnp.float32(p <= 0))}
    return {'loss': sums['nats'] / jnp.maximum(sums['events'], 1.0)} | sums


def perplexity(
    evaluate: Callable, batches: Sequence[Batch]
) -> Callable[[Key, State], dict[str, float]]:
    """A measure of exp(nats / events) over all events of all batches, and of the share of 'unseen'
    ones among them.

    The mean of 'loss' weighs excerpts alike, this weighs events alike. With events unseen the
    perplexity proper is infinite, and the number given owes to the floor.
    """
    compiled = jax.jit(evaluate)

    def look(key, state):
        found = jax.device_get(
            [compiled(jax.random.fold_in(key, i), state, b) for i, b in enumerate(batches)]
        )
        nats, unseen, events = (
            sum(math.fsum(f[name]) for f in found) for name in ('nats', 'unseen', 'events')
        )
        return {'perplexity': math.exp(nats / events), 'unseen': unseen / events}

    return look


def draw(
    key: Key,
    tables: Sequence[tuple[Counts, Array]],
    context: Array,
    *,
    vocabulary_size: int,
    smoothing,
) -> Array:
    """One outcome from P(. | context [n - 1]), without computing the others; `tables` with their
    `_sums`.

    At each order one of the occurrences that followed the context is drawn, and kept with the ratio
    of its word's own part to its word's share of the occurrences; if it is not kept, the shorter
    context decides.
    """
    outcomes, n = vocabulary_size + 1, len(tables)
    blind, *keys = jax.random.split(key, n + 1)
    word = jax.random.randint(blind, (), 0, outcomes)
    for m, ((table, sums), key) in enumerate(zip(tables, keys, strict=True), 1):
        which, whether = jax.random.split(key)
        first, total, kinds = _after(table, sums, jnp.append(context[n - m :], 0), outcomes)
        nth = jax.random.randint(which, (), jnp.uint32(0), jnp.maximum(total, 1), jnp.uint32)
        row = jnp.searchsorted(sums, sums[first] + nth, side='right') - 1
        seen = [x.astype(jnp.float32) for x in (table.values[row], total, kinds)]
        own, _ = smoothing(m, n, outcomes, *seen)
        keep = (total > 0) & (jax.random.uniform(whether) * (seen[0] / seen[1]) < own)
        word = jnp.where(keep, table.keys[row, -1], word)
    return word


def sentence(key: Key, tables: Sequence[tuple[Counts, Array]], length: int, **model) -> Array:
    """The first `length` words of one sentence by ancestral sampling, -1 after its end, int32
    [length]."""
    end = model['vocabulary_size']

    def step(carry, key):
        context, ended = carry
        word = draw(key, tables, context, **model)
        ended |= word == end
        return (jnp.append(context, word)[1:], ended), jnp.where(ended, -1, word)

    start = jnp.full(len(tables) - 1, end + 1), False
    return jax.lax.scan(step, start, jax.random.split(key, length))[1]


def ngram(
    vocabulary_size: int,  # V
    *,
    order: int,  # n
    capacity: Sequence[int],  # different m-grams that there is room for, m = 1 .. n
    smoothing: Smoothing = kneser_ney(),
    # The probability that an impossible event counts as in metrics, which must be finite
    floor: float = 1e-9,
    length: int = 40,  # words of a sample at the most
) -> Algorithm:
    """An n-gram language model: batches are {'words': int32 [B, L]}, see `ngrams`; the state is a
    tuple of `Counts`.

    The metrics of an update are 'loss', nats an event of the batch before it is counted
    (prequential, Dawid 1984), and the numbers of m-grams stored: infinite, which ends the run,
    where there are more than the capacity. Those of `evaluate` are `measure`'s. Samples are int32
    [., length], see `sentence`.

    Raises:
      ValueError: an order below 1, a capacity for each order that is missing, or excerpts of
        nothing but a margin.
    """
    if not (order >= 1 and len(capacity) == order):
        raise ValueError(
            f'order is {order}, capacity {tuple(capacity)}; needed: an order >= 1, a capacity for each'
        )
    model = dict(vocabulary_size=vocabulary_size, smoothing=smoothing)

    def init(key, batch):
        if batch['words'].shape[1] <= margin(order):
            raise ValueError(
                f'excerpts have {batch["words"].shape[1]} places; order {order} needs {margin(order) + 1}'
            )
        return tuple(empty(rows, m) for m, rows in enumerate(capacity, 1))

    def update(key, state, batch):
        seen = measure(state, batch['words'], floor=floor, **model)
        nats, events = device_mean((jnp.sum(seen['nats']), jnp.sum(seen['events'])))
        state = counted(state, ngrams(batch['words'], order, vocabulary_size).reshape(-1, order))
        sizes = {f'{m}-grams': stored(table) for m, table in enumerate(state, 1)}
        return state, {'loss': nats / jnp.maximum(events, 1.0)} | sizes

    def sample(key, state, n):
        tables = [(table, _sums(table)) for table in state]
        return jax.vmap(lambda key: sentence(key, tables, length, **model))(example_keys(key, n))

    evaluate = lambda key, state, batch: measure(state, batch['words'], floor=floor, **model)
    return Algorithm(init, update, evaluate, sample)
