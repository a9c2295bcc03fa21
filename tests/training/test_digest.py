"""The digest of a tree of arrays: whatever changes is told, and what does not is not."""

import hashlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jax.sharding import NamedSharding, PartitionSpec

from genjax.training import make_mesh
from genjax.training.digest import digest, kinds

DTYPES = ('float32', 'int32', 'uint8', 'bool', 'bfloat16', 'float16')


@st.composite
def trees(draw):
    """Up to four leaves of random dtypes, shapes and values."""
    shapes = st.lists(st.integers(1, 5), max_size=3).map(tuple)
    seed = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def make(dtype, shape):
        return seed.integers(0, 256, shape).astype(jnp.dtype(dtype))

    leaves = draw(
        st.lists(st.builds(make, st.sampled_from(DTYPES), shapes), min_size=1, max_size=4)
    )
    return {f'x{i}': leaf for i, leaf in enumerate(leaves)}


def flipped(x, bit):
    """A copy with one bit of its bytes changed."""
    raw = bytearray(x.tobytes())
    raw[bit // 8 % len(raw)] ^= 1 << bit % 8
    return np.frombuffer(bytes(raw), x.dtype).reshape(x.shape)


@settings(deadline=None, max_examples=150)
@given(trees(), st.integers(0, 10**6), st.integers(0, 10**6), st.integers(0, 10**6))
def test_a_change_of_one_leaf_is_told_and_named(tree, which, i, j):
    before = digest(tree)
    assert digest({name: x.copy() for name, x in tree.items()}) == before
    name = f'x{which % len(tree)}'
    x = tree[name]
    swapped = x.flatten()
    i, j = i % x.size, j % x.size
    swapped[[i, j]] = swapped[[j, i]]
    changes = [
        flipped(x, i * 8 + j % 8),
        x[None],
        x.astype('float64'),
        x.view('int8') if x.dtype == 'uint8' else x,
    ]
    for other in (*changes, swapped.reshape(x.shape)):
        same = (other.dtype, other.shape, other.tobytes()) == (x.dtype, x.shape, x.tobytes())
        after = digest(tree | {name: other})
        assert [n for n in before if after[n] != before[n]] == ([] if same else [name])


@settings(deadline=None, max_examples=50)
@given(trees())
def test_leaves_that_change_places_are_told(tree):
    before, names = digest(tree), list(tree)
    turned = dict(zip(names, [*tree.values()][1:] + [*tree.values()][:1], strict=True))
    assert digest(turned) == dict(
        zip(names, [*before.values()][1:] + [*before.values()][:1], strict=True)
    )


def test_it_is_a_hash_of_bytes_that_anyone_can_compute():
    x = np.arange(6, dtype=np.float32).reshape(2, 3)
    told = {'a/0': f'float32 [2, 3] {hashlib.blake2b(x.tobytes(), digest_size=16).hexdigest()}'}
    assert digest({'a': (x,)}) == digest({'a': (jnp.asarray(x),)}) == told
    assert digest({'a': (x.T.copy().T,)}) == told  # another order in memory, the same array


def test_not_a_number_and_the_sign_of_nought_have_bits_too():
    values = [
        np.float32(0.0),
        np.float32(-0.0),
        np.float32('nan'),
        flipped(np.float32('nan')[None], 0)[0],
    ]
    assert len({digest([x])['0'] for x in values}) == 4


def test_keys_are_told_by_their_data_and_their_kind():
    keys = [
        jax.random.key(0),
        jax.random.key(1),
        jax.random.key(0, impl='rbg'),
        jax.random.key_data(jax.random.key(0)),
    ]
    assert len({digest([key])['0'] for key in keys}) == 4
    assert digest([keys[0]]) == digest([jax.random.key(0)])


@pytest.mark.parametrize(
    'spec', [PartitionSpec(), PartitionSpec('data'), PartitionSpec(None, 'data')]
)
def test_devices_do_not_matter(spec):
    x = np.random.default_rng(0).normal(size=(8, 16)).astype(np.float32)
    assert digest({'x': jax.device_put(x, NamedSharding(make_mesh(), spec))}) == digest({'x': x})


def test_kinds_are_known_of_what_is_abstract():
    tree = {
        'x': jax.ShapeDtypeStruct((2, 3), jnp.bfloat16),
        'k': jax.eval_shape(lambda: jax.random.key(0)),
    }
    assert kinds(tree) == {'k': 'key<fry> []', 'x': 'bfloat16 [2, 3]'}
