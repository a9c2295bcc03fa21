"""The weights of a state by name, and a state that begins with others'.

A state holds `Fit`s, by themselves or in tuples, and beside them what its networks carry, as the
statistics of batch norm. A name is the path of a leaf in the state: 'params/enter/kernel', or
'generator/fit/average/enter/kernel' where there are several fits.
"""

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils

from genjax.base import State
from genjax.descent import Fit

# Of the parameters of a fit, in the order in which they are looked for.
KINDS = ('average', 'params')


class Comparison(NamedTuple):
    """What a state can be given of some weights, by name.

    Attributes:
      taken: name in the state -> name among the weights.
      only_here: names that only the state has.
      only_there: names that only the weights have.
    """

    taken: dict[str, str]
    only_here: list[str]
    only_there: list[str]


def weights_of(state: State) -> dict[str, np.ndarray]:
    """The parameters and the average of each fit, and what lies beside the fits, by name.

    Left out are what the optimiser keeps, further averages, and random keys.
    """
    named = {}
    for path, part in _parts(state):
        if isinstance(part, Fit):
            trees = {'params': part.params, 'average': part.average}
            named |= {_join(path, name): leaf for name, leaf in _leaves(trees)}
        else:
            named[path] = part
    return {name: _on_host(leaf) for name, leaf in named.items()}


def has_fit(state: State) -> bool:
    """Whether there are parameters in a state that gradient descent trains."""
    return any(isinstance(part, Fit) for _, part in _parts(state))


def compare(state: State, weights: Mapping[str, np.ndarray]) -> Comparison:
    """What a state, which may be abstract, would be given of some weights.

    A parameter is given the average of that name, by which its source is evaluated and sampled
    from, or else the parameter.

    Raises:
      ValueError: one of them has another shape or dtype; or there is none.
    """
    taken = {}
    used = set()
    here = _wanted(state)
    for name, (leaf, sources) in here.items():
        there = [source for source in sources if source in weights]
        if not there:
            continue
        used.update(there)
        taken[name] = there[0]
        given, needed = _form(weights[there[0]]), _form(leaf)
        if given != needed:
            raise ValueError(f'{there[0]} is {given} there and {needed} here')
    if not taken:
        raise ValueError(f'it has no weights of these names: {next(iter(here), "none")}, ...')
    return Comparison(
        taken=taken,
        only_here=[name for name in here if name not in taken],
        only_there=[name for name in weights if name not in used],
    )


def with_weights(state: State, weights: Mapping[str, np.ndarray]) -> State:
    """A state that begins with some weights: its parameters, all averages, what lies beside them.

    What they lack stays as it is, and so does what the optimiser keeps.

    Raises:
      ValueError: as `compare`.
    """
    taken = compare(state, weights).taken

    def given(path, leaf):
        return jnp.asarray(weights[taken[path]]) if path in taken else leaf

    def begin(path, part):
        if not isinstance(part, Fit):
            return given(path, part)

        def of_params(below, leaf):
            return given(_join(path, 'params', _name(below)), leaf)

        params = jax.tree_util.tree_map_with_path(of_params, part.params)
        others = {name: jax.tree.map(jnp.copy, params) for name in part.others}
        return part._replace(params=params, average=jax.tree.map(jnp.copy, params), others=others)

    parts = [begin(path, part) for path, part in _parts(state)]
    return jax.tree.unflatten(jax.tree.structure(state, is_leaf=_is_fit), parts)


def _wanted(state):
    """Name -> (leaf, the names that may give it, the first of them first), of what can be given."""
    wanted = {}
    for path, part in _parts(state):
        if not isinstance(part, Fit):
            wanted[path] = (part, [path])
            continue
        for name, leaf in _leaves(part.params):
            sources = [_join(path, kind, name) for kind in KINDS]
            wanted[_join(path, 'params', name)] = (leaf, sources)
    return wanted


def _parts(state) -> Iterator[tuple[str, Any]]:
    """(path, fit or leaf) of a state, without random keys."""
    for path, part in jax.tree.leaves_with_path(state, is_leaf=_is_fit):
        yield _name(path), part


def _is_fit(part):
    return isinstance(part, Fit)


def _leaves(tree):
    for path, leaf in jax.tree.leaves_with_path(tree):
        yield _name(path), leaf


def _name(path):
    return jax.tree_util.keystr(path, simple=True, separator='/')


def _join(*parts):
    return '/'.join(part for part in parts if part)


def _form(leaf):
    return f'{leaf.dtype} {list(leaf.shape)}'


def _on_host(leaf):
    here = not isinstance(leaf, jax.Array) or leaf.is_fully_addressable or leaf.is_fully_replicated
    whole = leaf if here else multihost_utils.process_allgather(leaf, tiled=True)
    return np.asarray(jax.device_get(whole), order='C')
