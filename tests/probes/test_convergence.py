"""Errors against what is spent: the order of a power is its exponent."""

import numpy as np
import pytest

from genjax.probes.convergence import convergence, order

COUNTS = (10, 20, 40, 80)


def powers(exponent, scale=1.0):
    return {count: scale * count**-exponent for count in COUNTS}


@pytest.mark.parametrize('exponent', [0.5, 1.0, 3.0])
def test_the_order_of_a_power_is_its_exponent(exponent):
    assert order(powers(exponent, 7.0)) == pytest.approx(exponent, rel=1e-9)


def test_the_order_is_of_the_last_three_points():
    late = powers(2.0) | {10: 3.0}
    assert order(late) == pytest.approx(2.0, rel=1e-9)
    assert order({10: 1.0, 20: 0.25}) == pytest.approx(2.0, rel=1e-9)


def test_it_asks_for_the_errors_when_it_measures_and_gives_all_of_them():
    calls = []

    def errors():
        calls.append(1)
        return {'slow': powers(1.0), 'fast': powers(2.0)}

    measure = convergence(errors, 'estimates')
    assert not calls
    found = measure(None, None)
    assert found['order_slow'] == pytest.approx(1.0)
    assert found['order_fast'] == pytest.approx(2.0)
    assert found['errors'][1] == {
        'method': 'fast',
        'order': '2.000',
        'estimates 10': '1.0000e-02',
        'estimates 20': '2.5000e-03',
        'estimates 40': '6.2500e-04',
        'estimates 80': '1.5625e-04',
    }
    assert found['curves'].dtype == np.uint8
