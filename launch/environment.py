"""What a process that computes is given before jax is imported."""

import os

from absl import logging


def prepare() -> None:
    """Sets the compilation cache, where the user has not, and quietens libraries; only programs do this."""
    logging.set_verbosity(logging.ERROR)  # libraries warn of what is no trouble
    # Not in a module: a library that writes into a home folder would surprise.
    os.environ.setdefault('JAX_COMPILATION_CACHE_DIR', os.path.expanduser('~/.cache/genjax/xla'))
    # Small programs too: an initialisation compiles a hundred of them.
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS', '0')
    os.environ.setdefault('JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES', '-1')
