"""Places and keys of examples: those of the whole batch, in every part of it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from benchmarks.growth.collectives import collectives
from genjax.parallel import (
    AXIS,
    by_shares,
    example_keys,
    example_places,
    in_microbatch,
    shard_batch,
    split_batch,
)
from genjax.training import make_mesh

KEY = jax.random.key(3)


def places_and_noise(n):
    place, total = example_places(n)
    return place, jnp.full(n, total), jax.vmap(jax.random.normal)(example_keys(KEY, n))


def by_parts(x, parts):
    """What each example of x is given, part by part."""

    def one(carry, part):
        k, examples = part
        with in_microbatch(k, parts):
            given = places_and_noise(len(examples))
        return carry, (examples, given)

    _, found = jax.lax.scan(one, 0, (jnp.arange(parts), split_batch(x, parts)))
    return jax.tree.map(lambda rows: rows.reshape(-1), found)


@pytest.mark.parametrize('parts', [1, 3, 12])
@pytest.mark.parametrize('devices', [1, 2])
def test_an_example_has_the_place_and_the_noise_of_one_batch_in_any_part(parts, devices):
    x = jnp.arange(24)
    expected = places_and_noise(24)
    if devices == 1:
        rows, given = jax.jit(by_parts, static_argnums=1)(x, parts)
    else:
        mapped = jax.pmap(partial(by_parts, parts=parts), AXIS, devices=jax.devices()[:2])
        rows, given = jax.tree.map(jnp.ravel, mapped(x.reshape(2, 12)))
    assert sorted(rows.tolist()) == list(range(24))
    for ours, wanted in zip(given, expected, strict=True):
        np.testing.assert_array_equal(ours, wanted[rows])
    np.testing.assert_array_equal(example_places(5)[0], np.arange(5))  # nothing is left behind


def test_a_part_takes_the_same_number_of_rows_from_every_device():
    parts = split_batch({'x': jnp.arange(12), 'y': jnp.zeros((12, 2))}, 3)
    np.testing.assert_array_equal(parts['x'], [[0, 3, 6, 9], [1, 4, 7, 10], [2, 5, 8, 11]])
    assert parts['y'].shape == (3, 4, 2)


def test_parts_that_are_not_equal_are_refused():
    with pytest.raises(ValueError, match='^microbatches is 5, which does not divide a batch of 12'):
        split_batch(jnp.arange(12), 5)


def row_by_row(x):
    """The sum of rows by a loop, and of each row its square."""

    def body(total, row):
        return total + row, row**2

    return jax.lax.scan(body, jnp.zeros_like(x[0]), x)


@pytest.mark.parametrize('devices', [1, 2, 8])
def test_each_device_adds_up_its_own_share_and_the_sums_are_exchanged_once(devices):
    x = jnp.arange(48.0).reshape(16, 3)

    def run(x):
        return by_shares(row_by_row, shard_batch(x))

    with jax.set_mesh(make_mesh(jax.devices()[:devices])):
        program = jax.jit(run).lower(x).compile()
        total, squares = program(x)
    np.testing.assert_array_equal(total, x.sum(0))  # of whole numbers, so to the bit
    np.testing.assert_array_equal(squares, x**2)
    exchanged = [(one.kind, one.bytes, one.times) for one in collectives(program.as_text())]
    assert exchanged == ([] if devices == 1 else [('all-reduce', total.nbytes, 1)])


def test_a_batch_that_the_devices_do_not_divide_stays_whole():
    x = jnp.arange(15.0).reshape(5, 3)
    with jax.set_mesh(make_mesh(jax.devices()[:2])):
        total, squares = jax.jit(partial(by_shares, row_by_row))(x)
    np.testing.assert_array_equal(total, x.sum(0))
    np.testing.assert_array_equal(squares, x**2)


def test_under_pmap_sums_are_those_of_the_share():
    x = jnp.arange(12.0).reshape(2, 2, 3)
    mapped = jax.pmap(partial(by_shares, row_by_row), AXIS, devices=jax.devices()[:2])
    np.testing.assert_array_equal(mapped(x)[0], x.sum(1))
