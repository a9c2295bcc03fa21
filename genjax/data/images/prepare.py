"""Opens image sets as TFDS prepares them, and prepares those that we have builders for.

Import this module where it is used: it imports tensorflow_datasets.
"""

import contextlib
import dataclasses
import difflib
import itertools
import pathlib
import sys
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

import requests
import tensorflow_datasets as tfds
from tensorflow_datasets.core.download.download_manager import NonMatchingChecksumError
from tensorflow_datasets.proto import tf_example_pb2

from genjax.data.images.builders import BUILDERS
from genjax.data.images.errors import one_line
from genjax.home import data_folder, is_writable


def open_set(name: str, data_dir: str = '') -> tfds.core.DatasetBuilder:
    """The prepared set of that name; mnist, fashion_mnist and cifar10 are prepared if need be.

    Files already downloaded are searched for in data_dir/NAME, data_dir/downloads/manual and
    data_dir; the rest is downloaded. TFDS's registered checksums hold for both. Nothing that exists
    is overwritten, and a set appears under its own name only when it is complete.

    Args:
      name: of the set, as TFDS spells it (`name/config:version`).
      data_dir: folder of prepared sets, laid out by TFDS; '' means TFDS's default. What has to be
        prepared goes there, or to TFDS's default where data_dir is read-only; only then, or without
        data_dir, is a home needed.

    Raises:
      ValueError: there is no set of that name, or a prepared one is damaged; a file has another
        checksum than the registered one, or is none of the set.
      FileNotFoundError: the set is neither prepared nor within reach, or there is no folder to
        prepare it in.
    """
    folder = data_folder(data_dir)
    builder = _builder(name, folder)
    can_write = is_writable(folder) and is_writable(folder / name)
    if not builder.data_path.exists() and not can_write:
        builder = _builder(name, _default_folder(name, folder))
    if not builder.data_path.exists():
        _prepare(builder, [folder / name, folder / 'downloads' / 'manual', folder])
    with _refuse_damage(builder.data_path):
        return tfds.builder_from_directory(builder.data_path)


def open_records(builder: tfds.core.DatasetBuilder, split: str) -> Sequence[dict[str, Any]]:
    """The records of a split by index, with every image as the file that is stored.

    TFDS would decode images by whichever of OpenCV and Pillow is installed.

    Raises:
      ValueError: the record files are damaged, or of a format that allows no random access.
    """
    features = dict(builder.info.features)
    images = [
        name for name, feature in features.items() if isinstance(feature, tfds.features.Image)
    ]
    decoders = {name: tfds.decode.SkipDecoding() for name in images}
    try:
        source = builder.as_data_source(split, decoders=decoders)
        return LabelledImages(source) if _is_labelled_image(features) else source
    except NotImplementedError:
        file_format = builder.info.file_format.value
        raise ValueError(
            f'{builder.data_path} holds {file_format} files; '
            'random access needs array_record: prepare it elsewhere'
        ) from None
    except RuntimeError as error:
        raise ValueError(f'{builder.data_path} is damaged: {error}') from None


@dataclasses.dataclass(frozen=True)
class LabelledImages(Sequence):
    """The records of a split of labelled images, of which TFDS's reader makes arrays one by one.

    Attributes:
      source: TFDS's.
    """

    source: Any

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return self.source[index]

    def __getitems__(self, indices: Sequence[int]) -> list[dict[str, Any]]:
        """The image, as its file, and the label at several indices, and nothing else."""
        stored = self.source.data_source.__getitems__(indices)
        return [_image_and_label(content) for content in stored]


def _is_labelled_image(features: dict[str, Any]) -> bool:
    """Whether image and label are stored as one file and one whole number."""
    image = features.get('image')
    label = features.get('label')
    return type(image) is tfds.features.Image and type(label) is tfds.features.ClassLabel


