import pathlib
import subprocess

import jax
import numpy as np
import pytest
from ml_collections import ConfigDict

from launch.cli.refusal import Refused
from launch.run import processor, provenance, rundir


def test_a_key_that_one_side_lacks_is_named(tmp_path):
    rundir.claim(tmp_path / 'a', 'toy', {'seed': 0, 'old': 1}, None, {})
    with pytest.raises(
        Refused, match='new is absent there and "x" here, old is 1 there and absent here'
    ):
        rundir.check(tmp_path / 'a', 'toy', {'seed': 0, 'new': 'x'})


def test_the_default_directory_depends_on_the_values_alone():
    digest = 'dd5af5bc'  # printf '{"a":1,"b":{"c":[1,2]}}' | sha256sum
    config = ConfigDict({'b': {'c': (1, 2)}, 'data_dir': '/here', 'a': 1})
    assert rundir.default('toy', rundir.identity(config)) == pathlib.Path(f'runs/toy-{digest}')
    config.data_dir = '/there'
    assert rundir.default('toy', rundir.identity(config)) == pathlib.Path(f'runs/toy-{digest}')
    config.b.c = (2, 1)
    assert rundir.default('toy', rundir.identity(config)) != pathlib.Path(f'runs/toy-{digest}')


def test_the_run_directory_says_what_ran(tmp_path, monkeypatch):
    jax.devices()  # or XLA would read the flag
    monkeypatch.setenv('XLA_FLAGS', '--xla_of_this_test')
    config, argv = (
        ConfigDict({'rate': 1e-4, 'net': {'sizes': (3, 4)}}),
        ['--exp=toy', '--config.net.sizes=(3,4)'],
    )
    for _ in range(2):
        rundir.claim(
            tmp_path / 'a', 'toy', rundir.identity(config), 'digest', provenance.launch_record(argv)
        )
    back = ConfigDict({'rate': 1.0, 'net': {'sizes': (1,)}})
    back.update(rundir.read(tmp_path / 'a/config.json'))
    assert back.to_dict() == config.to_dict()
    manifest = rundir.read(tmp_path / 'a/manifest.json')
    assert (manifest['experiment'], manifest['data']) == ('toy', 'digest')
    assert manifest['config'] == rundir.read(tmp_path / 'a/config.json')
    launch, again = manifest['launches']
    assert launch['flags'] == again['flags'] == argv and launch['time'] <= again['time']
    assert launch['xla_flags'] == '--xla_of_this_test'
    assert (
        launch['versions']['jax'] == jax.__version__
        and launch['versions']['numpy'] == np.__version__
    )
    made_by = {'processor': processor.processor(), 'cores': processor.cores()}
    assert launch['devices'] == {'kind': 'cpu', 'count': 8, 'platform': 'cpu'} | made_by
    assert processor.cores() >= 1
    assert {path.name for path in (tmp_path / 'a').iterdir()} == {'config.json', 'manifest.json'}


def test_the_source_is_a_commit_and_whether_it_changed(tmp_path):
    who = ['-c', 'user.name=a', '-c', 'user.email=a@b']

    def git(*args):
        return subprocess.run(['git', '-C', str(tmp_path), *who, *args], check=True)

    assert provenance.source(tmp_path) == {'commit': None, 'dirty': None}
    git('init', '-q')
    (tmp_path / 'a.py').write_text('1')
    git('add', 'a.py')
    git('commit', '-qm', 'a')
    assert (
        provenance.source(tmp_path)['dirty'] is False
        and len(provenance.source(tmp_path)['commit']) == 40
    )
    (tmp_path / 'a.py').write_text('2')
    assert provenance.source(tmp_path)['dirty'] is True


def test_no_run_can_be_claimed_by_half(tmp_path, monkeypatch):
    rundir.write(tmp_path / 'manifest.json', {'launches': [1]})
    monkeypatch.setattr(
        pathlib.Path, 'replace', lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    )
    with pytest.raises(KeyboardInterrupt):
        rundir.write(tmp_path / 'manifest.json', {'launches': [1, 2]})
    assert rundir.read(tmp_path / 'manifest.json') == {'launches': [1]}
