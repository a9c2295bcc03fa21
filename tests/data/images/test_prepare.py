"""Sets of TFDS: tiny ones in the official files' formats, and MNIST itself where its files are."""

import gzip
import itertools
import subprocess
import sys

import numpy as np
import pytest
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download import checksums

from genjax.data.images import builders, prepare
from genjax.data.images.sets import images
from tests.data.images.tiny_sets import MNIST_FILES, grey_levels, tiny_cifar, tiny_mnist


def rows(image, label):
    """Images with their labels in an order of their own, for comparing sets."""
    image = np.asarray(image).reshape(len(label), -1)
    return sorted(x.tobytes() + bytes([y]) for x, y in zip(image, label, strict=True))


def levels(batch):
    """The grey levels and labels of a batch."""
    return grey_levels(batch['image']), np.asarray(batch['label'])


@pytest.mark.parametrize('where', ['.', 'mnist', 'downloads/manual'])
def test_mnist_is_prepared_from_files_already_there(place, tmp_path, where):
    parts, files = tiny_mnist(np.random.default_rng(0))
    place(tmp_path / where, files)
    data = images('mnist', batch=130, seed=0, data_dir=str(tmp_path))
    assert rows(*levels(data.train[0])) == rows(*parts[0])
    assert rows(*levels(data.test[0])) == rows(*parts[1])
    assert data.train[0]['image'].shape == (130, 28, 28, 1)
    # TFDS itself reads it now.
    assert len(tfds.data_source('mnist', split='test', data_dir=tmp_path)) == 20


def test_cifar10_is_prepared_from_its_archive(place, tmp_path):
    parts, files = tiny_cifar(np.random.default_rng(0))
    place(tmp_path, files, builders.Cifar10)
    data = images('cifar10', batch=130, seed=0, data_dir=str(tmp_path))
    assert rows(*levels(data.train[0])) == rows(*parts[0])
    assert rows(*levels(data.test[0])) == rows(*parts[1])
    builder = tfds.builder('cifar10', data_dir=tmp_path)
    assert builder.info.features['label'].names == [f'kind{i}' for i in range(10)]
    ids = sorted(record['id'].decode() for record in builder.as_data_source('test'))
    assert ids == [f'test_{i:05}' for i in range(20)]


def test_streamed_records_are_the_decoded_ones(place, tmp_path):
    place(tmp_path, tiny_mnist(np.random.default_rng(0))[1])
    options = dict(batch=130, seed=0, size=32, data_dir=str(tmp_path))
    resident = images('mnist', resident_bytes=2**30, **options)
    streamed = images('mnist', resident_bytes=0, **options)
    assert rows(*levels(resident.train[0])) == rows(*levels(streamed.train[0]))
    np.testing.assert_array_equal(resident.test[0]['image'], streamed.test[0]['image'])
    assert streamed.train[0]['image'].shape == (130, 32, 32, 1)
    assert streamed.train[0]['label'].dtype == np.int32
    assert len(resident.test) == len(streamed.test) == 1


def test_a_corrupted_file_is_refused_and_leaves_nothing(place, tmp_path):
    _, files = tiny_mnist(np.random.default_rng(0))
    place(tmp_path / 'mnist', files)
    path = tmp_path / 'mnist' / MNIST_FILES[2]
    right = checksums.compute_url_info(path).checksum
    content = bytearray(path.read_bytes())
    content[-9] ^= 1
    path.write_bytes(content)
    wrong = checksums.compute_url_info(path).checksum
    with pytest.raises(ValueError) as error:
        images('mnist', batch=4, seed=0, data_dir=str(tmp_path))
    message = str(error.value)
    assert all(word in message for word in (str(path), right, wrong))
    assert '\n' not in message
    assert not list(tmp_path.glob('mnist/*3.0.1*'))


def test_an_interrupted_preparation_leaves_nothing_that_looks_complete(
    place, tmp_path, monkeypatch
):
    place(tmp_path, tiny_mnist(np.random.default_rng(0))[1])
    png_file = builders.png_file
    calls = itertools.count(1)

    def interrupted(image):
        if next(calls) == 15:  # the first split is written, the second is not
            raise KeyboardInterrupt
        return png_file(image)

    monkeypatch.setattr(builders, 'png_file', interrupted)
    with pytest.raises(KeyboardInterrupt):
        images('mnist', batch=4, seed=0, data_dir=str(tmp_path))
    assert not list(tmp_path.glob('mnist/*3.0.1*'))
    monkeypatch.setattr(builders, 'png_file', png_file)
    data = images('mnist', batch=130, seed=0, data_dir=str(tmp_path))
    assert data.train[0]['label'].shape == (130,)


def test_a_read_only_folder_is_left_as_it_is(place, tmp_path):
    parts, files = tiny_mnist(np.random.default_rng(0))
    given = tmp_path / 'given'
    place(given, files)
    given.chmod(0o555)
    for _ in range(2):
        data = images('mnist', batch=130, seed=0, data_dir=str(given))
        assert rows(*levels(data.train[0])) == rows(*parts[0])
    assert sorted(path.name for path in given.rglob('*')) == sorted(MNIST_FILES)
    assert (tmp_path / 'default' / 'mnist' / '3.0.1').is_dir()


