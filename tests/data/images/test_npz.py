"""Images in npz files, against the arrays that they were written from."""

import numpy as np
import pytest

from genjax.data.images.npz import KEYS, read_npz

DRAW = np.random.default_rng(0)
IMAGES = DRAW.integers(0, 256, (6, 5, 4, 3), np.uint8)
LABELS = np.array([0, 3, 1, 1, 2, 0])


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
@pytest.mark.parametrize('keys', KEYS)
@pytest.mark.parametrize('images', [IMAGES, IMAGES[..., 0], np.asfortranarray(IMAGES)], ids=str)
def test_images_and_labels_are_those_written(save, keys, images, tmp_path):
    path = tmp_path / 'a.npz'
    save(path, **{'other': np.zeros(3), keys[0]: images, keys[1]: LABELS})
    found = read_npz(path)
    np.testing.assert_array_equal(found.images, images)
    np.testing.assert_array_equal(found.labels, LABELS)
    assert found.labels.dtype == np.int32
    assert found.names == [f'{i:06}' for i in range(6)]


def test_a_stored_array_stays_on_the_disk(tmp_path):
    np.savez(tmp_path / 'a.npz', IMAGES)  # without a name it is arr_0
    found = read_npz(tmp_path / 'a.npz')
    assert isinstance(found.images, np.memmap)
    assert found.labels is None
    np.testing.assert_array_equal(found.images, IMAGES)


def test_names_are_those_written(tmp_path):
    names = [f'{letter}/é.png' for letter in 'fedcba']
    np.savez(tmp_path / 'a.npz', images=IMAGES, names=np.array(names))
    assert read_npz(tmp_path / 'a.npz').names == names


@pytest.mark.parametrize(
    ('arrays', 'message'),
    [
        ({'mu': IMAGES}, r"holds \['mu'\]; images are arr_0, image or images"),
        ({'images': IMAGES / 255}, r'has images of float64 \(6, 5, 4, 3\); images are uint8'),
        ({'images': IMAGES.astype(np.uint16)}, 'has images of uint16'),
        ({'images': IMAGES[0, 0]}, r'has images of uint8 \(4, 3\)'),
        ({'images': IMAGES[:0]}, r'has images of uint8 \(0, 5, 4, 3\)'),
        ({'images': IMAGES, 'labels': LABELS[:5]}, r'has labels of int64 \(5,\); labels are 6'),
        ({'images': IMAGES, 'labels': LABELS / 2}, 'has labels of float64'),
        ({'images': IMAGES, 'labels': LABELS - 1}, 'has labels of int64'),
        ({'images': IMAGES, 'labels': LABELS + 2**31}, 'has labels of int64'),
        ({'images': IMAGES, 'labels': np.eye(6)}, 'has labels of float64'),
        ({'images': IMAGES, 'names': np.array(['a'] * 6)}, 'has names of <U1'),
        ({'images': IMAGES, 'names': np.arange(6)}, 'has names of int64'),
        ({'images': np.array([IMAGES, None], object)}, 'Object arrays cannot be loaded'),
    ],
)
def test_other_arrays_are_refused_in_one_line(arrays, message, tmp_path):
    np.savez(tmp_path / 'a.npz', **arrays)
    with pytest.raises(ValueError, match=message) as refusal:
        read_npz(tmp_path / 'a.npz')
    assert str(refusal.value).startswith(f'{tmp_path}/a.npz ')
    assert '\n' not in str(refusal.value)


def test_damage_is_refused_in_one_line(tmp_path):
    path = tmp_path / 'a.npz'
    np.savez_compressed(path, images=IMAGES)
    good = path.read_bytes()
    for bad in (good[:50], good[: len(good) // 2], good[:200] + bytes(50) + good[250:]):
        path.write_bytes(bad)
        with pytest.raises(ValueError, match='a.npz ') as refusal:
            read_npz(path)
        assert '\n' not in str(refusal.value)
