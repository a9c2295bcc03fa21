"""The chip's rates, against calls that take a known time."""

import jax.numpy as jnp

from benchmarks.accelerator import chip, clock


def test_a_product_has_two_operations_for_each_of_n_cubed_terms():
    assert chip.product_flops(8192) == 2 * 8192 * 8192 * 8192


def test_seconds_are_the_median_of_calls_after_one_that_does_not_count(monkeypatch):
    """By a clock that each call puts forward."""
    now = [0.0]
    monkeypatch.setattr(clock.time, 'perf_counter', lambda: now[0])
    pauses = iter([300.0, 10.0, 200.0, 20.0])

    def call(steps):
        assert steps == 4
        now[0] += next(pauses)

    assert clock.seconds_a_step(call, 4) == 20 / 4
    assert next(pauses, None) is None


def test_rates_are_work_over_time(monkeypatch):
    """With a clock that says 2 s a step."""
    taken = []

    def two_seconds(call, steps):
        call(steps)
        taken.append(steps)
        return 2.0

    monkeypatch.setattr(chip, 'seconds_a_step', two_seconds)
    assert chip.product_rate(32, jnp.dtype('bfloat16'), None, 3) == 32**3
    assert chip.copy_rate(4096, 5) == 4096
    assert taken == [3, 5]