@pytest.mark.parametrize('there', [0, 3])
def test_out_of_reach_says_which_files_to_put_where(place, tmp_path, there):
    _, files = tiny_mnist(np.random.default_rng(0))
    place(tmp_path / 'mnist', files)
    for name in MNIST_FILES[there:]:
        (tmp_path / 'mnist' / name).unlink()
    with pytest.raises(FileNotFoundError) as error:
        images('mnist', batch=4, seed=0, data_dir=str(tmp_path))
    message = str(error.value)
    assert message.endswith(f' into {tmp_path / "mnist"}')
    assert [name for name in MNIST_FILES if name in message] == MNIST_FILES[there:]
    assert '\n' not in message


@pytest.mark.parametrize(
    'name, near', [('mnits', 'mnist'), ('digit', 'digits'), ('cifar-10', 'cifar10')]
)
def test_unknown_names_are_answered_with_the_nearest(place, tmp_path, name, near):
    with pytest.raises(ValueError, match=f'^there is no set {name!r}.* nearest: {near}$'):
        images(name, batch=4, seed=0, data_dir=str(tmp_path))


@pytest.mark.parametrize('name', ['cifar100', 'mnist:3.0.1'])
def test_known_sets_that_are_not_prepared_say_how(place, tmp_path, name):
    known = name.partition(':')[0]
    refusal = f'^{known} is not prepared in .*: tfds build {known} --data_dir='
    with pytest.raises(FileNotFoundError, match=refusal):
        images(name, batch=4, seed=0, data_dir=str(tmp_path))


def test_each_set_finds_the_files_in_its_own_folder_first(place, tmp_path):
    """Fashion-MNIST's files have the names of MNIST's."""
    place(tmp_path, tiny_mnist(np.random.default_rng(0))[1])
    parts, files = tiny_mnist(np.random.default_rng(1))
    place(tmp_path / 'fashion_mnist', files, builders.FashionMnist)
    data = images('fashion_mnist', batch=130, seed=0, data_dir=str(tmp_path))
    assert rows(*levels(data.train[0])) == rows(*parts[0])
    builder = tfds.builder('fashion_mnist', data_dir=tmp_path)
    assert builder.info.features['label'].names[9] == 'Ankle boot'


@pytest.mark.slow
def test_tensorflow_is_never_imported(place, tmp_path):
    """A program that opens a prepared set, decodes and streams ends at once if it imports it."""
    place(tmp_path, tiny_mnist(np.random.default_rng(0))[1])
    prepare.open_set('mnist', str(tmp_path))
    fake = tmp_path / 'fake' / 'tensorflow'
    fake.mkdir(parents=True)
    (fake / '__init__.py').write_text('raise SystemExit("TensorFlow was imported")')
    code = f"""
import sys
sys.path.insert(0, {str(tmp_path / 'fake')!r})
from genjax.data.images.sets import images
for n in (0, 2**30):
    data = images('mnist', batch=4, seed=0, data_dir={str(tmp_path)!r}, resident_bytes=n)
    data.train[0], data.test[0]
print('tensorflow' in sys.modules)
"""
    assert subprocess.check_output([sys.executable, '-c', code], text=True).split() == ['False']


def link(real_data, folder):
    folder.mkdir(exist_ok=True)
    for name in MNIST_FILES:
        (folder / name).symlink_to(real_data / 'mnist' / name)


@pytest.mark.slow
def test_mnist_itself_by_the_checksums_of_tfds(real_data, tmp_path):
    link(real_data, tmp_path / 'mnist')
    data = images('mnist', batch=60_000, seed=0, data_dir=str(tmp_path))
    image, label = levels(data.train[0])
    # The counts, mean and deviation that every description of MNIST gives.
    counts = '5923 6742 5958 6131 5842 5421 5918 6265 5851 5949'
    assert np.bincount(label).tolist() == [int(count) for count in counts.split()]
    assert image.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
    assert image.std() / 255 == pytest.approx(0.3081, abs=5e-5)
    raw = [gzip.decompress((real_data / 'mnist' / name).read_bytes()) for name in MNIST_FILES[2:]]
    test_image = np.frombuffer(raw[0], np.uint8, offset=16).reshape(-1, 28, 28)
    test_label = np.frombuffer(raw[1], np.uint8, offset=8)
    assert rows(*levels(data.test[0])) == rows(test_image, test_label)


def test_a_corrupted_mnist_is_refused(real_data, tmp_path):
    link(real_data, tmp_path)
    path = tmp_path / MNIST_FILES[3]
    content = bytearray(path.read_bytes())
    path.unlink()
    content[1000] ^= 1
    path.write_bytes(content)
    checksum = 'f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb2'
    with pytest.raises(ValueError, match=f'{path}.*wrong checksum.*{checksum}'):
        images('mnist', batch=4, seed=0, data_dir=str(tmp_path))
    assert not list(tmp_path.glob('mnist/*3.0.1*'))
