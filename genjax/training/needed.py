"""A function operation by operation, without the operations that its result does not need."""

from collections.abc import Callable
from typing import Any

import jax
from jax.extend.core import ClosedJaxpr, JaxprEqn, Literal, jaxpr_as_fun


def evaluate_needed(
    function: Callable, key: jax.Array, shapes: Any, example: Callable[[], Any]
) -> Any:
    """function(key, example()), of which only what the result needs is computed, and uncompiled.

    The state of a network needs random numbers, and not what the network makes of its first batch;
    to run or to compile that, operation by operation, takes most of an initialisation. Of several
    operations in one program the compiler would round otherwise, so that each stays its own.

    Args:
      function: (key, batch) -> a tree of arrays; traced here, or taken as it was traced before.
      key: it is given.
      shapes: of the batch, jax.ShapeDtypeStructs.
      example: makes the batch; called where a value of it is needed.
    """
    traced = jax.jit(function).trace(key, shapes)
    jaxpr = traced.jaxpr.jaxpr
    kept, used = _needed(jaxpr.eqns, jaxpr.outvars)
    key_var, *batch_vars = jaxpr.invars
    batch = jax.tree.leaves(shapes)
    if any(var in used for var in batch_vars):
        batch = jax.tree.leaves(example())
    else:
        jaxpr = jaxpr.replace(invars=[key_var])
        batch = []
    pruned = ClosedJaxpr(jaxpr.replace(eqns=kept), traced.jaxpr.consts)
    return jax.tree.unflatten(
        jax.tree.structure(traced.out_info), jaxpr_as_fun(pruned)(key, *batch)
    )


def _needed(equations: list[JaxprEqn], results: list[Any]) -> tuple[list[JaxprEqn], set[Any]]:
    """The equations that results are computed by, in order, and the variables that these read."""
    used = {var for var in results if not isinstance(var, Literal)}
    kept = []
    for equation in reversed(equations):
        if equation.effects or used.intersection(equation.outvars):
            kept.append(equation)
            used.update(var for var in equation.invars if not isinstance(var, Literal))
    return kept[::-1], used
