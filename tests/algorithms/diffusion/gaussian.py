"""Normal data in three dimensions, for which the best predictor is linear and known."""

import jax
import jax.numpy as jnp
import numpy as np

from genjax.algorithms.diffusion import make_process

KEY = jax.random.key(7)
SHAPE = (1, 1, 3)
MU = np.array([0.3, -0.2, 0.1])
SIGMA = np.array([[0.5, 0.2, 0.0], [0.2, 0.3, -0.1], [0.0, -0.1, 0.2]])
T = 10
BETAS = np.linspace(0.02, 0.5, T)
PROCESS = make_process(BETAS)


def covariance(alpha_bar):
    """Of x_t, [3, 3]."""
    return alpha_bar * SIGMA + (1 - alpha_bar) * np.eye(3)


def optimum(process):
    """The weights [T + 1, 3, 3] and biases [T + 1, 3] of E[noise | x_t]; row 0 is unused."""
    weights = np.stack(
        [np.sqrt(1 - bar) * np.linalg.inv(covariance(bar)) for bar in process.alpha_bar]
    )
    return weights, -np.einsum('tij,j,t->ti', weights, MU, np.sqrt(process.alpha_bar))


def exact_predict(process):
    """E[noise | x_t], a `Predict`."""
    weights, biases = (jnp.asarray(table) for table in optimum(process))

    def predict(x, t):
        return (jnp.einsum('bij,bj->bi', weights[t], x.reshape(-1, 3)) + biases[t]).reshape(x.shape)

    return predict


def normal_data(key, n):
    """n draws of the data, [n, *SHAPE]."""
    root = jnp.asarray(np.linalg.cholesky(SIGMA), jnp.float32)
    mean = jnp.asarray(MU, jnp.float32)

    def draw(z):
        return mean + root @ z

    return jax.vmap(draw)(jax.random.normal(key, (n, 3))).reshape(n, *SHAPE)


def assert_mean(samples, expected, errors=4.5):
    """The mean over the first axis lies within so many of its standard errors of the expected."""
    samples = np.asarray(samples, np.float64)
    error = samples.std(0) / np.sqrt(len(samples))
    np.testing.assert_array_less(np.abs(samples.mean(0) - expected), errors * error + 1e-7)
