"""The table of faults fits the tree; trying one tells a catch from a miss and from an error."""

import ast
import pathlib
import subprocess

import pytest

from tests.marks import slow
from tests.programs.mutations import (
    FAULTS,
    ROOT,
    Fault,
    copy_tree,
    inject,
    readme_row,
    run_tests,
    try_fault,
)

README = pathlib.Path(__file__).parents[1] / 'README.md'


@pytest.mark.parametrize('fault', FAULTS, ids=lambda fault: fault.description)
def test_a_fault_has_one_place_and_a_quick_test(fault):
    faulty = inject(fault, (ROOT / fault.file).read_text())
    ast.parse(faulty)
    file, _, name = fault.test.partition('::')
    functions = {
        node.name: node
        for node in ast.parse((ROOT / 'tests' / file).read_text()).body
        if hasattr(node, 'name')
    }
    marks = {ast.unparse(mark) for mark in functions[name.partition('[')[0]].decorator_list}
    assert not marks & {'pytest.mark.slow', 'pytest.mark.peers'}


def test_the_readme_lists_the_faults():
    rows = [line for line in README.read_text().splitlines() if '.py::test_' in line]
    assert rows == [readme_row(fault) for fault in FAULTS]


SOUND = {
    'sums.py': 'def plus(a, b):\n    return a + b\n',
    'tests/test_sums.py': (
        'import sums\n\n\ndef test_plus():\n    assert sums.plus(2, 2) == 4 and sums.plus(0, 1)\n'
    ),
    'conftest.py': '',
}


@pytest.fixture(scope='module')
def tree(tmp_path_factory):
    """A tree of its own, whose one test knows little of addition."""
    root = tmp_path_factory.mktemp('tree')
    for name, text in SOUND.items():
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ('wrong', 'test', 'caught', 'reason'),
    [
        ('return a - b', 'test_sums.py', True, 'assert (0 == 4)'),
        slow('return a * b', 'test_sums.py::test_plus', True, 'assert (4 == 4 and 0)'),
        ('return a + b + 0', 'test_sums.py', False, 'the test passes'),
        ('return a + c', 'test_sums.py', False, "NameError: name 'c' is not defined"),
        ('return a +', 'test_sums.py', False, 'the test does not run: '),
        slow('return a - b', 'test_sums.py::test_minus', False, 'the test does not run: '),
    ],
)
def test_caught_is_what_a_test_denies(wrong, test, caught, reason, tree):
    result = try_fault(tree, Fault('', 'sums.py', 'return a + b', wrong, test))
    assert result[0] is caught
    assert result[1].startswith(reason)
    assert (tree / 'sums.py').read_text() == SOUND['sums.py']


def test_the_sound_tree_passes(tree):
    assert run_tests(tree, ['test_sums.py']).returncode == 0


def test_a_fault_without_one_place_is_an_error():
    fault = Fault('', 'sums.py', 'a', 'b', '')
    for text, times in (('b', 0), ('a a', 2)):
        refusal = f"^sums.py has 'a' {times} times; a fault replaces what stands there once$"
        with pytest.raises(ValueError, match=refusal):
            inject(fault, text)


def test_a_copy_holds_all_but_what_git_ignores(tmp_path):
    subprocess.run(['git', 'init', '-q', tmp_path / 'from'], check=True)
    for name in ('.gitignore', 'new', 'folder/new', 'folder/ignored'):
        (tmp_path / 'from' / name).parent.mkdir(exist_ok=True)
        (tmp_path / 'from' / name).write_text('ignored')
    to = copy_tree(tmp_path / 'from', tmp_path / 'to')
    names = {str(path.relative_to(to)) for path in to.rglob('*') if path.is_file()}
    assert names == {'.gitignore', 'new', 'folder/new'}
