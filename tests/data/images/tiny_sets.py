"""Image sets of a few random images, in the official files' formats, or of any files at all."""

import gzip
import io
import struct
import tarfile
import zlib

import numpy as np
import tensorflow_datasets as tfds

from genjax.data.images import prepare

MNIST_FILES = [url.rpartition('/')[2] for url in prepare.Mnist.urls.fget(prepare.Mnist)]


def idx(array):
    return gzip.compress(
        b'\0\0\x08' + bytes([array.ndim]) + np.array(array.shape, '>i4').tobytes() + array.tobytes()
    )


def tiny_mnist(rng):
    """Two parts of (image [N, 28, 28], label [N]), and the four files that hold them."""
    parts = [
        (rng.integers(0, 256, (n, 28, 28), np.uint8), np.arange(n, dtype=np.uint8) % 10)
        for n in (130, 20)
    ]
    arrays = [array for part in parts for array in part]
    return parts, {name: idx(array) for name, array in zip(MNIST_FILES, arrays, strict=True)}


def tiny_cifar(rng):
    """Two parts of (image [N, 32, 32, 3], label [N]), and the archive that holds them."""
    parts = [
        (rng.integers(0, 256, (n, 32, 32, 3), np.uint8), np.arange(n, dtype=np.uint8) % 10)
        for n in (130, 20)
    ]
    rows = [
        np.c_[label, image.transpose(0, 3, 1, 2).reshape(len(image), -1)] for image, label in parts
    ]
    files = {
        f'data_batch_{i + 1}.bin': part.tobytes() for i, part in enumerate(np.split(rows[0], 5))
    }
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


def png(samples, depth, kind, chunks=(), interlaced=False):
    """A PNG file as its specification has it (W3C, Portable Network Graphics), of samples [H, W, S]
    of so many bits.

    kind: the colour type: 0 grey, 2 RGB, 3 of a palette, 4 grey and alpha, 6 RGBA. chunks: (name,
    bytes) that come before the data.
    """
    height, width, _ = samples.shape
    header = struct.pack('>IIBBBBB', width, height, depth, kind, 0, 0, interlaced)
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    rows = [row for y, x, down, right in passes for row in samples[y::down, x::right] if row.size]
    bits = [(row.reshape(-1, 1) >> np.arange(depth)[::-1]) & 1 for row in rows]
    lines = b''.join(b'\0' + np.packbits(bit.astype(np.uint8)).tobytes() for bit in bits)
    parts = [(b'IHDR', header), *chunks, (b'IDAT', zlib.compress(lines)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(_chunk(*part) for part in parts)


ADAM7 = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def _chunk(name, content):
    return (
        struct.pack('>I', len(content))
        + name
        + content
        + struct.pack('>I', zlib.crc32(name + content))
    )


def prepare_set(folder, parts, features, called='files'):
    """Has TFDS prepare the set of that name, of the parts {name: list of records}."""

    class Files(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version('1.0.0')
        name = called

        def _info(self):
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {part: self._generate_examples(records) for part, records in parts.items()}

        def _generate_examples(self, records):
            yield from enumerate(records)

    Files(data_dir=folder).download_and_prepare(file_format='array_record')
