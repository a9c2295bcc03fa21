"""Whether every value of a config reaches the experiment that is built with it.

A value counts as read where `build` asks for it. A group of the config that outlives `build`, held
by a function of the experiment, may be read at any time: of its values nothing is known, and
nothing is said.
"""

import gc
import weakref
from collections.abc import Callable
from typing import Any

from ml_collections import ConfigDict, FieldReference

from launch.cli.flags import Flags
from launch.cli.overrides import flat, override
from launch.cli.refusal import Refused

LAUNCHER = ('seed', 'steps', 'best')  # what the launcher itself reads, beside every.*


class Noted(FieldReference):
    """A value of a config that tells when it is read."""

    def __init__(self, value: Any, tell: Callable[[], None]):
        self._tell = tell
        super().__init__(value, object if value is None else None)

    def get(self):
        self._tell()
        return super().get()

    def __deepcopy__(self, memo):
        return self.get()


def built(build: Callable[[ConfigDict], Any], config: ConfigDict) -> tuple[Any, set[str]]:
    """What build gives, and the dotted keys that it has not read and that nothing can read any
    more."""
    read, groups = set(), {}
    noted = _noted(config, '', read, groups)
    read.clear()  # of what ConfigDict looked at when it was made
    experiment = build(noted)
    del noted
    unread = (
        flat(config.to_dict()).keys()
        - read
        - {key for key in flat(config.to_dict()) if _launchers(key)}
    )
    if unread:
        gc.collect()  # a function that names itself holds its config a little longer
    return experiment, {key for key in unread if groups[key.rpartition('.')[0]]() is None}


def _launchers(key: str) -> bool:
    return key in LAUNCHER or key.startswith('every.')


def _noted(
    config: ConfigDict, name: str, read: set[str], groups: dict[str, weakref.ref]
) -> ConfigDict:
    """A copy whose values add their keys to `read`; `groups` tells of each part by name whether it
    is still there."""
    copy = ConfigDict()
    groups[name] = weakref.ref(copy)
    for key, value in config.items(preserve_field_references=True):
        path = f'{name}.{key}' if name else key
        group = isinstance(value, ConfigDict)
        copy[key] = (
            _noted(value, path, read, groups)
            if group
            else Noted(value, lambda path=path: read.add(path))
        )
    return copy


def check(flags: Flags, defaults: ConfigDict, config: ConfigDict, unread: set[str]):
    """Sees that no override is without effect, and that no key of the experiment's own config is.

    Raises:
      Refused: a key that is set to another value than its default, or one of the config as it is,
        is unread.
    """
    was, values = flat(defaults.to_dict()), flat(config.to_dict())
    changed = [key for key in values if values[key] != was[key] and key != 'data_dir']
    for key, text in flags.overrides.items():
        moved = flat(
            override(defaults, {key: text}).to_dict()
        )  # a reference to the key moves with it
        if values[key] != was[key] and unread.issuperset(k for k in moved if moved[k] != was[k]):
            others = ' under these other settings' if len(changed) > 1 else ''
            raise Refused(f'--config.{key} is {text}, and {flags.exp} does not read it{others}')
    if unread and not changed:
        raise Refused(f'--config.{min(unread)} is a setting of {flags.exp}, which does not read it')
