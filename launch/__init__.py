"""From a command line to runs."""

import importlib.util
import sys

# Before anything is imported that is not there: a python that is not the environment's should say
# so in a line.
if importlib.util.find_spec('jax') is None:
    print(
        f'jax is not installed for {sys.executable}: make venv, then . .venv/bin/activate',
        file=sys.stderr,
    )
    sys.exit(2)
