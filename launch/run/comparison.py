"""How a run that is replayed differs from what it was, number by number and leaf by leaf; and in
what environment."""

import math
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from genjax.training.digest import digest
from launch.cli.flags import ROUNDING, parse
from launch.cli.flat import flat
from launch.run import rundir, source_files
from launch.run.plan import Plan

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
NOT_ENVIRONMENT = ('time', 'flags', 'ended')  # of a launch's record


class Difference(NamedTuple):
    step: int
    name: str  # of a metric, or the path of a leaf
    text: str
    # Relative to the number, or to the norm of the part of the state; inf or nan where one is no
    # number
    size: float

    def __str__(self):
        return f'{self.name} at step {self.step}, {self.text}'


def compare_lines(step: int, there: Mapping[str, Any], here: Mapping[str, Any]) -> list[Difference]:
    """What differs in two lines of metrics, of the names that the second has."""
    differences = []
    for name, value in here.items():
        old = there.get(name, 'absent')
        new = value if math.isfinite(value) else None  # as JSON has it
        if old != new:
            differences.append(_number(step, name, old, new))
    return differences


def _number(step, name, there, here):
    both = isinstance(there, int | float) and isinstance(here, int | float)
    size = abs(there - here) / max(abs(there), abs(here)) if both else math.inf
    return Difference(step, name, f'{there} there and {here} here', size)


def compare_states(step: int, there: Any, here: Any) -> list[Difference]:
    """The leaves that differ in a bit, in order."""
    digests_there = digest(there)
    digests_here = digest(here)
    if digests_there == digests_here:
        return []
    leaves_there = dict(zip(digests_there, _plain(there), strict=True))
    leaves_here = dict(zip(digests_there, _plain(here), strict=True))
    # A leaf of numbers is measured by its whole part, as params: a bias that a norm takes out again
    # is rounding alone.
    parts = {
        name: name.partition('/')[0] if 'float' in kind else name
        for name, kind in digests_there.items()
    }

    def norm_of_part(part):
        return math.hypot(*(_norm(leaves_there[name]) for name in parts if parts[name] == part))

    differences = []
    for name in digests_there:
        if digests_there[name] != digests_here[name]:
            distance = _norm(leaves_there[name] - leaves_here[name])
            norm = norm_of_part(parts[name])
            text = f'{distance:.3g} apart in a norm of {norm:.3g}'
            differences.append(Difference(step, name, text, distance / norm if norm else 0.0))
    return differences


def _norm(x):
    return math.sqrt((x**2).sum())


def _plain(tree):
    """The leaves of a tree as numbers of 64 bits."""
    leaves = []
    for leaf in jax.tree.leaves(tree):
        is_key = jax.numpy.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        leaves.append(np.asarray(jax.random.key_data(leaf) if is_key else leaf, np.float64))
    return leaves


def compare_environments(
    launches: Sequence[Mapping[str, Any]], now: Mapping[str, Any]
) -> dict[str, str]:
    """What differs between the environments of launches and this one: {'versions.jax': 'is A there
    and B here'}.

    A source with changes that were not committed differs from one without a digest, as nobody knows
    which they were.
    """
    there = [_environment(launch) for launch in launches]
    here = _environment(now)
    digests_known = all('source.digest' in facts for facts in there)
    differences = {}
    for key in dict.fromkeys(key for facts in [*there, here] for key in facts):
        values = [facts.get(key) for facts in there]
        changes_unknown = key == 'source.dirty' and here.get(key) and not digests_known
        if changes_unknown or any(value != here.get(key) for value in values):
            differences[key] = f'is {_by_launch(values)} there and {here.get(key)} here'
    return differences | _compare_files(launches, now)


def _compare_files(launches, now):
    """The files of the source that are others now, each with the numbers of the launches."""
    here = source_files.of_launches([now])[0]
    numbers: dict[str, list[str]] = {}
    for number, there in enumerate(source_files.of_launches(launches), 1):
        if here is None or there is None:
            continue
        for name in source_files.differing(there, here):
            numbers.setdefault(name, []).append(str(number))
    if not numbers:
        return {}
    texts = []
    for name, which in numbers.items():
        texts.append(f'{name} (launch {", ".join(which)})' if len(launches) > 1 else name)
    return {'source.files': f'differ: {", ".join(texts)}'}


def _environment(launch):
    """Dotted key -> what a launch ran on, with the flags that change how numbers are rounded."""
    record = {key: value for key, value in launch.items() if key not in NOT_ENVIRONMENT}
    facts = {
        key: value
        for key, value in flat(record).items()
        if not key.startswith(('source.files', 'source.changed'))
    }
    flags = parse(launch['flags'])
    return facts | {f'--{name}': getattr(flags, name) for name in ROUNDING}


def _by_launch(values):
    """The value of all launches, or each with the numbers of its launches."""
    texts = list(map(str, values))
    numbers: dict[str, list[str]] = {}
    for number, text in enumerate(texts, 1):
        numbers.setdefault(text, []).append(str(number))
    if len(numbers) == 1:
        return texts[0]
    return ' and '.join(f'{text} (launch {", ".join(which)})' for text, which in numbers.items())


def compare_data_and_settings(plan: Plan) -> dict[str, str]:
    """How data and settings differ from those that the run began with: {'data': 'is A there and B
    here'}."""
    there = rundir.read(plan.workdir / 'manifest.json')['data']
    here = getattr(plan.experiment.data.train, 'fingerprint', None)
    differences = {}
    if there != here:
        differences['data'] = f'is {there} there and {here} here'
    settings = flat(rundir.identity(plan.config))
    for key in sorted(settings.keys() - flat(plan.identity).keys()):
        differences[f'config.{key}'] = f'is absent there and {settings[key]} here'
    return differences


def rounds_otherwise(environment: Mapping[str, str]) -> bool:
    """Whether what differs between environments changes how numbers are rounded."""
    return any(key.startswith(EXCUSES) for key in environment)
