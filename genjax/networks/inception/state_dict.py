"""Named arrays from files: the state dicts that torch.save writes, in both of its formats, and
safetensors.

A file of torch.save is a pickle, which could run anything. It is read without torch: of all names
only those that a state dict needs are known here, and they make plain descriptions of tensors; any
other is refused.
"""

import io
import math
import os
import pathlib
import pickle
import zipfile
import zlib
from collections import OrderedDict
from functools import cache
from typing import Any, BinaryIO, NamedTuple

import numpy as np

MAGIC = 0x1950A86A20F9469CFC6C  # what a file begins with that is not a zip
TYPES = {
    'DoubleStorage': '<f8',
    'FloatStorage': '<f4',
    'HalfStorage': '<f2',
    'LongStorage': '<i8',
    'IntStorage': '<i4',
}


class Storage(NamedTuple):
    """A run of numbers."""

    key: str
    type: str
    count: int


class Tensor(NamedTuple):
    """A view of a storage, in numbers, not in bytes."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_arrays(path: str | os.PathLike) -> dict[str, np.ndarray]:
    """The arrays of a .safetensors file, or of a state dict that torch.save wrote, by name.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: it holds anything else, or is damaged.
    """
    path = pathlib.Path(path)
    if path.suffix == '.safetensors':
        return _from_safetensors(path.read_bytes())
    with open(path, 'rb') as file:
        zipped = zipfile.is_zipfile(file)
        file.seek(0)
        return _from_zip(file) if zipped else _from_stream(file)


def _from_safetensors(content: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load as unpacked

    try:
        return unpacked(content)
    except (SafetensorError, KeyError) as error:  # a KeyError is a type that numpy does not have
        said = ' '.join(str(error).split())
        raise ValueError(f'this is no safetensors file of numpy arrays: {said}') from None


def _from_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    """The format since torch 1.6: a pickle, and beside it a file for each storage."""
    try:
        with zipfile.ZipFile(file) as archive:
            names = archive.namelist()
            folders = [
                name.removesuffix('data.pkl') for name in names if name.endswith('/data.pkl')
            ]
            if len(folders) != 1:
                raise ValueError(
                    f'the zip has {len(folders)} entries named data.pkl; a file of torch.save has one'
                )
            if any(
                entry.compress_type for entry in archive.infolist()
            ):  # a few bytes could become any number
                raise ValueError('the zip is compressed; torch.save stores')
            read = cache(
                lambda name: archive.read(folders[0] + name)
            )  # tensors may share a storage
            if f'{folders[0]}byteorder' in names:
                _check_order(read('byteorder') == b'little')
            tensors = _tensors(_unpickled(io.BytesIO(read('data.pkl'))))
            return {
                name: _view(tensor, read(f'data/{tensor.storage.key}'))
                for name, tensor in tensors.items()
            }
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(f'the zip is damaged or not one of torch.save: {error}') from None


def _from_stream(file: BinaryIO) -> dict[str, np.ndarray]:
    """The format before: pickles of a number, a version, the machine, the tensors and the keys,
    then the storages."""
    if _unpickled(file) != MAGIC or _unpickled(file) != 1001:
        raise ValueError('this is no file of torch.save')
    machine = _unpickled(file)
    _check_order(type(machine) is dict and machine.get('little_endian'))
    tensors, keys = _tensors(_unpickled(file)), _unpickled(file)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if keys != sorted(storages):
        raise ValueError('the storages of the file are not those of its tensors')
    rest, contents = memoryview(file.read()), {}
    for key in keys:  # each with its length before it, in eight bytes
        end = 8 + storages[key].count * np.dtype(storages[key].type).itemsize
        contents[key], rest = rest[8:end], rest[end:]
    return {name: _view(tensor, contents[tensor.storage.key]) for name, tensor in tensors.items()}


def _check_order(little: Any) -> None:
    if not little:
        raise ValueError('the file does not say that its numbers are little-endian')


class _Restricted(
    pickle._Unpickler
):  # in Python: the one in C takes memory by what a file claims, not by what it has
    def find_class(self, module: str, name: str) -> Any:
        # A pickle may set attributes of what it holds: nothing returned here can be changed for
        # longer than the file.
        if (module, name) == ('collections', 'OrderedDict'):
            return OrderedDict
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return lambda *fields: _tensor(*fields[:4])
        if module == 'torch' and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(
            f'it wants {f"{module}.{name}"!r}, which no state dict of weights needs'
        )

    def persistent_load(self, pid: Any) -> Storage:
        kind, dtype, key, _, count, *part = (
            pid  # part, in the older format: of which storage this is a part, or None
        )
        known = (
            kind == 'storage'
            and dtype in TYPES.values()
            and isinstance(key, str)
            and part in ([], [None])
        )
        if not known or not isinstance(count, int) or count < 0:
            raise pickle.UnpicklingError('it refers to something that is no storage of weights')
        return Storage(key, dtype, count)


def _unpickled(file: BinaryIO) -> Any:
    try:
        return _Restricted(file).load()
    except Exception as error:  # a damaged pickle can raise anything
        said = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(f'this is no state dict of torch.save: {said}') from None


def _tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    """The description, found to lie within its storage."""
    sizes = (offset, *shape, *strides)
    if not isinstance(storage, Storage) or not all(isinstance(n, int) and n >= 0 for n in sizes):
        raise pickle.UnpicklingError(
            'a tensor is described by other things than a storage and whole numbers'
        )
    last = offset + sum((n - 1) * step for n, step in zip(shape, strides, strict=True))
    if 0 not in shape and (last >= storage.count or math.prod(shape) > storage.count):
        raise pickle.UnpicklingError(
            f'a tensor of shape {shape} does not lie in its {storage.count} numbers'
        )
    return Tensor(storage, offset, tuple(shape), tuple(strides))


def _tensors(found: Any) -> dict[str, Tensor]:
    if not isinstance(found, dict):
        raise ValueError(
            f'the file holds a {type(found).__name__}; a state dict, tensors by name, is needed'
        )
    tensors = dict(
        dict.items(found)
    )  # whatever the pickle has made of the attributes of its dictionary
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(
                f'the file holds a {type(value).__name__} under {name!r}; a tensor is needed'
            )
    return tensors


def _view(tensor: Tensor, content: bytes | memoryview) -> np.ndarray:
    (key, dtype, count), offset, shape, strides = tensor
    size = np.dtype(dtype).itemsize
    if len(content) != size * count:
        raise ValueError(f'the storage {key} has {len(content)} bytes; {size * count} are needed')
    return np.ndarray(shape, dtype, content, size * offset, [size * step for step in strides])
