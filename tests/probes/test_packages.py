"""The first page of a package names every module."""

import importlib
import pathlib

import pytest


@pytest.mark.parametrize(
    'name',
    ['genjax.networks', 'genjax.networks.inception', 'genjax.metrics', 'genjax.probes'],
)
def test_a_package_lists_its_modules(name):
    package = importlib.import_module(name)
    folder = pathlib.Path(package.__file__).parent
    modules = {path.stem for path in folder.glob('*.py')} - {'__init__'}
    packages = {f'{path.parent.name}/' for path in folder.glob('*/__init__.py')}
    _, _, listing = package.__doc__.partition('\n\n')
    assert {line.split()[0] for line in listing.splitlines()} == modules | packages
