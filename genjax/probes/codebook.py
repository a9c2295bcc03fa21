"""How much of a codebook the codes of a set use."""

from collections.abc import Sequence

import jax
import numpy as np

from genjax.base import Batch
from genjax.metrics.codebook import codebook_use
from genjax.probes.codes import Encode
from genjax.probes.figures import Measure


def codebook_probe(encode: Encode, batches: Sequence[Batch], *, size: int) -> Measure:
    """`codebook_use` of the codes of all batches.

    Args:
      encode: (key, state, batch) -> codes in 0 .. K - 1.
      batches: of one form.
      size: K.
    """
    compiled = jax.jit(encode)

    def measure(key, state):
        codes = [np.ravel(compiled(key, state, batch)) for batch in batches]
        return codebook_use(np.concatenate(codes), size)

    return measure
