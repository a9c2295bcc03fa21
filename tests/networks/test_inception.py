"""InceptionV3: its parts against direct definitions, and the whole against torch-fidelity's."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from safetensors.numpy import save_file

from genjax.networks.inception.inceptionv3 import InceptionV3, crop, max_pool, mean_pool
from genjax.networks.inception.state_dict import read_arrays
from genjax.networks.inception.weights import (
    FILE,
    RESIZE,
    load_inception,
    preprocess,
    variables_of,
)
from tests.trees import assert_trees_equal

FEATURES = {'64': 64, '192': 192, '768': 768, '2048': 2048, 'logits_unbiased': 1008, 'logits': 1008}


@pytest.fixture(scope='module')
def traced():
    """Features of two images and variables, as shapes."""
    image = jax.ShapeDtypeStruct((2, 299, 299, 3), jnp.float32)
    return jax.eval_shape(InceptionV3().init_with_output, jax.random.key(0), image)


@pytest.fixture(scope='module')
def entries(traced):
    """The shape of every entry of the file, in torch's order of the axes."""
    _, variables = traced
    entries = {}
    for collection in variables.values():
        for name, x in collection.items():
            if x.ndim == 4:
                K, L, I, O = x.shape  # noqa: E741
                entries[name] = (O, I, K, L)
            else:
                entries[name] = x.shape[::-1]
    return entries


def empty(entries):
    """Arrays that take no memory."""
    return {name: np.broadcast_to(np.float32(0), shape) for name, shape in entries.items()}


def test_features_parameters_and_some_entries_are_the_published_ones(entries, traced):
    features, variables = traced
    assert {name: x.shape for name, x in features.items()} == {
        name: (2, size) for name, size in FEATURES.items()
    }
    # Torchvision's InceptionV3 without its second head has 23,834,568; 8 more classes have 2,048
    # weights and a bias each.
    assert sum(x.size for x in variables['params'].values()) == 23_834_568 + 8 * 2049
    assert entries['Conv2d_1a_3x3.conv.weight'] == (32, 3, 3, 3)
    assert entries['Mixed_5b.branch5x5_2.conv.weight'] == (64, 48, 5, 5)
    assert entries['Mixed_6c.branch7x7dbl_3.conv.weight'] == (160, 160, 1, 7)
    assert entries['Mixed_7a.branch7x7x3_3.conv.weight'] == (192, 192, 7, 1)
    assert entries['Mixed_7c.branch3x3dbl_3b.conv.weight'] == (384, 384, 3, 1)
    assert entries['Mixed_7c.branch_pool.bn.running_var'] == (192,)
    assert entries['fc.weight'] == (1008, 2048)


def bilinear(images, size):
    """TensorFlow 1's resize as it is defined, from the four pixels around each place.

    Args:
      images: [B, H, W, C].
      size: of the result, [B, size, size, C].
    """
    _, H, W, _ = images.shape
    y = np.arange(size) * H / size
    x = np.arange(size) * W / size
    top = y.astype(int)
    left = x.astype(int)
    bottom = np.minimum(top + 1, H - 1)
    right = np.minimum(left + 1, W - 1)
    down = (y - top)[None, :, None, None]
    across = (x - left)[None, None, :, None]

    def row(i):
        return images[:, i][:, :, left] * (1 - across) + images[:, i][:, :, right] * across

    return row(top) * (1 - down) + row(bottom) * down


@pytest.mark.parametrize('sizes', [(1, 8), (28, 32), (299, 299), (320, 640)])
def test_the_resize_is_tensorflows_of_the_images_bytes(sizes):
    levels = np.random.default_rng(0).integers(0, 256, (1, *sizes, 3))
    images = jnp.asarray(levels / 127.5 - 1, jnp.float32)
    expected = (bilinear(levels.astype(np.float64), 299) - 128) / 128
    tolerance = 2e-4 if sizes[1] > 299 else 2e-5
    np.testing.assert_allclose(jax.jit(preprocess)(images), expected, atol=tolerance)


