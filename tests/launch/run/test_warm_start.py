"""A run that begins with another's weights: what it takes, what it says, and whose run it is."""

import json
import pathlib
import shutil

import jax
import numpy as np
import pytest

from genjax import load
from genjax.weights.states import weights_of
from launch.__main__ import _plan, main
from launch.cli.flags import parse
from launch.export import main as export
from launch.replay import main as replay
from launch.run import rundir
from launch.run.plan import recipe
from launch.run.states import state_at
from tests.conftest import toy_experiments
from tests.folders import contents
from tests.marks import slow
from tests.trees import assert_trees_equal

PAGE = pathlib.Path(__file__).parents[2] / 'experiments/_fitted.py'
EXP = [f'--exp={PAGE}']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run with checkpoints at steps 2 and 4, and its weights in a file."""
    place = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch, toy_experiments(place, patch):
        assert main([*EXP, '--workdir=a']) == 0
        assert export(['a', '-o', 'weights']) == 0
    return place


@pytest.fixture
def source(folder, trained):
    """A copy of that run, a, and of the folder weights, in the working directory."""
    for name in ('a', 'weights'):
        shutil.copytree(trained / name, folder / name)
    return folder


def beginning(*words):
    """The state at step 0 of a command line."""
    plan = _plan([*EXP, *words])
    state, _ = state_at(plan.workdir, recipe(plan), 0)
    return state


def manifest(run):
    return rundir.read(pathlib.Path(run) / 'manifest.json')


def lines(run):
    """What a run wrote but for clocks."""
    rows = [
        json.loads(line) for line in pathlib.Path(run, 'metrics.jsonl').read_text().splitlines()
    ]
    return [{name: x for name, x in row.items() if not name.startswith('time/')} for row in rows]


@pytest.mark.parametrize('words', ['a', slow('weights'), slow('weights/model.safetensors')])
def test_a_warm_start_is_its_source_to_the_bit_and_anew_in_all_else(words, source):
    _, state = load('a')
    assert (state.average['line']['slopes'] != state.params['line']['slopes']).all()
    cold = beginning()
    warm = beginning(f'--init_from={words}')
    for tree in (warm.params, warm.average, warm.others['slow']):
        assert_trees_equal(tree, state.average)
    assert_trees_equal(warm.opt_state, cold.opt_state)
    assert warm.updates == 0


def test_before_its_first_step_it_scores_as_its_source_and_writes_nothing(source, capsys):
    assert main([*EXP, '--workdir=a', '--mode=evaluate']) == 0
    expected = capsys.readouterr().out.splitlines()
    before = contents(source)
    assert main([*EXP, '--init_from=a', '--workdir=b', '--mode=evaluate']) == 0
    assert contents(source) == before
    assert capsys.readouterr().out.splitlines() == [
        line.replace('4', '0') if line.startswith('step') else line for line in expected
    ]


@pytest.mark.slow
def test_step_and_best_are_other_weights(source):
    _, at_2 = load('a:2')
    _, at_4 = load('a')
    assert_trees_equal(beginning('--init_from=a:2').params, at_2.average)
    assert_trees_equal(beginning('--init_from=a:best').params, at_4.average)


def test_what_was_taken_and_what_was_not_is_said_before_the_first_step(source, capsys):
    assert main([*EXP, '--init_from=a', '--workdir=b', '--config.curved=True']) == 0
    assert capsys.readouterr().err == (
        '--init_from a at step 4: 2 of 3 taken: line\nonly here, and new: params/curve\n'
    )
    record = manifest('b')['launches'][0]['init_from']
    assert record['taken'] == ['params/line/offset', 'params/line/slopes']
    assert (record['source'], record['step']) == ('a', 4)
    assert (record['only here'], record['only there']) == (['params/curve'], [])
    assert main([*EXP, '--init_from=b', '--workdir=c']) == 0
    assert capsys.readouterr().err == (
        '--init_from b at step 4: 2 of 2 taken: line\nonly there: average/curve, params/curve\n'
    )


@pytest.mark.parametrize(
    ('words', 'message'),
    [
        (
            ['--init_from=a', '--config.width=5'],
            '--init_from a: average/line/slopes is float32 [3] there and float32 [5] here',
        ),
        (
            ['--init_from=gone'],
            '--init_from is gone; it takes a run directory, RUN:STEP, RUN:best, FILE.safetensors '
            'or a folder with one',
        ),
        (['--init_from=a:3'], '--init_from: a has no checkpoint 3; there are: 2, 4'),
        (['--init_from=a/gone.safetensors'], '--init_from: [Errno 2] No such file or directory: '),
        (['--init_from=bad.safetensors'], '--init_from: bad.safetensors is no safetensors file'),
        (
            ['--init_from=other.safetensors'],
            '--init_from other.safetensors: it has no weights of these names: params/line/offset',
        ),
        (['--init_from='], '--init_from needs a value'),
    ],
)
def test_what_does_not_fit_is_refused_in_a_line_and_nothing_is_written(
    words, message, source, capsys
):
    from safetensors.numpy import save_file

    save_file({'x': np.zeros(3)}, 'other.safetensors')
    (source / 'bad.safetensors').write_text('{}')
    before = contents(source)
    assert main([*EXP, '--workdir=b', *words]) == 2
    assert contents(source) == before
    out, err = capsys.readouterr()
    assert out == '' and err.startswith(message) and err.count('\n') == 1


def test_a_state_without_parameters_is_refused(source, capsys):
    assert main(['--exp=toy', '--init_from=a']) == 2
    expected = '--init_from is a, and toy has no parameters that gradient descent trains\n'
    assert capsys.readouterr().err == expected


def workdir(*words):
    return _plan([*EXP, *words]).workdir


@pytest.mark.slow
def test_what_it_began_with_makes_it_another_run(source):
    shutil.copytree('a', 'b')
    cold, from_a = workdir(), workdir('--init_from=a')
    assert len({cold, from_a, workdir('--init_from=b'), workdir('--init_from=a:2')}) == 4
    for same in ('./a', 'a/', 'a:last', str(source / 'a')):
        assert workdir(f'--init_from={same}') == from_a
    assert parse([*EXP, '--init_from=/elsewhere/a']).init_from == '/elsewhere/a'


@pytest.mark.slow
def test_a_directory_is_refused_to_a_run_with_another_beginning(source, capsys):
    assert main([*EXP, '--init_from=a', '--workdir=b']) == 0
    capsys.readouterr()
    for words, here in (([], 'absent'), (['--init_from=a:2'], '"a:2"')):
        assert main([*EXP, '--workdir=b', *words]) == 2
        assert capsys.readouterr().err == (
            f'workdir b belongs to another config: --init_from is "a" there and {here} here\n'
        )
    before = contents(source / 'b' / 'samples')
    for mode in ('evaluate', 'sample'):  # what it began with does not matter to these
        assert main([*EXP, '--workdir=b', f'--mode={mode}']) == 0
    assert contents(source / 'b' / 'samples') == before


@pytest.mark.slow
def test_it_goes_on_to_the_bit_without_its_source(source, capsys):
    warm = [*EXP, '--init_from=a']
    assert main([*warm, '--workdir=whole']) == 0
    assert main([*warm, '--workdir=parts', '--until=2']) == 0
    shutil.rmtree('a')
    capsys.readouterr()
    assert main([*warm, '--workdir=parts']) == 0
    assert capsys.readouterr().err == ''
    assert lines('parts') == lines('whole')
    assert_trees_equal(load('parts')[1], load('whole')[1])


@pytest.mark.slow
def test_without_a_checkpoint_it_begins_with_the_same_weights_or_not_at_all(source, capsys):
    warm = [*EXP, '--init_from=a', '--workdir=b']
    assert main([*warm, '--until=1']) == 0
    first = lines('b')
    shutil.rmtree('b/checkpoints')
    assert main([*EXP, '--workdir=a2', '--config.steps=6']) == 0
    for step in (4, 6):  # the source was trained further, and has its step 4 still
        shutil.copytree(f'a2/checkpoints/{step}', f'a/checkpoints/{step}', dirs_exist_ok=True)
    assert main([*warm, '--until=1']) == 0
    assert lines('b') == first
    assert [launch['init_from']['step'] for launch in manifest('b')['launches']] == [4, 4]

    shutil.rmtree('b/checkpoints')
    shutil.rmtree('a')
    assert main([*EXP, '--workdir=a', '--config.rate=0.2']) == 0
    capsys.readouterr()
    assert main(warm) == 2
    assert capsys.readouterr().err == (
        '--init_from is a, whose weights are not those that workdir b began with\n'
    )


@pytest.mark.slow
def test_a_replay_begins_where_the_run_did(source, capsys):
    assert main([*EXP, '--init_from=a', '--workdir=b']) == 0
    capsys.readouterr()
    assert replay(['b', '--steps', '4']) == 0
    assert capsys.readouterr().out.startswith('b: equal to the bit: steps 1 to 4')
    shutil.rmtree('a')
    assert replay(['b', '--steps', '4']) == 2
    _, err = capsys.readouterr()
    assert err.startswith('--init_from is a; it takes a run directory') and err.count('\n') == 1
    assert replay(['b', '--from', '2']) == 0
    assert replay(['b', '--step', '4']) == 0


@pytest.mark.slow
def test_every_seed_begins_with_the_same_weights(source):
    assert main([*EXP, '--init_from=a', '--seeds=0:2', '--until=2']) == 0
    assert main([*EXP, '--init_from=a', '--config.seed=1', '--workdir=alone', '--until=2']) == 0
    together = workdir('--init_from=a', '--config.seed=1')
    weights = weights_of(load(together)[1])
    for name, x in weights_of(load('alone')[1]).items():
        np.testing.assert_allclose(weights[name], x, rtol=1e-6)


def test_weights_out_and_in_and_out_again_are_the_same_to_the_bit(source):
    state = beginning('--init_from=weights')
    _, trained = load('a')
    for name, x in weights_of(trained).items():
        if name.startswith('average/'):
            np.testing.assert_array_equal(weights_of(state)[name], x, strict=True)
    assert jax.tree.structure(state) == jax.tree.structure(trained)
