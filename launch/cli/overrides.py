"""A config's values from the command line, typed by the config's defaults."""

import ast
import copy
import math
from collections.abc import Mapping
from typing import Any

from ml_collections import ConfigDict

from launch.cli.flat import flat
from launch.cli.refusal import Refused, nearest

_KINDS = {
    bool: 'true or false',
    int: 'an int',
    float: 'a finite float',
    type(None): 'none, a number, a string or a tuple',
}
_PLAIN = (bool, int, float, str, type(None))
_WORDS = {'true': True, 'false': False, 'none': None}


def override(config: ConfigDict, texts: Mapping[str, str]) -> ConfigDict:
    """A copy of the config with other values.

    Args:
      config: nested groups of int, float, bool, str, tuple or None; a placeholder may be none or of
        its type. Its own values too are given with -0.0 as 0.0, so that what is equal is one run.
      texts: dotted key -> value as text. Tuples are Python literals, their elements typed as the
        default's.

    Raises:
      Refused: a key that is none, or names a group; a value of another type; a number that is not
        finite.
    """
    config = copy.deepcopy(config)
    for key, text in texts.items():
        *path, leaf = key.split('.')
        _check_key(key, config)
        group = config
        for name in path:
            group = group[name]
        group[leaf] = _value(key, group[leaf], group.get_type(leaf), text)
    _drop_signs_of_zeros(config)
    return config


def _drop_signs_of_zeros(config: ConfigDict):
    for name, value in config.items():
        if isinstance(value, ConfigDict):
            _drop_signs_of_zeros(value)
            continue
        unsigned = _unsigned(value)
        if repr(value) != repr(unsigned):  # they are equal
            config[name] = unsigned


def _unsigned(value: Any) -> Any:
    """The value with 0.0 for each -0.0."""
    if isinstance(value, tuple):
        return tuple(map(_unsigned, value))
    return 0.0 if isinstance(value, float) and value == 0 else value


def _check_key(key: str, config: ConfigDict):
    keys = list(flat(config.to_dict()))
    if key not in keys:
        below = [k for k in keys if k.startswith(f'{key}.')]
        if below:
            raise Refused(f'--config.{key} is a group; set one of {", ".join(below)}')
        raise Refused(f'--config.{key} is not in the config; {nearest(key, keys)}')


def _value(key: str, default: Any, kind: type, text: str) -> Any:
    """The value that a text gives a key.

    Args:
      default: the key's own value, and `kind` the type that is declared for it.
    """
    if kind is str and not (default is None and text.lower() == 'none'):
        return text
    value = _literal(text)
    if default is None and value is not None and kind is not type(None):
        default = kind()  # of a placeholder
    try:
        return _conform(default, value)
    except TypeError:
        takes = _KINDS.get(kind, f'a {kind.__name__} like {default}')
        raise Refused(f'--config.{key} takes {takes}, not {text}') from None


def _literal(text: str) -> Any:
    if text.lower() in _WORDS:
        return _WORDS[text.lower()]
    for read in (ast.literal_eval, float):  # float knows nan and inf
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return text


def _conform(default: Any, value: Any) -> Any:
    """The value in its default's type; elements past the default's last are typed as that one."""
    if isinstance(value, (tuple, list)) and (default is None or type(default) is tuple):
        examples = default or (None,)
        last = len(examples) - 1
        return tuple(_conform(examples[min(i, last)], part) for i, part in enumerate(value))
    if type(default) is float and type(value) is int:
        value = float(value)
    allowed = _PLAIN if default is None else (type(default),)
    is_finite = not isinstance(value, float) or math.isfinite(value)
    if type(value) not in allowed or not is_finite:
        raise TypeError(value)
    return value
