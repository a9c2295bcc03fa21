"""TFDS's builders of MNIST, Fashion-MNIST and CIFAR-10 that prepare them without TensorFlow.

Names, versions, features, record keys and checksums are those of the stock builders, whose
extraction and image encoding call TensorFlow. This module imports tensorflow_datasets.
"""

import gzip
import io
import itertools
import math
import os
import pathlib
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from PIL import Image
from tensorflow_datasets.image_classification import cifar, mnist

from genjax.data.images.errors import one_line

CIFAR_RECORD = 1 + 3 * 32 * 32  # bytes of an example: its label, then its pixels by channel


class Mnist(mnist.MNIST, skip_registration=True):
    """MNIST from its four gzipped IDX files."""

    name = 'mnist'

    @property
    def urls(self) -> list[str]:
        kinds = ('images-idx3-ubyte.gz', 'labels-idx1-ubyte.gz')
        return [f'{self.URL}{split}-{kind}' for split in ('train', 't10k') for kind in kinds]

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        train_images, train_labels, test_images, test_labels = dl_manager.download(self.urls)
        return {
            'train': self._generate_examples(train_images, train_labels),
            'test': self._generate_examples(test_images, test_labels),
        }

    def _generate_examples(
        self, image_path: os.PathLike, label_path: os.PathLike
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        images = read_idx(image_path, 28, 28)
        labels = read_idx(label_path)
        _check_labels(label_path, labels, len(images))
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            yield index, {'image': png_file(image), 'label': int(label)}


class FashionMnist(Mnist, mnist.FashionMNIST, skip_registration=True):
    """Fashion-MNIST, whose files have the names and the format of MNIST's."""

    name = 'fashion_mnist'


class Cifar10(cifar.Cifar10, skip_registration=True):
    """CIFAR-10 from its binary archive: records of a label byte and 3 x 32 x 32 pixels."""

    name = 'cifar10'

    @property
    def urls(self) -> list[str]:
        return [self._cifar_info.url]

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        info = self._cifar_info
        (archive,) = dl_manager.download(self.urls)
        (label_file,) = info.label_files
        splits = {'train': info.train_files, 'test': info.test_files}
        names = [label_file, *itertools.chain.from_iterable(splits.values())]
        files = _extract(archive, info.prefix, names)

        classes = files[label_file].decode('utf-8', 'replace').split()
        if len(classes) != 10:
            raise ValueError(f'{archive} names {len(classes)} classes; 10 are needed')
        self.info.features['label'].names = classes

        generators = {}
        for split, split_names in splits.items():
            content = b''.join(files[name] for name in split_names)
            generators[split] = self._generate_examples(archive, split, content)
        return generators

    def _generate_examples(
        self, archive: os.PathLike, split: str, content: bytes
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        if len(content) % CIFAR_RECORD or not content:
            raise ValueError(
                f'{archive} has {len(content)} bytes to {split} on; records are of {CIFAR_RECORD}'
            )
        records = np.frombuffer(content, np.uint8).reshape(-1, CIFAR_RECORD)
        labels = records[:, 0]
        images = records[:, 1:].reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        _check_labels(archive, labels, len(records))
        for index, (image, label) in enumerate(zip(images, labels, strict=True)):
            example = {
                'id': f'{split}_{index:05d}',
                'image': png_file(image),
                'label': int(label),
            }
            yield index, example


BUILDERS: dict[str, type[Mnist] | type[Cifar10]] = {
    builder.name: builder for builder in (Mnist, FashionMnist, Cifar10)
}


def read_idx(path: os.PathLike, *shape: int) -> np.ndarray:
    """The array uint8 [N, *shape] in a gzipped IDX file.

    Args:
      path: of the file.
      shape: of one of its N entries.

    Raises:
      ValueError: the file is damaged, or holds something else.
    """
    try:
        content = gzip.decompress(pathlib.Path(path).read_bytes())
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f'{path} is damaged or cut short: {error}') from None

    axes = 1 + len(shape)
    magic = bytes([0, 0, 8, axes])  # 8: of unsigned bytes
    if content[:4] != magic:
        raise ValueError(
            f'{path} starts with {content[:4]!r}; an IDX file of bytes, {axes} axes, with {magic!r}'
        )

    start = 4 + 4 * axes
    header = content[4:start].ljust(4 * axes, b'\0')
    body = content[start:]
    count, *entry_shape = np.frombuffer(header, '>i4').tolist()
    if tuple(entry_shape) != shape or count < 1 or len(body) != count * math.prod(shape):
        needed = ', '.join(['N', *map(str, shape)])
        raise ValueError(
            f'{path} has {len(body)} bytes as {[count, *entry_shape]}; [{needed}] are needed'
        )
    return np.frombuffer(body, np.uint8).reshape(count, *shape)


def _check_labels(path: os.PathLike, labels: np.ndarray, images: int) -> None:
    if len(labels) != images or labels.max() > 9:
        raise ValueError(
            f'{path} has {len(labels)} labels up to {labels.max()}; {images} of 0 to 9 are needed'
        )


def _extract(archive: os.PathLike, folder: str, names: Sequence[str]) -> dict[str, bytes]:
    """Files of a folder in a gzipped tar archive, by name.

    The archive is read in one pass: each step back would decompress it from the start.
    """
    try:
        with tarfile.open(archive, 'r:gz') as tar:
            files = {
                member.name: tar.extractfile(member).read() for member in tar if member.isfile()
            }
    except (tarfile.TarError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ValueError(f'{archive} is damaged or cut short: {one_line(error)}') from None
    for name in names:
        if folder + name not in files:
            raise ValueError(f'{archive} holds no {folder}{name}')
    return {name: files[folder + name] for name in names}


def png_file(image: np.ndarray) -> io.BytesIO:
    """An image [H, W] or [H, W, 3] as an open PNG file, which TFDS stores as it is."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, format='png')
    file.seek(0)
    return file
