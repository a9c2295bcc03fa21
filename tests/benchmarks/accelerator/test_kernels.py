"""Kernels by their time, from traces that are written here and one that jax writes."""

import gzip
import json

import jax
import jax.numpy as jnp
import pytest

from benchmarks.accelerator import kernels


def named(kind, pid, name, tid=None):
    event = {'ph': 'M', 'name': kind, 'pid': pid, 'args': {'name': name}}
    return event if tid is None else event | {'tid': tid}


def took(pid, tid, name, microseconds, **args):
    return {'ph': 'X', 'pid': pid, 'tid': tid, 'name': name, 'dur': microseconds, 'args': args}


HOST = [
    named('process_name', 9, '/host:CPU'),
    named('thread_name', 9, 'python', 1),
    took(9, 1, 'PjitFunction', 9000),
]
GPU = [
    named('process_name', 1, '/device:GPU:0'),
    named('thread_name', 1, 'Stream #7(Compute)', 7),
    named('thread_name', 1, 'Stream #8(MemcpyD2D)', 8),
    named('thread_name', 1, 'XLA Modules', 20),
    named('thread_name', 1, 'XLA Ops', 21),
    took(1, 7, 'nvjet_128x128', 30),
    took(1, 7, 'loop_add_fusion', 5.5),
    took(1, 7, 'nvjet_128x128', 12),
    took(1, 8, 'MemcpyD2D', 20),
    took(1, 20, 'jit_run', 1000),
    took(1, 21, 'fusion.1', 42),
]


def as_tuples(found):
    return [(kernel.name, round(1e6 * kernel.seconds, 1), kernel.calls) for kernel in found]


def test_of_a_gpu_the_streams_count_and_no_line_that_shows_their_time_again():
    assert as_tuples(kernels.kernels([*HOST, *GPU])) == [
        ('nvjet_128x128', 42.0, 2),
        ('MemcpyD2D', 20.0, 1),
        ('loop_add_fusion', 5.5, 1),
    ]
    assert kernels.total(kernels.kernels(GPU)) == pytest.approx(67.5e-6)


def test_of_a_tpu_its_operations_count():
    events = [
        named('process_name', 1, '/device:TPU:0'),
        named('thread_name', 1, 'XLA Ops', 3),
        named('thread_name', 1, 'Steps', 4),
        took(1, 3, 'convolution.5', 8),
        took(1, 4, '0', 100),
    ]
    assert [kernel.name for kernel in kernels.kernels([*HOST, *events])] == ['convolution.5']


def test_of_a_cpu_operations_count_but_not_the_loops_around_them():
    events = [took(9, 2, 'while.3', 90, hlo_op='while.3'), took(9, 2, 'dot.1', 70, hlo_op='dot.1')]
    assert [kernel.name for kernel in kernels.kernels([*HOST, *events])] == ['dot.1']


def test_a_trace_without_kernels_has_none():
    assert kernels.kernels(HOST) == []


@pytest.mark.parametrize(
    'name, matrix',
    [
        ('sm90_xmma_fprop_implicit_gemm_bf16bf16_bf16f32', True),
        ('nvjet_sm90_tst_128x128_64x6_2x1_v_bz_TNT', True),
        ('gemm_fusion_dot_general_320', True),
        ('loop_convert_fusion_4', False),
        ('input_add_reduce_fusion_18', False),
        ('wrapped_concatenate_19', False),
    ],
)
def test_products_and_convolutions_are_known_by_their_names(name, matrix):
    assert kernels.is_matrix_work(kernels.Kernel(name, 1.0, 1)) == matrix


def test_the_files_have_milliseconds_and_calls_of_a_step(tmp_path):
    path = tmp_path / 'kernels.json'
    assert kernels.read(path) == []
    kernels.write(kernels.kernels(GPU), 2, path)
    first = kernels.read(path)[0]
    assert first == {
        'ms': pytest.approx(0.021),
        'calls': 1,
        'matrix': True,
        'name': 'nvjet_128x128',
    }
    assert '| 0.021 | 1.0 | `nvjet_128x128` |' in path.with_suffix('.md').read_text()


# A warning of Python 3.12 of how jax makes a type, which as an error would end the process.
@pytest.mark.filterwarnings('ignore:builtin type event_stats:DeprecationWarning')
def test_jax_writes_such_a_trace_and_both_of_its_files_agree(tmp_path):
    x = jnp.ones((256, 256))
    both = jax.jit(lambda x: jnp.tanh(x @ x))
    both(x).block_until_ready()
    with jax.profiler.trace(tmp_path):
        both(x).block_until_ready()
    found = kernels.kernels(kernels.read_trace(tmp_path))
    assert any('tanh' in kernel.name for kernel in found)
    assert kernels.total(found) > 0
    for file in tmp_path.rglob('*.trace.json.gz'):
        file.unlink()
    assert as_tuples(kernels.kernels(kernels.read_trace(tmp_path))) == as_tuples(found)


def test_the_newest_trace_of_a_folder_is_read(tmp_path):
    """As the profiler writes it: compressed, in a folder of its date."""
    for date, events in (('2026_01', HOST), ('2026_02', GPU)):
        file = tmp_path / 'plugins' / date / 'x.trace.json.gz'
        file.parent.mkdir(parents=True)
        file.write_bytes(gzip.compress(json.dumps({'traceEvents': events}).encode()))
    assert kernels.kernels(kernels.read_trace(tmp_path)) == kernels.kernels(GPU)


def test_without_a_trace_it_says_so(tmp_path):
    with pytest.raises(FileNotFoundError, match='no trace'):
        kernels.read_trace(tmp_path)