def test_images_are_rounded_to_bytes_and_grey_ones_repeated():
    levels = jnp.asarray([0.4, 127.6, 254.6, 400.0, -9.0]).reshape(5, 1, 1, 1)
    x = jax.jit(preprocess)(levels / 127.5 - 1)
    assert x.shape == (5, 299, 299, 3)
    expected = (jnp.asarray([0.0, 128, 255, 255, 0]) - 128) / 128
    np.testing.assert_array_equal(x, jnp.broadcast_to(expected[:, None, None, None], x.shape))


@pytest.mark.parametrize(
    ('images', 'message'),
    [
        (
            np.zeros((2, 8, 8), np.float32),
            r'images have shape \(2, 8, 8\); \[B, H, W, 1 or 3\] is needed',
        ),
        (np.zeros((2, 8, 8, 4), np.float32), r'images have shape \(2, 8, 8, 4\)'),
        (
            np.zeros((2, 8, 8, 3), np.uint8),
            r'images have type uint8; floating point numbers in \[-1, 1\] are needed',
        ),
    ],
)
def test_what_is_no_image_is_refused(images, message):
    with pytest.raises(ValueError, match=message):
        preprocess(images)


def test_pools_and_crop_equal_their_definitions():
    x = np.random.default_rng(0).normal(size=(2, 6, 5, 3)).astype(np.float32)

    def window(i, j):
        return x[:, max(i - 1, 0) : i + 2, max(j - 1, 0) : j + 2]

    def pool(f):
        pooled = np.empty_like(x)
        for i, j in np.ndindex(6, 5):
            pooled[:, i, j] = f(window(i, j), (1, 2))
        return pooled

    np.testing.assert_allclose(mean_pool(x), pool(np.mean), rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(max_pool(x, stride=1, padding='SAME'), pool(np.max))
    np.testing.assert_array_equal(max_pool(x), pool(np.max)[:, 1:-1:2, 1:-1:2])
    np.testing.assert_array_equal(crop(x), x[:, 1:5, 1:4])


def test_entries_find_their_places_with_their_axes_turned(entries, traced):
    rng = np.random.default_rng(0)
    kernel_name = 'Mixed_6b.branch7x7_2.conv.weight'
    weight_name = 'fc.weight'
    kernel = rng.normal(size=entries[kernel_name]).astype(np.float32)
    weight = rng.normal(size=entries[weight_name]).astype(np.float32)
    arrays = empty(entries) | {
        kernel_name: kernel,
        weight_name: weight,
        'Mixed_6b.branch7x7_2.bn.num_batches_tracked': np.array(3),
    }
    variables = variables_of(arrays)
    assert variables['params'][kernel_name][0, 5, 17, 80] == kernel[80, 17, 0, 5]
    assert variables['params'][weight_name][2000, 7] == weight[7, 2000]
    _, expected = traced
    assert jax.tree.map(jnp.shape, variables) == jax.tree.map(jnp.shape, expected)


def test_entries_that_do_not_fit_are_refused_by_name(entries):
    arrays = empty(entries)
    name = 'Mixed_7b.branch3x3_2a.bn.running_mean'
    with pytest.raises(ValueError, match=f'the entry {name} is missing'):
        variables_of({key: x for key, x in arrays.items() if key != name})
    with pytest.raises(
        ValueError, match=rf'the entry {name} has shape \(385,\); \(384,\) is needed'
    ):
        variables_of({**arrays, name: np.zeros(385)})
    with pytest.raises(
        ValueError, match=r'the entry fc.weight has shape \(2048, 1008\); \(1008, 2048\) is needed'
    ):
        variables_of({**arrays, 'fc.weight': arrays['fc.weight'].T})
    with pytest.raises(
        ValueError, match='there is an entry AuxLogits.fc.bias, which InceptionV3 does not have'
    ):
        variables_of({**arrays, 'AuxLogits.fc.bias': np.zeros(1)})


def test_files_that_are_missing_or_others_are_refused_in_one_line(tmp_path):
    with pytest.raises(
        FileNotFoundError,
        match=f'there is no file .*; InceptionV3 needs {FILE}, published at https://',
    ):
        load_inception(tmp_path / FILE)
    save_file({'weight': np.zeros(3)}, tmp_path / 'other.safetensors')
    message = (
        'other.safetensors does not hold the weights of InceptionV3: '
        'there is an entry weight, which'
    )
    with pytest.raises(ValueError, match=message):
        load_inception(tmp_path / 'other.safetensors')


def random_weights(entries):
    """Weights that keep the scale of features through the layers; no norm is as initialised."""
    rng = np.random.default_rng(0)
    for name, shape in entries.items():
        if name.endswith(('conv.weight', 'fc.weight')):
            x = rng.normal(size=shape) * np.sqrt(2 / np.prod(shape[1:]))
        elif name.endswith(('bn.weight', 'running_var')):
            x = rng.uniform(0.5, 1.5, shape)
        else:
            x = 0.1 * rng.normal(size=shape)
        yield name, x.astype(np.float32)


@pytest.fixture(scope='module')
def peer(whole_machine, entries, tmp_path_factory):
    """A file of weights, and torch-fidelity's network with them, bytes [B, H, W, 3] -> features."""
    torch = pytest.importorskip('torch')
    pytest.importorskip('tests.programs.fidelity_peer')  # torch-fidelity may be imported after it
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path = tmp_path_factory.mktemp('weights') / FILE
    torch.save({name: torch.from_numpy(x) for name, x in random_weights(entries)}, path)
    network = FeatureExtractorInceptionV3(
        'inception', list(FEATURES), feature_extractor_weights_path=str(path)
    )

    def features(images):
        with torch.no_grad():
            outputs = network(torch.from_numpy(images).permute(0, 3, 1, 2))
        return {name: x.numpy() for name, x in zip(FEATURES, outputs, strict=True)}

    return path, features


def random_bytes(size, channels=3):
    """Images of different lightness, contrast and smoothness, so that their features differ."""
    rng = np.random.default_rng(size)
    images = []
    for lightness, contrast, coarseness in ((60, 90, 1), (128, 60, 4), (190, 20, 9)):
        noise = rng.normal(size=(size, size, channels))
        noise = noise.repeat(coarseness, 0).repeat(coarseness, 1)[:size, :size]
        images.append(lightness + contrast * noise)
    return np.clip(np.stack(images), 0, 255).astype(np.uint8)


def assert_close(ours, theirs):
    """Sees equality to 1e-4 of the deviation of features, which is far less than their size."""
    assert np.abs(ours - theirs).max() < 1e-4 * theirs.std(0).max()


@pytest.mark.peers
@pytest.mark.parametrize('size', [32, 299])
def test_it_equals_torch_fidelitys(peer, size):
    path, theirs = peer
    images = random_bytes(size)

    @jax.jit
    def features(variables, images):
        return InceptionV3().apply(variables, preprocess(images))

    ours = features(variables_of(read_arrays(path)), images.astype(np.float32) / 127.5 - 1)
    for name, expected in theirs(images).items():
        assert ours[name].shape == expected.shape
        assert_close(ours[name], expected)


@pytest.mark.peers
def test_a_file_becomes_a_function_of_grey_images(peer, tmp_path):
    path, theirs = peer
    inception = load_inception(path)
    images = random_bytes(28, channels=1)
    pooled, logits = inception.apply(jnp.asarray(images, jnp.float32) / 127.5 - 1)
    expected = theirs(np.repeat(images, 3, -1))
    assert_close(pooled, expected['2048'])
    assert_close(logits, expected['logits_unbiased'])
    save_file(read_arrays(path), tmp_path / 'weights.safetensors')
    same = load_inception(tmp_path / 'weights.safetensors')
    assert same.resize == inception.resize == RESIZE
    assert_trees_equal(same.variables, inception.variables)
