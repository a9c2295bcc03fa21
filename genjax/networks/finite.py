"""A generator and a discriminator on finitely many atoms, whose optimum has a closed form.

An example is a distribution over the atoms, one-hot for a draw. Shapes: B examples, K atoms, Z
features of noise.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp


class Atoms(nn.Module):
    """A generator whose every example is the distribution q, the softmax of a learned table.

    Args:
      atoms: K, at least 2.
      init_table: of the table [K]; q is uniform where the table is constant.
    """

    atoms: int
    init_table: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, z: jax.Array) -> jax.Array:
        """q for each example, z [B, Z] -> [B, K]; the values of z are not used.

        Raises:
          ValueError: there are fewer than 2 atoms.
        """
        _check_atoms(self.atoms)
        table = self.param('table', self.init_table, (self.atoms,))
        return jnp.broadcast_to(nn.softmax(table), (len(z), self.atoms))


class Table(nn.Module):
    """A discriminator with a logit of its own for each atom.

    Args:
      atoms: K, at least 2.
      init_table: of the logits [K].
    """

    atoms: int
    init_table: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: jax.Array) -> tuple[jax.Array, jax.Array]:
        """The logits of the atoms [B, K], beside the distributions x [B, K] that weight them.

        Raises:
          ValueError: there are fewer than 2 atoms, or x has another shape.
        """
        _check_atoms(self.atoms)
        if x.shape[1:] != (self.atoms,):
            raise ValueError(f'x has shape {x.shape}; [B, {self.atoms}] is needed')
        table = self.param('table', self.init_table, (self.atoms,))
        return jnp.broadcast_to(table, x.shape), x


def _check_atoms(atoms):
    if not atoms > 1:
        raise ValueError(f'atoms is {atoms}; it must be at least 2')
