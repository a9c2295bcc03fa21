"""A program that a thread compiles: the same program, waited for at its first call."""

import threading

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.training.ahead import compile_ahead


def shapes(*arrays):
    return [jax.ShapeDtypeStruct(x.shape, x.dtype) for x in arrays]


def test_it_gives_what_the_program_gives_to_the_bit():
    x = jax.random.normal(jax.random.key(0), (50, 20))
    program = jax.jit(lambda x: jnp.tanh(x @ x.T).sum(0))
    ahead = compile_ahead(program, *shapes(x))
    np.testing.assert_array_equal(ahead(x), program(x))


def test_the_caller_traces_it_and_another_thread_compiles_it(monkeypatch):
    traced_by = []
    compiled_by = []
    begun = threading.Event()
    go_on = threading.Event()
    compile_of_jax = jax.stages.Lowered.compile

    def slow(lowered):
        compiled_by.append(threading.current_thread())
        begun.set()
        assert go_on.wait(30)
        return compile_of_jax(lowered)

    def program(x):
        traced_by.append(threading.current_thread())
        return x + 1

    monkeypatch.setattr(jax.stages.Lowered, 'compile', slow)
    ahead = compile_ahead(jax.jit(program), *shapes(jnp.ones(3)))
    assert begun.wait(30)  # and the caller is here already
    go_on.set()
    np.testing.assert_array_equal(ahead(jnp.ones(3)), 2 * np.ones(3))
    assert traced_by == [threading.current_thread()]
    assert len(compiled_by) == 1 and compiled_by[0] is not threading.current_thread()


def test_settings_of_the_caller_hold():
    with jax.enable_x64(True):
        ahead = compile_ahead(jax.jit(lambda x: x / 3), jax.ShapeDtypeStruct((2,), jnp.float64))
        result = ahead(np.ones(2))
    assert result.dtype == np.float64
    np.testing.assert_array_equal(result, np.ones(2) / 3)


def test_an_error_of_the_compiler_is_the_first_calls(monkeypatch):
    def refuse(lowered):
        raise RuntimeError('out of memory')

    monkeypatch.setattr(jax.stages.Lowered, 'compile', refuse)
    ahead = compile_ahead(jax.jit(jnp.sin), *shapes(jnp.ones(3)))
    with pytest.raises(RuntimeError, match='^out of memory$'):
        ahead(jnp.ones(3))


def test_what_cannot_be_lowered_stays_as_it_is():
    def program(x):
        return x

    assert compile_ahead(program, jnp.ones(3)) is program
