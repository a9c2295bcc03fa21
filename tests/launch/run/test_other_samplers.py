"""Samples and scores of a run by another sampler than its own, without training it again."""

import pathlib
import shutil

import numpy as np
import pytest
from PIL import Image

from launch.__main__ import main
from launch.cli import catalogue
from launch.replay import main as replay
from launch.run import rundir
from launch.viewer.page import page
from launch.viewer.pictures import pictures_of
from launch.viewer.reading import find_runs, read_run
from tests.conftest import toy_experiments

pytestmark = pytest.mark.usefixtures('folder')
OTHER = ['--config.sampler.name=white', '--config.sampler.steps=3']
DRAWN = 'sampler.name=white,sampler.steps=3'  # the folder of what OTHER draws


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of the toy, and one of its other sampler, in their default directories."""
    place = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch, toy_experiments(place, patch):
        assert main(['--exp=toy']) == 0
        assert main(['--exp=toy', '--config.sampler.name=white']) == 0
    return place


@pytest.fixture
def run(trained, folder):
    """The toy's own run, alone in the working directory, by its relative path."""
    own = rundir.default('toy', rundir.identity(catalogue.load('toy').get_config()))
    shutil.copytree(trained / own, own)
    return own


def files(run):
    there = {path for path in run.rglob('*') if path.is_file() and path.name != '.lock'}
    return {path.relative_to(run): path.read_bytes() for path in there}


def shade(path):
    return int(np.asarray(Image.open(path)).mean())


def test_another_sampler_draws_into_a_folder_of_its_own(run, capsys):
    before = files(run)
    assert main(['--exp=toy', '--mode=sample', *OTHER]) == 0
    drawn = set(map(pathlib.Path, capsys.readouterr().out.splitlines()))
    names = ('near_near', 'picture_picture', 'where_where')
    assert {(path.parent, path.stem) for path in drawn} == {
        (run / 'samples' / DRAWN, f'{name}_00000004') for name in names
    }
    assert shade(run / 'samples' / DRAWN / 'picture_picture_00000004.png') == 255
    assert shade(run / 'samples/picture_picture_00000004.png') == 0
    after = files(run)
    launch = rundir.read(run / 'manifest.json')['launches'][-1]
    assert launch['flags'] == ['--exp=toy', '--mode=sample', *OTHER]
    assert after.keys() - before.keys() == {path.relative_to(run) for path in drawn}
    changed = {str(path) for path in before if before[path] != after[path]}
    assert changed == {'manifest.json'}


def test_what_differs_names_the_folder_and_the_runs_own_sampler_has_none(run, capsys):
    assert main(['--exp=toy', '--mode=sample', '--config.sampler.steps=2']) == 0
    assert (run / 'samples/sampler.steps=2/near_near_00000004.txt').read_text() == 'yes yes'
    before = files(run)
    assert main(['--exp=toy', '--mode=sample', '--config.sampler.steps=1']) == 0
    assert files(run).keys() == before.keys()


def test_another_sampler_scores_and_writes_no_file(run, capsys):
    before = files(run)
    capsys.readouterr()
    assert main(['--exp=toy', '--mode=evaluate', *OTHER]) == 0
    assert capsys.readouterr().out.endswith('\n\nnear/near\nyes yes yes\n')
    after = files(run)
    assert {str(path) for path in after if after[path] != before.get(path)} == {'manifest.json'}


def test_a_directory_that_is_named_is_taken_by_any_sampler_of_its_config(run, folder, capsys):
    run.rename('a')
    assert main(['--exp=toy', '--mode=sample', '--workdir=a', *OTHER]) == 0
    assert (folder / 'a/samples' / DRAWN / 'picture_picture_00000004.png').exists()
    capsys.readouterr()
    before = files(folder / 'a')
    wrong = ['--exp=toy', '--workdir=a', *OTHER, '--config.walk.rate=0.1']
    for mode in ('sample', 'evaluate'):
        assert main([*wrong, f'--mode={mode}']) == 2
        says = 'workdir a belongs to another config: walk.rate is 0.5 there and 0.1 here\n'
        assert capsys.readouterr() == ('', says)
    assert files(folder / 'a') == before


