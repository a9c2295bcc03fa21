"""A causal transformer of tokens that are rows of numbers, as TarFlow has in each of its flows.

After Zhai et al. 2024, arXiv:2412.06329, section 2.3. B examples, N tokens, C entries of one.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.networks.group_norm import wide_dtype
from genjax.networks.transformer import Block, LayerNorm, Memory, embedding_init, zeros_init


class CausalTransformer(nn.Module):
    """Numbers for each token, of that token and those before it.

    The last layer begins at zero, so that a flow begins as the identity.

    Args:
      tokens: N.
      entries: C.
      width: features of a token.
      depth: blocks.
      heads: of attention, which share the width.
      outputs: of a token, in units of C.
      dtype: of the computation; the output is float32, or float64 where this is.
    """

    tokens: int
    entries: int
    width: int
    depth: int
    heads: int
    outputs: int = 2
    dtype: jnp.dtype | str = jnp.float32

    def setup(self):
        sizes = (self.tokens, self.entries, self.width, self.depth, self.heads, self.outputs)
        if min(sizes) < 1 or self.width % (2 * self.heads):
            raise ValueError(
                f'tokens, entries, width, depth, heads, outputs are {sizes}; all at least 1, '
                'and width a multiple of 2 heads'
            )
        self.enter = nn.Dense(self.width, dtype=self.dtype)
        self.places = self.param('places', embedding_init, (self.tokens, self.width))
        self.blocks = [Block(self.heads, 4 * self.width, self.dtype) for _ in range(self.depth)]
        self.norm = LayerNorm(self.dtype)
        self.leave = nn.Dense(self.outputs * self.entries, kernel_init=zeros_init, dtype=self.dtype)

    def __call__(self, x: jax.Array) -> jax.Array:
        """x [B, N, C] -> [B, N, outputs C]; row i depends on the tokens 0 to i alone.

        Raises:
          ValueError: x has other tokens.
        """
        if x.shape[1:] != (self.tokens, self.entries):
            raise ValueError(
                f'tokens are {x.shape[1:]}; the network is made for {(self.tokens, self.entries)}'
            )
        mask = jnp.tri(self.tokens, dtype=bool)
        outputs, _ = self._read(x, mask, jnp.arange(self.tokens), [None for _ in self.blocks])
        return outputs

    def extend(self, x: jax.Array, place: jax.Array, memory: Memory) -> tuple[jax.Array, Memory]:
        """The outputs of one further token, from what is remembered of those before it.

        Args:
          x: [B, 1, C].
          place: of the token, int32 [].
          memory: of the places before it, as `empty_memory` and this give it.

        Returns:
          [B, 1, outputs C], and the memory with this token.
        """
        mask = jnp.arange(self.tokens)[None] <= place
        return self._read(x, mask, place[None], memory)

    def empty_memory(self, batch: int) -> Memory:
        """The memory of B examples before any token is read."""
        zeros = jnp.zeros((batch, self.tokens, self.width), self.dtype)
        return tuple((zeros, zeros) for _ in range(self.depth))

    def _read(self, x, mask, places, memory):
        h = self.enter(x) + self.places[places].astype(self.dtype)[None]
        remembered = []
        for block, of_block in zip(self.blocks, memory, strict=True):
            h, kept = block(h, mask, places, of_block)
            remembered.append(kept)
        outputs = self.leave(self.norm(h))
        return outputs.astype(wide_dtype(outputs.dtype)), tuple(remembered)
