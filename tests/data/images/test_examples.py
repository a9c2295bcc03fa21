"""Examples decoded on access: what is read of a record, and images that are refused by index."""

import numpy as np
import pytest
import tensorflow_datasets as tfds

from genjax.data.images import builders, prepare
from launch.__main__ import main
from tests.data.images.tiny_sets import (
    grey_levels,
    mixed_files,
    open_files,
    png,
    prepare_files,
    prepare_set,
    tiny_mnist,
)
from tests.launch.cli.test_bad_input import refusal_of

SIXTEEN_BITS = 'the image of example 0 of train has 16 bits a channel; at most 8 are read'


@pytest.fixture(autouse=True)
def users_cache(monkeypatch, tmp_path):
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))


@pytest.mark.parametrize('resident_bytes', [2**30, 0])
def test_an_image_that_would_lose_something_is_refused_with_its_index(tmp_path, resident_bytes):
    grey = np.zeros((4, 6, 1), int)
    prepare_files(tmp_path, [png(grey, 16, 0)] * 9)
    folder = tmp_path / 'files'
    line = refusal_of(tmp_path, folder, open_files, tmp_path, resident_bytes=resident_bytes)
    assert line == f'FILE/1.0.0: {SIXTEEN_BITS}'


def test_a_launch_refuses_them_before_its_directory_is_there(place, tmp_path, monkeypatch, capsys):
    def png_of_16_bits(image):
        return png(image[..., None], 16, 0)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(builders, 'png_file', png_of_16_bits)
    place(tmp_path, tiny_mnist(np.random.default_rng(0))[1])
    prepare.open_set('mnist', str(tmp_path))
    capsys.readouterr()
    data_dir = f'--data_dir={tmp_path}'
    assert main(['--exp=autoencoder_mnist', data_dir, '--config.batch=8', '--workdir=run']) == 2
    assert capsys.readouterr() == ('', f'{tmp_path}/mnist/3.0.1: {SIXTEEN_BITS}\n')
    assert not (tmp_path / 'run').exists()


def test_one_image_among_many_is_refused_with_its_index(tmp_path):
    files, _ = mixed_files()
    coloured = png(np.arange(24 * 3).reshape(4, 6, 3), 8, 2)
    prepare_files(tmp_path, [*files[:8], coloured], shape=(4, 6, 1))
    stored = tfds.builder_from_directory(tmp_path / 'files' / '1.0.0').as_data_source('train')
    (index,) = (i for i, record in enumerate(stored) if record['image'].shape[2] == 3)
    line = f'the image of example {index} of train is in colour; L is declared, which holds grey'
    assert refusal_of(tmp_path, tmp_path / 'files', open_files, tmp_path) == f'FILE/1.0.0: {line}'
    with pytest.raises(ValueError, match=f'{line}$') as error:
        open_files(tmp_path, resident_bytes=0).train[0]
    assert len(str(error.value).splitlines()) == 1


def test_only_the_image_is_decoded_and_arrays_are_read_as_they_are(tmp_path):
    files, _ = mixed_files()
    image = np.arange(72, dtype=np.uint8).reshape(4, 6, 3)
    records = [{'image': image, 'mask': file[:40], 'label': 7} for file in files]
    features = {
        'image': tfds.features.Tensor(shape=(4, 6, 3), dtype=np.uint8),
        'mask': tfds.features.Image(),
        'label': tfds.features.ClassLabel(num_classes=9),
    }
    prepare_set(tmp_path, {'train': records, 'test': records[:3]}, features)
    for resident_bytes in (2**30, 0):
        batch = open_files(tmp_path, resident_bytes=resident_bytes).train[0]
        np.testing.assert_array_equal(grey_levels(batch['image']), np.repeat(image[None], 9, 0))
        assert np.asarray(batch['label']).tolist() == [7] * 9
