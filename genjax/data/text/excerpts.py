"""Batches of text: B excerpts of L consecutive places of a corpus, {'words': int32 [B, L]}.

A place has a word's id, or -1 where there is no word: between sentences and outside the corpus. The
corpus stays on the device.

Letters: N places of the corpus, B excerpts a batch, L places an excerpt.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from genjax.base import Batch, Data, Resident
from genjax.data.resident import ORDER, epoch_rows, fingerprint, seeded, with_fingerprints
from genjax.data.text.corpus import SEPARATOR, Corpus

MAX_OVERLAP = 1000


def excerpts(
    corpus: Corpus, *, batch: int, steps: int, epochs: float, seed: int, test: Corpus | None = None
) -> Data:
    """Excerpts in random order, `epochs` times through the corpus in `steps` steps.

    Every epoch cuts the corpus, closed to a ring, at places of its own into N // L excerpts, and
    visits them in an order of its own; the N % L places left over are other ones each time.

    Args:
      batch: B.
      steps: of the run.
      epochs: passes through the corpus in all of them; L follows from this.
      seed: of cuts and order.
      test: held-out text, served in order, as `passage` does.

    Raises:
      ValueError: the corpus is too short for excerpts of at least 2 places, or the seed lies
        outside 0 to 2^32 - 1.
    """
    n = len(corpus.ids)
    length = round(n * epochs / (steps * batch))
    if length < 2 or length * batch > n:
        raise ValueError(
            f'steps is {steps}; {epochs} epochs of {n} places in batches of {batch} excerpts need '
            f'{-(-epochs // 1):.0f} to {n * epochs / (2 * batch):.0f}'
        )
    count = n // length

    def make_batch(seed, ids, step):
        key = jax.random.fold_in(jax.random.key(seed), ORDER)
        order_key, cut_key = jax.random.split(key)
        rows = epoch_rows(order_key, count, batch, step)
        epoch = step // (count // batch)
        offset = jax.random.randint(jax.random.fold_in(cut_key, epoch), (), 0, n)
        # Below 2 N, so int32 serves corpora of up to a thousand million places.
        places = offset + rows[:, None] * length + jnp.arange(length)[None]
        return {'words': ids[places % n]}

    test_batches = []
    if test is not None:
        test_batches = _in_order(test.ids, min(length, len(test.ids)), 0, batch)
    return _resident(corpus, seeded(make_batch, seed), test, test_batches)


def random_excerpts(
    corpus: Corpus, *, batch: int, length: int, seed: int, test: Corpus | None = None
) -> Data:
    """Excerpts of one length that begin anywhere, each place as likely.

    Args:
      batch: B.
      length: L.
      seed: of the places.
      test: held-out text, served in order, as `passage` does.

    Raises:
      ValueError: length lies outside 1 to the places of the corpus, batch is below 1, or the seed
        lies outside 0 to 2^32 - 1.
    """
    n = len(corpus.ids)
    if not (1 <= length <= n and batch >= 1):
        raise ValueError(
            f'length is {length}, batch {batch}; {n} places allow 1 to {n}, and 1 or more'
        )

    def make_batch(seed, ids, step):
        order_key = jax.random.fold_in(jax.random.key(seed), ORDER)
        step_key = jax.random.fold_in(order_key, step)
        starts = jax.random.randint(step_key, (batch,), 0, n - length + 1)
        return {'words': ids[starts[:, None] + jnp.arange(length)[None]]}

    test_batches = [] if test is None else _in_order(test.ids, length, 0, batch)
    return _resident(corpus, seeded(make_batch, seed), test, test_batches)


def passage(
    corpus: Corpus, *, batch: int, steps: int, overlap: int = 0, test: Corpus | None = None
) -> Data:
    """The corpus from its beginning to its end, once, in `steps` steps; after these nothing but -1.

    Args:
      batch: B.
      steps: in which the corpus is read; L follows from this.
      overlap: places repeated at the start of each excerpt from the end of the one before it; -1
        for the first.
      test: held-out text, served in the same manner.

    Raises:
      ValueError: batch lies outside 1 to the places of the corpus, or overlap outside 0 to 1,000.
    """
    n = len(corpus.ids)
    if not (1 <= batch <= n and 0 <= overlap <= MAX_OVERLAP):
        raise ValueError(
            f'batch is {batch}, overlap {overlap}; '
            f'{n} places allow 1 to {n}, and 0 to {MAX_OVERLAP}'
        )
    length = -(-n // (steps * batch))

    def make_batch(ids, step):
        # The step in pieces below steps * batch, so that nothing exceeds N by more than a batch.
        rows = jnp.minimum(step, steps) * batch + jnp.arange(batch)
        places = rows[:, None] * length + jnp.arange(-overlap, length)[None]
        inside = (places >= 0) & (places < n)
        return {'words': jnp.where(inside, ids[jnp.clip(places, 0, n - 1)], SEPARATOR)}

    test_batches = []
    if test is not None:
        test_batches = _in_order(test.ids, min(length, len(test.ids)), overlap, batch)
    return _resident(corpus, make_batch, test, test_batches)


def _resident(
    corpus: Corpus,
    make_batch: Callable[[Any, jax.Array], Batch],
    test: Corpus | None,
    test_batches: list[Batch],
) -> Data:
    """The data of a run, whose fingerprint is of the corpus and the test text."""
    train = Resident(jnp.asarray(corpus.ids), make_batch, corpus.fingerprint)
    return with_fingerprints(
        Data(train, test_batches), fingerprint([] if test is None else test.ids)
    )


def _in_order(
    ids: np.ndarray, length: int, overlap: int, batch: int
) -> list[dict[str, np.ndarray]]:
    """All of a text in excerpts of `length` places, each after the `overlap` places before it.

    What is missing at either end is -1.
    """
    rows = -(-len(ids) // length)
    padded = np.pad(ids, (overlap, rows * length - len(ids)), constant_values=SEPARATOR)
    words = np.lib.stride_tricks.sliding_window_view(padded, overlap + length)[::length]
    return [{'words': words[i : i + batch]} for i in range(0, rows, batch)]
