"""On digits, which need no files; sets of TFDS are in test_prepare.py."""

import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import NamedSharding, PartitionSpec
from sklearn.datasets import load_digits

from genjax.data.images.sets import images
from tests.data.images.tiny_sets import grey_levels
from tests.trees import assert_trees_equal


def digits(**options):
    return images('digits', **dict(batch=64, seed=0) | options)


def batch_of(train, step):
    return train[step]


def everything(data):
    """All images and labels: one epoch of training, batch 1500, and the test set."""
    batches = [data.train[0], *data.test]
    return tuple(np.concatenate([batch[name] for batch in batches]) for name in ('image', 'label'))


def test_digits_are_all_there_and_invertible():
    image, label = everything(digits(batch=1500, size=8))
    found = np.rint(grey_levels(image)[..., 0] * (16 / 255))  # the documented inverse
    ours = np.concatenate([found.reshape(-1, 64), label[:, None]], axis=1)
    source = load_digits()
    theirs = np.concatenate([source.data, source.target[:, None]], axis=1)
    np.testing.assert_array_equal(ours[np.lexsort(ours.T)], theirs[np.lexsort(theirs.T)])


def test_split_is_fixed_and_has_every_digit():
    first, second = (
        np.concatenate([batch['label'] for batch in data.test])
        for data in (digits(), digits(seed=1, batch=100))
    )
    np.testing.assert_array_equal(first, second)
    assert len(first) == 297
    assert np.bincount(first).min() > 15
    pinned = '42102690'  # so that figures measured on this split stay comparable
    assert ''.join(map(str, first[:8])) == pinned


def test_padding_is_central_background():
    small = digits(batch=1500, size=8)
    large = digits(batch=1500)
    assert large.train[0]['image'].shape == (1500, 16, 16, 1)
    for a, b in ((small.train[0], large.train[0]), (small.test[0], large.test[0])):
        np.testing.assert_array_equal(a['image'], b['image'][:, 4:12, 4:12])
        total = np.asarray(a['image']).sum() - len(b['label']) * 192
        assert np.asarray(b['image']).sum() == pytest.approx(total)
    odd = digits(size=11).test[0]['image']
    assert (odd[:, 1:9, 1:9] == digits(size=8).test[0]['image']).all()
    assert (odd[:, 9:] == -1).all()


def test_types_ranges_and_last_batch():
    data = digits(batch=64)
    batch = data.train[3]
    test = data.test[0]
    assert batch['image'].dtype == np.float32
    assert batch['label'].dtype == np.int32
    assert data.train.arrays['image'].dtype == np.uint8
    assert len(data.test) == 5
    assert [len(batch['label']) for batch in data.test] == [64, 64, 64, 64, 41]
    for image in (batch['image'], test['image']):
        assert image.min() == -1
        assert image.max() == 1
    assert isinstance(test['image'], np.ndarray)
    assert test['image'].dtype == np.float32


@pytest.mark.parametrize('options', [{}, {'flip': True, 'dequantize': True}])
def test_a_batch_is_a_pure_function_of_seed_and_step(options):
    first = digits(**options)
    second = digits(**options)
    traced = jax.jit(batch_of)
    for step in (0, 30):
        assert_trees_equal(first.train[step], second.train[step])
        assert_trees_equal(traced(first.train, step), second.train[step])
    assert (digits(seed=1, **options).train[0]['image'] != first.train[0]['image']).any()
    assert first.train.fingerprint == second.train.fingerprint != ''


def test_about_half_of_the_images_are_mirrored():
    plain = digits(batch=1500)
    mirrored = digits(batch=1500, flip=True)
    tosses = []
    for step in (0, 1):
        image = np.asarray(plain.train[step]['image'])
        other = np.asarray(mirrored.train[step]['image'])
        kept = (other == image).all((1, 2, 3))
        turned = (other == image[:, :, ::-1]).all((1, 2, 3))
        assert (kept | turned).all()
        assert abs(kept.sum() - 750) < 4 * np.sqrt(1500 / 4)
        tosses.append(kept)
    assert 600 < (tosses[0] == tosses[1]).sum() < 900  # a new toss every step
    np.testing.assert_array_equal(plain.test[0]['image'], mirrored.test[0]['image'])


def test_dequantised_levels_fill_their_interval_and_no_other():
    plain = digits(batch=1500)
    noisy = digits(batch=1500, dequantize=True)
    level = (np.asarray(noisy.train[5]['image'], np.float64) + 1) * 128
    np.testing.assert_array_equal(np.floor(level), grey_levels(plain.train[5]['image']))
    noise = np.sort((level % 1).ravel())
    uniform = (np.arange(noise.size) + 0.5) / noise.size
    kolmogorov = 1.95 / np.sqrt(noise.size)  # exceeded by one sample in a thousand
    assert np.abs(noise - uniform).max() < kolmogorov
    next_level = (np.asarray(noisy.train[6]['image'], np.float64) + 1) * 128
    correlation = np.corrcoef(level.ravel() % 1, next_level.ravel() % 1)[0, 1]
    assert abs(correlation) < 4 / np.sqrt(noise.size)
    middles = (noisy.test[0]['image'] + 1) * 128
    np.testing.assert_array_equal(middles, grey_levels(plain.test[0]['image']) + np.float32(0.5))


def test_eight_devices_draw_what_one_draws():
    train = digits(flip=True, dequantize=True).train
    sharding = NamedSharding(jax.make_mesh((8,), ('data',)), PartitionSpec('data'))
    sharded = jax.jit(batch_of, out_shardings=sharding)(train, 2)
    assert len(sharded['image'].sharding.device_set) == 8
    assert_trees_equal(sharded, jax.jit(batch_of)(train, 2))


def test_streamed_and_resident_agree():
    on_device = digits(batch=300)
    on_host = digits(batch=300, resident_bytes=0)
    assert sorted_images(on_device) == sorted_images(on_host)
    for a, b in zip(on_device.test, on_host.test, strict=True):
        assert_trees_equal(a, b)
    assert jax.eval_shape(lambda: on_device.train[0]) == jax.eval_shape(lambda: on_host.train[0])


def sorted_images(data):
    """The images of an epoch of five steps, in an order of their own."""
    image = np.concatenate([grey_levels(data.train[step]['image']) for step in range(5)])
    return sorted(x.tobytes() for x in image)


def test_stream_gives_the_batches_of_any_step():
    train = digits(batch=100, resident_bytes=0, flip=True, dequantize=True).train
    for step, raw in zip(range(13, 33), train.stream(13), strict=False):
        assert raw['image'].dtype == np.uint8
        assert_trees_equal(train.make_batch(raw, jnp.int32(step)), train[step])


def test_too_small_a_size_and_too_large_a_batch_are_refused():
    refusal = '^size is 7; digits has images of 8 x 8 and needs at least that$'
    with pytest.raises(ValueError, match=refusal):
        digits(size=7)
    refusal = '^batch is 1501; a set of 1500 examples allows 1 to 1500$'
    for resident_bytes in (0, 2**30):
        with pytest.raises(ValueError, match=refusal):
            digits(batch=1501, resident_bytes=resident_bytes)


def test_import_is_light():
    lazy = ['tensorflow_datasets', 'tensorflow', 'grain', 'sklearn', 'PIL']
    code = (
        'import sys, genjax.data.images.sets; '
        f'print([name for name in {lazy} if name in sys.modules])'
    )
    assert subprocess.check_output([sys.executable, '-c', code], text=True).strip() == '[]'
