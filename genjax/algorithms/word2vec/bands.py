"""Products and sums over the pairs of centres and their neighbours: a band of a T x P matrix.

Of the pairs of T centres with the P = T + 2w places around them only 2w diagonals are neighbours.
Row j of a band [2w, B, T] is the diagonal at the distance offsets(w)[j].

Letters: B texts, T centres, w the window, P = T + 2w places, D dimensions.
"""

import jax
import jax.numpy as jnp


def offsets(window: int) -> list[int]:
    """The distance from the centre that each row of a band stands for."""
    return [o for o in range(-window, window + 1) if o]


def band_sums(band: jax.Array, places: jax.Array) -> jax.Array:
    """The weighted sum of each centre's neighbours.

    Args:
      band: the weights, [2w, B, T].
      places: the vectors, [B, P, D].

    Returns:
      [B, T, D].
    """
    window = len(band) // 2
    size = band.shape[2]

    def neighbours(o):
        return places[:, window + o : window + o + size]

    return sum(row[..., None] * neighbours(o) for o, row in zip(offsets(window), band, strict=True))


def band_scatter(band: jax.Array, centres: jax.Array) -> jax.Array:
    """The transpose of `band_sums`: the weighted sum of the centres around each place.

    Args:
      band: the weights, [2w, B, T].
      centres: the vectors, [B, T, D].

    Returns:
      [B, P, D].
    """
    window = len(band) // 2
    band = jnp.pad(band, ((0, 0), (0, 0), (2 * window, 2 * window)))
    centres = jax.lax.optimization_barrier(
        jnp.pad(centres, ((0, 0), (2 * window, 2 * window), (0, 0)))
    )

    def shift(x, o):
        return x[:, window - o : x.shape[1] - window - o]

    return sum(
        shift(row, o)[..., None] * shift(centres, o)
        for o, row in zip(offsets(window), band, strict=True)
    )


@jax.custom_vjp
def band_products(centres: jax.Array, places: jax.Array) -> jax.Array:
    """The dot products of centres [B, T, D] with their neighbours in places [B, P, D]: [2w, B, T].

    All products of centres and places are one matrix product. The derivative of that would be two
    more, most of whose terms are zero; here it is that of the band alone.
    """
    texts, size, _ = centres.shape
    width = places.shape[1]
    window = (width - size) // 2
    tile = jnp.einsum('btd,bpd->btp', centres, places).reshape(texts, -1)

    def diagonal(o):
        # The next centre's product lies a row and a place further.
        step = width + 1
        first = window + o
        end = first + (size - 1) * step + 1
        return jax.lax.slice_in_dim(tile, first, end, step, axis=1)

    return jnp.stack([diagonal(o) for o in offsets(window)])


def _products_forward(centres, places):
    return band_products(centres, places), (centres, places)


def _products_backward(residuals, band):
    centres, places = residuals
    return band_sums(band, places), band_scatter(band, centres)


band_products.defvjp(_products_forward, _products_backward)


@jax.custom_vjp
def band_means(mask: jax.Array, places: jax.Array) -> jax.Array:
    """The mean of each centre's neighbours, with the gradient of the sum.

    Each neighbour receives the whole error and not its share of it, as in word2vec.c and gensim.
    Shares cost a third of the quality.

    Args:
      mask: 1 for a neighbour that counts, else 0, [2w, B, T].
      places: the vectors, [B, P, D].

    Returns:
      [B, T, D]; 0 for a centre without neighbours.
    """
    return band_sums(mask / jnp.maximum(mask.sum(0), 1)[None], places)


def _means_forward(mask, places):
    return band_means(mask, places), mask


def _means_backward(mask, error):
    return None, band_scatter(mask, error)


band_means.defvjp(_means_forward, _means_backward)
