"""The cache of decoded images, and which prepared sets can serve: on sets of our own that TFDS has
no code for."""

import shutil
import sys
import types

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.features import image_feature

from genjax.data.images import decoded, pixels, prepare
from genjax.data.images.sets import images
from launch.__main__ import main
from tests.data.images.tiny_sets import png, prepare_set, tiny_mnist
from tests.launch.cli.test_bad_input import refusal_of

OURS = {'train': 9, 'test': 3}


@pytest.fixture(autouse=True)
def cache(monkeypatch, tmp_path):
    """The user's own cache folder."""
    monkeypatch.setenv('XDG_CACHE_HOME', str(tmp_path / 'cache'))
    return tmp_path / 'cache' / 'genjax'


def prepared(folder, parts, shape=(4, 6, 3), first=0):
    """Prepares a set of that many images a part, image i all of level first + i, with two labels
    each."""
    kinds = tfds.features.Sequence(tfds.features.ClassLabel(num_classes=9))
    features = {'image': tfds.features.Image(shape=shape), 'label': kinds}
    image = lambda i: prepare._png(np.full((4, 6, 3), first + i, np.uint8))
    records = {
        part: [{'image': image(i), 'label': [1, 2]} for i in range(n)] for part, n in parts.items()
    }
    prepare_set(folder, records, features, 'shapes')
    return folder


def start(folder, **options):
    return images('shapes', **dict(batch=9, seed=0, data_dir=str(folder)) | options)


