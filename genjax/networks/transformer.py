"""A transformer of symbols: the same network is causal or sees both sides, as its mask says.

Vaswani et al. 2017, arXiv:1706.03762, with norms in front of the branches (Xiong et al. 2020,
arXiv:2002.04745) and rotary places (Su et al. 2021, arXiv:2104.09864).

Letters: B examples, N places read at a time, M places remembered, C channels, V symbols.
"""

from functools import partial

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.networks.attention import attend, rotate
from genjax.networks.group_norm import wide_dtype

# Keys and values of every block, [B, M, C] each.
Memory = tuple[tuple[jax.Array, jax.Array], ...]

EPSILON = 1e-6  # beside a variance

embedding_init = nn.initializers.normal(0.02)
# The last layer of each branch, so that each block starts as its skip.
zeros_init = nn.initializers.zeros


class LayerNorm(nn.Module):
    """(x - mean) / sqrt(variance + 1e-6) over the channels, scale and bias: Ba et al. 2016,
    arXiv:1607.06450; statistics are float32, or float64 where x is.

    Args:
      dtype: of the result.
    """

    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(self, x: jax.Array) -> jax.Array:
        """x [..., C] -> [..., C]."""
        shape = (1,) * (x.ndim - 1) + x.shape[-1:]
        scale = self.param('scale', nn.initializers.ones, x.shape[-1:])
        bias = self.param('bias', zeros_init, x.shape[-1:])
        wide = wide_dtype(x.dtype)
        x = x.astype(wide)
        centred = x - jnp.mean(x, -1, keepdims=True)
        normed = centred * jax.lax.rsqrt(jnp.mean(centred**2, -1, keepdims=True) + EPSILON)
        y = normed * scale.astype(wide).reshape(shape) + bias.astype(wide).reshape(shape)
        return y.astype(self.dtype)


class Block(nn.Module):
    """Attention and a perceptron, each behind a norm and beside a skip.

    Args:
      heads: of attention.
      hidden: channels of the perceptron.
      dtype: of the computation.
    """

    heads: int
    hidden: int
    dtype: jnp.dtype | str = jnp.float32

    @nn.compact
    def __call__(
        self,
        x: jax.Array,
        mask: jax.Array | None,
        places: jax.Array,
        memory: tuple[jax.Array, jax.Array] | None = None,
    ) -> tuple[jax.Array, tuple[jax.Array, jax.Array]]:
        """x [B, N, C] -> [B, N, C], and the keys and values that it was made from.

        Args:
          x: features.
          mask: bool [N, M], which places each sees; None: all.
          places: int32 [N].
          memory: keys and values [B, M, C], in which those of x take their places; None: those of x
            are all there are, M = N.
        """
        C = x.shape[-1]
        dense = partial(nn.Dense, dtype=self.dtype)
        norm = partial(LayerNorm, self.dtype)

        h = norm(name='norm1')(x)
        query = rotate(dense(C, name='query')(h), places, self.heads)
        key = rotate(dense(C, name='key')(h), places, self.heads)
        value = dense(C, name='value')(h)
        if memory is not None:
            first = (0, places[0], 0)
            key = jax.lax.dynamic_update_slice(memory[0], key, first)
            value = jax.lax.dynamic_update_slice(memory[1], value, first)
        h = attend(query, key, value, self.heads, mask)
        x = x + dense(C, name='out', kernel_init=zeros_init)(h)

        h = nn.gelu(dense(self.hidden, name='up')(norm(name='norm2')(x)))
        return x + dense(C, name='down', kernel_init=zeros_init)(h), (key, value)


class Transformer(nn.Module):
    """Logits of V symbols at each place, of the symbols at the places that its mask shows it.

    Args:
      symbols: V. It reads the ids 0 .. V and writes logits of 0 .. V - 1: V is read where there is
        no symbol, as before the first place, or where one is hidden.
      width: C.
      depth: blocks.
      heads: of attention, which share the channels.
      dtype: of the computation, also by name; parameters and logits are float32.
      places: so many first places have learned features besides, and there are no others. With 0
        there is nothing but differences of places, as for excerpts that begin anywhere: then places
        that see the same all around them are alike.
    """

    symbols: int
    width: int
    depth: int
    heads: int
    dtype: jnp.dtype | str = jnp.float32
    places: int = 0

    def setup(self):
        sizes = (self.symbols, self.width, self.depth, self.heads)
        if min(sizes) < 1 or self.width % (2 * self.heads):
            raise ValueError(
                f'symbols, width, depth, heads are {sizes}; all at least 1, '
                'and width a multiple of 2 heads'
            )
        self.embedding = nn.Embed(
            self.symbols + 1, self.width, embedding_init=embedding_init, dtype=self.dtype
        )
        if self.places:
            self.of_places = nn.Embed(
                self.places, self.width, embedding_init=embedding_init, dtype=self.dtype
            )
        self.blocks = [Block(self.heads, 4 * self.width, self.dtype) for _ in range(self.depth)]
        self.norm = LayerNorm(self.dtype)
        self.head = nn.Dense(self.symbols, kernel_init=embedding_init, dtype=self.dtype)

    def __call__(self, ids: jax.Array, mask: jax.Array | None = None) -> jax.Array:
        """ids int32 [B, N] in 0 .. V -> logits [B, N, V]; mask is bool [N, N], None to see all."""
        logits, _ = self._read(ids, mask, jnp.arange(ids.shape[1]), [None for _ in self.blocks])
        return logits

    def extend(self, ids: jax.Array, place: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """What a causal mask would give at N further places, from what is remembered of the others.

        Args:
          ids: int32 [B, N] in 0 .. V.
          place: of the first, int32 [].
          memory: of the places before it, as `empty_memory` and this give it.

        Returns:
          Logits [B, N, V] and the memory with these places.
        """
        places = place + jnp.arange(ids.shape[1])
        remembered = memory[0][0].shape[1]
        mask = jnp.arange(remembered)[None] <= places[:, None]
        return self._read(ids, mask, places, memory)

    def empty_memory(self, batch: int, length: int) -> Memory:
        """The memory of B examples of M places before any is read."""
        zeros = jnp.zeros((batch, length, self.width), self.dtype)
        return tuple((zeros, zeros) for _ in range(self.depth))

    def _read(self, ids, mask, places, memory):
        x = self.embedding(ids)
        if self.places:
            x = x + self.of_places(places)[None]
        remembered = []
        for block, of_block in zip(self.blocks, memory, strict=True):
            x, kept = block(x, mask, places, of_block)
            remembered.append(kept)
        logits = self.head(self.norm(x))
        return logits.astype(wide_dtype(logits.dtype)), tuple(remembered)
