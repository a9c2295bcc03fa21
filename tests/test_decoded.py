"""The cache of decoded images, and which prepared sets can serve: on sets of our own that TFDS has no code for."""

import shutil

import numpy as np
import pytest
import tensorflow_datasets as tfds

from genjax.data import decoded, prepare
from genjax.data.images import images

OURS = {'train': 9, 'test': 3}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """The user's own cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'genjax'


def prepared(folder, parts, shape=(4, 6, 3), first=0):
    """Prepares a set of that many images a part, image i all of level first + i, with two labels each."""

    class Shapes(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version('1.0.0')

        def _info(self):
            kinds = tfds.features.Sequence(tfds.features.ClassLabel(num_classes=9))
            features = {'image': tfds.features.Image(shape=shape), 'label': kinds}
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {part: self._generate_examples(n) for part, n in parts.items()}

        def _generate_examples(self, n):
            for i in range(n):
                yield i, {'image': prepare._png(np.full((4, 6, 3), first + i, np.uint8)), 'label': [1, 2]}

    Shapes(data_dir=folder).download_and_prepare(file_format='array_record')
    return folder


def start(folder, **options):
    return images('shapes', **dict(batch=9, seed=0, data_dir=str(folder)) | options)


def levels(batch):
    return sorted(np.rint((np.asarray(batch['image'])[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist())


def test_any_prepared_set_is_opened_by_its_name(tmp_path):
    prepared(tmp_path, {'train': 9, 'validation': 3})
    for _ in range(2):  # the second time beside its cache files
        data = start(tmp_path)
    assert set(data.train[0]) == {'image'}  # several labels are not the label of a class
    assert data.train[0]['image'].shape == (9, 4, 6, 3) and levels(data.train[0]) == list(range(9))
    assert len(data.test) == 1 and levels(data.test[0]) == [0, 1, 2]
    assert start(tmp_path, size=8).train[0]['image'].shape == (9, 8, 8, 3)


def test_the_second_start_decodes_and_writes_nothing(tmp_path, monkeypatch):
    prepared(tmp_path, OURS)
    state = lambda: {path: path.stat().st_mtime_ns for path in tmp_path.rglob('*')}
    first, before = start(tmp_path), state()
    assert len(list(tmp_path.glob('shapes/*.npz'))) == 2
    monkeypatch.setattr(decoded, '_decode', None)  # calling it would fail
    assert start(tmp_path).train.fingerprint == first.train.fingerprint and state() == before


def test_a_spoilt_cache_is_not_used(tmp_path):
    first = start(prepared(tmp_path, OURS)).train.fingerprint
    (path,) = tmp_path.glob('shapes/*-train-*.npz')
    good = path.read_bytes()
    arrays = dict(np.load(path))
    np.savez(path, **arrays | {'image': arrays['image'] ^ np.uint8(1)})  # a sound file with other contents
    other = path.read_bytes()
    for bad in (other, good[:1000], b'', good[:500] + bytes([good[500] ^ 1]) + good[501:]):
        path.write_bytes(bad)
        assert start(tmp_path).train.fingerprint == first
        assert path.read_bytes() == good or np.array_equal(np.load(path)['image'], arrays['image'])


def test_a_set_prepared_anew_is_decoded_anew(tmp_path):
    first = start(prepared(tmp_path, OURS)).train.fingerprint
    shutil.rmtree(tmp_path / 'shapes' / '1.0.0')
    data = start(prepared(tmp_path, OURS, first=100))
    assert data.train.fingerprint != first and levels(data.train[0]) == list(range(100, 109))


def test_beside_a_read_only_set_nothing_is_written(tmp_path, cache):
    given = prepared(tmp_path / 'given', OURS)
    for folder in (given, given / 'shapes', given / 'shapes' / '1.0.0'):
        folder.chmod(0o555)
    start(given)
    assert len(list(cache.glob('shapes-1.0.0-*.npz'))) == 2
    assert not list(given.rglob('*.npz'))


def test_no_cache_at_all_does_not_stop_a_run(tmp_path, cache):
    given = prepared(tmp_path / 'given', OURS)
    (given / 'shapes').chmod(0o555)
    cache.parent.write_text('in the way')
    assert levels(start(given).train[0]) == list(range(9))


def test_sets_that_cannot_serve_are_refused_in_one_line(tmp_path):
    prepared(tmp_path / 'a', {'train': 9})
    with pytest.raises(ValueError, match=r"^shapes has the parts \['train'\]; train and one of test, validation"):
        start(tmp_path / 'a')
    prepared(tmp_path / 'b', OURS, shape=(None, None, 3))
    with pytest.raises(ValueError, match=r'^shapes has images of .*uint8.* \(None, None, 3\); only'):
        start(tmp_path / 'b')


def test_a_name_nearly_right_is_answered_with_the_set_in_the_folder(tmp_path):
    prepared(tmp_path, OURS)
    with pytest.raises(ValueError, match="'shape'.* nearest: shapes$"):
        images('shape', batch=4, seed=0, data_dir=str(tmp_path))
