"""The examples of one split of a prepared image set, decoded on access.

Letters: N examples, H x W pixels, C channels.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from genjax.data.images.errors import one_line

Example = dict[str, Any]  # 'image' uint8 [H, W, C] and, of labelled sets, 'label' int32


@dataclasses.dataclass(frozen=True)
class Examples:
    """The examples of a split: the image and, where it is a single whole number, the label.

    Attributes:
      records: by index, with images as files or as arrays.
      shape: of an image, [H, W, C].
      split: name of the split.
      path: folder of the prepared set.

    Raises:
      ValueError: on access, the record files are damaged, or `pixels.decode` refuses an image; the
        message names that by its index, as `tfds.data_source` has it.
    """

    records: Sequence[Example]
    shape: tuple[int, int, int]
    split: str
    path: pathlib.Path

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> Example:
        with _refuse_damage(self.path):
            record = self.records[index]
        return self._decoded(index, record)

    def __iter__(self) -> Iterator[Example]:
        return (self[index] for index in range(len(self)))

    def arrays(self, indices: Sequence[int]) -> dict[str, np.ndarray]:
        """The examples at several indices, stacked, which is faster than one by one."""
        with _refuse_damage(self.path):
            records = self.records.__getitems__(indices)
        images = [
            self._image(i, record['image']) for i, record in zip(indices, records, strict=True)
        ]
        arrays = {'image': np.stack(images)}
        labels = [record.get('label') for record in records]
        if _is_number(labels[0]):
            arrays['label'] = np.array(labels, np.int32)
        return arrays

    def _decoded(self, index: int, record: Example) -> Example:
        image = self._image(index, record['image'])
        label = record.get('label')
        if _is_number(label):
            return {'image': image, 'label': np.int32(label)}
        return {'image': image}

    def _image(self, index: int, stored: Any) -> np.ndarray:
        # Imports Pillow, which digits do without.
        from genjax.data.images import pixels

        if not isinstance(stored, bytes):
            return stored
        try:
            return pixels.decode(stored, self.shape)
        except ValueError as error:
            raise ValueError(
                f'{self.path}: the image of example {index} of {self.split} {error}'
            ) from None


def _is_number(label: Any) -> bool:
    return isinstance(label, int | np.integer)


@contextlib.contextmanager
def _refuse_damage(path: pathlib.Path) -> Iterator[None]:
    """Turns whatever damaged record files raise into a ValueError of one line."""
    try:
        yield
    except Exception as error:
        raise ValueError(f'{path} is damaged: {one_line(error)}') from None
