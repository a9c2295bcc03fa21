"""The arithmetic of products and convolutions in a program: the work that a model is made of."""

import math
from collections.abc import Callable, Iterator
from typing import Any

import jax


def matrix_flops(function: Callable, *arguments: Any) -> int:
    """Multiplications and additions of all products and convolutions of a function.

    What is computed between them is not counted. A loop whose length the program does not state
    counts once. Of the branches of a condition the one with the most work counts, and of those for
    different platforms the one for all others, which is the plain formula.

    Args:
      function: traced, not run.
      arguments: arrays, or their shapes.
    """
    return _count(jax.make_jaxpr(function)(*arguments).jaxpr)


def _count(jaxpr: Any) -> int:
    return sum(_of_equation(equation) for equation in jaxpr.eqns)


def _of_equation(equation: Any) -> int:
    name = equation.primitive.name
    if name == 'dot_general':
        return _of_product(equation)
    if name == 'conv_general_dilated':
        return _of_convolution(equation)
    if name == 'convolution':
        return _of_own_convolution(equation)
    counts = [_count(jaxpr) for jaxpr in _inner(equation.params)]
    if name == 'scan':
        return equation.params['length'] * sum(counts)
    if name == 'cond':
        return _of_branches(equation, counts)
    return sum(counts)


def _of_branches(equation: Any, counts: list[int]) -> int:
    platforms = equation.params.get('branches_platforms')
    return counts[platforms.index(None)] if platforms and None in platforms else max(counts)


def _of_product(equation: Any) -> int:
    """A multiplication and an addition for each entry of the result and each term of its sum."""
    (contracted, _), _ = equation.params['dimension_numbers']
    left = equation.invars[0].aval.shape
    return 2 * _size(equation.outvars[0]) * math.prod(left[axis] for axis in contracted)


def _of_convolution(equation: Any) -> int:
    """Likewise, where a sum has a term for each entry of the kernel that leads to one channel."""
    kernel = equation.invars[1].aval.shape
    channels = kernel[equation.params['dimension_numbers'].rhs_spec[0]]
    return 2 * _size(equation.outvars[0]) * math.prod(kernel) // channels


def _of_own_convolution(equation: Any) -> int:
    """A convolution of `genjax.networks.convolution`, or one of its gradients.

    Each of the three has as many terms as the others: one for each entry of the output y [.., O]
    and each entry of the kernel [K, L, I, O] that leads to its channel.
    """
    params = equation.params
    shapes = []
    for place, variable in enumerate(equation.invars):
        mapped = sum(has_axis[place] for _, *has_axis in params['maps'])
        shapes.append(variable.aval.shape[mapped:])
    shapes.insert(params['missing'], params['shape'])
    _, kernel, output = shapes
    repeats = math.prod(size for size, *_ in params['maps'])
    return 2 * repeats * math.prod(output) * math.prod(kernel[:3])


def _size(variable: Any) -> int:
    return math.prod(variable.aval.shape)


def _inner(params: dict[str, Any]) -> Iterator[Any]:
    """The programs within an equation."""
    for value in params.values():
        for item in value if isinstance(value, tuple | list) else (value,):
            program = getattr(item, 'jaxpr', item)
            if hasattr(program, 'eqns'):
                yield program
