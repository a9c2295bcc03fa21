"""The checkout installed as a package: its programs and modules are there from any folder."""

import importlib.util
import os
import pathlib
import shutil
import subprocess
import sys
import sysconfig
import venv

import pytest

ROOT = pathlib.Path(__file__).parents[2]
PACKAGES = ('genjax', 'launch', 'experiments')
SETUP = 'import setuptools; setuptools.setup()'

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec('setuptools') is None, reason='setuptools is not installed'
    ),
]


@pytest.fixture(scope='module')
def checkout(tmp_path_factory):
    """A copy of what is packaged, so that nothing is written into this tree."""
    place = tmp_path_factory.mktemp('checkout')
    for name in PACKAGES:
        ignored = shutil.ignore_patterns('__pycache__')
        shutil.copytree(ROOT / name, place / name, ignore=ignored)
    for name in ('pyproject.toml', 'requirements.in', 'README.md', 'LICENSE'):
        shutil.copy(ROOT / name, place)
    return place


@pytest.fixture(scope='module')
def python(tmp_path_factory):
    """The Python of a fresh environment, which finds what this one has installed."""
    place = tmp_path_factory.mktemp('environment')
    venv.create(place, with_pip=False)
    paths = {'base': str(place), 'platbase': str(place)}
    packages = pathlib.Path(sysconfig.get_path('purelib', vars=paths))
    (packages / 'these.pth').write_text(f'{sysconfig.get_path("purelib")}\n')
    return place / 'bin/python'


def ask(*command, cwd):
    variables = {key: value for key, value in os.environ.items() if key != 'PYTHONPATH'}
    done = subprocess.run(
        list(map(str, command)), cwd=cwd, env=variables, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def can_build_wheels():
    """By setuptools alone, or with the help of wheel."""
    setuptools = importlib.util.find_spec('setuptools.command.bdist_wheel')
    return setuptools is not None or importlib.util.find_spec('wheel') is not None


def test_after_an_editable_install_all_is_there_from_any_folder(checkout, python, tmp_path):
    if can_build_wheels():
        install = ['-m', 'pip', 'install', '--no-deps', '--no-build-isolation', '-e', '.']
    else:  # what pip does with an older setuptools
        install = ['-W', 'ignore', '-c', SETUP, 'develop', '--no-deps']
    ask(python, *install, cwd=checkout)

    listing = ask(python, '-m', 'launch', '--list', cwd=tmp_path)
    assert any(line.startswith('vae_digits ') for line in listing.splitlines())
    code = 'import genjax, launch.viewer.page, experiments; print(genjax.__file__)'
    assert ask(python, '-c', code, cwd=tmp_path) == f'{checkout}/genjax/__init__.py\n'
    code = 'import importlib.metadata as m; print(m.version("genjax-research"))'
    assert ask(python, '-c', code, cwd=tmp_path) == '0.1.0\n'
    pages = [
        '-m',
        'launch',
        '--exp=pca_digits',
        '--config.batch=96',
        '--dry_run',
        '--sweep=seed=0:2',
    ]
    runs = ask(python, *pages, cwd=tmp_path).splitlines()
    assert [line.split()[0].startswith('runs/pca_digits-') for line in runs] == [True, True]


def test_a_package_has_every_file_of_the_tree(checkout, tmp_path):
    build = ['-W', 'ignore', '-c', SETUP, 'build_py', '--build-lib', tmp_path / 'lib']
    ask(sys.executable, *build, cwd=checkout)

    def files(folder):
        paths = [path for name in PACKAGES for path in (folder / name).rglob('*')]
        return {str(path.relative_to(folder)) for path in paths if path.is_file()}

    assert files(tmp_path / 'lib') == files(checkout)
    assert 'launch/viewer/page.css' in files(tmp_path / 'lib')
