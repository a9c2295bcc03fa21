"""Whether every value of a config reaches the experiment that is built with it.

A value counts as read where `build` asks for it. A group of the config that outlives `build`,
because a function of the experiment keeps it, may be read at any time: of its values nothing is
known, and nothing is said.
"""

import gc
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from ml_collections import ConfigDict, FieldReference

from launch.cli.flat import flat
from launch.cli.overrides import override
from launch.cli.refusal import Refused

LAUNCHER = ('seed', 'steps', 'best')  # what the launcher itself reads, beside every.*


class Tracked(FieldReference):
    """A value of a config that calls a function when it is read."""

    def __init__(self, value: Any, on_read: Callable[[], None]):
        self._on_read = on_read
        super().__init__(value, object if value is None else None)

    def get(self):
        self._on_read()
        return super().get()

    def __deepcopy__(self, memo):
        return self.get()


def build_and_track(build: Callable[[ConfigDict], Any], config: ConfigDict) -> tuple[Any, set[str]]:
    """What build gives, and the dotted keys that it has not read and that nothing can read any
    more."""
    read: set[str] = set()
    groups: dict[str, weakref.ref] = {}
    gc.freeze()  # what was there before keeps none of the groups, and takes long to look through
    try:
        tracked = _tracked(config, '', read, groups)
        read.clear()  # of what ConfigDict read when it was made
        experiment = build(tracked)
        del tracked
        keys = flat(config.to_dict()).keys()
        unread = {key for key in keys if key not in read and not _is_launchers(key)}
        if unread:
            gc.collect()  # a function that names itself keeps its config a little longer
    finally:
        gc.unfreeze()
    return experiment, {key for key in unread if groups[key.rpartition('.')[0]]() is None}


def _is_launchers(key: str) -> bool:
    return key in LAUNCHER or key.startswith('every.')


def _tracked(
    config: ConfigDict, name: str, read: set[str], groups: dict[str, weakref.ref]
) -> ConfigDict:
    """A copy whose values add their keys to `read`; `groups` tells of each part by name whether it
    is still there."""
    copy = ConfigDict()
    groups[name] = weakref.ref(copy)
    for key, value in config.items(preserve_field_references=True):
        path = f'{name}.{key}' if name else key
        if isinstance(value, ConfigDict):
            copy[key] = _tracked(value, path, read, groups)
        else:
            copy[key] = Tracked(value, lambda path=path: read.add(path))
    return copy


def check(
    name: str,
    overrides: Mapping[str, str],
    defaults: ConfigDict,
    config: ConfigDict,
    unread: set[str],
) -> None:
    """Sees that no override is without effect, and that no key of the experiment's own config is.

    Args:
      name: of the experiment.
      overrides: dotted key -> text, as the command line gives them.
      defaults: the experiment's own config, and `config` the one that it was built with.
      unread: the keys that building has not read.

    Raises:
      Refused: a key that is set to another value than its default, or one of the config as it is,
        is unread.
    """
    before = flat(defaults.to_dict())
    after = flat(config.to_dict())
    changed = [key for key in after if after[key] != before[key] and key != 'data_dir']
    for key, text in overrides.items():
        # A reference to the key moves with it.
        alone = flat(override(defaults, {key: text}).to_dict())
        moved = {other for other in alone if alone[other] != before[other]}
        if after[key] != before[key] and unread.issuperset(moved):
            others = ' under these other settings' if len(changed) > 1 else ''
            raise Refused(f'--config.{key} is {text}, and {name} does not read it{others}')
    if unread and not changed:
        raise Refused(f'--config.{min(unread)} is a setting of {name}, which does not read it')
