"""The comparison of runs with the committed record: what counts as the same, and by how much."""

import math

import pytest

from tests.programs.comparison import Result, first_outside, limits, verdict, without_clocks

ARGV = ['--exp', 'toy']
ROWS = [
    {'step': 2, 'loss': 4.0, 'time/seconds': 1.0},
    {'step': 4, 'loss': 2.0, 'test/loss': 3.0, 'codes/accuracy': 0.5, 'time/seconds': 2.0},
    {'step': 6, 'loss': 1.0},
    {'step': 8, 'loss': 0.5, 'test/loss': 1.0, 'codes/accuracy': None},
]
ENVIRONMENT = {'cores': 2, 'jax': '0.10.2', 'data': 'threes'}
ENTRY = {
    'command': '--exp toy',
    'environment': ENVIRONMENT,
    'finals': {'test/loss': [1.0, 1.25, 0.75], 'codes/accuracy': [None, 0.5, 0.5]},
    'rows': without_clocks(ROWS),
}


def says(rows, entry=ENTRY, **environment):
    """The verdict on rows of a run, in an environment that differs from the record's as given."""
    result = Result(1.0, '', without_clocks(rows), ENVIRONMENT | environment)
    return verdict(entry, ARGV, result)


def changed(step, name, value):
    """ROWS with another value of one metric."""
    return [row | {name: value} if row['step'] == step else row for row in ROWS]


def test_a_run_is_equal_to_the_bit_whatever_its_clocks_and_its_environment():
    assert says(ROWS) == 'to the bit'
    assert says(changed(4, 'time/seconds', 9.0)) == 'to the bit'
    assert says(ROWS, cores=8) == 'to the bit'


@pytest.mark.parametrize(
    ('step', 'name', 'value'),
    [
        (6, 'loss', math.nextafter(1.0, 2.0)),
        (8, 'loss', -0.5),
        (8, 'test/loss', None),
        (8, 'codes/accuracy', 0.5),
    ],
)
def test_one_number_that_is_another_is_named_where_nothing_excuses_it(step, name, value):
    recorded = next(row[name] for row in ROWS if row['step'] == step)
    expected = f'DIFFERENT: step {step} {name} is {value} here and {recorded} there'
    assert says(changed(step, name, value)) == expected


def test_the_first_of_several_differences_is_named():
    rows = [row | {'loss': 7.0} for row in ROWS]
    assert says(rows) == 'DIFFERENT: step 2 loss is 7.0 here and 4.0 there'


def test_zeros_of_two_signs_are_two_numbers():
    entry = ENTRY | {'rows': [{'step': 1, 'loss': 0.0}]}
    expected = 'DIFFERENT: step 1 loss is -0.0 here and 0.0 there'
    assert says([{'step': 1, 'loss': -0.0}], entry) == expected


def test_limits_are_a_share_of_the_largest_value_or_the_range_over_seeds():
    # First averages of training: 0.001 of 4. Last values: three times 1.25 - 0.75, 0.001 of 0.5.
    expected = {(2, 'loss'): 0.004, (8, 'test/loss'): 1.5, (8, 'codes/accuracy'): 0.0005}
    assert limits(ENTRY) == pytest.approx(expected)
    assert limits(ENTRY, early=False).keys() == {(8, 'test/loss'), (8, 'codes/accuracy')}
    alike = ENTRY | {'finals': {'test/loss': [1.0, 1.0, 1.0]}}
    assert limits(alike)[8, 'test/loss'] == pytest.approx(0.003)


@pytest.mark.parametrize(
    ('step', 'name', 'value', 'within'),
    [
        (2, 'loss', 4.0039, True),
        (2, 'loss', 4.0041, False),
        (6, 'loss', 3.0, True),  # later averages of training have no bound
        (4, 'test/loss', 30.0, True),
        (8, 'test/loss', 2.49, True),
        (8, 'test/loss', -0.51, False),
        (8, 'test/loss', None, False),
        (6, 'loss', None, False),
        (8, 'codes/accuracy', 0.5, False),
    ],
)
def test_elsewhere_first_averages_and_last_values_have_bounds(step, name, value, within):
    rows = without_clocks(changed(step, name, value))
    assert (first_outside(ENTRY, rows) == '') == within
    expected = f'DIFFERENT: step {step} {name} is {value} '
    if within:
        expected = 'within bounds; cores is 1 here and 2 there'
    assert says(rows, cores=1).startswith(expected)


def test_on_other_data_only_last_values_have_bounds():
    # Docstrings of other packages are other data; with the same packages the source changed them.
    rows = changed(2, 'loss', 5.0)
    early = 'DIFFERENT: step 2 loss is 5.0 here'
    assert says(rows, jax='1.0').startswith(early)
    assert says(rows, data='fours').startswith(early)

    other = dict(jax='1.0', data='fours')
    within = 'within bounds; jax is 1.0 here and 0.10.2 there; data is fours here and threes there'
    assert says(rows, **other) == within
    late = 'DIFFERENT: step 8 test/loss is 5.0 here and 1.0'
    assert says(changed(8, 'test/loss', 5.0), **other).startswith(late)


@pytest.mark.parametrize('environment', [{}, {'cores': 1}])
def test_what_is_missing_or_more_is_different_everywhere(environment):
    cases = {
        'DIFFERENT: step 8 loss is absent here and 0.5 there': ROWS[:-1],
        'DIFFERENT: step 9 loss is 0.4 here and absent there': [*ROWS, {'step': 9, 'loss': 0.4}],
        'DIFFERENT: step 6 norm is 1.0 here and absent': changed(6, 'norm', 1.0),
    }
    for expected, rows in cases.items():
        assert says(rows, **environment).startswith(expected)


def test_a_run_that_failed_or_is_of_another_command_is_different():
    failed = Result(1.0, 'exit code 3: loss is nan at step 7')
    assert verdict(ENTRY, ARGV, failed) == 'DIFFERENT: exit code 3: loss is nan at step 7'
    for entry in (None, ENTRY | {'command': ''}):
        assert says(ROWS, entry) == 'DIFFERENT: the record has no such command'