def levels(batch):
    return sorted(
        np.rint((np.asarray(batch['image'])[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist()
    )


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
    np.savez(
        path, **arrays | {'image': arrays['image'] ^ np.uint8(1)}
    )  # a sound file with other contents
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
    with pytest.raises(
        ValueError, match=r"^shapes has the parts \['train'\]; train and one of test, validation"
    ):
        start(tmp_path / 'a')
    prepared(tmp_path / 'b', OURS, shape=(None, None, 3))
    with pytest.raises(
        ValueError, match=r'^shapes has images of .*uint8.* \(None, None, 3\); only'
    ):
        start(tmp_path / 'b')


def test_a_name_nearly_right_is_answered_with_the_set_in_the_folder(tmp_path):
    prepared(tmp_path, OURS)
    with pytest.raises(ValueError, match="'shape'.* nearest: shapes$"):
        images('shape', batch=4, seed=0, data_dir=str(tmp_path))


def image_set(folder, files, shape=(4, 6, 3)):
    """A set `files` of these image files to train, and of the first three to test on."""
    parts = {
        'train': [{'image': file} for file in files],
        'test': [{'image': file} for file in files[:3]],
    }
    prepare_set(folder, parts, {'image': tfds.features.Image(shape=shape)})


def open_files(folder, **options):
    return images('files', **dict(batch=9, seed=0, data_dir=str(folder)) | options)


def mixed_files():
    """Nine PNG files of four kinds, and the RGB images that they stand for, [9, 4, 6, 3]."""
    grey = np.arange(9)[:, None, None, None] * 20 + np.arange(24).reshape(1, 4, 6, 1) // 20
    bits = grey[:3] // 20 % 2 + np.zeros((1, 4, 6, 1), int)
    clear = np.full((4, 6, 1), 255)
    palette = [(b'PLTE', np.repeat(np.arange(256)[::-1], 3).astype(np.uint8).tobytes())]
    files = [
        *[png(image, 1, 0) for image in bits],
        *[png(image, 8, 0) for image in grey[3:5]],
        *[png(255 - image, 8, 3, palette) for image in grey[5:7]],
        *[png(np.concatenate([np.repeat(image, 3, 2), clear], 2), 8, 6) for image in grey[7:]],
    ]
    return files, np.repeat(np.concatenate([bits * 255, grey[3:]]), 3, 3).astype(np.uint8)


def grey_levels(image):
    return np.rint((np.asarray(image) + 1) * 127.5).astype(np.uint8)


def test_files_of_several_modes_are_read_as_declared_whatever_else_is_installed(
    tmp_path, monkeypatch
):
    files, expected = mixed_files()
    image_set(tmp_path, files)
    prints = []
    for installed in (False, True):
        if installed:  # with an OpenCV whose images are all black
            black = types.SimpleNamespace(
                imdecode=lambda *_: np.zeros((4, 6), np.uint8), IMREAD_UNCHANGED=-1
            )
            monkeypatch.setitem(sys.modules, 'cv2', black)
            monkeypatch.setattr(image_feature, 'cv2', black)
            for cache in tmp_path.glob('files/*.npz'):
                cache.unlink()
        for resident_bytes in (2**30, 0):
            data = open_files(tmp_path, resident_bytes=resident_bytes)
            found = grey_levels(data.train[0]['image'])
            assert sorted(x.tobytes() for x in found) == sorted(x.tobytes() for x in expected)
            prints.append(data.train.fingerprint)
    assert prints[:2] == prints[2:]
    train, _ = decoded.splits(prepare.open_set('files', str(tmp_path)))
    assert sorted(x['image'].tobytes() for x in train.records) == sorted(
        x.tobytes() for x in expected
    )


@pytest.mark.parametrize('resident_bytes', [2**30, 0])
def test_an_image_that_would_lose_something_is_refused_with_its_index(tmp_path, resident_bytes):
    grey = np.zeros((4, 6, 1), int)
    image_set(tmp_path, [png(grey, 16, 0)] * 9)
    line = 'has 16 bits a channel; at most 8 are read'
    said = refusal_of(
        tmp_path, tmp_path / 'files', open_files, tmp_path, resident_bytes=resident_bytes
    )
    assert said == f'FILE/1.0.0: the image of example 0 of train {line}'


def test_a_launch_refuses_them_before_its_directory_is_there(place, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(prepare, '_png', lambda image: png(image[..., None], 16, 0))
    place(tmp_path, tiny_mnist(np.random.default_rng(0))[1])
    prepare.open_set('mnist', str(tmp_path))
    capsys.readouterr()
    assert (
        main(
            [
                '--exp=autoencoder_mnist',
                f'--data_dir={tmp_path}',
                '--config.batch=8',
                '--workdir=run',
            ]
        )
        == 2
    )
    line = 'mnist/3.0.1: the image of example 0 of train has 16 bits a channel; at most 8 are read'
    assert capsys.readouterr() == ('', f'{tmp_path}/{line}\n')
    assert not (tmp_path / 'run').exists()


def test_one_image_among_many_is_refused_with_its_index(tmp_path):
    files, _ = mixed_files()
    image_set(
        tmp_path, [*files[:8], png(np.arange(24 * 3).reshape(4, 6, 3), 8, 2)], shape=(4, 6, 1)
    )
    stored = tfds.builder_from_directory(tmp_path / 'files' / '1.0.0').as_data_source('train')
    (index,) = (i for i, record in enumerate(stored) if record['image'].shape[2] == 3)
    line = f'the image of example {index} of train is in colour; L is declared, which holds grey'
    assert refusal_of(tmp_path, tmp_path / 'files', open_files, tmp_path) == f'FILE/1.0.0: {line}'
    with pytest.raises(ValueError, match=f'{line}$') as error:
        open_files(tmp_path, resident_bytes=0).train[0]
    assert len(str(error.value).splitlines()) == 1


def test_a_cache_of_another_decoder_is_not_used(tmp_path, monkeypatch):
    image_set(tmp_path, mixed_files()[0])
    kept, streamed = (open_files(tmp_path, resident_bytes=n).train.fingerprint for n in (2**30, 0))
    caches = set(tmp_path.glob('files/*.npz'))
    monkeypatch.setattr(pixels, 'VERSION', 0)
    assert open_files(tmp_path).train.fingerprint == kept  # the pixels are the same
    assert len(set(tmp_path.glob('files/*.npz')) - caches) == 2
    assert open_files(tmp_path, resident_bytes=0).train.fingerprint != streamed
    monkeypatch.setattr(
        pixels, '_projected', lambda rgba, channels: np.zeros_like(rgba[..., :channels])
    )
    monkeypatch.setattr(pixels, 'VERSION', -1)
    assert open_files(tmp_path).train.fingerprint != kept


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
