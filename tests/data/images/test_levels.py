"""Grey levels as images: NumPy and XLA scale alike, and noise has keys of its own."""

import jax
import numpy as np

from genjax.data.derived import BINARY
from genjax.data.images.levels import NOISE, scaled
from genjax.data.resident import ORDER
from genjax.data.toys import SAMPLES


def test_host_and_device_scale_alike():
    level = np.arange(256, dtype=np.float32)
    for offset in (None, np.float32(0.5)):
        on_host = scaled(level, offset)
        on_device = jax.jit(scaled)(level, offset)
        np.testing.assert_array_equal(on_host, on_device)
        assert on_host.dtype == np.float32
        assert (np.diff(on_host) > 0).all()
        assert -1 <= on_host[0] < on_host[-1] <= 1


def test_keys_are_not_the_trainers():
    # A trainer folds steps, below 2**31, and the last eight numbers of uint32 into the same key;
    # fold_in is one to one in its number.
    numbers = {NOISE, ORDER, BINARY, SAMPLES}
    assert len(numbers) == 4
    assert all(2**31 <= number < 2**32 - 8 for number in numbers)
