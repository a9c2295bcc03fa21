"""Noise of examples: it depends on an example's place in the batch alone."""

import jax
import numpy as np
from jax.sharding import Mesh, PartitionSpec
from scipy.stats import kstest

from genjax.numerics.normals import example_normals
from genjax.parallel import AXIS

KEY = jax.random.key(0)


def test_normals_are_standard_and_examples_have_a_key_each():
    noise = np.asarray(example_normals(KEY, 4000, (2, 3)))
    assert noise.shape == (4000, 2, 3)
    assert kstest(noise.ravel(), 'norm').pvalue > 1e-3
    np.testing.assert_array_equal(example_normals(KEY, 10, (2, 3)), noise[:10])


def test_two_devices_draw_what_one_does():
    mesh = Mesh(np.array(jax.devices()[:2]), (AXIS,))

    @jax.jit
    @lambda f: jax.shard_map(f, mesh=mesh, in_specs=PartitionSpec(), out_specs=PartitionSpec(AXIS))
    def shares(key):
        return example_normals(key, 3, (2,))

    np.testing.assert_array_equal(shares(KEY), example_normals(KEY, 6, (2,)))
