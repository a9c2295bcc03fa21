"""Replay: a run comes out again to the bit, or what differs is named.

The recorder says where a run went wrong.
"""

import json
import pathlib
import shlex
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.base import Algorithm, Data, Resident
from genjax.parallel import device_mean
from genjax.training import Experiment, NonFinite, checkpoint, run_keys
from genjax.training.digest import digest
from launch.__main__ import main
from launch.cli import catalogue
from launch.replay import main as replay
from launch.run import flight_recorder, rebuild, rundir
from launch.run.comparison import compare_environments, compare_states
from launch.run.plan import recipe
from launch.run.states import state_at
from tests.conftest import toy_experiments
from tests.folders import contents
from tests.marks import slow

SEED_7 = ['--exp=toy', '--workdir=a', '--config.seed=7']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of the toy with lines and checkpoints at steps 2 and 4."""
    place = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch, toy_experiments(place, patch):
        assert main(SEED_7) == 0
    return place / 'a'


@pytest.fixture
def run(folder, trained):
    """A copy of that run, which a test may change."""
    shutil.copytree(trained, folder / 'a')
    return folder / 'a'


def answer(line, code, capsys):
    """What a replay says, but for the uncommitted changes that this checkout may have."""
    before = contents(pathlib.Path())
    assert replay(line.split()) == code
    assert contents(pathlib.Path()) == before
    out, err = capsys.readouterr()
    assert (out + err).count('\n') == 1
    return (out + err).replace('; source.dirty is True there and True here', '').strip()


def change_metric(run, step, name, factor):
    rows = [json.loads(line) for line in (run / 'metrics.jsonl').read_text().splitlines()]
    for row in rows:
        row[name] *= factor if row['step'] == step else 1
    (run / 'metrics.jsonl').write_text(''.join(json.dumps(row) + '\n' for row in rows))


def change_checkpoint(run, step, change):
    state, tally = state_at(run, recipe(rebuild.plan(run)), step)
    for there in rundir.checkpoints(run):
        if there >= step:  # none is saved before others
            shutil.rmtree(run / 'checkpoints' / str(there))
    with checkpoint.open_checkpoints(run, '') as saved:
        checkpoint.save(saved, step, jax.tree.map(change, state), tally._asdict(), {})


def change_launch(run, i, **facts):
    manifest = rundir.read(run / 'manifest.json')
    manifest['launches'][i] |= facts
    rundir.write(run / 'manifest.json', manifest)


@pytest.mark.parametrize(
    ('flags', 'expected'),
    [
        ('', 'steps 1 to 2, by 1 of its lines of metrics and 1 of its checkpoints'),
        ('--steps 3', 'steps 1 to 3, by 1 of its lines of metrics and 1 of its checkpoints'),
        ('--steps=100', 'steps 1 to 4, by 2 of its lines of metrics and 2 of its checkpoints'),
        ('--from 2', 'steps 3 to 4, by 1 of its lines of metrics and 1 of its checkpoints'),
    ],
)
def test_a_run_comes_out_again_to_the_bit(flags, expected, run, capsys):
    assert answer(f'a {flags}', 0, capsys) == f'a: equal to the bit: {expected}'


@pytest.mark.parametrize(
    'how', [slow('--parallel=pmap'), '--mesh=data=4,model=2', slow('--fold=3')]
)
def test_so_does_one_that_was_compiled_otherwise_or_stopped_on_the_way(how, folder, capsys):
    for until in (['--until=3'], []):
        assert main(['--exp=toy', '--workdir=a', how, *until]) == 0
    capsys.readouterr()
    expected = (
        'equal to the bit: steps 1 to 4, by 2 of its lines of metrics and 2 of its checkpoints'
    )
    assert answer('a --steps 4', 0, capsys) == f'a: {expected}'


@pytest.mark.slow
def test_a_real_experiment_comes_out_again_to_the_bit(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = (
        '--exp gan_finite --workdir a --config.steps=60 --config.every.log=2 '
        '--config.every.save=3 --until=50'
    )
    assert main(words.split()) == 0
    capsys.readouterr()
    expected = (
        'equal to the bit: steps 1 to 50, by 25 of its lines of metrics and 2 of its checkpoints'
    )
    assert answer('a --steps 50', 0, capsys) == f'a: {expected}'


def test_a_changed_metric_is_named_with_its_first_step(run, capsys):
    for step in (4, 2):
        change_metric(run, step, 'loss', 1 + 1e-12)
    there = json.loads((run / 'metrics.jsonl').read_text().splitlines()[0])['loss']
    expected = f'a: different: loss at step 2, {there} there and 2.8125 here'  # 9/2 (1 + 1/4) / 2
    assert answer('a --steps 4', 1, capsys) == expected
    change_metric(run, 4, 'test/loss', 2)
    assert answer('a --from 2', 1, capsys).startswith('a: different: loss at step 4, ')


@pytest.mark.slow
def test_a_changed_checkpoint_is_named_with_its_leaf(run, capsys):
    change_checkpoint(run, 4, lambda x: np.nextafter(x, np.inf))
    assert answer('a', 0, capsys).startswith('a: equal to the bit: steps 1 to 2')
    expected = 'a: different: position at step 4, 2.38e-07 apart in a norm of 2.81'
    assert answer('a --steps 4', 1, capsys) == answer('a --from 2', 1, capsys) == expected
    change_checkpoint(run, 2, lambda x: x + 1)
    assert answer('a --from 2', 1, capsys).startswith('a: different: loss at step 4, ')


def test_another_environment_has_a_tolerance_and_is_told(run, capsys):
    change_metric(run, 2, 'loss', 1 + 1e-6)
    change_checkpoint(run, 2, lambda x: x * (1 + 1e-5))
    change_launch(run, 0, xla_flags='--xla_x')
    expected = answer('a', 0, capsys)
    assert expected.startswith(
        'a: within 0.001 of it: steps 1 to 2, by 1 of its lines of metrics and 1 of its '
        'checkpoints;'
    )
    assert 'the most is position at step 2, ' in expected and expected.endswith(
        'xla_flags is --xla_x there and  here'
    )
    change_metric(run, 2, 'test/loss', 1.01)
    assert answer('a', 1, capsys).startswith('a: different: test/loss at step 2, ')


def test_another_commit_is_told_and_excuses_nothing(run, capsys):
    change_metric(run, 2, 'loss', 1 + 1e-6)
    change_launch(run, 0, source={'commit': 'abc', 'dirty': False})
    expected = answer('a', 1, capsys)
    assert (
        expected.startswith('a: different: loss at step 2, ')
        and 'source.commit is abc there and ' in expected
    )


def test_each_launch_says_what_it_ran_on():
    def launch(jax, *flags):
        return {
            'flags': ['--exp=toy', *flags],
            'versions': {'jax': jax},
            'time': 'now',
        }

    found = compare_environments(
        [launch('1'), launch('2'), launch('1')], launch('2', '--fold=3', '--until=5')
    )
    expected = {
        'versions.jax': 'is 1 (launch 1, 3) and 2 (launch 2) there and 2 here',
        '--fold': 'is None there and 3 here',
    }
    assert found == expected


def test_other_data_and_new_settings_are_told(run, capsys):
    manifest = rundir.read(run / 'manifest.json')
    rundir.write(run / 'manifest.json', manifest | {'data': 'fours'})
    config = rundir.read(run / 'config.json')
    config['walk'].pop('limit')
    rundir.write(run / 'config.json', config)
    expected = answer('a', 0, capsys)
    assert expected.endswith(
        '; data is fours there and threes here; config.walk.limit is absent there and None here'
    )


def test_leaves_are_measured_by_their_part_and_counts_by_themselves():
    there = {
        'params': {'a': jnp.array([3.0, 4.0]), 'b': jnp.zeros(2)},
        'n': jnp.int32(4),
        'key': jax.random.key(0),
    }
    here = {
        'params': {'a': jnp.array([3.0, 4.0]), 'b': jnp.full(2, 0.3)},
        'n': jnp.int32(5),
        'key': jax.random.key(0),
    }
    found = compare_states(9, there, here)
    assert [(one.name, one.size) for one in found] == [
        ('n', 0.25),
        ('params/b', pytest.approx(0.3 * 2**0.5 / 5)),
    ]
    assert compare_states(9, there, there) == []
    assert [one.size for one in compare_states(9, {'a': jnp.zeros(1)}, {'a': -jnp.zeros(1)})] == [
        0.0
    ]


@pytest.mark.parametrize(
    ('line', 'expected'),
    [
        ('', 'RUN is missing; it takes a run directory'),
        ('b', 'b holds no run that was launched'),
        ('a b', 'RUN is a, b; it takes a run directory'),
        (
            'a --until 3',
            '--until is no flag; there are: --steps, --from, --step, --debug_nans, --help',
        ),
        ('a --steps 0', '--steps is 0; it takes a whole number, 1 or more'),
        ('a --step', '--step needs a value'),
        ('a --steps 1', 'a left nothing of steps 1 to 1 to compare with; the next is of step 2'),
        ('a --from 4', 'a left nothing to compare with after step 4'),
        ('a --from 3', '--from is 3; a has the checkpoints [2, 4]'),
        ('a --step 5', '--step is 5; it takes 1 to 4, the steps of the config'),
        ('a --step 2 --from 2', '--step takes one step, and --steps and --from compare several'),
        ('a --debug_nans', '--debug_nans is given without --step'),
    ],
)
def test_what_cannot_be_replayed_is_refused_in_one_line(line, expected, run, capsys):
    assert answer(line, 2, capsys) == expected


def test_a_run_without_metrics_has_nothing_to_compare_with(run, capsys):
    shutil.rmtree(run / 'checkpoints')
    (run / 'metrics.jsonl').unlink()
    assert answer('a', 2, capsys) == 'a left nothing to compare with after step 0'


def test_a_damaged_checkpoint_stays_where_it_is(run, capsys):
    largest = max(
        (run / 'checkpoints/2').rglob('*'), key=lambda path: path.stat().st_size * path.is_file()
    )
    largest.write_bytes(b'')
    before = contents(run)
    assert replay(['a', '--from=2']) == 2
    assert 'checkpoint 2 of a: ' in capsys.readouterr().err
    assert contents(run) == before


def overflow(x):
    return 10 * x


@pytest.fixture
def wrong(folder, monkeypatch):
    """The toy gone wrong: after step 3 the leaf b/big is infinite, by which the loss of step 4
    becomes a NaN."""
    module = catalogue.load('toy')

    def build(config):
        toy = config.copy_and_resolve_references()

        def update(key, state, batch):
            big = overflow(state['b']['big'])
            loss = device_mean(jnp.mean(batch)) + (state['b']['big'] - state['b']['big'])
            return {'a': state['a'] + 1, 'b': {'big': big}, 'c': state['c'] + loss}, {'loss': loss}

        def init(key, batch):
            return {
                'a': jnp.zeros(()),
                'b': {'big': jnp.float32(1e36)},
                'c': jnp.float32(jnp.inf),
            }

        def losses(key, state, batch):
            return {'loss': batch}

        def poisoned(ones, step):
            return jnp.where(step == int(toy.walk.name or -1), jnp.nan, ones)

        train = Resident(jnp.ones(toy.batch), poisoned, 'ones')
        return Experiment(Algorithm(init, update, losses), Data(train, []), {})

    monkeypatch.setattr(module, 'build', build)
    return folder / 'a'


@pytest.mark.parametrize(('save', 'start'), [(2, 2), (100, 0)])
def test_the_recorder_names_the_step_and_the_first_leaf(save, start, wrong, capsys):
    words = [
        '--exp=toy',
        '--workdir=a',
        '--config.steps=8',
        f'--config.every.save={save}',
        '--config.seed=5',
    ]
    assert main(words) == 3
    command = 'python -m launch.replay a --step 4 --debug_nans'
    assert capsys.readouterr() == ('', f'{command}\nstep 4: loss is nan\n')
    found = rundir.read(wrong / 'nonfinite_4.json')
    key = jax.random.key_data(jax.random.fold_in(run_keys(5).steps, 3)).tolist()
    assert found == {
        'step': 4,
        'what': 'loss',
        'says': 'step 4: loss is nan',
        'command': command,
        'key': key,
        'batch': digest(jnp.ones(16)),
        'batch not finite': [],
        'leaf': 'b/big',
        'leaf at step': 3,
        'from checkpoint': start,
    }
    assert rundir.read(wrong / 'manifest.json')['launches'][0]['ended'] == 'step 4: loss is nan'

    before = contents(wrong)
    assert replay(shlex.split(command)[3:]) == 3
    out, err = capsys.readouterr()
    assert out.endswith('a: step 4: {"loss": NaN}; not finite: b/big, c\n')
    assert (
        'FloatingPointError: invalid value (nan)' in err
        and "(state['b']['big'] - state['b']['big'])" in err
    )
    assert (
        replay(['a', '--step=3', '--debug_nans']) == 3
    )  # where no NaN arises, an infinity is shown
    assert (
        'FloatingPointError: invalid value (inf)' in (err := capsys.readouterr().err)
        and 'return 10 * x' in err
    )
    assert replay(['a', '--step=2']) == 0
    assert contents(wrong) == before
    (wrong / 'nonfinite_4.json').write_text('{"kept": 1}')
    assert main(words) == 3
    assert (wrong / 'nonfinite_4.json').read_text() == '{"kept": 1}'


def test_the_recorder_sees_a_bad_batch_and_a_replay_that_ends_as_the_run_did(wrong, capsys):
    assert main(['--exp=toy', '--workdir=a', '--config.steps=8', '--config.walk.name=2']) == 3
    found = rundir.read(wrong / 'nonfinite_3.json')
    assert found['batch not finite'] == [''] and found['step'] == 3 and found['leaf'] == 'b/big'
    capsys.readouterr()
    assert answer('a --steps 8', 0, capsys).startswith('a: equal to the bit: steps 1 to 8, ')


def test_the_recorder_hides_nothing_if_it_fails_itself(wrong, monkeypatch, capsys):
    monkeypatch.setattr(flight_recorder, 'state_at', lambda workdir, recipe, step: 1 / 0)
    assert main(['--exp=toy', '--workdir=a', '--config.steps=8']) == 3
    assert capsys.readouterr().err.endswith('step 4: loss is nan\n')
    found = rundir.read(wrong / 'nonfinite_4.json')
    assert (
        found['leaf'] is None and found['leaf not found'] == 'ZeroDivisionError: division by zero'
    )
    plan = rebuild.plan(pathlib.Path('a'))
    flight_recorder.record(pathlib.Path('nowhere'), recipe(plan), NonFinite(1, 'loss', 'is nan'))
