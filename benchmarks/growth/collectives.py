"""What a compiled program exchanges between devices, read from its text (XLA's HLO).

An instruction is a line `%name = shape kind(operands), attributes`; a computation is a list of
these, and the one marked ENTRY calls the others.
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

KINDS = (
    'all-reduce',
    'all-gather',
    'reduce-scatter',
    'all-to-all',
    'collective-permute',
    'collective-broadcast',
)
COMPUTATION = re.compile(r'^(ENTRY )?%?([\w.$-]+) \(.*\{$')
INSTRUCTION = re.compile(r'^\s+(?:ROOT )?%?[\w.$-]+ = (\(.*?\)|\S+) ([\w-]+)\(')
ARRAY = re.compile(r'\b(pred|[a-z]+(\d+)\w*)\[([\d,]*)\]')
CALLED = re.compile(
    r'(?:body|condition|to_apply|calls|true_computation|false_computation)=%?([\w.$-]+)'
)
BRANCHES = re.compile(r'(?:branch_computations|called_computations)=\{([^}]*)\}')
TURNS = re.compile(r'"known_trip_count":\{"n":"(\d+)"\}')
DEVICES = re.compile(r'(?:num_partitions|replica_count)=(\d+)')
FIRST_GROUP = re.compile(r'replica_groups=\{\{([\d,]+)\}')
GROUPS_BY_SHAPE = re.compile(r'replica_groups=\[(\d+),(\d+)\]')


class Collective(NamedTuple):
    """An exchange, as often as it happens."""

    kind: str
    bytes: int  # that it leaves on each device
    devices: int  # that take part in it together
    times: int  # in a run of the program; a loop of unknown length counts as one turn
    counted: bool  # whether the length of every loop around it is known


def collectives(text: str) -> list[Collective]:
    """All exchanges of a program.

    Args:
      text: of the compiled program, as `jax.jit(f).lower(x).compile().as_text()` gives it.

    Raises:
      ValueError: the text has no computation marked ENTRY.
    """
    entry, computations = _computations(text)
    if entry is None:
        raise ValueError('the text has no ENTRY; a compiled HLO module is needed')
    devices = max([1, *map(int, DEVICES.findall(text.partition('\n')[0]))])
    return list(_exchanges(computations, entry, devices, 1, True))


def sent_bytes(exchange: Collective) -> float:
    """What each device sends at the least, in all turns, where it sends along a ring.

    Of n bytes on k devices: 2 (k - 1) / k n to sum them for all, (k - 1) / k n to gather, (k - 1) n
    where n is the part that is left (Chan et al. 2007, "Collective communication: theory, practice,
    and experience", section 5).
    """
    k = exchange.devices
    share = {
        'all-reduce': 2 * (k - 1) / k,
        'all-gather': (k - 1) / k,
        'all-to-all': (k - 1) / k,
        'reduce-scatter': k - 1,
        'collective-permute': 1,
        'collective-broadcast': 1,
    }[exchange.kind]
    return share * exchange.bytes * exchange.times


def _computations(text: str) -> tuple[str | None, dict[str, list[str]]]:
    """The name of the entry, and the lines of each computation by name."""
    entry = None
    lines = []
    computations = {}
    for line in text.splitlines():
        head = COMPUTATION.match(line)
        if head is not None:
            lines = computations.setdefault(head[2], [])
            entry = head[2] if head[1] else entry
        else:
            lines.append(line)
    return entry, computations


def _exchanges(
    computations: dict[str, list[str]], name: str, devices: int, times: int, counted: bool
) -> Iterator[Collective]:
    """Those of a computation and of all that it calls."""
    for line in computations.get(name, ()):
        instruction = INSTRUCTION.match(line)
        if instruction is None:
            continue
        shape, operation = instruction.groups()
        kind = operation.removesuffix('-start')
        if kind in KINDS:
            size = _result_bytes(shape, kind, operation.endswith('-start'))
            yield Collective(kind, size, _group(line, kind, devices), times, counted)
            continue
        turns = TURNS.search(line)
        loops = operation == 'while'
        inner_times = times * int(turns[1]) if loops and turns else times
        inner_counted = counted and (turns is not None or not loops)
        for called in _called(line):
            yield from _exchanges(computations, called, devices, inner_times, inner_counted)


def _called(line: str) -> list[str]:
    """The computations that an instruction names."""
    names = CALLED.findall(line)
    for branches in BRANCHES.findall(line):
        names += [name.strip().lstrip('%') for name in branches.split(',')]
    return names


def _result_bytes(shape: str, kind: str, started: bool) -> int:
    """The bytes of a shape, a tuple or one array.

    What starts a gather or a permutation has a tuple of its operands, its results and perhaps some
    numbers without a shape, which wait for the other half of the instruction.
    """
    found = ARRAY.findall(shape)
    if started and kind != 'all-reduce':
        found = [array for array in found if array[-1]]
        found = found[len(found) // 2 :]
    return sum(_array_bytes(*array) for array in found)


def _array_bytes(dtype: str, bits: str, sides: str) -> int:
    size = 8 if dtype == 'pred' else int(bits)
    for side in filter(None, sides.split(',')):
        size *= int(side)
    return -(-size // 8)


def _group(line: str, kind: str, devices: int) -> int:
    """How many devices take part; all of the program's where the line does not say."""
    if kind == 'collective-permute':
        return devices
    first = FIRST_GROUP.search(line)
    if first is not None:
        return len(first[1].split(','))
    by_shape = GROUPS_BY_SHAPE.search(line)
    return devices if by_shape is None else int(by_shape[2])
