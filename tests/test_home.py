"""A user without a home: what needs none runs, and what needs one says what to set.

No folder named ~ is ever made.
"""

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
from genjax.home import cache_folder, data_folder, expanded, home_folder, is_writable
from launch.__main__ import main
from launch.cli import environment
from launch.cli.flags import parse
from launch.cli.refusal import Refused
from tests.data.images.tiny_sets import SHAPES, open_shapes, prepare_shapes
from tests.marks import quick_only

ROOT = pathlib.Path(__file__).parent.parent
SET_A_CACHE = 'set HOME or XDG_CACHE_HOME to a folder that can be written'

# HOME, None where it is not set -> why there is no home.
HOMES = {
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


def first_sentence(corpus):
    return next(iter(sentences_of(corpus)))


def test_a_home_is_a_folder_that_exists(tmp_path, monkeypatch):
    monkeypatch.setenv('HOME', str(tmp_path))
    monkeypatch.delenv('XDG_CACHE_HOME', raising=False)
    monkeypatch.delenv('TFDS_DATA_DIR', raising=False)
    assert home_folder() == expanded('~') == tmp_path
    assert expanded('~/a') == tmp_path / 'a'
    assert expanded('a/~') == pathlib.Path('a/~')
    assert expanded('~nobody_at_all/a') == pathlib.Path('~nobody_at_all/a')
    assert cache_folder() == tmp_path / '.cache/genjax'
    assert data_folder() == tmp_path / 'tensorflow_datasets'
    monkeypatch.setenv('XDG_CACHE_HOME', '/caches')
    monkeypatch.setenv('TFDS_DATA_DIR', '/sets')
    assert cache_folder() == pathlib.Path('/caches/genjax')
    assert data_folder() == pathlib.Path('/sets')
    assert data_folder('~/own') == tmp_path / 'own'


def test_what_is_named_needs_no_home(why, monkeypatch):
    assert home_folder() is None
    assert cache_folder() is None
    assert data_folder('/given') == expanded('/given') == pathlib.Path('/given')
    monkeypatch.setenv('TFDS_DATA_DIR', '/sets')
    assert data_folder() == pathlib.Path('/sets')
    monkeypatch.setenv('XDG_CACHE_HOME', '/caches')
    assert cache_folder() == pathlib.Path('/caches/genjax')


# (what reads a path, its arguments, the path that lies in a home, what can be done instead)
IN_HOME = [
    (expanded, ['~/a'], '~/a', 'give a path without ~'),
    (sentences_of, ['~/a.txt'], '~/a.txt', 'give a path without ~'),
    (first_sentence, ['text8'], '~/tensorflow_datasets', 'TFDS_DATA_DIR or data_dir to a folder'),
    (prepare.open_set, ['mnist', '~/sets'], '~/sets', 'TFDS_DATA_DIR or data_dir to a folder'),
    (prepare.open_set, ['mnist'], '~/tensorflow_datasets', 'TFDS_DATA_DIR or data_dir to a folder'),
]


def test_what_lies_in_a_home_says_what_to_set(why):
    for read, arguments, path, instead in IN_HOME:
        with pytest.raises(FileNotFoundError) as error:
            read(*arguments)
        refusal = f'{path} lies in a home folder, and {why}; set HOME, or {instead}'
        assert str(error.value) == refusal
    refusal = '^--workdir is ~/run; ~/run lies in a home folder, and HOME is '
    with pytest.raises(Refused, match=refusal):
        parse(['--exp=toy', '--workdir=~/run'])
    assert [path.name for path in pathlib.Path().iterdir()] == ['relative']


def test_a_set_that_is_prepared_needs_no_home_even_read_only(why, tmp_path, capsys):
    given = prepare_shapes(tmp_path / 'given', SHAPES)
    with pytest.raises(ValueError, match='nearest: shapes$'):
        prepare.open_set('shape', str(given))
    capsys.readouterr()
    for folder in (given, given / 'shapes'):
        folder.chmod(0o555)
    assert open_shapes(given).train[0]['image'].shape == (9, 4, 6, 3)
    warning = f'{given}/shapes is read-only, and decoded anew each time: {why}; {SET_A_CACHE}\n'
    assert capsys.readouterr().err == warning
    refusal = r'^mnist is not prepared in .*given, which is read-only; ~/tensorf'
    with pytest.raises(FileNotFoundError, match=refusal):
        prepare.open_set('mnist', str(given))
    assert [path.name for path in pathlib.Path().iterdir()] == ['relative']
    assert not list(given.rglob('*.npz'))


# One home for every run of the suite; the others are slow.
@pytest.mark.parametrize('why', quick_only([None], HOMES), indirect=True)
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
    warning = f'compiled programs are not kept: {why}; {SET_A_CACHE}\n'
    assert capsys.readouterr().err == warning
    assert sorted(path.name for path in folder.iterdir()) == ['a', 'here']


def test_a_home_that_cannot_be_written_is_none_for_caches(tmp_path, monkeypatch, capsys):
    for name in ('XDG_CACHE_HOME', environment.COMPILED):
        monkeypatch.delenv(name, raising=False)
    tmp_path.chmod(0o555)
    monkeypatch.setenv('HOME', str(tmp_path))
    assert home_folder() == tmp_path
    assert not is_writable(cache_folder())
    environment.warn_without_cache()
    reason = f'{tmp_path}/.cache/genjax cannot be written'
    warning = f'compiled programs are not kept: {reason}; {SET_A_CACHE}\n'
    assert capsys.readouterr().err == warning
    monkeypatch.setenv(environment.COMPILED, '/chosen')
    environment.warn_without_cache()
    assert capsys.readouterr().err == ''


@pytest.mark.slow
@pytest.mark.skipif(
    os.geteuid() != 0 or not shutil.which('setpriv'), reason='only root can be somebody else'
)
def test_a_user_who_is_nobody_trains(tmp_path):
    """As in a container that is started with a number for its user."""
    as_nobody = ['setpriv', '--reuid=54321', '--regid=54321', '--clear-groups']
    flags = '--exp pca_digits --workdir a --config.every.evaluate=100 --config.every.save=100'
    command = [*as_nobody, sys.executable, '-m', 'launch', *flags.split()]
    environ = os.environ | {'PYTHONPATH': str(ROOT), 'PYTHONDONTWRITEBYTECODE': '1'}
    for name in ('HOME', environment.COMPILED):
        environ.pop(name, None)
    with tempfile.TemporaryDirectory() as folder:  # pytest's own folders are for root alone
        os.chmod(folder, 0o777)
        done = subprocess.run(command, cwd=folder, env=environ, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        assert done.stderr.startswith(f'compiled programs are not kept: {HOMES[None]};')
        assert 'Traceback' not in done.stderr
        assert os.listdir(folder) == ['a']
