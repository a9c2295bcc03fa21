"""Data whose denoiser is known on any path: a mixture of normal laws in the plane, a normal law,
and numbers on a few of the 256 levels."""

import jax
import jax.numpy as jnp
import numpy as np

WEIGHTS = np.array([0.3, 0.5, 0.2])
MEANS = np.array([[1.0, 0.0], [-0.6, 0.8], [0.2, -1.1]])
VARIANCES = np.array([0.25, 0.3, 0.2]) ** 2
LEVELS = np.array([0, 1, 2, 130, 255]) * 2 / 255 - 1
SHARES = np.array([0.3, 0.2, 0.1, 0.15, 0.25])


def mixture_denoise(path):
    """E[x_0 | x_t] of the mixture, x [B, 2]."""

    def denoise(x, t):
        alpha = path.alpha(t)[:, None]
        noise = path.sigma(t)[:, None] ** 2  # [B, 1]
        total = alpha**2 * VARIANCES[None] + noise  # [B, 3]
        distance = x[:, None] - alpha[..., None] * MEANS[None]  # [B, 3, 2]
        logits = np.log(WEIGHTS)[None] - jnp.log(total) - jnp.sum(distance**2, -1) / 2 / total
        gain = (alpha * VARIANCES[None] / total)[..., None]
        means = MEANS[None] + gain * distance
        return jnp.sum(jax.nn.softmax(logits)[..., None] * means, 1)

    return denoise


def mixture_log_density(x, noise):
    """log p of the mixture with noise of that variance added, [B]."""
    total = VARIANCES + noise
    distance = ((x[:, None] - MEANS) ** 2).sum(-1)
    terms = np.log(WEIGHTS) - np.log(2 * np.pi * total) - distance / 2 / total
    return np.log(np.exp(terms).sum(-1))


def mixture_draws(rng, n):
    """n draws of the mixture, [n, 2]."""
    component = rng.choice(3, n, p=WEIGHTS)
    return MEANS[component] + np.sqrt(VARIANCES[component])[:, None] * rng.normal(size=(n, 2))


def normal_denoise(path, variance, mean=0.0):
    """E[x_0 | x_t] of N(mean, variance), entry by entry."""

    def denoise(x, t):
        alpha = path.alpha(t).reshape(-1, *[1] * (x.ndim - 1))
        noise = path.sigma(t).reshape(alpha.shape) ** 2
        return mean + alpha * variance / (alpha**2 * variance + noise) * (x - alpha * mean)

    return denoise


def levels_denoise(path, shares=SHARES):
    """E[x_0 | x_t] of numbers that are on the levels, each by itself."""

    def denoise(x, t):
        inner = tuple(range(1, x.ndim))
        alpha = jnp.expand_dims(path.alpha(t), inner)
        sigma = jnp.expand_dims(path.sigma(t), inner)
        levels = jnp.asarray(LEVELS, x.dtype).reshape(*[1] * x.ndim, -1)
        distance = (x[..., None] - alpha[..., None] * levels) / sigma[..., None]
        logits = -(distance**2) / 2 + jnp.log(jnp.asarray(shares, x.dtype)).reshape(levels.shape)
        return jnp.sum(jax.nn.softmax(logits) * levels, -1)

    return denoise


def level_draws(n):
    """n draws of four numbers on the levels, [n, 4, 1, 1]."""
    rng = np.random.default_rng(0)
    return jnp.asarray(rng.choice(LEVELS, (n, 4, 1, 1), p=SHARES), jnp.float32)


def shares_of(x0, shares=SHARES):
    """The share of the level that each number is on."""
    return shares[np.abs(np.asarray(x0)[..., None] - LEVELS).argmin(-1)]


def flow_of_normal(path, variance, begin, end):
    """What the probability flow multiplies x_t of N(0, variance) by, from one t to another."""

    def deviation(t):
        return np.sqrt(path.alpha(t) ** 2 * variance + path.sigma(t) ** 2)

    return deviation(end) / deviation(begin)


def order(steps, errors):
    """p of errors that fall as steps^-p."""
    return -np.polyfit(np.log(steps), np.log(errors), 1)[0]
