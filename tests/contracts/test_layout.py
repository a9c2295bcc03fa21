"""The tests mirror the tree, what is of no one module is named in their README, and ruff agrees."""

import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TESTS = ROOT / 'tests'
FILES = sorted(
    path.relative_to(TESTS)
    for path in TESTS.rglob('test_*.py')
    if path.relative_to(TESTS).parts[0] not in ('contracts', 'programs')
)
README = (TESTS / 'README.md').read_text('utf-8')


@pytest.mark.parametrize('file', FILES, ids=str)
def test_a_test_is_of_a_module_in_its_place_or_named_in_the_readme(file):
    elsewhere = file.parts[0] in ('launch', 'benchmarks')
    place = ROOT / file.parent if elsewhere else ROOT / 'genjax' / file.parent
    name = file.stem.removeprefix('test_')
    modules = [*place.rglob(f'{name}.py'), *place.glob(f'{name}/__init__.py')]
    assert modules or f'`{file.name}`' in README or f'/{file.name}`' in README


@pytest.mark.parametrize('arguments', [['check'], ['format', '--check']], ids=' '.join)
def test_the_style_is_ruffs(arguments):
    """Lines of 100, no lambda with a name, one format: as pyproject.toml says."""
    command = [sys.executable, '-m', 'ruff', *arguments, '--no-cache', '.']
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
