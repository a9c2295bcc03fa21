"""On digits, which need no files; sets of TFDS are in test_prepare.py."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from sklearn.datasets import load_digits

from genjax.data.images.sets import NOISE, _scaled, images
from genjax.data.resident import ORDER

digits = lambda **options: images('digits', **dict(batch=64, seed=0) | options)
levels = lambda image: np.rint((np.asarray(image) + 1) * 127.5).astype(np.uint8)


def everything(data):
    """All images and labels: one epoch of training, batch 1500, and the test set."""
    batches = [data.train[0], *data.test]
    return tuple(np.concatenate([batch[name] for batch in batches]) for name in ('image', 'label'))


def test_digits_are_all_there_and_invertible():
    image, label = everything(digits(batch=1500, size=8))
    found = np.rint(levels(image)[..., 0] * (16 / 255))  # the documented inverse
    ours = np.concatenate([found.reshape(-1, 64), label[:, None]], axis=1)
    source = load_digits()
    theirs = np.concatenate([source.data, source.target[:, None]], axis=1)
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_split_is_fixed_and_has_every_digit():
    first, second = digits(), digits(seed=1, batch=100)
    test = [np.concatenate([batch['label'] for batch in data.test]) for data in (first, second)]
    np.testing.assert_array_equal(*test)
    assert len(test[0]) == 297 and np.bincount(test[0]).min() > 15
    pinned = '42102690'  # so that figures measured on this split stay comparable
    assert ''.join(map(str, test[0][:8])) == pinned


def test_padding_is_central_background():
    small, large = digits(batch=1500, size=8), digits(batch=1500)
    assert large.train[0]['image'].shape == (1500, 16, 16, 1)
    for a, b in ((small.train[0], large.train[0]), (small.test[0], large.test[0])):
        np.testing.assert_array_equal(a['image'], b['image'][:, 4:12, 4:12])
        assert np.asarray(b['image']).sum() == pytest.approx(
            np.asarray(a['image']).sum() - len(b['label']) * 192
        )
    odd = digits(size=11).test[0]['image']
    assert (odd[:, 1:9, 1:9] == digits(size=8).test[0]['image']).all() and (odd[:, 9:] == -1).all()


def test_types_ranges_and_last_batch():
    data = digits(batch=64)
    train = data.train[3]
    assert train['image'].dtype == np.float32 and train['label'].dtype == np.int32
    assert data.train.arrays['image'].dtype == np.uint8
    assert [len(batch['label']) for batch in data.test] == [64, 64, 64, 64, 41] and len(
        data.test
    ) == 5
    for batch in (train, data.test[0]):
        assert batch['image'].min() == -1 and batch['image'].max() == 1
    assert (
        isinstance(data.test[0]['image'], np.ndarray) and data.test[0]['image'].dtype == np.float32
    )


@pytest.mark.parametrize('options', [{}, {'flip': True, 'dequantize': True}])
def test_a_batch_is_a_pure_function_of_seed_and_step(options):
    first, second = digits(**options), digits(**options)
    traced = jax.jit(lambda train, step: train[step])
    for step in (0, 30):
        jax.tree.map(np.testing.assert_array_equal, first.train[step], second.train[step])
        jax.tree.map(np.testing.assert_array_equal, traced(first.train, step), second.train[step])
    assert (digits(seed=1, **options).train[0]['image'] != first.train[0]['image']).any()
    assert first.train.fingerprint == second.train.fingerprint != ''


def test_host_and_device_scale_alike():
    level = np.arange(256, dtype=np.float32)
    for below in (None, np.float32(0.5)):
        host, device = _scaled(level, below), jax.jit(_scaled)(level, below)
        np.testing.assert_array_equal(host, device)
        assert (
            host.dtype == np.float32 and (np.diff(host) > 0).all() and -1 <= host[0] < host[-1] <= 1
        )


def test_about_half_of_the_images_are_mirrored():
    plain, mirrored = digits(batch=1500), digits(batch=1500, flip=True)
    coins = []
    for step in (0, 1):
        image, other = (np.asarray(data.train[step]['image']) for data in (plain, mirrored))
        kept, turned = ((other == x).all((1, 2, 3)) for x in (image, image[:, :, ::-1]))
        assert (kept | turned).all()
        coins.append(kept)
        assert abs(kept.sum() - 750) < 4 * np.sqrt(1500 / 4)
    assert 600 < (coins[0] == coins[1]).sum() < 900  # a new toss every step
    np.testing.assert_array_equal(plain.test[0]['image'], mirrored.test[0]['image'])


def test_dequantised_levels_fill_their_interval_and_no_other():
    plain, noisy = digits(batch=1500), digits(batch=1500, dequantize=True)
    grey = (np.asarray(noisy.train[5]['image'], np.float64) + 1) * 128
    np.testing.assert_array_equal(np.floor(grey), levels(plain.train[5]['image']))
    noise = np.sort((grey % 1).ravel())
    expected = (np.arange(noise.size) + 0.5) / noise.size
    assert np.abs(noise - expected).max() < 1.95 / np.sqrt(
        noise.size
    )  # Kolmogorov-Smirnov, one in a thousand
    again = (np.asarray(noisy.train[6]['image'], np.float64) + 1) * 128
    assert abs(np.corrcoef(grey.ravel() % 1, again.ravel() % 1)[0, 1]) < 4 / np.sqrt(noise.size)
    middles = (noisy.test[0]['image'] + 1) * 128
    np.testing.assert_array_equal(middles, levels(plain.test[0]['image']) + np.float32(0.5))


def test_eight_devices_draw_what_one_draws():
    train = digits(flip=True, dequantize=True).train
    sharding = NamedSharding(jax.make_mesh((8,), ('data',)), PartitionSpec('data'))
    split = jax.jit(lambda train, step: train[step], out_shardings=sharding)(train, 2)
    whole = jax.jit(lambda train, step: train[step])(train, 2)
    assert len(split['image'].sharding.device_set) == 8
    jax.tree.map(np.testing.assert_array_equal, split, whole)


def test_streamed_and_resident_agree():
    on_device, on_host = digits(batch=300), digits(batch=300, resident_bytes=0)
    assert everything_sorted(on_device) == everything_sorted(on_host)
    for a, b in zip(on_device.test, on_host.test, strict=True):
        jax.tree.map(np.testing.assert_array_equal, a, b)
    a, b = (
        jax.tree.map(lambda x: (x.shape, x.dtype), data.train[0]) for data in (on_device, on_host)
    )
    assert a == b


def everything_sorted(data):
    image = np.concatenate([levels(data.train[step]['image']) for step in range(5)])  # an epoch
    return sorted(x.tobytes() for x in image)


def test_stream_gives_the_batches_of_any_step():
    train = digits(batch=100, resident_bytes=0, flip=True, dequantize=True).train
    for step, raw in zip(range(13, 33), train.stream(13), strict=False):
        assert raw['image'].dtype == np.uint8
        jax.tree.map(
            np.testing.assert_array_equal, train.make_batch(raw, jnp.int32(step)), train[step]
        )


def test_too_small_a_size_and_too_large_a_batch_are_refused():
    with pytest.raises(
        ValueError, match='^size is 7; digits has images of 8 x 8 and needs at least that$'
    ):
        digits(size=7)
    for resident_bytes in (0, 2**30):
        with pytest.raises(
            ValueError, match='^batch is 1501; a set of 1500 examples allows 1 to 1500$'
        ):
            digits(batch=1501, resident_bytes=resident_bytes)


def test_import_is_light():
    lazy = ['tensorflow_datasets', 'tensorflow', 'grain', 'sklearn', 'PIL']
    code = f'import sys, genjax.data.images.sets; print([name for name in {lazy} if name in sys.modules])'
    assert subprocess.check_output([sys.executable, '-c', code], text=True).strip() == '[]'


def test_keys_are_not_the_trainers():
    # A trainer folds steps, below 2**31, and the last eight numbers of uint32 into the same key;
    # fold_in is one to one in its number.
    assert len({NOISE, ORDER}) == 2 and all(
        2**31 <= number < 2**32 - 8 for number in (NOISE, ORDER)
    )
