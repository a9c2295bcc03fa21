"""A function without the operations that its result does not need, in few programs."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.extend.core import ClosedJaxpr, Jaxpr, JaxprEqn, Literal, Var, jaxpr_as_fun

from genjax.compiling import jit_briefly

MANY = 40  # operations; fewer are done sooner one by one


def evaluate_needed(
    function: Callable, key: jax.Array, shapes: Any, example: Callable[[], Any]
) -> Any:
    """function(key, example()), of which only what the result needs is computed.

    The state of a network needs random numbers, and not what the network makes of its first batch;
    to compute that takes most of an initialisation. The numbers are those of the function operation
    by operation, to the bit.

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
    evaluate = jaxpr_as_fun(pruned) if len(kept) < MANY else _in_waves(pruned)
    return jax.tree.unflatten(jax.tree.structure(traced.out_info), evaluate(key, *batch))


def _needed(equations: list[JaxprEqn], results: list[Any]) -> tuple[list[JaxprEqn], set[Any]]:
    """The equations that results are computed by, in order, and the variables that these read."""
    used = {var for var in results if not isinstance(var, Literal)}
    kept = []
    for equation in reversed(equations):
        if equation.effects or used.intersection(equation.outvars):
            kept.append(equation)
            used.update(_read(equation))
    return kept[::-1], used


def _in_waves(closed: ClosedJaxpr) -> Callable:
    """The function of a jaxpr by a program for each wave of its equations.

    No equation of a wave reads a number that one of the same wave has rounded. So the compiler
    finds no two roundings to make one of, and yet has few programs to compile.
    """
    jaxpr = closed.jaxpr
    waves = _waves(jaxpr.eqns)
    # What a wave leaves for later ones and for the end.
    wanted = [var for var in jaxpr.outvars if not isinstance(var, Literal)]
    wanted = set(wanted).union(*[_read(equation) for equation in jaxpr.eqns])

    def evaluate(*args):
        values = dict(zip(jaxpr.invars, args, strict=True))
        values.update(zip(jaxpr.constvars, closed.consts, strict=True))
        for wave in waves:
            program, constants = _program(jaxpr, wave, wanted)
            run = jit_briefly(jaxpr_as_fun(ClosedJaxpr(program, [])))
            values |= constants
            results = run(*[values[var] for var in program.invars])
            values.update(zip(program.outvars, results, strict=True))
        return [var.val if isinstance(var, Literal) else values[var] for var in jaxpr.outvars]

    return evaluate


def _waves(equations: list[JaxprEqn]) -> list[list[JaxprEqn]]:
    waves = []
    wave_of = {}
    for equation in equations:
        number = 0
        for var in _read(equation):
            if var in wave_of:
                number = max(number, wave_of[var] + jnp.issubdtype(var.aval.dtype, jnp.inexact))
        wave_of |= dict.fromkeys(equation.outvars, number)
        waves += [[] for _ in range(number + 1 - len(waves))]
        waves[number].append(equation)
    return waves


def _program(
    jaxpr: Jaxpr, wave: list[JaxprEqn], wanted: set[Var]
) -> tuple[Jaxpr, dict[Var, jax.Array]]:
    """The equations of a wave as a jaxpr, and the values of what were constants in it.

    These are arguments: of constants the compiler makes other operations, of a quotient a product.
    """
    equations = []
    constants = {}
    for equation in wave:
        invars = list(equation.invars)
        for i, var in enumerate(invars):
            if isinstance(var, Literal):
                invars[i] = Var(var.aval)
                constants[invars[i]] = jnp.asarray(var.val, var.aval.dtype)
        equations.append(equation.replace(invars=invars))
    made = dict.fromkeys(var for equation in equations for var in equation.outvars)
    read = dict.fromkeys(var for equation in equations for var in equation.invars)
    program = jaxpr.replace(
        constvars=[],
        invars=[var for var in read if var not in made],
        eqns=equations,
        outvars=[var for var in made if var in wanted],
    )
    return program, constants


def _read(equation: JaxprEqn) -> list[Var]:
    return [var for var in equation.invars if not isinstance(var, Literal)]
