"""The table of flags: that usage, parsing and rules follow from it."""

import pytest

from launch.cli.flags import OF_SWEEP, ROUNDING, TABLE, Flags, pairs, parse, usage
from launch.cli.refusal import Refused


def test_each_row_is_a_field_and_each_field_a_row():
    fields = [flag.field or flag.name for flag in TABLE]
    assert sorted(fields) == sorted(Flags._fields) and len(set(fields)) == len(fields)


def test_the_usage_names_every_flag_in_lines_that_fit_a_terminal():
    lines = usage().splitlines()
    for flag in TABLE:
        start = f'  --{flag.name}.KEY=' if flag.keyed else f'  --{flag.name} '
        assert len([line for line in lines if line.startswith(start)]) == 1
    assert max(map(len, lines)) <= 100


def test_without_flags_all_is_as_it_is_by_default():
    assert parse(['--exp=toy']) == Flags('toy')


def test_values_are_read_behind_an_equals_sign_or_a_space():
    words = ['--exp', 'toy', '--fold', '3', '--mesh=data=4,model=2', '--config.a.b', '-1']
    flags = parse([*words, '--on=slurm', '--slurm.time=3', '--slurm.mem', '4G', '--config.c='])
    assert flags.fold == 3 and flags.mesh == {'data': 4, 'model': 2}
    assert flags.overrides == {'a.b': '-1', 'c': ''}
    assert flags.slurm == {'time': '3', 'mem': '4G'}


def test_the_last_of_a_flag_counts_but_every_sweep():
    flags = parse(['--exp=a', '--exp=b', '--sweep=x=1', '--sweep', 'y=2', '--fold=1', '--fold=2'])
    assert (flags.exp, flags.sweep, flags.fold) == ('b', ('x=1', 'y=2'), 2)


@pytest.mark.parametrize('words', [['--vmap'], ['--vmap=seed'], ['--vmap', 'seed']])
def test_vmap_may_name_the_seed(words):
    for line in (['--sweep=seed=0:2', *words, '--dry_run'], ['--dry_run', *words, '--sweep=x=1']):
        flags = parse(['--exp=toy', *line])
        assert flags.vmap and flags.dry_run


@pytest.mark.parametrize(
    ('text', 'seeds'), [('0:4', (0, 1, 2, 3)), ('0,1,5', (0, 1, 5)), ('7', (7,)), ('9:10', (9,))]
)
def test_seeds_are_listed_or_counted(text, seeds):
    assert parse(['--exp=toy', f'--seeds={text}']).seeds == seeds


def test_what_is_given_as_it_is_by_default_needs_and_excludes_nothing():
    words = ['--exp=toy', '--mode=train', '--on=local', '--distributed=false']
    assert parse([*words, '--sweep=seed=0:2']) == Flags('toy', sweep=('seed=0:2',))


def test_flags_of_a_sweep_are_not_of_its_points_and_some_change_how_numbers_are_rounded():
    assert OF_SWEEP == ('sweep', 'workers', 'dry_run', 'vmap', 'on', 'slurm')
    assert ROUNDING == ('parallel', 'mesh', 'fold')


@pytest.mark.parametrize('word', ['--', '---', '--.', '--config', '--fold.x=1', '--slurm=3', '-x'])
def test_what_is_no_flag_is_refused(word):
    with pytest.raises(Refused, match=' is no flag; '):
        list(pairs([word]))
