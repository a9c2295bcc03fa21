"""Image sets of a few images, in the official files' formats or prepared by TFDS from any files."""

import gzip
import io
import struct
import tarfile
import zlib

import numpy as np
import tensorflow_datasets as tfds

from genjax.data.images import builders
from genjax.data.images.sets import images

MNIST_FILES = [url.rpartition('/')[2] for url in builders.Mnist.urls.fget(builders.Mnist)]

# Images in each split of a set of `prepare_shapes`.
SHAPES = {'train': 9, 'test': 3}

# Of each pass of an interlaced PNG: first row, first column, step down, step right.
ADAM7 = [
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
]


def idx(array):
    """A gzipped IDX file of an array of bytes."""
    magic = b'\0\0\x08' + bytes([array.ndim])
    shape = np.array(array.shape, '>i4').tobytes()
    return gzip.compress(magic + shape + array.tobytes())


def tiny_mnist(rng):
    """Two splits of (image [N, 28, 28], label [N]), and the four files that hold them."""
    splits = [_random_split(rng, n, (28, 28)) for n in (130, 20)]
    arrays = [array for split in splits for array in split]
    return splits, {name: idx(array) for name, array in zip(MNIST_FILES, arrays, strict=True)}


def tiny_cifar(rng):
    """Two splits of (image [N, 32, 32, 3], label [N]), and the archive that holds them."""
    splits = [_random_split(rng, n, (32, 32, 3)) for n in (130, 20)]
    train, test = (
        np.c_[label, image.transpose(0, 3, 1, 2).reshape(len(image), -1)] for image, label in splits
    )
    files = {f'data_batch_{i + 1}.bin': rows.tobytes() for i, rows in enumerate(np.split(train, 5))}
    files['test_batch.bin'] = test.tobytes()
    files['batches.meta.txt'] = b'\n'.join([b'kind%d' % i for i in range(10)])

    archive = io.BytesIO()
    with tarfile.open(fileobj=archive, mode='w:gz') as tar:
        for name, content in files.items():
            member = tarfile.TarInfo(f'cifar-10-batches-bin/{name}')
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    return splits, {'cifar-10-binary.tar.gz': archive.getvalue()}


def _random_split(rng, n, shape):
    image = rng.integers(0, 256, (n, *shape), np.uint8)
    label = np.arange(n, dtype=np.uint8) % 10
    return image, label


def png(samples, depth, kind, chunks=(), interlaced=False):
    """A PNG file as its specification has it (W3C, Portable Network Graphics).

    Args:
      samples: whole numbers [H, W, S].
      depth: bits of a sample.
      kind: the colour type: 0 grey, 2 RGB, 3 of a palette, 4 grey and alpha, 6 RGBA.
      chunks: (name, bytes) that come before the data.
      interlaced: whether the pixels come in the seven passes of Adam7.
    """
    height, width, _ = samples.shape
    header = struct.pack('>IIBBBBB', width, height, depth, kind, 0, 0, interlaced)
    passes = ADAM7 if interlaced else [(0, 0, 1, 1)]
    rows = [row for y, x, down, right in passes for row in samples[y::down, x::right] if row.size]
    bits = [(row.reshape(-1, 1) >> np.arange(depth)[::-1]) & 1 for row in rows]
    lines = b''.join(b'\0' + np.packbits(bit.astype(np.uint8)).tobytes() for bit in bits)
    all_chunks = [(b'IHDR', header), *chunks, (b'IDAT', zlib.compress(lines)), (b'IEND', b'')]
    return b'\x89PNG\r\n\x1a\n' + b''.join(_chunk(*chunk) for chunk in all_chunks)


def _chunk(name, content):
    length = struct.pack('>I', len(content))
    checksum = struct.pack('>I', zlib.crc32(name + content))
    return length + name + content + checksum


def prepare_set(folder, splits, features, set_name='files'):
    """Has TFDS prepare a set of a name, of {split: list of records}."""

    class Files(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version('1.0.0')
        name = set_name

        def _info(self):
            return self.dataset_info_from_configs(features=tfds.features.FeaturesDict(features))

        def _split_generators(self, dl_manager):
            return {split: self._generate_examples(records) for split, records in splits.items()}

        def _generate_examples(self, records):
            yield from enumerate(records)

    Files(data_dir=folder).download_and_prepare(file_format='array_record')


def prepare_shapes(folder, counts, shape=(4, 6, 3), first=0):
    """Prepares the set `shapes` of single-coloured images with two labels each.

    Args:
      folder: of the sets.
      counts: {split: number of images}; image i of a split has the level first + i.
      shape: that the set declares.
      first: level of the first image.
    """
    labels = tfds.features.Sequence(tfds.features.ClassLabel(num_classes=9))
    features = {'image': tfds.features.Image(shape=shape), 'label': labels}

    def record(i):
        image = np.full((4, 6, 3), first + i, np.uint8)
        return {'image': builders.png_file(image), 'label': [1, 2]}

    records = {split: [record(i) for i in range(n)] for split, n in counts.items()}
    prepare_set(folder, records, features, 'shapes')
    return folder


def open_shapes(folder, **options):
    """The data of a set of `prepare_shapes`."""
    return images('shapes', **dict(batch=9, seed=0, data_dir=str(folder)) | options)


def levels(batch):
    """The levels of the images of `shapes` in a batch, sorted."""
    image = np.asarray(batch['image'])
    return sorted(np.rint((image[:, 0, 0, 0] + 1) * 127.5).astype(int).tolist())


def prepare_files(folder, files, shape=(4, 6, 3)):
    """Prepares the set `files` of image files to train on, and of the first three to test on."""
    splits = {
        'train': [{'image': file} for file in files],
        'test': [{'image': file} for file in files[:3]],
    }
    prepare_set(folder, splits, {'image': tfds.features.Image(shape=shape)})


def open_files(folder, **options):
    """The data of a set of `prepare_files`."""
    return images('files', **dict(batch=9, seed=0, data_dir=str(folder)) | options)


def mixed_files():
    """Nine PNG files of four kinds, and the RGB images that they stand for, [9, 4, 6, 3]."""
    grey = np.arange(9)[:, None, None, None] * 20 + np.arange(24).reshape(1, 4, 6, 1) // 20
    bits = grey[:3] // 20 % 2 + np.zeros((1, 4, 6, 1), int)
    opaque = np.full((4, 6, 1), 255)
    palette = [(b'PLTE', np.repeat(np.arange(256)[::-1], 3).astype(np.uint8).tobytes())]
    files = [
        *[png(image, 1, 0) for image in bits],
        *[png(image, 8, 0) for image in grey[3:5]],
        *[png(255 - image, 8, 3, palette) for image in grey[5:7]],
        *[png(np.concatenate([np.repeat(image, 3, 2), opaque], 2), 8, 6) for image in grey[7:]],
    ]
    return files, np.repeat(np.concatenate([bits * 255, grey[3:]]), 3, 3).astype(np.uint8)


def grey_levels(image):
    """Images in [-1, 1] as grey levels 0 to 255."""
    return np.rint((np.asarray(image) + 1) * 127.5).astype(np.uint8)
