"""A trilinear form of arrays whose derivatives have codes of their own.

A form s = T(a, b, c), linear in each of three arrays, has three partial derivatives, each of which
is bilinear in the two arrays that are left: for <c, a * b> of a convolution they are the
convolution, its input gradient and its kernel gradient. The derivatives of a partial derivative, of
any order, forwards and in reverse, are made of these three alone. So whoever has a good code for
each of them has one for all; `jax.custom_vjp` would forbid `jax.jvp`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jax.extend.core import Primitive
from jax.interpreters import ad, batching, mlir

# (first, second, shape of the result, options) -> the partial derivative by the third.
Code = Callable[[Array, Array, tuple[int, ...], Any], Array]


def trilinear(name: str, cpu: tuple[Code, ...], default: tuple[Code, ...]) -> Callable:
    """The three partial derivatives of a trilinear form.

    Args:
      name: in programs.
      cpu: the codes on a CPU of the derivatives by the first, the second and the third array.
      default: the same elsewhere.

    Returns:
      (missing, first, second, shape, options) -> the derivative by the array at place `missing`, of
      this shape, where `first` and `second` are the other two, in order. The options are hashable.
      Under `jax.vmap` the codes are mapped.
    """
    partial = Primitive(name)

    def derivative(missing, first, second, shape, options, maps=()):
        return partial.bind(first, second, missing=missing, shape=shape, options=options, maps=maps)

    def abstract(first, second, *, shape, maps, **_):
        del second
        sizes = tuple(size for size, _, _ in reversed(maps))
        return jax.core.ShapedArray((*sizes, *shape), first.dtype)

    partial.def_abstract_eval(abstract)
    partial.def_impl(jax.jit(partial.bind, static_argnames=('missing', 'shape', 'options', 'maps')))
    for platform, codes in (('cpu', cpu), (None, default)):
        lowering = mlir.lower_fun(_mapped(codes), multiple_results=False)
        mlir.register_lowering(partial, lowering, platform=platform)
    ad.defbilinear(partial, _transpose(derivative, 0), _transpose(derivative, 1))
    batching.primitive_batchers[partial] = _batch(derivative)
    return derivative


def _mapped(codes):
    """The primitive as a function: a code, mapped over as many axes as there are `maps`.

    Each of the maps is (its size, whether `first` has the axis, whether `second` has it), the
    innermost first. Its axis is the leading one at its turn; the result has them all.
    """

    def apply(first, second, *, missing, shape, options, maps):
        def code(first, second):
            return codes[missing](first, second, shape, options)

        for _, *has_axis in maps:
            code = jax.vmap(code, [0 if has else None for has in has_axis])
        return code(first, second)

    return apply


def _transpose(derivative, place):
    """How a cotangent is pulled back to `first` (place 0) or `second` (1): a derivative again."""

    def pull_back(cotangent, first, second, *, missing, shape, options, maps):
        del shape
        undefined, other = (first, second) if place == 0 else (second, first)
        slots = [slot for slot in range(3) if slot != missing]
        asked = slots[place]
        own_maps = [has_axis[place] for _, *has_axis in maps]
        shape = undefined.aval.shape[sum(own_maps) :]

        # The cotangent has all mapped axes.
        is_first = missing < slots[1 - place]
        operands = (cotangent, other) if is_first else (other, cotangent)
        new_maps = []
        for size, *has_axis in maps:
            has_other = has_axis[1 - place]
            new_maps.append((size, True, has_other) if is_first else (size, has_other, True))
        x = derivative(asked, *operands, shape, options, tuple(new_maps))

        outermost_first = enumerate(reversed(own_maps))
        shared = [axis for axis, has in outermost_first if not has]
        return jnp.sum(x, shared) if shared else x

    return pull_back


def _batch(derivative):
    """One more axis, before all others."""

    def batch(operands, axes, *, missing, shape, options, maps):
        moved = []
        for x, axis in zip(operands, axes, strict=True):
            moved.append(x if axis is None else jnp.moveaxis(x, axis, 0))
        size = next(len(x) for x, axis in zip(moved, axes, strict=True) if axis is not None)
        outer = (size, *(axis is not None for axis in axes))
        return derivative(missing, *moved, shape, options, (*maps, outer)), 0

    return batch
