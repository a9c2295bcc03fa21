"""Samples by the thousand: whatever stops them, the same files."""

import contextlib
import json
import os
import pathlib
import shutil
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from genjax.training import generate
from genjax.training.samples import to_levels
from launch.__main__ import main
from launch.run import sample_files, signals
from launch.run.saved import open_saved
from tests.marks import slow

ROOT = pathlib.Path(__file__).parents[3]
EXP = f'--exp={ROOT / "tests/experiments/_drawn.py"}'
DRAW = [EXP, '--workdir=run', '--mode=sample']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        assert main([EXP, '--workdir=run']) == 0
    return place / 'run'


@pytest.fixture
def run(trained, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(trained, 'run')
    return pathlib.Path('run')


def drawn(*words):
    assert main([*DRAW, *words]) == 0


def files(folder):
    """What lies there but for the lock."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != '.lock'}


def pixels(path):
    return np.asarray(Image.open(path))


def test_images_by_number_with_their_labels(run, capsys):
    before = everything(run)
    capsys.readouterr()
    drawn('--n=10', '--out=a')
    out, _ = capsys.readouterr()
    assert out == "a: 10 samples of run at step 6, average the run's own\n"
    names = [f'{i:06d}.png' for i in range(10)]
    assert sorted(files(pathlib.Path('a'))) == ['.samples.json', *names, 'dataset.json']
    labels = json.loads(pathlib.Path('a/dataset.json').read_text())['labels']
    assert labels == [[name, i % 3] for i, name in enumerate(names)]
    saved = open_saved('run')
    images = generate(
        saved.plan.experiment, saved.state, seed=0, numbers=range(10), mesh=saved.plan.mesh
    )
    levels = to_levels(images)[..., 0]
    assert np.array_equal([pixels(f'a/{name}') for name in names], levels)
    assert len(np.unique(levels)) > 50
    assert everything(run) == before


def test_one_file_as_guided_diffusions_evaluator_reads_it(run):
    drawn('--n=70', '--out=a', '--labels=2,0')
    drawn('--n=70', '--out=b.npz', '--labels=2,0')
    with np.load('b.npz') as arrays:
        assert sorted(arrays) == ['arr_0', 'arr_1']
        images, labels = arrays['arr_0'], arrays['arr_1']
    assert images.dtype == np.uint8 and images.shape == (70, 4, 4, 1)
    assert labels.dtype == np.int64 and labels.tolist() == [2, 0] * 35
    assert all(np.array_equal(pixels(f'a/{i:06d}.png'), images[i, ..., 0]) for i in range(70))
    assert not pathlib.Path('b.npz.parts').exists()
    before = pathlib.Path('b.npz').read_bytes()
    drawn('--n=70', '--out=b.npz', '--labels=2,0')
    assert pathlib.Path('b.npz').read_bytes() == before


def test_batches_of_7_and_of_64_are_the_same_within_one_grey_level(run):
    drawn('--n=100', '--out=a.npz', '--sample_batch=7')
    drawn('--n=100', '--out=b.npz', '--sample_batch=64')
    a, b = (np.load(path)['arr_0'].astype(int) for path in ('a.npz', 'b.npz'))
    assert abs(a - b).max() <= 1 and (a != b).mean() < 0.01
    assert len(np.unique(a, axis=0)) == 100


class Killed(BaseException):
    """No part of the program catches it."""


@pytest.mark.parametrize('out', [slow('b'), 'b.npz'])
def test_a_command_that_was_killed_goes_on_to_the_same_bytes(out, run, monkeypatch):
    whole = out.replace('b', 'a')
    words = ['--n=200', '--sample_batch=8']
    drawn(*words, f'--out={whole}')
    write = sample_files.write_atomically
    for stops_after in (0, 3, 11):
        count = 0

        def killed(path, content, stops_after=stops_after):
            nonlocal count
            if count == stops_after:
                path.with_name(f'.{path.name}.partial').write_bytes(content[:9])
                raise Killed
            count += 1
            write(path, content)

        monkeypatch.setattr(sample_files, 'write_atomically', killed)
        with pytest.raises(Killed):
            drawn(*words, f'--out={out}')
    monkeypatch.setattr(sample_files, 'write_atomically', write)
    drawn(*words, f'--out={out}')
    if out == 'b':
        assert files(pathlib.Path('b')) == files(pathlib.Path('a'))
    else:
        assert pathlib.Path('b.npz').read_bytes() == pathlib.Path('a.npz').read_bytes()


def test_what_is_there_is_not_drawn_again_and_more_may_be_asked_for(run):
    drawn('--n=5', '--out=a')
    first = {path: path.stat().st_mtime_ns for path in pathlib.Path('a').glob('*.png')}
    drawn('--n=70', '--out=a')
    assert {path: path.stat().st_mtime_ns for path in first} == first
    drawn('--n=70', '--out=b')
    assert files(pathlib.Path('a')) == files(pathlib.Path('b'))


@contextlib.contextmanager
def stopped():
    yield lambda: True


def test_a_signal_stops_it_and_the_same_command_goes_on(run):
    words = ['--n=200', '--sample_batch=8', '--out=a']
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signals, 'stop_requests', stopped)
        assert main([*DRAW, *words]) == signals.STOPPED
    assert len(list(pathlib.Path('a').glob('*.png'))) == 8
    drawn(*words)
    drawn('--n=200', '--sample_batch=8', '--out=b')
    assert files(pathlib.Path('a')) == files(pathlib.Path('b'))


REFUSED = {
    '--n=5': '--n is 5, without --out, a folder or FILE.npz for the samples',
    '--n=0 --out=a': '--n is 0; it takes a whole number, 1 or more',
    '--labels=1 --out=a': '--labels is given without --n',
    '--n=5 --out=a --labels=x': '--labels is x; it takes all, a label or several, as 3 or 0,1,7',
    '--n=5 --out=a --labels=1,3': '_drawn: labels are [1, 3]; they must lie in 0..2',
    '--n=5 --out=a --sample_seed=-1': '--sample_seed is -1; it takes 0 to 4294967295',
    '--n=5 --out=thesis': '--out is thesis, which holds files and no .samples.json',
    '--n=5 --out=thesis/a.tex': '--out is thesis/a.tex, which is a file; it takes a folder or'
    ' FILE.npz',
    '--n=5 --out=thesis/a.tex/b': '--out is thesis/a.tex/b, which is not writable',
    '--n=5 --out=old.npz': '--out is old.npz, which is there already, without old.npz.json',
    '--out=new.npz': '--out is new.npz, which is for samples, with --n; else it takes a folder',
    '--n=5 --out=drawn --checkpoint=4': '--out is drawn, which holds samples of something else:'
    ' checkpoint is "',
    '--n=5 --out=drawn --sample_seed=1': '--out is drawn, which holds samples of something else:'
    ' sample_seed is 0 there and 1 here',
    '--n=5 --out=drawn --config.sampler.scale=1': '--out is drawn, which holds samples of something'
    ' else: config.sampler.scale is 0.5 there and 1.0 here',
    '--n=5 --out=drawn --labels=1': '--out is drawn, which holds samples of something else:'
    ' labels is [0, 1, 2] there and [1] here',
    '--n=5 --out=drawn --average=none': '--out is drawn, which holds samples of something else:'
    ' average is "average" there and "none" here',
    '--n=6 --out=six.npz': '--out is six.npz, which holds samples of something else: n is 7 there'
    ' and 6 here',
}


@pytest.fixture(scope='module')
def place(trained, tmp_path_factory):
    """Folders and files of samples and of something else."""
    place = tmp_path_factory.mktemp('place')
    shutil.copytree(trained, place / 'run')
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        drawn('--n=5', '--out=drawn')
        drawn('--n=7', '--out=six.npz')
    (place / 'thesis').mkdir()
    (place / 'thesis/a.tex').write_text('')
    (place / 'old.npz').write_text('')
    return place


def everything(place):
    return {path: path.stat().st_mtime_ns for path in place.rglob('*') if path.is_file()}


@pytest.mark.parametrize('line', REFUSED)
def test_refuses_in_one_line_and_writes_nothing(line, place, monkeypatch, capsys):
    monkeypatch.chdir(place)
    before = everything(place)
    assert main([*DRAW, *line.split()]) == 2
    out, err = capsys.readouterr()
    assert out == '' and err.startswith(REFUSED[line]) and err.count('\n') == 1
    assert everything(place) == before


def of_kind(kind):
    """Flags of a run that samples something else, which is trained."""
    flags = [EXP, f'--config.kind={kind}', f'--workdir={kind}']
    assert main(flags) == 0
    return [*flags, '--mode=sample', '--n=5', '--out=a']


@pytest.mark.slow
def test_rows_are_drawn_as_the_images_that_they_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(of_kind('rows')) == 0
    assert pixels('a/000004.png').shape == (4, 4)
    assert not pathlib.Path('a/dataset.json').exists()


def test_what_is_no_image_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = of_kind('points')
    capsys.readouterr()
    assert main(words) == 2
    assert capsys.readouterr().err == (
        '--n draws images, [H, W, 1 or 3] in [-1, 1]; a sample of _drawn is float32[2]\n'
    )
    assert not pathlib.Path('a').exists()


def test_labels_of_a_model_without_are_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    words = of_kind('plain')
    assert main([*words, '--labels=1']) == 2
    assert capsys.readouterr().err == '_drawn: labels are [1]; the model has none\n'


def test_an_experiment_that_does_not_sample_is_refused(folder, capsys):
    assert main(['--exp=toy', '--workdir=toy']) == 0
    capsys.readouterr()
    assert main(['--exp=toy', '--workdir=toy', '--mode=sample', '--n=2', '--out=a']) == 2
    assert capsys.readouterr().err == 'toy: the algorithm defines no samples\n'


def launched(folder, devices, *words):
    """A process of its own on so many devices."""
    environment = os.environ | {
        'JAX_NUM_CPU_DEVICES': str(devices),
        'JAX_PLATFORMS': 'cpu',
        'PYTHONPATH': str(ROOT),
        'JAX_COMPILATION_CACHE_DIR': str(ROOT / '.pytest_cache/xla'),
    }
    command = [sys.executable, '-m', 'launch', *DRAW, *words]
    return subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.DEVNULL)


@pytest.mark.slow
def test_5000_samples_killed_ten_times_are_5000_straight_on_1_and_8_devices(run):
    folders = []
    for devices in (1, 8):
        words = ['--n=5000', '--sample_batch=16']
        straight, killed = pathlib.Path(f'straight{devices}'), pathlib.Path(f'killed{devices}')
        folders += [straight, killed]
        assert launched('.', devices, *words, f'--out={straight}').wait(300) == 0
        for kill in range(1, 11):
            process = launched('.', devices, *words, f'--out={killed}')
            try:
                while len(list(killed.glob('*.png'))) < 450 * kill:
                    assert process.poll() is None
                    time.sleep(0.001)
            finally:
                process.kill()
                process.wait()
        assert 4500 <= len(list(killed.glob('*.png'))) < 5000
        assert launched('.', devices, *words, f'--out={killed}').wait(300) == 0
    first, *others = map(files, folders)
    assert len(first) == 5002
    assert all(other == first for other in others)
