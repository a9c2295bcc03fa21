"""Weights in files."""

import numpy as np
import pytest

from genjax.weights.files import find_weights, read_weights, to_safetensors

WEIGHTS = {
    'params/enter/kernel': np.random.default_rng(0).normal(size=(3, 3, 1, 2)).astype(np.float32),
    'params/scale': np.array([1.5, -0.0, np.inf], np.float16),
    'params/none': np.zeros((0, 3), np.float32),
    'params/number': np.float32(2**-149),
}


def test_a_file_gives_back_every_bit(tmp_path):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(to_safetensors(WEIGHTS, {'step': '4'}))
    read = read_weights(path)
    assert {name: (x.dtype, x.shape, x.tobytes()) for name, x in read.items()} == {
        name: (x.dtype, x.shape, x.tobytes()) for name, x in WEIGHTS.items()
    }


def test_a_file_is_found_by_itself_or_in_a_folder(tmp_path):
    assert find_weights(tmp_path) is None
    (tmp_path / 'unet').mkdir()
    for name in ('unet/diffusion_pytorch_model.safetensors', 'model.safetensors'):
        (tmp_path / name).write_bytes(b'')
        assert find_weights(tmp_path) == tmp_path / name
    assert find_weights(tmp_path / 'gone.safetensors') == tmp_path / 'gone.safetensors'


@pytest.mark.parametrize('content', [b'', b'{}', b'\x08\0\0\0\0\0\0\0{"a":1}x', b'\xff' * 100])
def test_what_is_no_safetensors_is_refused_in_a_line(content, tmp_path):
    path = tmp_path / 'a.safetensors'
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r'a\.safetensors is no safetensors file') as error:
        read_weights(path)
    assert '\n' not in str(error.value)
