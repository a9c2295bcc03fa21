"""The comparison of runs with the committed record: what counts as the same, by how much, and what
is recorded."""

import importlib
import json
import math
import shlex

import pytest

from launch.cli.flags import parse
from launch.cli.overrides import override
from tests.programs import reproduce
from tests.programs.reproduce import (
    Result,
    commands,
    first_outside,
    limits,
    untimed,
    verdict,
    written,
)

ARGV = ['--exp', 'toy']
ROWS = [
    {'step': 2, 'loss': 4.0, 'time/seconds': 1.0},
    {'step': 4, 'loss': 2.0, 'test/loss': 3.0, 'codes/accuracy': 0.5, 'time/seconds': 2.0},
    {'step': 6, 'loss': 1.0},
    {'step': 8, 'loss': 0.5, 'test/loss': 1.0, 'codes/accuracy': None},
]
THERE = {'cores': 2, 'jax': '0.10.2', 'data': 'threes'}
ENTRY = {
    'command': '--exp toy',
    'environment': THERE,
    'finals': {'test/loss': [1.0, 1.25, 0.75], 'codes/accuracy': [None, 0.5, 0.5]},
    'rows': untimed(ROWS),
}


def says(rows, entry=ENTRY, **environment):
    return verdict(entry, ARGV, Result(1.0, '', untimed(rows), THERE | environment))


def changed(step, name, value):
    return [row | {name: value} if row['step'] == step else row for row in ROWS]


def test_a_run_is_equal_to_the_bit_whatever_its_clocks_and_its_environment():
    assert (
        says(ROWS) == says(changed(4, 'time/seconds', 9.0)) == says(ROWS, cores=8) == 'to the bit'
    )


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
    there = next(row[name] for row in ROWS if row['step'] == step)
    assert (
        says(changed(step, name, value))
        == f'DIFFERENT: step {step} {name} is {value} here and {there} there'
    )


def test_the_first_of_several_differences_is_named():
    rows = [row | {'loss': 7.0} for row in ROWS]
    assert says(rows) == 'DIFFERENT: step 2 loss is 7.0 here and 4.0 there'


def test_zeros_of_two_signs_are_two_numbers():
    entry = ENTRY | {'rows': [{'step': 1, 'loss': 0.0}]}
    assert (
        says([{'step': 1, 'loss': -0.0}], entry)
        == 'DIFFERENT: step 1 loss is -0.0 here and 0.0 there'
    )


def test_limits_are_a_share_of_the_largest_value_or_the_range_over_seeds():
    """First averages of training: 0.001 of 4. Last values: three times 1.25 - 0.75, and 0.001 of
    0.5."""
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
        (6, 'loss', 3.0, True),  # what becomes of training later is judged by its end
        (4, 'test/loss', 30.0, True),
        (8, 'test/loss', 2.49, True),
        (8, 'test/loss', -0.51, False),
        (8, 'test/loss', None, False),
        (6, 'loss', None, False),
        (8, 'codes/accuracy', 0.5, False),
    ],
)
def test_elsewhere_first_averages_and_last_values_have_bounds(step, name, value, within):
    rows = untimed(changed(step, name, value))
    assert (first_outside(ENTRY, rows) == '') == within
    expected = (
        'within bounds; cores is 1 here and 2 there'
        if within
        else f'DIFFERENT: step {step} {name} is {value} '
    )
    assert says(rows, cores=1).startswith(expected)


def test_on_other_data_only_last_values_have_bounds():
    """Docstrings are other data with other packages; with the same packages the source has changed
    them."""
    rows, other = changed(2, 'loss', 5.0), dict(jax='1.0', data='fours')
    assert says(rows, jax='1.0').startswith('DIFFERENT: step 2 loss is 5.0 here')
    assert says(rows, data='fours').startswith('DIFFERENT: step 2 loss is 5.0 here')
    assert (
        says(rows, **other)
        == 'within bounds; jax is 1.0 here and 0.10.2 there; data is fours here and threes there'
    )
    assert says(changed(8, 'test/loss', 5.0), **other).startswith(
        'DIFFERENT: step 8 test/loss is 5.0 here and 1.0'
    )


@pytest.mark.parametrize('environment', [{}, {'cores': 1}])
def test_what_is_missing_or_more_is_different_everywhere(environment):
    more = [*ROWS, {'step': 9, 'loss': 0.4}]
    assert says(ROWS[:-1], **environment).startswith(
        'DIFFERENT: step 8 loss is absent here and 0.5 there'
    )
    assert says(more, **environment).startswith(
        'DIFFERENT: step 9 loss is 0.4 here and absent there'
    )
    assert says(changed(6, 'norm', 1.0), **environment).startswith(
        'DIFFERENT: step 6 norm is 1.0 here and absent'
    )


