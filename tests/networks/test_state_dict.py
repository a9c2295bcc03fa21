"""State dicts written by hand, byte for byte as torch writes them, and refusals."""

import io
import os
import pickle
import struct
import zipfile

import numpy as np
import pytest
from safetensors.numpy import save_file

from genjax.networks.inception.state_dict import MAGIC, read_arrays

ORDERED = b'ccollections\nOrderedDict\n)R'
KINDS = {
    'float32': b'FloatStorage',
    'float64': b'DoubleStorage',
    'float16': b'HalfStorage',
    'int64': b'LongStorage',
}


def text(value):
    return b'X' + struct.pack('<I', len(value)) + value.encode()


def numbers(values):
    return b'(' + b''.join(b'J' + struct.pack('<i', n) for n in values) + b't'


def tensor(key, x, part=b'', *, kind=None, count=None, offset=0, shape=None, strides=None):
    """Opcodes of a tensor whose storage holds the numbers of x, in the order of the memory."""
    kind = kind or b'ctorch\n' + KINDS[x.dtype.name] + b'\n'
    size = struct.pack('<i', x.size if count is None else count)
    storage = b'(' + text('storage') + kind + text(key) + text('cpu') + b'J' + size + part + b'tQ'
    shape = x.shape if shape is None else shape
    strides = [n // x.itemsize for n in x.strides] if strides is None else strides
    view = b'J' + struct.pack('<i', offset) + numbers(shape) + numbers(strides)
    return b'ctorch._utils\n_rebuild_tensor_v2\n(' + storage + view + b'\x89' + ORDERED + b'tR'


def dictionary(entries):
    """A pickle of an OrderedDict of entries, with the metadata that torch adds."""
    items = b''.join(text(name) + x for name, x in entries.items())
    metadata = b'}' + text('_metadata') + ORDERED + b'sb'
    return b'\x80\x02' + ORDERED + b'(' + items + b'u' + metadata + b'.'


def stored(x):
    return x.tobytes('A')  # in the order of the memory


def zipped(content, arrays, order=b'little'):
    file = io.BytesIO()
    with zipfile.ZipFile(file, 'w') as archive:
        archive.writestr('weights/data.pkl', content)
        archive.writestr('weights/byteorder', order)
        for i, x in enumerate(arrays):
            archive.writestr(f'weights/data/{i}', stored(x))
    return file.getvalue()


def streamed(content, arrays, little=True):
    keys = [str(i) for i in range(len(arrays))]
    parts = [pickle.dumps(part, 2) for part in (MAGIC, 1001, {'little_endian': little})]
    lengths = [struct.pack('<q', x.size) + stored(x) for x in arrays]
    return b''.join([*parts, content, pickle.dumps(keys, 2), *lengths])


# How a format is written, and what ends a storage's description.
FORMATS = {'zip': (zipped, b''), 'stream': (streamed, b'N')}
formats = pytest.mark.parametrize('form', FORMATS)


def some_arrays():
    rng = np.random.default_rng(0)
    return {
        'kernel': rng.normal(size=(2, 3, 1, 7)).astype(np.float32),
        'transposed': rng.normal(size=(3, 4)).astype(np.float32).T,
        'double': rng.normal(size=5),
        'half': rng.normal(size=(2, 2)).astype(np.float16),
        'count': np.array(7),
    }


def written(form, arrays):
    write, part = FORMATS[form]
    entries = {name: tensor(str(i), x, part) for i, (name, x) in enumerate(arrays.items())}
    return write(dictionary(entries), list(arrays.values()))


def read(tmp_path, content):
    (tmp_path / 'weights.pth').write_bytes(content)
    return read_arrays(tmp_path / 'weights.pth')


def refused(tmp_path, content):
    """The message with which content is refused, in one line."""
    with pytest.raises(ValueError) as error:
        read(tmp_path, content)
    assert '\n' not in str(error.value)
    return str(error.value)


def assert_same(ours, theirs):
    assert list(ours) == list(theirs)
    for name, x in theirs.items():
        assert ours[name].dtype == x.dtype
        np.testing.assert_array_equal(ours[name], x)


@formats
def test_what_is_written_by_hand_is_read(form, tmp_path):
    assert_same(read(tmp_path, written(form, some_arrays())), some_arrays())


@formats
def test_tensors_may_share_a_storage(form, tmp_path):
    write, part = FORMATS[form]
    x = np.arange(12, dtype=np.float32)
    entries = {
        'rows': tensor('0', x, part, offset=4, shape=(2, 4), strides=(4, 1)),
        'columns': tensor('0', x, part, offset=1, shape=(3, 2), strides=(4, 2)),
    }
    arrays = read(tmp_path, write(dictionary(entries), [x]))
    matrix = x.reshape(3, 4)
    assert_same(arrays, {'rows': matrix[1:], 'columns': matrix[:, 1::2]})


def test_safetensors_are_read(tmp_path):
    arrays = {'a': np.arange(6, dtype=np.float32).reshape(2, 3), 'b': np.array([1.5])}
    path = tmp_path / 'weights.safetensors'
    save_file(arrays, path)
    assert_same(dict(sorted(read_arrays(path).items())), arrays)
    path.write_bytes(b'nothing of the kind')
    with pytest.raises(ValueError, match='this is no safetensors file'):
        read_arrays(path)


class Runs:
    """What pickles as a call."""

    def __init__(self, function, *arguments):
        self.call = function, arguments

    def __reduce__(self):
        return self.call


@pytest.mark.parametrize('protocol', [0, 2, 4])
@formats
def test_a_pickle_that_would_run_something_is_refused_and_runs_nothing(form, protocol, tmp_path):
    folder = tmp_path / 'made'
    content = pickle.dumps({'weight': Runs(os.mkdir, str(folder))}, protocol)
    write, _ = FORMATS[form]
    message = refused(tmp_path, write(content, []))
    assert "wants 'posix.mkdir', which no state dict of weights needs" in message
    assert not folder.exists()


@pytest.mark.parametrize(
    'names',
    [
        ('torch', 'load'),
        ('torch', 'FloatStorage.from_file'),
        ('torch._utils', '_rebuild_parameter'),
        ('collections', 'Counter'),
        ('builtins', 'eval\n'),
    ],
)
def test_names_near_the_known_ones_are_refused(names, tmp_path):
    content = b'\x80\x04' + text(names[0]) + text(names[1]) + b'\x93.'
    assert f'wants {".".join(names)!r}' in refused(tmp_path, zipped(content, []))


X = np.arange(6, dtype=np.float32)
ODD = {
    'offset': tensor('0', X, offset=1),
    'stride': tensor('0', X, strides=(2,)),
    'repeated': tensor('0', X, shape=(7,), strides=(0,)),
    'negative': tensor('0', X, offset=5, strides=(-1,)),
    'ranks': tensor('0', X, shape=(2, 3)),
    'count': tensor('0', X, count=7),
    'object': tensor('0', X, kind=text('O')),
    'key': tensor('1', X),
    'list': b']',
}


@pytest.mark.parametrize(
    ('entry', 'message'),
    [
        ('offset', 'a tensor of shape (6,) does not lie in its 6 numbers'),
        ('stride', 'a tensor of shape (6,) does not lie in its 6 numbers'),
        ('repeated', 'a tensor of shape (7,) does not lie in its 6 numbers'),
        ('negative', 'described by other things than a storage and whole numbers'),
        ('ranks', 'zip() argument 2 is shorter'),
        ('count', 'the storage 0 has 24 bytes; 28 are needed'),
        ('object', 'it refers to something that is no storage of weights'),
        ('key', "'weights/data/1'"),
        ('list', "the file holds a list under 'x'; a tensor is needed"),
    ],
)
def test_a_tensor_that_does_not_fit_is_refused(entry, message, tmp_path):
    assert message in refused(tmp_path, zipped(dictionary({'x': ODD[entry]}), [X]))


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'this is no state dict'),
        (b'not a pickle at all', 'this is no state dict'),
        (pickle.dumps(MAGIC + 1, 2), 'this is no file of torch.save'),
        (
            streamed(dictionary({}), [], little=False),
            'does not say that its numbers are little-endian',
        ),
        (streamed(dictionary({}), [X]), 'the storages of the file are not those of its tensors'),
        (
            zipped(dictionary({}), [], order=b'big'),
            'does not say that its numbers are little-endian',
        ),
        (zipped(pickle.dumps([1], 2), []), 'the file holds a list; a state dict'),
        (
            zipped(dictionary({}), []).replace(b'data.pkl', b'data.abc'),
            'the zip has 0 entries named data.pkl',
        ),
    ],
)
def test_other_files_are_refused(content, message, tmp_path):
    assert message in refused(tmp_path, content)


@formats
def test_a_damaged_file_gives_arrays_or_one_line(form, tmp_path):
    content = written(form, some_arrays())
    rng = np.random.default_rng(0)
    for trial in range(300):
        damaged = bytearray(content)
        damaged[rng.integers(len(damaged))] = rng.integers(256)
        if trial % 3 == 0:
            damaged = damaged[: rng.integers(len(damaged))]
        try:
            arrays = read(tmp_path, bytes(damaged))
        except ValueError as error:
            assert '\n' not in str(error)
        else:
            assert sum(x.size for x in arrays.values()) <= 64


@pytest.mark.peers
@pytest.mark.parametrize('modern', [True, False])
def test_what_torch_writes_is_read(modern, tmp_path):
    import torch

    module = torch.nn.Sequential(
        torch.nn.Conv2d(2, 3, (1, 7)), torch.nn.BatchNorm2d(3), torch.nn.Linear(3, 4)
    )
    state = module.state_dict()
    state['2.weight'] = state['2.weight'].T
    path = tmp_path / 'weights.pth'
    torch.save(state, path, _use_new_zipfile_serialization=modern)
    assert_same(read_arrays(path), {name: x.numpy() for name, x in state.items()})
