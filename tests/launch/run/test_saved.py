"""A run opened for reading: its checkpoints and averages by name, and nothing written in it."""

import json
import os
import pathlib
import shutil

import jax
import numpy as np
import pytest

from genjax.training import evaluate, restore
from launch.__main__ import main
from launch.cli.refusal import Refused
from launch.run import rebuild, rundir
from launch.run.saved import open_saved
from tests.trees import assert_trees_equal

PAGE = pathlib.Path(__file__).parents[2] / 'experiments/_drawn.py'
EXP = f'--exp={PAGE}'
TOY = PAGE.with_name('toy.py')
# It walks away from what it should learn, so that its first checkpoint is the best.
AWAY = [EXP, '--config.rate=4.0', '--workdir=run']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main(AWAY) == 0
    return place / 'run'


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, 'run')
    return pathlib.Path('run')


def contents(run):
    """All files, with when they were changed."""
    files = (path for path in run.rglob('*') if path.is_file())
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


def rows(run):
    lines = (run / 'metrics.jsonl').read_text().splitlines()
    return {row['step']: row for row in map(json.loads, lines)}


@pytest.mark.parametrize('flag', ['--data_dir', '--config.data_dir'])
def test_a_run_is_opened_on_the_data_where_its_command_said_that_they_lie(
    flag, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    assert main([f'--exp={TOY}', '--workdir=run', f'{flag}=elsewhere']) == 0
    assert open_saved('run').plan.config.data_dir == 'elsewhere'


@pytest.mark.parametrize(
    ('name', 'step'), [('run', 6), ('run:last', 6), ('run:4', 4), ('run:best', 2), ('./run/:2', 2)]
)
def test_a_checkpoint_is_opened_by_name_and_nothing_is_written(name, step, run):
    losses = {step: row['test/loss'] for step, row in rows(run).items() if 'test/loss' in row}
    assert min(losses, key=losses.get) == 2
    before = contents(run)
    saved = open_saved(name)
    assert saved.step == step and saved.plan.workdir == run
    found = evaluate(saved.plan.experiment, saved.state, seed=0, mesh=saved.plan.mesh)
    assert found['test/loss'] == losses[step]
    assert contents(run) == before


def test_an_average_is_chosen_by_name(run):
    own = open_saved('run').state
    assert_trees_equal(open_saved('run', average='average').state, own)
    for name, expected in (('none', own.params), ('long', own.others['long'])):
        chosen = open_saved('run', average=name).state
        assert_trees_equal(chosen.average, expected)
        assert_trees_equal(chosen._replace(average=own.average), own)
        assert not np.array_equal(chosen.average['grey'], own.average['grey'])


REFUSED = {
    'run:3': 'run has no checkpoint 3; there are: 2, 4, 6',
    'nothing': 'nothing holds no run that was launched',
    'nothing:best': 'nothing holds no run that was launched',
    'run:worst': 'run:worst holds no run that was launched',
}


@pytest.mark.parametrize('name', REFUSED)
def test_what_is_not_there_is_refused_with_what_is(name, run):
    with pytest.raises(Refused) as caught:
        open_saved(name)
    assert str(caught.value) == REFUSED[name]


def test_an_average_that_is_not_kept_is_refused(run):
    with pytest.raises(Refused) as caught:
        open_saved('run', average='short')
    assert str(caught.value) == "run: average is 'short'; there are: none, average, long"


def test_the_best_of_what_was_not_measured_is_refused(run):
    for step in rundir.checkpoints(run):
        (run / f'checkpoints/{step}/metrics/metrics').write_text('{}')
    with pytest.raises(Refused, match='^run has no checkpoint that was measured by test/loss$'):
        open_saved('run:best')


def test_a_damaged_checkpoint_stays_where_it_is(run, capfd):
    (run / 'checkpoints/6/tally/metadata').write_text('{}')
    before = contents(run)
    assert open_saved('run').step == 4
    says = f'checkpoint {run.absolute()}/checkpoints/6 is damaged: '
    assert capfd.readouterr().err.startswith(says)
    with pytest.raises(Refused, match='^checkpoint 6 in .* is damaged: '):
        open_saved('run:6')
    assert contents(run) == before


def test_devices_may_be_others_than_the_runs(run):
    manifest = rundir.read(run / 'manifest.json')
    manifest['launches'][-1]['flags'].append('--mesh=data=1,model=32')
    rundir.write(run / 'manifest.json', manifest)
    with pytest.raises(Refused):
        rebuild.plan(run)
    assert open_saved('run').plan.mesh.size == 8
    config = rundir.read(run / 'config.json')
    rundir.write(run / 'config.json', config | {'batch': 12})
    assert open_saved('run').plan.mesh.size == 6


def test_a_directory_whose_name_ends_as_a_checkpoint_does_is_a_run(run):
    run.rename('run:2')
    assert open_saved('run:2').step == 6
    assert open_saved('run:2:4').step == 4


def test_a_state_without_averages_has_none_to_choose(folder):
    assert main(['--exp=toy', '--workdir=toy']) == 0
    with pytest.raises(Refused, match="^toy: average is 'none'; the state keeps no average"):
        open_saved('toy', average='none')
    assert open_saved('toy').state == {'position': pytest.approx(2.8125)}


# By the launcher.


def printed(capsys, *words):
    capsys.readouterr()
    assert main([*AWAY, *words]) == 0
    return capsys.readouterr()


def test_evaluate_says_which_checkpoint_and_average_it_measured(run, capsys):
    found = printed(capsys, '--mode=evaluate', '--checkpoint=best', '--average=none').out
    lines = dict(line.split(maxsplit=1) for line in found.splitlines())
    assert lines['step'] == '2' and lines['average'] == 'none'
    saved = open_saved('run:2', average='none')
    expected = evaluate(saved.plan.experiment, saved.state, seed=0, mesh=saved.plan.mesh)
    assert lines['test/loss'] == f'{expected["test/loss"]:.6g}'
    own = printed(capsys, '--mode=evaluate').out.splitlines()
    assert own[:2] == ['step       6', "average    the run's own"]


def test_pictures_by_another_average_lie_in_a_folder_of_their_own(run, capsys):
    before = contents(run)
    picture = run / 'samples/picture_picture_00000006.png'
    out, err = printed(capsys, '--mode=sample', '--average=none')
    assert out == f'{run}/samples/average=none/{picture.name}\n'
    assert err == 'run: step 6, average none\n'
    assert contents(run)[picture] == before[picture]
    assert (run / 'samples/average=none' / picture.name).read_bytes() != picture.read_bytes()


WRONG = {
    '--mode=sample --checkpoint=first': '--checkpoint is first; it takes a step, best or last',
    '--mode=evaluate --checkpoint=3': 'run has no checkpoint 3; there are: 2, 4, 6',
    '--mode=evaluate --average=x': "run: average is 'x'; there are: none, average, long",
    '--checkpoint=best': '--checkpoint is best and --mode is train; it is for --mode evaluate and'
    ' --mode sample',
    '--average=none': '--average is none and --mode is train; it is for --mode evaluate and --mode'
    ' sample',
    '--out=x': '--out is x and --mode is train; it is for --mode evaluate and --mode sample',
}


@pytest.mark.parametrize('line', WRONG)
def test_the_launcher_refuses_in_one_line(line, run, capsys):
    before = contents(run)
    assert main([*AWAY, *line.split()]) == 2
    assert capsys.readouterr() == ('', WRONG[line] + '\n')
    assert contents(run) == before


@pytest.fixture
def read_only(run, monkeypatch):
    """The run, to which the system says that nobody may write."""
    access = os.access

    def refused(path, how, **options):
        inside = pathlib.Path(path).absolute().is_relative_to(run.absolute())
        return not (inside and how & os.W_OK) and access(path, how, **options)

    monkeypatch.setattr(os, 'access', refused)  # root may write anywhere
    before = contents(run)
    yield run
    assert contents(run) == before


def test_a_run_that_is_read_only_is_evaluated(read_only, capsys):
    out, err = printed(capsys, '--mode=evaluate')
    assert out.startswith('step       6\n')
    assert err == 'workdir run is not writable: this is not noted\n'
    for _ in range(2):
        assert printed(capsys, '--mode=evaluate', '--out=scores') == (out, '')
    measured = json.loads(pathlib.Path('scores/evaluation_00000006.json').read_text())
    assert measured == {
        'step': 6,
        'average': "the run's own",
        'test/loss': rows(read_only)[6]['test/loss'],
    }


def test_a_run_that_is_read_only_is_sampled_from_with_out(read_only, capsys):
    assert main([*AWAY, '--mode=sample']) == 2
    assert capsys.readouterr().err == (
        'workdir run is not writable; --out DIR is where what is drawn from it goes\n'
    )
    out, _ = printed(capsys, '--mode=sample', '--out=pictures')
    assert out == 'pictures/picture_picture_00000006.png\n'
    own = read_only / 'samples/picture_picture_00000006.png'
    assert pathlib.Path('pictures', own.name).read_bytes() == own.read_bytes()
    assert printed(capsys, '--mode=sample', '--n=3', '--out=drawn').out.startswith('drawn: 3 ')
    assert main([*AWAY, '--mode=sample', '--average=none', '--out=pictures']) == 2
    assert capsys.readouterr().err == (
        '--out is pictures, which holds samples of something else: average is "average" there and'
        ' "none" here\n'
    )


def test_training_in_a_run_that_is_read_only_is_refused(read_only, capsys):
    assert main(AWAY) == 2
    assert capsys.readouterr().err == 'workdir run cannot be used: run is not writable\n'


def test_the_librarys_restore_writes_nothing(run):
    before = contents(run)
    plan = rebuild.plan(run)
    step, state = restore(plan.experiment, mesh=plan.mesh, workdir=run, step=4)
    assert step == 4 and jax.tree.leaves(state)[0].sharding.mesh == plan.mesh
    with pytest.raises(FileNotFoundError, match='^no checkpoint 5 in'):
        restore(plan.experiment, mesh=plan.mesh, workdir=run, step=5)
    assert contents(run) == before
