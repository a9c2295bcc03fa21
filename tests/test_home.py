"""A user without a home: what needs none runs, what needs one says what to set, and no folder is
named ~."""

import os
import pathlib
import pwd
import shutil
import subprocess
import sys
import tempfile

import pytest

from genjax.data.images import prepare
from genjax.data.text.sources import sentences_of
from genjax.home import cache_folder, data_folder, expanded, home, writable
from launch.__main__ import main
from launch.cli import environment
from launch.cli.flags import parse
from launch.cli.refusal import Refused
from tests.data.images.test_decoded import OURS, prepared, start

ROOT = pathlib.Path(__file__).parent.parent
HOMES = {  # HOME, None where it is not set -> what is said of it
    None: 'HOME is not set, nor has this user one',
    '': "HOME is '', which is no folder",
    '~': "HOME is '~', which is no folder",
    'relative': "HOME is 'relative', which is no folder",
    '/no/such/home': "HOME is '/no/such/home', which is no folder",
}


@pytest.fixture(params=HOMES, ids=str)
def why(request, tmp_path, monkeypatch):
    """Why there is no home; the working directory is an empty one."""

    def unknown(uid):
        raise KeyError(uid)

    monkeypatch.setattr(pwd, 'getpwuid', unknown)
    for name in ('HOME', 'XDG_CACHE_HOME', 'TFDS_DATA_DIR', environment.COMPILED):
        monkeypatch.delenv(name, raising=False)
    if request.param is not None:
        monkeypatch.setenv('HOME', request.param)
    (tmp_path / 'here/relative').mkdir(parents=True)
    monkeypatch.chdir(tmp_path / 'here')
    return HOMES[request.param]


