"""A prepared set as the launches find it."""

import time

import numpy as np
import pytest

from benchmarks.accelerator import data
from benchmarks.accelerator.setting import Setting, Skipped, ended_file
from genjax.data.images import builders
from genjax.data.images.sets import images
from tests.data.images.tiny_sets import tiny_cifar


@pytest.fixture
def setting(tmp_path):
    (tmp_path / 'work').mkdir()
    return Setting(tmp_path, tmp_path / 'work', tmp_path / 'data', False, time.time() + 60)


def test_a_prepared_set_is_linked_and_its_decoded_images_lie_elsewhere(setting, place, monkeypatch):
    """So that a launch with empty caches decodes them, whatever lay beside the files."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(setting.out / 'caches'))
    prepared = setting.data / 'tfds'
    place(prepared, tiny_cifar(np.random.default_rng(0))[1], builders.Cifar10)
    images('cifar10', batch=2, seed=0, data_dir=str(prepared))
    version = data.prepared_in(setting.data)
    before = sorted(path.name for path in version.rglob('*'))
    rows = []
    data.prepare(setting, lambda *row: rows.append(row))
    assert rows[0][0] == 'CIFAR-10 is prepared'
    ended_file(setting.work, 'data').parent.mkdir()
    ended_file(setting.work, 'data').touch()
    folder = data.wait_for(setting)
    loaded = images('cifar10', batch=2, seed=0, data_dir=str(folder))
    assert loaded.train[0]['image'].shape == (2, 32, 32, 3)
    assert sorted(path.name for path in version.rglob('*')) == before
    assert any((setting.out / 'caches').rglob('*'))


def test_without_data_nothing_is_prepared_and_launches_say_so(setting):
    with pytest.raises(Skipped, match='prepare_tfds.py is not there'):
        data.prepare(setting, print)
    ended_file(setting.work, 'data').parent.mkdir()
    ended_file(setting.work, 'data').touch()
    with pytest.raises(Skipped, match='CIFAR-10 was not prepared'):
        data.wait_for(setting)


def test_launches_do_not_wait_beyond_their_box(setting):
    with pytest.raises(Skipped, match='not prepared in time'):
        data.wait_for(setting._replace(deadline=time.time() + 1.1))
