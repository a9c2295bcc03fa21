"""Config liveness: what counts as read, what is refused, and that every experiment reads what its
config has."""

import copy
import types

import pytest
from ml_collections import ConfigDict, FieldReference

from launch.__main__ import main
from launch.cli import catalogue
from launch.run import unread_settings
from tests.contracts.test_contracts import EXPERIMENTS, smoke, tiny_sets  # noqa: F401


def config():
    width = FieldReference(4)
    return ConfigDict(
        dict(
            a=1,
            width=width,
            twice=2 * width,
            none=None,
            group=dict(b=(1, 2), c='x', deep=dict(d=0.5)),
        )
    )


ALL = {'a', 'width', 'twice', 'none', 'group.b', 'group.c', 'group.deep.d'}
READS = [
    (lambda c: c.a, {'a'}),
    (lambda c: c['group']['b'], {'group.b'}),
    (lambda c: c['group.deep.d'], {'group.deep.d'}),
    (lambda c: c.get('none', 3), {'none'}),
    (lambda c: dict(**c.group.deep), {'group.deep.d'}),
    (lambda c: [value for _, value in c.group.deep.items()], {'group.deep.d'}),
    (lambda c: c.to_dict(), ALL),
    (lambda c: copy.deepcopy(c).a, ALL),
    (lambda c: c.copy_and_resolve_references().a, ALL),
    (lambda c: ('a' in c, list(c), c.keys(), len(c.group)), set()),
]


@pytest.mark.parametrize(('read', 'keys'), READS)
def test_a_value_is_read_where_it_is_asked_for_and_is_what_it_is(read, keys):
    assert unread_settings.build_and_track(lambda c: [read(c), None][1], config()) == (
        None,
        ALL - keys,
    )
    text, _ = unread_settings.build_and_track(lambda c: repr(read(c)), config())
    assert text == repr(read(config()))


def test_a_group_that_outlives_build_may_be_read_later():
    assert unread_settings.build_and_track(lambda c: lambda: c.group.c, config())[1] == set()
    function, unread = unread_settings.build_and_track(
        lambda c: (lambda group: lambda: group.d)(c.group.deep), config()
    )
    assert unread == ALL - {'group.deep.d'} and function() == 0.5

    def recursive(c):
        def function(n):
            return c.a if n == 0 else function(n - 1)

        return function(3)

    assert unread_settings.build_and_track(recursive, config()) == (1, ALL - {'a'})


def test_what_the_launcher_reads_needs_no_other_reader():
    launched = ConfigDict(
        dict(seed=0, steps=1, best='test/loss', batch=2, data_dir='', every=dict(log=1))
    )
    assert unread_settings.build_and_track(lambda c: None, launched)[1] == {'batch', 'data_dir'}


@pytest.fixture
def selective(folder, monkeypatch):
    """The toy, whose build reads of its walk only the rate, and if that is above 1 the name."""
    module = catalogue.load('toy')
    build = module.build

    def reads(config):
        plain = module.get_config()
        plain.update({key: config[key] for key in ('batch', 'data_dir', 'fails')})
        plain.sampler.update({key: config.sampler[key] for key in ('name', 'steps')})
        plain.walk.update(
            {'rate': config.walk.rate, 'name': config.walk.name if config.walk.rate > 1 else ''}
        )
        return build(plain)

    monkeypatch.setattr(module, 'build', reads)
    return folder


@pytest.mark.parametrize(
    ('flags', 'says'),
    [
        ('--config.walk.name=b', '--config.walk.name is b, and toy does not read it'),
        ('--config.walk.name=b --config.walk.rate=0.2', '--config.walk.name is b, and toy does '
        'not read it'
         ' under these other settings'),
        ('--config.walk.fast=false --config.seed=3', '--config.walk.fast is false, and toy does '
        'not read it'
         ' under these other settings'),
        ('', '--config.walk.fast is a setting of toy, which does not read it'),
        ('--config.walk.name=', '--config.walk.fast is a setting of toy, which does not read it'),
        ('--sweep=walk.limit=none,3', 'point 1 of the sweep, walk.limit=none: --config.walk.fast '
        'is a setting of toy, '
         'which does not read it'),
        ('--sweep=walk.limit=2,3 --config.seed=1', 'point 1 of the sweep, walk.limit=2: '
        '--config.walk.limit is 2, and '
         'toy does not read it under these other settings'),
    ],
)  # fmt: skip
def test_a_setting_without_effect_is_refused_by_name_and_nothing_is_written(
    flags, says, selective, capsys
):
    assert main(['--exp=toy', *flags.split()]) == 2
    assert capsys.readouterr().err == f'{says}\n'
    assert not list(selective.iterdir())


def test_what_is_read_or_is_as_it_was_is_no_error(selective, capsys):
    assert (
        main(
            [
                '--exp=toy',
                '--config.walk.rate=1.5',
                '--config.walk.name=b',
                '--config.walk.fast=true',
            ]
        )
        == 0
    )
    assert main(['--exp=toy', '--config.seed=1', '--until=2']) == 0


def test_a_key_that_another_follows_is_read_with_it(monkeypatch, folder):
    overrides = {'width': '5'}
    changed = config()
    changed.width = 5
    unread_settings.check('toy', overrides, config(), changed, ALL - {'twice'})
    with pytest.raises(
        unread_settings.Refused, match='^--config.width is 5, and toy does not read it'
    ):
        unread_settings.check('toy', overrides, config(), changed, ALL)


@pytest.mark.parametrize('name', EXPERIMENTS)
def test_every_experiment_reads_what_its_config_has(name, tiny_sets, monkeypatch):  # noqa: F811
    monkeypatch.setattr(
        unread_settings, 'weakref', types.SimpleNamespace(ref=lambda group: lambda: None)
    )  # not only later
    module, config = smoke(name)
    if 'data_dir' in config:
        config.data_dir = str(tiny_sets)
    assert unread_settings.build_and_track(module.build, config)[1] == set()
