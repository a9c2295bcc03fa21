"""Means and variances of each class's examples.

Chan et al. 1983, "Algorithms for computing the sample variance" (The American Statistician 37).

B examples, D features, C classes.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from genjax.algorithms.naive_bayes.counts import class_counts
from genjax.numerics.moments import merge_moments
from genjax.numerics.products import einsum
from genjax.parallel import device_mean


class ClassMoments(NamedTuple):
    """Of each class's examples, from an origin near them: a large offset costs no digits."""

    origin: Array  # [D], the mean of the first batch
    count: Array  # [C] uint32
    mean: Array  # [C, D], from the origin
    variance: Array  # [C, D], about the class's own mean


def empty(classes: int, features: int) -> ClassMoments:
    """The moments of no examples."""
    zeros = jnp.zeros((classes, features))
    return ClassMoments(jnp.zeros(features), jnp.zeros(classes, jnp.uint32), zeros, zeros)


def batch_moments(label: Array, x: Array, origin: Array, classes: int) -> ClassMoments:
    """The moments of a batch on all devices.

    Args:
      label: [B], of this device.
      x: [B, D], of this device.
      origin: [D].
      classes: C.
    """
    x = x - origin[None]
    members = jax.nn.one_hot(label, classes)  # [B, C]
    share = jnp.maximum(device_mean(jnp.mean(members, 0)), 1e-30)[:, None]

    def class_mean(rows):
        return device_mean(einsum('bc,bd->cd', members, rows) / len(x)) / share

    mean = class_mean(x)
    variance = class_mean((x - mean[label]) ** 2)
    return ClassMoments(origin, class_counts(label, classes), mean, variance)


def merge(a: ClassMoments, b: ClassMoments) -> ClassMoments:
    """The moments of two sets together, which have one origin."""
    count = a.count + b.count
    share = b.count.astype(jnp.float32) / jnp.maximum(count, 1).astype(jnp.float32)
    mean, variance = merge_moments(
        a.mean, a.variance, b.mean, b.variance, share[:, None], _scaled_square
    )
    return ClassMoments(a.origin, count, mean, variance)


def _scaled_square(scale, d):
    return scale * d**2


def pool(moments: ClassMoments) -> tuple[Array, Array, Array]:
    """The moments of all classes together.

    Returns:
      The mean from the origin, the variance, and the mean variance within a class; [D] each.
    """
    count = moments.count.astype(jnp.float32)[:, None]

    def average(values):
        return jnp.sum(count * values, 0) / jnp.maximum(jnp.sum(count), 1.0)

    mean = average(moments.mean)
    within = average(moments.variance)
    between = average((moments.mean - mean[None]) ** 2)
    return mean, within + between, within
