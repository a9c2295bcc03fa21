"""Which prepared sets can serve, on sets of our own that TFDS has no code for."""

import sys
import types

import numpy as np
import pytest
from tensorflow_datasets.core.features import image_feature

from genjax.data.images import prepare
from genjax.data.images.sets import images
from genjax.data.images.splits import open_splits
from tests.data.images.tiny_sets import (
    SHAPES,
    grey_levels,
    levels,
    mixed_files,
    open_files,
    open_shapes,
    prepare_files,
    prepare_shapes,
)


@pytest.fixture(autouse=True)
def users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


def test_any_prepared_set_is_opened_by_its_name(tmp_path):
    prepare_shapes(tmp_path, {'train': 9, 'validation': 3})
    for _ in range(2):  # the second time beside its cache files
        data = open_shapes(tmp_path)
    batch = data.train[0]
    assert set(batch) == {'image'}  # several labels are not the label of a class
    assert batch['image'].shape == (9, 4, 6, 3)
    assert levels(batch) == list(range(9))
    assert len(data.test) == 1
    assert levels(data.test[0]) == [0, 1, 2]
    assert open_shapes(tmp_path, size=8).train[0]['image'].shape == (9, 8, 8, 3)


def test_sets_that_cannot_serve_are_refused_in_one_line(tmp_path):
    prepare_shapes(tmp_path / 'a', {'train': 9})
    refusal = r"^shapes has the parts \['train'\]; train and one of test, validation"
    with pytest.raises(ValueError, match=refusal):
        open_shapes(tmp_path / 'a')
    prepare_shapes(tmp_path / 'b', SHAPES, shape=(None, None, 3))
    refusal = r'^shapes has images of .*uint8.* \(None, None, 3\); only'
    with pytest.raises(ValueError, match=refusal):
        open_shapes(tmp_path / 'b')


def test_a_name_nearly_right_is_answered_with_the_set_in_the_folder(tmp_path):
    prepare_shapes(tmp_path, SHAPES)
    with pytest.raises(ValueError, match="'shape'.* nearest: shapes$"):
        images('shape', batch=4, seed=0, data_dir=str(tmp_path))


def test_files_of_several_modes_are_read_as_declared_whatever_else_is_installed(
    tmp_path, monkeypatch
):
    files, expected_images = mixed_files()
    expected = sorted(image.tobytes() for image in expected_images)
    prepare_files(tmp_path, files)
    fingerprints = []
    for installed in (False, True):
        if installed:
            _install_black_opencv(monkeypatch)
            for cache in tmp_path.glob('files/*.npz'):
                cache.unlink()
        for resident_bytes in (2**30, 0):
            data = open_files(tmp_path, resident_bytes=resident_bytes)
            found = grey_levels(data.train[0]['image'])
            assert sorted(image.tobytes() for image in found) == expected
            fingerprints.append(data.train.fingerprint)
    assert fingerprints[:2] == fingerprints[2:]
    train, _ = open_splits(prepare.open_set('files', str(tmp_path)))
    assert sorted(example['image'].tobytes() for example in train.records) == expected


def _install_black_opencv(monkeypatch):
    """An OpenCV whose images are all black."""

    def imdecode(*_):
        return np.zeros((4, 6), np.uint8)

    black = types.SimpleNamespace(imdecode=imdecode, IMREAD_UNCHANGED=-1)
    monkeypatch.setitem(sys.modules, 'cv2', black)
    monkeypatch.setattr(image_feature, 'cv2', black)