def test_a_run_that_failed_or_is_of_another_command_is_different():
    failed = Result(1.0, 'exit code 3: loss is nan at step 7')
    assert verdict(ENTRY, ARGV, failed) == 'DIFFERENT: exit code 3: loss is nan at step 7'
    assert (
        says(ROWS, None)
        == says(ROWS, ENTRY | {'command': ''})
        == 'DIFFERENT: the record has no such command'
    )


def test_a_launch_that_is_refused_has_failed_with_its_last_line():
    result = reproduce.trained(['--exp=pca_digitz'], '')
    assert (
        result.failed == 'exit code 2: --exp=pca_digitz is no experiment; did you mean pca_digits?'
    )


def test_the_table_and_the_exit_code_tell_of_every_experiment(monkeypatch, tmp_path, capsys):
    """Of two that are asked for one is as recorded and one is not."""
    monkeypatch.setattr(reproduce, 'RECORD', tmp_path / 'record.json')
    chosen = {name: shlex.join(commands()[name]) for name in ('pca_digits', 'kl_fit')}
    record = {name: ENTRY | {'command': command} for name, command in chosen.items()}
    reproduce.RECORD.write_text(written(record))
    came = {'pca_digits': ROWS, 'kl_fit': changed(8, 'test/loss', 1.5)}
    monkeypatch.setattr(
        reproduce, 'trained', lambda argv, about: Result(9.0, '', untimed(came[argv[1]]), THERE)
    )
    assert reproduce.main(list(chosen)) == 1
    out = [' '.join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert 'pca_digits 8 9 test/loss 1 1 to the bit' in out
    assert 'kl_fit 8 9 test/loss 1.5 1 DIFFERENT: step 8 test/loss is 1.5 here and 1.0 there' in out
    assert out[-1] == '2 experiments, 1 different'


def test_a_record_of_three_seeds_is_what_the_runs_were(monkeypatch, tmp_path):
    """A toy whose losses depend on its seed in the last bit."""

    def trained(argv, about):
        seed = parse(argv).overrides.get('seed', '0')
        return Result(
            1.0,
            '',
            [{'step': 1, 'loss': 0.1, 'test/loss': 0.1 + int(seed) * 2**-56}],
            THERE,
            {'commit': 'dirty'},
        )

    monkeypatch.setattr(reproduce, 'trained', trained)
    monkeypatch.setattr(reproduce, 'source', lambda folder: {'commit': 'c'})
    monkeypatch.setattr(reproduce, 'RECORD', tmp_path / 'record.json')
    assert reproduce.main(['gan_finite', '--record']) == 0
    entry = json.loads(reproduce.RECORD.read_text())['gan_finite']
    assert entry['finals'] == {'test/loss': [0.1, 0.1 + 2**-56, 0.1 + 2**-55]} and entry[
        'source'
    ] == {'commit': 'c'}
    assert reproduce.main(['gan_finite']) == 0


def test_the_record_is_a_line_a_row_and_exact():
    text = written(
        {
            'b': ENTRY | {'rows': [{'step': 1, 'loss': 0.1 + 2**-56}, {'step': 2, 'loss': None}]},
            'a': ENTRY,
        }
    )
    assert json.loads(text)['b']['rows'][0]['loss'] == 0.1 + 2**-56
    assert list(json.loads(text)) == ['a', 'b'] and '   { "step": 2, "loss": null }\n' in text


def test_an_unknown_experiment_is_refused_in_a_line(capsys):
    with pytest.raises(SystemExit):
        reproduce.main(['pca_digits', 'pca_digit'])
    assert 'pca_digit states no small size; there are autoencoder_digits' in capsys.readouterr().err


PAGES = [path.stem for path in sorted(reproduce.ROOT.glob('experiments/[a-z]*.py'))]


@pytest.mark.parametrize('name', PAGES)
def test_every_experiment_that_needs_no_file_states_a_small_size(name):
    """It is one that needs none if it reads neither a prepared image set nor a corpus that has to
    be named."""
    module, argv = importlib.import_module(f'experiments.{name}'), commands().get(name)
    config = module.get_config()
    if 'data_dir' not in config and config.get('corpus') != '':
        assert argv
    if argv:
        flags = parse(argv)
        assert flags.exp == name and len(argv) == 2 + len(flags.overrides)  # nothing but settings
        assert override(config, flags.overrides).steps >= 15 and 'seed' not in flags.overrides


def test_the_record_is_of_these_commands():
    record = json.loads(reproduce.RECORD.read_text())
    assert {name: entry['command'] for name, entry in record.items()} == {
        n: shlex.join(a) for n, a in commands().items()
    }
    for entry in record.values():
        assert all(len(values) == len(reproduce.SEEDS) for values in entry['finals'].values())
        assert entry['rows'][-1]['step'] == max(row['step'] for row in entry['rows'])


@pytest.mark.slow
def test_an_experiment_comes_out_as_recorded(capsys):
    assert reproduce.main(['pca_digits']) == 0, capsys.readouterr().out