def test_a_run_that_was_trained_so_comes_first(trained, run, capsys):
    white = rundir.identity(catalogue.load('toy').get_config()) | {
        'sampler': {'name': 'white', 'steps': 1}
    }
    its_own = rundir.default('toy', white)
    words = ['--exp=toy', '--mode=sample', '--config.sampler.name=white']
    before = files(run)
    shutil.copytree(trained / its_own, its_own)
    assert main(words) == 0
    assert files(run) == before and not list(its_own.glob('samples/sampler*'))
    shutil.rmtree(its_own / 'checkpoints')  # of a run that was stopped before its first
    assert main(words) == 0
    assert (run / 'samples/sampler.name=white/picture_picture_00000004.png').exists()


def test_another_sampler_of_a_run_that_is_not_there_is_refused(run, folder, capsys):
    shutil.rmtree(run / 'checkpoints')
    assert main(['--exp=toy', '--mode=sample', *OTHER]) == 2
    out, err = capsys.readouterr()
    exact = rundir.default(
        'toy',
        rundir.identity(catalogue.load('toy').get_config())
        | {'sampler': {'name': 'white', 'steps': 3}},
    )
    says = f'--mode is sample, and workdir {exact} holds no checkpoint; train it first\n'
    assert (out, err) == ('', says)
    assert list((folder / 'runs').iterdir()) == [folder / run]


def test_training_by_another_sampler_is_another_run(run, folder, capsys):
    assert main(['--exp=toy', f'--workdir={run}', *OTHER]) == 2
    assert capsys.readouterr().err == (
        f'workdir {run} belongs to another config: sampler.name is "black" there and "white" here,'
        ' sampler.steps is 1 there and 3 here\n'
    )
    assert main(['--exp=toy', *OTHER]) == 0
    assert len(list((folder / 'runs').iterdir())) == 2


def test_replay_and_the_page_of_runs_are_of_the_run(run, folder, capsys):
    text = page(find_runs([run]), folder)
    assert main(['--exp=toy', '--mode=sample', *OTHER]) == 0
    assert page(find_runs([run]), folder) == text
    drawn = [picture.path for picture in pictures_of(0, read_run(run))]
    assert drawn == [run / 'samples/picture_picture_00000004.png']
    capsys.readouterr()
    assert replay([str(run)]) == 0
    assert ': equal to the bit: ' in capsys.readouterr().out


def test_a_run_from_before_the_page_had_a_sampler_is_sampled_from(run, folder):
    run.rename('a')
    config = rundir.read(folder / 'a/config.json')
    del config['sampler']
    rundir.write(folder / 'a/config.json', config)
    assert main(['--exp=toy', '--mode=sample', '--workdir=a']) == 0
    assert (folder / 'a/samples/sampler.name=black,sampler.steps=1').is_dir()
    assert rundir.read(folder / 'a/config.json') == config


def test_a_setting_that_is_called_sampler_is_no_group(tmp_path):
    rundir.claim(tmp_path / 'a', 'toy', {'sampler': 18}, None, {})
    rundir.check(tmp_path / 'a', 'toy', {'sampler': 18}, of_samples=True)
    with pytest.raises(rundir.Refused, match='sampler is 18 there and 2 here'):
        rundir.check(tmp_path / 'a', 'toy', {'sampler': 2}, of_samples=True)
    with pytest.raises(rundir.Refused, match='sampler is 18 there and absent here'):
        rundir.check(tmp_path / 'a', 'toy', {'sampler': {'steps': 2}}, of_samples=True)


FOLDERS = {
    '': {},
    'sampler.scale=2.0': {'scale': 2.0},
    'sampler.interval=[0.0,5.0]': {'interval': [0.0, 5.0]},
    'sampler.name=..%2Fa,sampler.scale%3D1': {'name': '../a,sampler.scale=1'},
    'sampler.name=None': {'name': None},
}


@pytest.mark.parametrize('name', FOLDERS)
def test_a_folder_is_one_name_whatever_the_values_are(name):
    own = {'name': 'heun', 'scale': 1.0, 'interval': [0.0, 1.0]}
    assert rundir.samples_folder({'sampler': own}, {'sampler': own | FOLDERS[name]}) == name


def test_a_long_name_of_a_folder_ends_in_a_digest():
    own = {'sampler': {'name': ''}}
    a, b = (
        rundir.samples_folder(own, {'sampler': {'name': 'n' * 300 + end}}) for end in ('a', 'b')
    )
    assert a != b and a[:200] == b[:200] == f'sampler.name={"n" * 187}' and len(a) == 209
