"""The tests mirror the tree, and what is of no one module is named in their README."""

import ast
import pathlib

import pytest

ROOT = pathlib.Path(__file__).parents[2]
TESTS = ROOT / 'tests'
FILES = sorted(
    path.relative_to(TESTS)
    for path in TESTS.rglob('test_*.py')
    if path.relative_to(TESTS).parts[0] not in ('contracts', 'programs')
)
README = (TESTS / 'README.md').read_text('utf-8')
SOURCES = sorted(
    path
    for folder in ('genjax', 'launch', 'experiments', 'benchmarks', 'tests')
    for path in (ROOT / folder).rglob('*.py')
)


@pytest.mark.parametrize('file', FILES, ids=str)
def test_a_test_is_of_a_module_in_its_place_or_named_in_the_readme(file):
    place = ROOT / file.parent if file.parts[0] == 'launch' else ROOT / 'genjax' / file.parent
    name = file.stem.removeprefix('test_')
    modules = [*place.rglob(f'{name}.py'), *place.glob(f'{name}/__init__.py')]
    assert modules or f'`{file.name}`' in README or f'/{file.name}`' in README


@pytest.mark.parametrize('path', SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_lambda_has_a_name_and_no_line_is_over_100(path):
    text = path.read_text('utf-8')
    assert max(map(len, text.splitlines()), default=0) <= 100
    for node in ast.walk(ast.parse(text)):
        value = getattr(node, 'value', None)
        named = isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(value, ast.Lambda)
        assert not named, f'line {node.lineno}'
