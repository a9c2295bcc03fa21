"""DCGAN of 64 x 64 x 3 in batches of 64, by the trainer."""

import statistics
import time

import numpy as np

from benchmarks import gan
from benchmarks.accelerator.setting import Add, Setting


def measure(setting: Setting, add: Add) -> None:
    """The stage."""
    shape = (gan.ROWS, gan.SIZE, gan.SIZE, 3)
    x = np.random.default_rng(0).uniform(-1, 1, shape).astype(np.float32)
    steps = 1 if setting.small else 200
    seconds = statistics.median(gan.genjax_times(x, steps, None, time.perf_counter))
    rate = f'{gan.BATCH / seconds:,.0f} images/s'
    add('step of both networks', 1e3 * seconds, 'ms', f'batch {gan.BATCH}, float32, {rate}')