def _image_and_label(content: bytes) -> dict[str, Any]:
    """Of one tf.train.Example."""
    feature = tf_example_pb2.Example.FromString(content).features.feature
    (image,) = feature['image'].bytes_list.value
    (label,) = feature['label'].int64_list.value
    return {'image': image, 'label': label}


def _default_folder(name: str, read_only: pathlib.Path) -> pathlib.Path:
    """TFDS's default, for a set that is not prepared in a folder that is read-only."""
    try:
        return data_folder()
    except FileNotFoundError as error:
        raise FileNotFoundError(
            f'{name} is not prepared in {read_only}, which is read-only; {error}'
        ) from None


def _builder(name: str, folder: pathlib.Path) -> tfds.core.DatasetBuilder:
    """The builder of a set in a folder, whether the set is prepared there or not."""
    if name in BUILDERS:
        with _refuse_damage(folder / name):
            return BUILDERS[name](data_dir=folder)
    try:
        return tfds.builder(name, data_dir=folder)
    except ValueError:  # no such name, or no name at all: TFDS takes many lines to say so
        stock = tfds.list_builders(with_community_datasets=False)
        known = {'digits', *stock, *_prepared_names(folder)}
        nearest = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0)[0]
        raise ValueError(
            f'there is no set {name!r}, nor one prepared in {folder}; nearest: {nearest}'
        ) from None


@contextlib.contextmanager
def _refuse_damage(path: pathlib.Path) -> Iterator[None]:
    """Turns whatever the damaged files of a prepared set raise into a ValueError of one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(f'{path} holds no set as TFDS prepares it: {one_line(error)}') from None


def _prepared_names(folder: pathlib.Path) -> Iterator[str]:
    """Names of the sets prepared in a folder, with and without a configuration."""
    files = itertools.chain(
        folder.glob('*/*/dataset_info.json'), folder.glob('*/*/*/dataset_info.json')
    )
    return (file.relative_to(folder).parts[0] for file in files)


def _prepare(builder: tfds.core.DatasetBuilder, places: Sequence[pathlib.Path]) -> None:
    """Prepares a set where its builder says, from files in one of some places or downloaded ones.

    Raises:
      ValueError: a file has another checksum than the registered one, or is none of the set.
      FileNotFoundError: we have no builder for it, or its source is out of reach.
    """
    name = builder.name
    if type(builder) is not BUILDERS.get(name):
        command = f'tfds build {name} --data_dir={builder.data_dir_root} --file_format=array_record'
        raise FileNotFoundError(
            f'{name} is not prepared in {builder.data_path}; prepare it by: {command}'
        )

    files = [url.rpartition('/')[2] for url in builder.urls]
    place = _first_with_any(places, files)
    missing = [file for file in files if not (place / file).is_file()]
    if missing and not _reachable(builder.urls[0]):
        raise FileNotFoundError(
            f'{name} is not prepared and its source is out of reach; '
            f'put {", ".join(missing)} into {place}'
        )

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    config = tfds.download.DownloadConfig(
        manual_dir=place, force_checksums_validation=True, try_download_gcs=False
    )
    # TFDS's folder of downloads appears only where something is downloaded.
    with tempfile.TemporaryDirectory() as empty:
        try:
            builder.download_and_prepare(
                file_format='array_record',
                download_dir=None if missing else empty,
                download_config=config,
            )
        except NonMatchingChecksumError as error:
            raise ValueError(one_line(error).partition(' To debug')[0]) from None
        except OSError:
            # Another process, started at the same time, may have been faster.
            if not builder.data_path.exists():
                raise


def _first_with_any(places: Sequence[pathlib.Path], files: Sequence[str]) -> pathlib.Path:
    """The first folder that has one of some files; the first of all if none has."""
    for place in places:
        if any((place / file).is_file() for file in files):
            return place
    return places[0]


def _reachable(url: str) -> bool:
    """Whether a source answers at all; TFDS alone would try for minutes before it gives up."""
    try:
        requests.head(url, timeout=10)
    except requests.exceptions.RequestException:
        return False
    return True
