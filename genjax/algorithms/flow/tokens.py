"""Autoregressive flows of tokens: TarFlow, Zhai et al. 2024, arXiv:2412.06329.

B examples, N tokens of C entries.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from genjax.algorithms.flow.bijections import Bijection


def autoregressive_affine(network: nn.Module) -> Bijection:
    """z_i = (x_i - mu_i(x_<i)) exp(-alpha_i(x_<i)) of tokens x [B, N, C]; the first stays.

    All of z are one call of the network; x is found token by token. With `reverse` in between,
    several in a chain see the tokens in both orders.

    Source: TarFlow, arXiv:2412.06329, equations 4 and 5.

    Args:
      network: x [B, N, C] -> [B, N, 2 C], causal: row i, of which mu and alpha of token i + 1 are
        taken, depends on the tokens 0 to i alone. Token by token it is asked by `extend`, from what
        it remembers; see `CausalTransformer`.

    Raises:
      ValueError: when traced, the network gives another shape.
    """

    def init(key, x):
        return network.init(key, x[:1])['params']

    def mean_and_log_scale(params, x):
        outputs = network.apply({'params': params}, x)
        needed = (*x.shape[:-1], 2 * x.shape[-1])
        if outputs.shape != needed:
            raise ValueError(f'the network gives {outputs.shape}; a flow needs {needed}')
        first = jnp.zeros_like(outputs[:, :1])
        return jnp.split(jnp.concatenate([first, outputs[:, :-1]], 1), 2, -1)

    def forward(params, x):
        mean, log_scale = mean_and_log_scale(params, x)
        return (x - mean) * jnp.exp(-log_scale), -jnp.sum(log_scale, (1, 2))

    def inverse(params, z):
        B, _, C = z.shape

        def add_token(carry, row):
            place, z_i = row
            mean, log_scale, memory = carry
            token = z_i * jnp.exp(log_scale) + mean
            given = (token[:, None], place, memory)
            outputs, memory = network.apply({'params': params}, *given, method='extend')
            mean, log_scale = jnp.split(outputs[:, 0], 2, -1)
            return (mean, log_scale, memory), token

        none = jnp.zeros((B, C), z.dtype)
        start = (none, none, network.empty_memory(B))
        _, tokens = jax.lax.scan(add_token, start, (jnp.arange(z.shape[1]), z.swapaxes(0, 1)))
        return tokens.swapaxes(0, 1)

    return Bijection(init, forward, inverse)
