"""Batches from the host: every step's is known, whatever thread or process reads it."""

import itertools
import subprocess
import sys

import numpy as np
import pytest

from genjax.data.batches import ordered, shuffled

RECORDS = [{'x': np.full((2, 1), i), 'y': np.int32(i)} for i in range(10)]


def numbers(batches):
    """The records of each batch, by their numbers."""
    return [batch['y'].tolist() for batch in batches]


@pytest.mark.parametrize('first', [0, 1, 4, 10**7])
def test_stream_is_load_from_any_step(first):
    batches = shuffled(RECORDS, batch=4, seed=3)
    streamed = list(itertools.islice(batches.stream(first), 30))
    assert numbers(streamed) == numbers(batches.load(first + i) for i in range(30))
    for batch in streamed:
        assert batch['x'].shape == (4, 2, 1)
        assert (batch['x'][:, 0, 0] == batch['y']).all()


@pytest.mark.parametrize('first', [0, 7])
def test_the_parts_of_processes_make_up_the_batch(first):
    batches = shuffled(RECORDS, batch=4, seed=3)
    left, right = (itertools.islice(batches.share(i, 2, first), 20) for i in range(2))
    joined = [a + b for a, b in zip(numbers(left), numbers(right), strict=True)]
    assert joined == numbers(batches.load(first + i) for i in range(20))
    with pytest.raises(ValueError, match='batch is 4, which the 3 processes do not divide'):
        batches.share(0, 3, 0)


def test_each_epoch_is_every_record_in_an_order_of_its_own():
    load = shuffled(RECORDS, batch=4, seed=3).load
    # Ten batches of four are four epochs of ten records.
    epochs = np.reshape(numbers(load(i) for i in range(10)), (4, 10))
    assert all(sorted(epoch) == list(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4


def test_order_depends_on_the_seed_alone():
    first, other, again = (
        numbers([shuffled(RECORDS, batch=10, seed=seed).load(0)]) for seed in (0, 1, 0)
    )
    assert first == again != other


def test_load_fetches_its_own_records_only():
    fetched = []

    def read(record):
        fetched.append(int(record['y']))
        return record

    batch = shuffled(RECORDS, batch=3, seed=0, read=read).load(5)
    assert sorted(fetched) == sorted(batch['y'].tolist())


@pytest.mark.parametrize('batch', [0, 11])
def test_impossible_batches_are_refused(batch):
    refusal = f'^batch is {batch}; a set of 10 examples allows 1 to 10$'
    with pytest.raises(ValueError, match=refusal):
        shuffled(RECORDS, batch=batch, seed=0)


def test_ordered_keeps_the_order_and_the_short_last_batch():
    def read(record):
        return {'y': record['y'] * np.int32(2)}

    batches = ordered(RECORDS, batch=4, read=read)
    expected = [[0, 2, 4, 6], [8, 10, 12, 14], [16, 18]]
    assert len(batches) == 3
    assert numbers(batches) == expected
    assert numbers(batches[i] for i in range(3)) == expected


def test_module_imports_neither_jax_nor_grain():
    code = 'import sys, genjax.data.batches; print(sorted({"jax", "grain"} & set(sys.modules)))'
    assert subprocess.check_output([sys.executable, '-c', code], text=True).strip() == '[]'
