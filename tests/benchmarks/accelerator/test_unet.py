"""The U-Net's work, and the state that it is measured with."""

import json

import jax
import pytest

from benchmarks.accelerator import unet
from benchmarks.accelerator.setting import Setting, rows_file


def test_the_work_of_a_train_step_is_that_of_ho_et_al_s_network():
    """6.1 thousand million multiplications an image (Fang et al. 2023, arXiv:2305.10924, table 1),
    to which two products of each of five attentions over 16 x 16 pixels come; and thrice that."""
    attention = 5 * 2 * 256 * 256 * 256
    expected = 3 * 128 * 2 * (6.1e9 + attention)
    assert unet.training_flops(unet.make_case('bfloat16', False)) == pytest.approx(
        expected, rel=0.01
    )


def test_the_made_up_state_is_one_of_the_algorithm():
    case = unet.make_case('float32', True)
    state = unet.made_up_state(case)
    expected = jax.eval_shape(case.algorithm.init, jax.random.key(0), {'image': None})
    assert jax.tree.structure(state) == jax.tree.structure(expected)
    pairs = zip(jax.tree.leaves(state), jax.tree.leaves(expected), strict=True)
    assert all((x.shape, x.dtype) == (y.shape, y.dtype) for x, y in pairs)
    assert all(x.any() for x in jax.tree.leaves((state.params, state.average)))


def test_seconds_are_of_a_step_after_a_call_that_does_not_count(monkeypatch):
    """By a clock that a program of 10 s a step and 20 s a call puts forward."""
    now = [0.0]
    monkeypatch.setattr(unet.time, 'perf_counter', lambda: now[0])
    case = unet.make_case('float32', True)
    counts = []

    def program(key, state, args, step, count):
        now[0] += 20 + 10 * count
        counts.append((int(step), int(count)))
        return state + count, {'loss': jax.numpy.zeros(100)}

    seconds, state = unet.call_seconds(program, jax.numpy.zeros((), int), case, 5, 3)
    assert seconds == (20 + 50) / 5
    assert counts == [(0, 5), (0, 5), (5, 5), (10, 5)]
    assert state == 20


def test_a_rate_is_told_as_a_share_of_the_chips_where_that_is_known(tmp_path):
    setting = Setting(tmp_path, tmp_path, None, False, 0.0)
    assert unet.share(setting, 'bfloat16', 4.65e12, 0.0195) == ''
    path = rows_file(tmp_path, 'chip')
    path.parent.mkdir()
    path.write_text(json.dumps({'what': 'product, bfloat16', 'value': 798.0}) + '\n')
    assert unet.share(setting, 'bfloat16', 4.65e12, 0.0195) == "30% of a large product's"
    assert unet.share(setting, 'float32', 4.65e12, 0.0195) == ''
