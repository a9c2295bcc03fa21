"""The program that trains experiments again: what it reads, prints and records."""

import importlib
import json
import shlex

import pytest

from launch.cli.flags import parse
from launch.cli.overrides import override
from tests.programs import reproduce
from tests.programs.comparison import Result, without_clocks
from tests.programs.reproduce import commands, to_json, train
from tests.programs.test_comparison import ENTRY, ENVIRONMENT, ROWS, changed


def test_a_launch_that_is_refused_has_failed_with_its_last_line():
    result = train(['--exp=pca_digitz'], '')
    refusal = '--exp=pca_digitz is no experiment; did you mean pca_digits?'
    assert result.failure == f'exit code 2: {refusal}'


def test_the_table_and_the_exit_code_tell_of_every_experiment(monkeypatch, tmp_path, capsys):
    """Of two that are asked for one is as recorded and one is not."""
    monkeypatch.setattr(reproduce, 'RECORD', tmp_path / 'record.json')
    chosen = {name: shlex.join(commands()[name]) for name in ('pca_digits', 'kl_fit')}
    record = {name: ENTRY | {'command': command} for name, command in chosen.items()}
    reproduce.RECORD.write_text(to_json(record))
    rows = {'pca_digits': ROWS, 'kl_fit': changed(8, 'test/loss', 1.5)}

    def train(argv, title):
        return Result(9.0, '', without_clocks(rows[argv[1]]), ENVIRONMENT)

    monkeypatch.setattr(reproduce, 'train', train)
    assert reproduce.main(list(chosen)) == 1
    out = [' '.join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert 'pca_digits 8 9 test/loss 1 1 to the bit' in out
    assert 'kl_fit 8 9 test/loss 1.5 1 DIFFERENT: step 8 test/loss is 1.5 here and 1.0 there' in out
    assert out[-1] == '2 experiments, 1 different'


def test_a_record_of_three_seeds_is_what_the_runs_were(monkeypatch, tmp_path):
    """A toy whose losses depend on its seed in the last bit."""

    def train(argv, title):
        seed = int(parse(argv).overrides.get('seed', '0'))
        rows = [{'step': 1, 'loss': 0.1, 'test/loss': 0.1 + seed * 2**-56}]
        return Result(1.0, '', rows, ENVIRONMENT, {'commit': 'dirty'})

    monkeypatch.setattr(reproduce, 'train', train)
    monkeypatch.setattr(reproduce, 'source', lambda folder: {'commit': 'c'})
    monkeypatch.setattr(reproduce, 'RECORD', tmp_path / 'record.json')
    assert reproduce.main(['gan_finite', '--record']) == 0
    entry = json.loads(reproduce.RECORD.read_text())['gan_finite']
    assert entry['finals'] == {'test/loss': [0.1, 0.1 + 2**-56, 0.1 + 2**-55]}
    assert entry['source'] == {'commit': 'c'}
    assert reproduce.main(['gan_finite']) == 0


def test_the_record_is_a_line_a_row_and_exact():
    rows = [{'step': 1, 'loss': 0.1 + 2**-56}, {'step': 2, 'loss': None}]
    text = to_json({'b': ENTRY | {'rows': rows}, 'a': ENTRY})
    record = json.loads(text)
    assert list(record) == ['a', 'b']
    assert record['b']['rows'][0]['loss'] == 0.1 + 2**-56
    assert '   { "step": 2, "loss": null }\n' in text


def test_an_unknown_experiment_is_refused_in_a_line(capsys):
    with pytest.raises(SystemExit):
        reproduce.main(['pca_digits', 'pca_digit'])
    assert 'pca_digit states no small size; there are autoencoder_digits' in capsys.readouterr().err


PAGES = [path.stem for path in sorted(reproduce.ROOT.glob('experiments/[a-z]*.py'))]


@pytest.mark.parametrize('name', PAGES)
def test_every_experiment_that_needs_no_file_states_a_small_size(name):
    argv = commands().get(name)
    config = importlib.import_module(f'experiments.{name}').get_config()
    # Files are a prepared image set, or a corpus that has to be named.
    needs_file = 'data_dir' in config or config.get('corpus') == ''
    assert argv or needs_file
    if argv:
        flags = parse(argv)
        assert flags.exp == name
        assert len(argv) == 2 + len(flags.overrides)  # nothing but settings
        assert 'seed' not in flags.overrides
        assert override(config, flags.overrides).steps >= 15


def test_the_record_is_of_these_commands():
    record = json.loads(reproduce.RECORD.read_text())
    recorded = {name: entry['command'] for name, entry in record.items()}
    assert recorded == {name: shlex.join(argv) for name, argv in commands().items()}
    for entry in record.values():
        assert all(len(values) == len(reproduce.SEEDS) for values in entry['finals'].values())
        assert entry['rows'][-1]['step'] == max(row['step'] for row in entry['rows'])


@pytest.mark.slow
def test_an_experiment_comes_out_as_recorded(capsys):
    assert reproduce.main(['pca_digits']) == 0, capsys.readouterr().out
