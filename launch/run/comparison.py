"""How a run that is gone through again differs from what it was, number by number and leaf by leaf;
and in what environment."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from launch.cli.flags import parse
from launch.cli.overrides import flat
from launch.run import source_files

HOW = ('parallel', 'mesh', 'fold')  # flags
# Where one of these differs results do, by rounding, which grows with the steps; else they are
# equal to the bit.
EXCUSES = (
    'versions.jax',
    'versions.flax',
    'versions.optax',
    'versions.numpy',
    'devices.',
    'xla_flags',
    'together',
    '--',
)


class Difference(NamedTuple):
    step: int
    name: str  # of a metric, or the path of a leaf
    says: str
    # Relative to the number, or to the norm of the part of the state; inf or nan where one is no
    # number
    size: float

    def __str__(self):
        return f'{self.name} at step {self.step}, {self.says}'


def of_lines(step: int, there: Mapping[str, Any], here: Mapping[str, Any]) -> list[Difference]:
    """What differs in two lines of metrics, of the names that the second has."""
    pairs = {
        name: (there.get(name, 'absent'), value if math.isfinite(value) else None)
        for name, value in here.items()
    }
    return [_number(step, name, *pair) for name, pair in pairs.items() if pair[0] != pair[1]]


def _number(step, name, there, here):
    known = isinstance(there, int | float) and isinstance(here, int | float)
    size = abs(there - here) / max(abs(there), abs(here)) if known else math.inf
    return Difference(step, name, f'{there} there and {here} here', size)


def of_states(step: int, there: Any, here: Any) -> list[Difference]:
    """The leaves that differ in a bit, in order."""
    from genjax.training.digest import digest

    was, found = digest(there), digest(here)
    if was == found:
        return []
    pairs = dict(zip(was, zip(_plain(there), _plain(here), strict=True), strict=True))
    # A leaf of numbers is measured by its whole part, as params: a bias that a norm takes out again
    # is rounding alone.
    part = {name: name.partition('/')[0] if 'float' in kind else name for name, kind in was.items()}
    norm = lambda name: math.hypot(
        *(_norm(x) for other, (x, _) in pairs.items() if part[other] == part[name])
    )
    return [
        _leaf(step, name, _norm(x - y), norm(name))
        for name, (x, y) in pairs.items()
        if was[name] != found[name]
    ]


def _leaf(step, name, apart, norm):
    return Difference(
        step, name, f'{apart:.3g} apart in a norm of {norm:.3g}', apart / norm if norm else 0.0
    )


def _norm(x):
    return math.sqrt((x**2).sum())


def _plain(tree):
    import jax
    import numpy as np

    is_key = lambda x: jax.numpy.issubdtype(x.dtype, jax.dtypes.prng_key)
    leaves = [jax.random.key_data(x) if is_key(x) else x for x in jax.tree.leaves(tree)]
    return [np.asarray(x, np.float64) for x in leaves]


def environments(launches: Sequence[Mapping[str, Any]], now: Mapping[str, Any]) -> dict[str, str]:
    """What differs between the environments of launches and this one: {'versions.jax': 'is A there
    and B here'}.

    A source with changes that were not committed differs from one without a digest, as nobody knows
    which they were.
    """
    then, here = [_environment(launch) for launch in launches], _environment(now)
    found = {}
    for key in dict.fromkeys(key for one in [*then, here] for key in one):
        values = [one.get(key) for one in then]
        unknown = (
            key == 'source.dirty'
            and here.get(key)
            and not all('source.digest' in one for one in then)
        )
        if any(value != here.get(key) for value in values) or unknown:
            found[key] = f'is {_told(values)} there and {here.get(key)} here'
    return found | _files(launches, now)


def _files(launches, now):
    """Which files of the source are others now, each with the numbers of the launches whose were."""
    (here,) = source_files.of_launches([now])
    found: dict[str, list[str]] = {}
    for i, there in enumerate(source_files.of_launches(launches), 1):
        names = [] if here is None or there is None else source_files.differing(there, here)
        for name in names:
            found.setdefault(name, []).append(str(i))
    told = [
        name + (f' (launch {", ".join(which)})' if len(launches) > 1 else '')
        for name, which in found.items()
    ]
    return {'source.files': f'differ: {", ".join(told)}'} if told else {}


def _environment(launch):
    facts = flat(
        {key: value for key, value in launch.items() if key not in ('time', 'flags', 'ended')}
    )
    facts = {
        key: value
        for key, value in facts.items()
        if not key.startswith(('source.files', 'source.changed'))
    }
    flags = parse(launch['flags'])
    return facts | {f'--{name}': getattr(flags, name) for name in HOW}


def _told(values):
    """The value of all launches, or each with the numbers of its launches."""
    texts = list(map(str, values))
    numbers = {
        text: [str(i) for i, other in enumerate(texts, 1) if other == text] for text in texts
    }
    if len(numbers) == 1:
        return texts[0]
    return ' and '.join(f'{text} (launch {", ".join(which)})' for text, which in numbers.items())


def excused(environment: Mapping[str, str]) -> bool:
    """Whether what differs between environments changes how numbers are rounded."""
    return any(key.startswith(EXCUSES) for key in environment)
