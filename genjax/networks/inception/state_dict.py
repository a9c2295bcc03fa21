"""Named arrays from files: state dicts in both formats of torch.save, and safetensors.

A file of torch.save is a pickle, which could run anything. It is read without torch: the names
that a state dict needs are the only ones known here, and they make plain descriptions of tensors;
any other is refused.
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

MAGIC = 0x1950A86A20F9469CFC6C  # the first pickle of the format before zip
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
        return _read_safetensors(path.read_bytes())
    with open(path, 'rb') as file:
        is_zip = zipfile.is_zipfile(file)
        file.seek(0)
        return _read_zip(file) if is_zip else _read_stream(file)


def _read_safetensors(content: bytes) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        return load(content)
    except (SafetensorError, KeyError) as error:  # a KeyError is a type that numpy does not have
        reason = ' '.join(str(error).split())
        raise ValueError(f'this is no safetensors file of numpy arrays: {reason}') from None


def _read_zip(file: BinaryIO) -> dict[str, np.ndarray]:
    """The format since torch 1.6: a pickle, and beside it a file for each storage."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _read_archive(archive)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        KeyError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        raise ValueError(f'the zip is damaged or not one of torch.save: {error}') from None


def _read_archive(archive: zipfile.ZipFile) -> dict[str, np.ndarray]:
    names = archive.namelist()
    folders = [name.removesuffix('data.pkl') for name in names if name.endswith('/data.pkl')]
    if len(folders) != 1:
        raise ValueError(
            f'the zip has {len(folders)} entries named data.pkl; a file of torch.save has one'
        )
    (folder,) = folders
    # A few compressed bytes could become any number.
    if any(entry.compress_type for entry in archive.infolist()):
        raise ValueError('the zip is compressed; torch.save stores')

    @cache  # tensors may share a storage
    def read(name):
        return archive.read(folder + name)

    if f'{folder}byteorder' in names:
        _require_little_endian(read('byteorder') == b'little')
    tensors = _require_tensors(_unpickle(io.BytesIO(read('data.pkl'))))
    return {
        name: _as_array(tensor, read(f'data/{tensor.storage.key}'))
        for name, tensor in tensors.items()
    }


def _read_stream(file: BinaryIO) -> dict[str, np.ndarray]:
    """The format before: pickles of a number, a version, the machine, the tensors and the keys.

    After them come the storages, each with its length in eight bytes before it.
    """
    if _unpickle(file) != MAGIC or _unpickle(file) != 1001:
        raise ValueError('this is no file of torch.save')
    machine = _unpickle(file)
    _require_little_endian(type(machine) is dict and machine.get('little_endian'))
    tensors = _require_tensors(_unpickle(file))
    keys = _unpickle(file)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    if keys != sorted(storages):
        raise ValueError('the storages of the file are not those of its tensors')

    rest = memoryview(file.read())
    contents = {}
    for key in keys:
        end = 8 + storages[key].count * np.dtype(storages[key].type).itemsize
        contents[key] = rest[8:end]
        rest = rest[end:]
    return {
        name: _as_array(tensor, contents[tensor.storage.key]) for name, tensor in tensors.items()
    }


def _require_little_endian(is_little: Any) -> None:
    if not is_little:
        raise ValueError('the file does not say that its numbers are little-endian')


# The unpickler is the one in Python: that in C takes memory by what a file claims to hold.
class _Unpickler(pickle._Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        # A pickle may set attributes of any object that it gets. A class or function returned here
        # must not keep such a change beyond the file.
        if (module, name) == ('collections', 'OrderedDict'):
            return OrderedDict
        if (module, name) == ('torch._utils', '_rebuild_tensor_v2'):
            return lambda *fields: _make_tensor(*fields[:4])
        if module == 'torch' and name in TYPES:
            return TYPES[name]
        raise pickle.UnpicklingError(
            f'it wants {f"{module}.{name}"!r}, which no state dict of weights needs'
        )

    def persistent_load(self, pid: Any) -> Storage:
        # In the older format a sixth entry names the storage that this one is a part of, or None.
        kind, dtype, key, _, count, *parent = pid
        is_known = (
            kind == 'storage'
            and dtype in TYPES.values()
            and isinstance(key, str)
            and parent in ([], [None])
        )
        if not is_known or not isinstance(count, int) or count < 0:
            raise pickle.UnpicklingError('it refers to something that is no storage of weights')
        return Storage(key, dtype, count)


def _unpickle(file: BinaryIO) -> Any:
    try:
        return _Unpickler(file).load()
    except Exception as error:  # a damaged pickle can raise anything
        reason = ' '.join(str(error).split()) or type(error).__name__
        raise ValueError(f'this is no state dict of torch.save: {reason}') from None


def _make_tensor(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    """The description of a tensor, checked to lie within its storage."""
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


def _require_tensors(content: Any) -> dict[str, Tensor]:
    if not isinstance(content, dict):
        raise ValueError(
            f'the file holds a {type(content).__name__}; a state dict, tensors by name, is needed'
        )
    # By dict's own method: the pickle may have set attributes of its OrderedDict.
    tensors = dict(dict.items(content))
    for name, value in tensors.items():
        if not isinstance(name, str) or not isinstance(value, Tensor):
            raise ValueError(
                f'the file holds a {type(value).__name__} under {name!r}; a tensor is needed'
            )
    return tensors


def _as_array(tensor: Tensor, content: bytes | memoryview) -> np.ndarray:
    storage = tensor.storage
    size = np.dtype(storage.type).itemsize
    if len(content) != size * storage.count:
        raise ValueError(
            f'the storage {storage.key} has {len(content)} bytes; {size * storage.count} are needed'
        )
    strides = [size * step for step in tensor.strides]
    return np.ndarray(tensor.shape, storage.type, content, size * tensor.offset, strides)
