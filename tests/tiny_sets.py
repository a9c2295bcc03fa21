"""Image sets of a few random images, in the official files' formats."""

import gzip
import io
import tarfile

import numpy as np

from genjax.data import prepare

MNIST_FILES = [url.rpartition('/')[2] for url in prepare.Mnist.urls.fget(prepare.Mnist)]


def idx(array):
    return gzip.compress(b'\0\0\x08' + bytes([array.ndim]) + np.array(array.shape, '>i4').tobytes() + array.tobytes())


def tiny_mnist(rng):
    """Two parts of (image [N, 28, 28], label [N]), and the four files that hold them."""
    parts = [(rng.integers(0, 256, (n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8) % 10) for n in (130, 20)]
    arrays = [array for part in parts for array in part]
    return parts, {name: idx(array) for name, array in zip(MNIST_FILES, arrays, strict=True)}


def tiny_cifar(rng):
    """Two parts of (image [N, 32, 32, 3], label [N]), and the archive that holds them."""
    parts = [(rng.integers(0, 256, (n, 32, 32, 3), np.uint8), np.arange(n, dtype=np.uint8) % 10) for n in (130, 20)]
    rows = [np.c_[label, image.transpose(0, 3, 1, 2).reshape(len(image), -1)] for image, label in parts]
    files = {f'data_batch_{i + 1}.bin': part.tobytes() for i, part in enumerate(np.split(rows[0], 5))}
    files |= {
        'test_batch.bin': rows[1].tobytes(),
        'batches.meta.txt': b'\n'.join([b'kind%d' % i for i in range(10)]),
    }
    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode='w:gz') as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f'cifar-10-batches-bin/{name}')
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return parts, {'cifar-10-binary.tar.gz': archive.getvalue()}
