"""How much of a codebook is used: van den Oord et al. 2017, arXiv:1711.00937."""

import numpy as np
from numpy.typing import ArrayLike


def codebook_use(index: ArrayLike, size: int) -> dict[str, float]:
    """The 'perplexity' of the codes, exp of the entropy of how often each occurs, and the share of
    the codes that occur, 'used'. With all codes alike these are K and 1.

    Args:
      index: codes in 0 .. K - 1, integers of any shape.
      size: K.

    Raises:
      ValueError: there are none, or one lies outside.
    """
    flat = np.asarray(index).ravel()
    if not flat.size or flat.min() < 0 or flat.max() >= size:
        raise ValueError(f'codes are {flat.size} in number; needed: some, all in 0 .. {size - 1}')
    p = np.bincount(flat, minlength=size) / flat.size
    occurring = p[p > 0]
    perplexity = np.exp(-np.sum(occurring * np.log(occurring)))
    return {'perplexity': float(perplexity), 'used': len(occurring) / size}