def test_a_home_is_a_folder_that_exists(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.delenv('TFDS_DATA_DIR', raising=False)
    assert home() == expanded('~') == tmp_path
    assert expanded('~/a') == tmp_path / 'a' and expanded('a/~') == pathlib.Path('a/~')
    assert expanded('~nobody_at_all/a') == pathlib.Path('~nobody_at_all/a')
    assert (cache_folder(), data_folder()) == (
        tmp_path / '.cache/genjax',
        tmp_path / 'tensorflow_datasets',
    )
    monkeypatch.setenv('XDG_CACHE_HOME', '/caches')
    monkeypatch.setenv('TFDS_DATA_DIR', '/sets')
    assert (cache_folder(), data_folder()) == (
        pathlib.Path('/caches/genjax'),
        pathlib.Path('/sets'),
    )
    assert data_folder('~/own') == tmp_path / 'own'


def test_what_is_named_needs_no_home(why, monkeypatch):
    assert home() is None and cache_folder() is None
    assert data_folder('/given') == expanded('/given') == pathlib.Path('/given')
    monkeypatch.setenv('TFDS_DATA_DIR', '/sets')
    assert data_folder() == pathlib.Path('/sets')
    monkeypatch.setenv('XDG_CACHE_HOME', '/caches')
    assert cache_folder() == pathlib.Path('/caches/genjax')


def test_what_lies_in_a_home_says_what_to_set(why):
    told = f'lies in a home folder, and {why}; set HOME, or'
    for act, path in {
        lambda: expanded('~/a'): f'~/a {told} give a path without ~',
        lambda: sentences_of('~/a.txt'): f'~/a.txt {told} give a path without ~',
        lambda: next(
            iter(sentences_of('text8'))
        ): f'~/tensorflow_datasets {told} TFDS_DATA_DIR or data_dir to a folder',
        lambda: prepare.open_set(
            'mnist', '~/sets'
        ): f'~/sets {told} TFDS_DATA_DIR or data_dir to a folder',
        lambda: prepare.open_set(
            'mnist'
        ): f'~/tensorflow_datasets {told} TFDS_DATA_DIR or data_dir to a folder',
    }.items():
        with pytest.raises(FileNotFoundError) as error:
            act()
        assert str(error.value) == path
    with pytest.raises(
        Refused, match='^--workdir is ~/run; ~/run lies in a home folder, and HOME is '
    ):
        parse(['--exp=toy', '--workdir=~/run'])
    assert [path.name for path in pathlib.Path().iterdir()] == ['relative']


def test_a_set_that_is_prepared_needs_no_home_even_read_only(why, tmp_path, capsys):
    given = prepared(tmp_path / 'given', OURS)
    with pytest.raises(ValueError, match='nearest: shapes$'):
        prepare.open_set('shape', str(given))
    capsys.readouterr()
    for folder in (given, given / 'shapes'):
        folder.chmod(0o555)
    assert start(given).train[0]['image'].shape == (9, 4, 6, 3)
    says = f'{given}/shapes is read-only, and decoded anew each time: {why}; set HOME or XDG_CACHE_HOME to a folder'
    assert capsys.readouterr().err == f'{says} that can be written\n'
    with pytest.raises(
        FileNotFoundError, match=r'^mnist is not prepared in .*given, which is read-only; ~/tensorf'
    ):
        prepare.open_set('mnist', str(given))
    assert [path.name for path in pathlib.Path().iterdir()] == ['relative'] and not list(
        given.rglob('*.npz')
    )


@pytest.mark.parametrize(
    'why',
    [None, *(pytest.param(home, marks=pytest.mark.slow) for home in HOMES if home is not None)],
    indirect=True,
)
def test_a_launch_that_needs_no_home_runs_and_says_once_what_it_lacks(why, folder, capsys):
    before = dict(os.environ)
    environment.prepare()
    kept = os.environ.pop(environment.COMPILED, None)
    os.environ.clear()
    os.environ.update(before)
    assert kept is None
    assert main(['--list']) == 0
    assert main(['--exp=toy', '--workdir=a', '--config.steps=none']) == 2
    assert capsys.readouterr().err == '--config.steps takes an int, not none\n'
    assert main(['--exp=toy', '--workdir=a']) == 0
    says = f'compiled programs are not kept: {why}; set HOME or XDG_CACHE_HOME to a folder that can be written\n'
    assert capsys.readouterr().err == says
    assert sorted(path.name for path in folder.iterdir()) == ['a', 'here']


def test_a_home_that_cannot_be_written_is_none_for_caches(tmp_path, monkeypatch, capsys):
    for name in ('XDG_CACHE_HOME', environment.COMPILED):
        monkeypatch.delenv(name, raising=False)
    tmp_path.chmod(0o555)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert home() == tmp_path and not writable(cache_folder())
    environment.warn_without_cache()
    told = f'compiled programs are not kept: {tmp_path}/.cache/genjax cannot be written; set HOME or XDG_CACHE_HOME'
    assert capsys.readouterr().err == f'{told} to a folder that can be written\n'
    monkeypatch.setenv(environment.COMPILED, '/chosen')
    environment.warn_without_cache()
    assert capsys.readouterr().err == ''


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which('setpriv'), reason='only root can be somebody else'
)
def test_a_user_who_is_nobody_trains(tmp_path):
    """As in a container that is started with a number for its user."""
    with tempfile.TemporaryDirectory() as place:  # pytest's own folders are for root alone
        os.chmod(place, 0o777)
        nobody = ['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups']
        words = '--exp pca_digits --workdir a --config.every.evaluate=100 --config.every.save=100'
        environ = {
            key: value
            for key, value in os.environ.items()
            if key not in ('HOME', environment.COMPILED)
        }
        environ |= {'PYTHONPATH': str(ROOT), 'PYTHONDONTWRITEBYTECODE': '1'}
        command = [*nobody, sys.executable, '-m', 'launch', *words.split()]
        done = subprocess.run(command, cwd=place, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f'compiled programs are not kept: {HOMES[None]};')
        assert 'Traceback' not in done.stderr and os.listdir(place) == ['a']
