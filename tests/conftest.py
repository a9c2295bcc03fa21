"""Strict JAX for every test: what broadcasts or promotes silently fails here."""

import os
import pathlib

import jax
import pytest

jax.config.update('jax_num_cpu_devices', 8)
jax.config.update('jax_numpy_rank_promotion', 'raise')
jax.config.update('jax_numpy_dtype_promotion', 'strict')


@pytest.fixture(scope='session')
def real_data() -> pathlib.Path:
    """The folder of real data sets that GENJAX_DATA names; the test is skipped without one."""
    folder = os.environ.get('GENJAX_DATA', '')
    if not pathlib.Path(folder).is_dir() or not folder:
        pytest.skip('GENJAX_DATA names no folder of real data sets')
    return pathlib.Path(folder)
