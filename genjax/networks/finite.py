"""A generator and a discriminator on K atoms: tables, in which a game's optimum can be written
down.

An example is a distribution over the atoms, one-hot for a draw. Shapes: B examples, K atoms, Z
features of noise.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Atoms(nn.Module):
    """A generator whose every example is the distribution q itself, the softmax of a learned table.

    Args:
      atoms: how many, K.
      init_table: of the table [K]; q is uniform where the table is constant.
    """

    atoms: int
    init_table: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """z [B, Z], of which only B matters -> q [B, K]; a ValueError where there are fewer than 2
        atoms."""
        table = self.param('table', self.init_table, (_checked(self.atoms),))
        return jnp.broadcast_to(nn.softmax(table), (len(z), self.atoms))


class Table(nn.Module):
    """A discriminator that knows each atom by a logit of its own.

    Args:
      atoms: how many, K.
      init_table: of the logits [K].
    """

    atoms: int
    init_table: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """x [B, K], distributions -> (logits of the atoms [B, K], x); a ValueError where x has
        another shape."""
        if x.shape[1:] != (_checked(self.atoms),):
            raise ValueError(f'x has shape {x.shape}; [B, {self.atoms}] is needed')
        table = self.param('table', self.init_table, (self.atoms,))
        return jnp.broadcast_to(table, x.shape), x


def _checked(atoms):
    if not atoms > 1:
        raise ValueError(f'atoms is {atoms}; it must be at least 2')
    return atoms
