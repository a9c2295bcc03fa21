"""Command lines of the smaller programs: what is read, and what is refused."""

import pathlib

import pytest

from launch.cli import readers
from launch.cli.refusal import Refused
from launch.cli.words import Option, only, parsed

OPTIONS = {
    '-o': Option('folder', readers.path),
    '--n': Option('n', readers.whole(2, 9999)),
    '--labels': Option('labels', readers.labels),
    '--once': Option('once', None),
}


def test_names_and_flags_in_any_order_with_a_space_or_an_equals_sign():
    names, values = parsed(['a', '--n', '12', 'b', '-o=out', '--once', '--labels=3,1'], OPTIONS)
    assert names == ('a', 'b')
    assert values == {'n': 12, 'folder': pathlib.Path('out'), 'once': True, 'labels': (3, 1)}
    assert parsed([], OPTIONS) == ((), {})


REFUSED = {
    '--m 3': '--m is no flag; did you mean --n?',
    '-x': '-x is no flag; there are: -o, --n, --labels, --once, --help',
    '--n': '--n needs a value',
    '--n=': '--n needs a value',
    '--n 3 --n=4': '--n is given twice',
    '--n=1': '--n is 1; it takes a whole number, 2 or more',
    '--n=10000': '--n is 10000; it takes 2 to 9999',
    f'--n={"9" * 5000}': f'--n is {"9" * 5000}; it takes 2 to 9999',
    '--n -3': '--n is -3; it takes a whole number, 2 or more',
    '--once=yes': '--once takes no value, and yes is given',
    '--labels=a': '--labels is a; it takes all, a label or several, as 3 or 0,1,7',
    '-o ~nobody_at_all': '-o is ~nobody_at_all; nobody here has that home folder',
}


@pytest.mark.parametrize('line', REFUSED)
def test_what_is_wrong_is_refused(line):
    with pytest.raises(Refused) as refusal:
        parsed(line.split(), OPTIONS)
    assert str(refusal.value) == REFUSED[line]


@pytest.mark.parametrize(
    ('names', 'said'),
    [
        ((), 'RUN is missing; it takes a run directory'),
        (('a', 'b'), 'RUN is a, b; it takes a run directory'),
    ],
)
def test_one_name_is_one(names, said):
    assert only(('a',), 'RUN', 'a run directory') == 'a'
    with pytest.raises(Refused) as refusal:
        only(names, 'RUN', 'a run directory')
    assert str(refusal.value) == said
