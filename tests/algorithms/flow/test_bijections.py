"""Every bijection, alone and composed: it inverts, and its log-determinant is the Jacobian's."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.flow import (
    actnorm,
    autoregressive_affine,
    chain,
    checkerboard,
    conditional,
    coupling,
    factor_out,
    first_half,
    inverted,
    invertible_1x1,
    logit,
    marginally_normal,
    patches,
    reverse,
    squeeze,
)
from genjax.networks.causal import CausalTransformer
from genjax.networks.residual import ResidualNetwork
from tests.marks import quick_only

IMAGE = (4, 4, 2)
TOKENS = (4, 3)
WIDE = jnp.float64


class Dense(nn.Module):
    """tanh of a dense layer and another, of rows."""

    @nn.compact
    def __call__(self, x):
        hidden = nn.tanh(nn.Dense(8, param_dtype=WIDE)(x))
        return nn.Dense(2 * x.shape[-1], param_dtype=WIDE)(hidden)


def transformer(tokens=4, entries=3):
    return CausalTransformer(tokens, entries, width=8, depth=2, heads=2, dtype='float64')


def convolutions():
    return ResidualNetwork(width=6, blocks=1, dtype='float64')


def glow_step(seed):
    return chain(actnorm(), invertible_1x1(seed), coupling(convolutions(), first_half))


def multi_scale():
    """RealNVP's order: two masks of pixels, squeezed, Glow's steps, and half of it once more."""
    return chain(
        logit(0.05),
        coupling(convolutions(), checkerboard),
        coupling(convolutions(), inverted(checkerboard)),
        squeeze(),
        glow_step(0),
        factor_out(chain(squeeze(), glow_step(1))),
    )


def tarflow():
    return chain(
        patches(2, (4, 4, 1)),
        autoregressive_affine(transformer(4, 4)),
        reverse(),
        autoregressive_affine(transformer(4, 4)),
    )


def histograms(*shape, levels=5):
    """Shares of levels between -1 and 1."""
    shares = np.random.default_rng(0).uniform(0.05, 1, (levels, *shape))
    return marginally_normal(shares / shares.sum(0), low=-1.0, width=2 / levels)


CASES = {
    'coupling of rows': (lambda: coupling(Dense(), first_half), (5,)),
    'coupling beside a condition': (lambda: coupling(Dense(), conditional(first_half, 3)), (5,)),
    'coupling of a chessboard': (lambda: coupling(convolutions(), checkerboard), IMAGE),
    'coupling of channels': (lambda: coupling(convolutions(), inverted(first_half)), IMAGE),
    'actnorm': (actnorm, IMAGE),
    '1x1': (lambda: invertible_1x1(3), IMAGE),
    'squeeze': (squeeze, IMAGE),
    'patches': (lambda: patches(2, IMAGE), IMAGE),
    'reverse': (reverse, TOKENS),
    'logit': (lambda: logit(0.05), IMAGE),
    'marginally normal': (lambda: histograms(*IMAGE), IMAGE),
    'autoregressive': (lambda: autoregressive_affine(transformer()), TOKENS),
    'multi-scale': (multi_scale, IMAGE),
    'tarflow': (tarflow, (4, 4, 1)),
}
QUICK = ('coupling of rows', 'actnorm', '1x1', 'marginally normal')


def prepared(case):
    """The bijection, parameters away from those that it begins with, and three examples."""
    make, shape = CASES[case]
    bijection = make()
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.uniform(-0.9, 0.9, (3, *shape)))
    params = bijection.init(jax.random.key(1), x)

    def moved(leaf):
        return jnp.asarray(np.asarray(leaf, np.float64) + 0.2 * rng.normal(size=leaf.shape))

    return bijection, jax.tree.map(moved, params), x


def row(z):
    """All entries of the z of one example."""
    return jnp.concatenate([leaf.ravel() for leaf in jax.tree.leaves(z)])


@pytest.mark.parametrize('case', quick_only(QUICK, CASES))
def test_it_inverts_and_its_log_determinant_is_the_jacobians(case):
    with jax.enable_x64(True):
        bijection, params, x = prepared(case)

        @jax.jit
        def both_ways(params, x):
            def flat(entries):
                z, _ = bijection.forward(params, entries.reshape(1, *x.shape[1:]))
                return row(z)

            z, log_det = bijection.forward(params, x)
            jacobians = jax.vmap(jax.jacfwd(flat))(x.reshape(len(x), -1))
            return bijection.inverse(params, z), log_det, jacobians

        back, log_det, jacobians = both_ways(params, x)
        np.testing.assert_allclose(back, x, rtol=1e-10, atol=1e-10)
        _, expected = np.linalg.slogdet(jacobians)
        np.testing.assert_allclose(log_det, expected, rtol=1e-9, atol=1e-9)


def test_before_a_normal_density_quantiles_are_the_density_of_the_histogram():
    shares = np.array([[0.7, 0.1], [0.1, 0.2], [0.2, 0.7]])
    x = np.random.default_rng(0).uniform(-1, 2, (50, 2))
    with jax.enable_x64(True):
        z, log_det = marginally_normal(shares, low=-1.0, width=1.0).forward((), jnp.asarray(x))
        found = log_det + jax.scipy.stats.norm.logpdf(z).sum(1)
    level = np.floor(x + 1).astype(int)
    expected = np.log(np.take_along_axis(shares, level, 0)).sum(1)
    np.testing.assert_allclose(found, expected, rtol=1e-12)


@pytest.mark.parametrize(('least', 'width'), [(0.0, 1.0), (0.5, 0.0)])
def test_a_histogram_without_a_share_or_a_width_is_refused(least, width):
    with pytest.raises(
        ValueError, match=rf'^width is {width}, the least share {least}; needed: > 0$'
    ):
        marginally_normal(np.array([1 - least, least]), low=0.0, width=width)


def test_a_flow_of_tokens_has_a_triangular_jacobian():
    """A token depends on those before it, and on itself entry by entry."""
    with jax.enable_x64(True):
        bijection, params, x = prepared('autoregressive')

        def flat(entries):
            z, _ = bijection.forward(params, entries.reshape(1, *TOKENS))
            return z.ravel()

        jacobian = np.asarray(jax.jit(jax.jacfwd(flat))(x[0].ravel()))
    blocks = jacobian.reshape(*TOKENS, *TOKENS)
    own = blocks[np.arange(4), :, np.arange(4)]
    assert not own[:, ~np.eye(3, dtype=bool)].any()
    by_token = np.abs(blocks).max((1, 3))
    later = np.triu(np.ones((4, 4)), 1) == 1
    assert not by_token[later].any()
    assert by_token[~later].all()


def test_actnorm_begins_with_mean_0_and_deviation_1_wherever_it_stands():
    with jax.enable_x64(True):
        rng = np.random.default_rng(0)
        scale = np.array([1.0, 5.0])
        x = jnp.asarray(3 + scale * rng.normal(size=(64, 4, 4, 2)))
        # The coupling begins as the identity; the rotation mixes channels of any mean.
        bijection = chain(glow_step(0), actnorm(), invertible_1x1(2), actnorm())
        params = jax.jit(bijection.init)(jax.random.key(0), x)
        z, _ = jax.jit(bijection.forward)(params, x)
        first, _ = actnorm().forward(params[0][0], x)
        both = (np.asarray(first), np.asarray(z))
    for found in both:
        np.testing.assert_allclose(np.mean(found, (0, 1, 2)), 0, atol=1e-10)
        np.testing.assert_allclose(np.std(found, (0, 1, 2)), 1, rtol=1e-10)


def test_the_1x1_convolution_begins_as_a_rotation():
    with jax.enable_x64(True):
        bijection = invertible_1x1(5)
        params = bijection.init(jax.random.key(0), jnp.zeros((1, 4)))
        weights, log_det = map(np.asarray, bijection.forward(params, jnp.eye(4)))
    np.testing.assert_allclose(weights @ weights.T, np.eye(4), atol=1e-12)
    np.testing.assert_allclose(log_det, 0, atol=1e-12)


def test_squeezed_pixels_are_the_squares_of_the_image():
    x = jnp.arange(2 * 4 * 4 * 3).reshape(2, 4, 4, 3)
    z, _ = squeeze().forward((), x.astype('float32'))
    np.testing.assert_array_equal(z[1, 0, 1].reshape(2, 2, 3), x[1, :2, 2:])
    tokens, _ = patches(2, (4, 4, 3)).forward((), x.astype('float32'))
    np.testing.assert_array_equal(tokens[1, 1].reshape(2, 2, 3), x[1, :2, 2:])


@pytest.mark.parametrize(
    ('make', 'line'),
    [
        (chain, 'a chain of no bijections; at least 1 is needed'),
        (lambda: logit(0.5), r'alpha is 0.5; it must lie in \(0, 1/2\)'),
        (lambda: patches(3, IMAGE), 'side is 3; it must divide images of 4 x 4 pixels'),
    ],
)
def test_what_is_no_bijection_is_refused(make, line):
    with pytest.raises(ValueError, match=rf'^{line}(\n|$)'):
        make()


@pytest.mark.parametrize(
    ('bijection', 'shape', 'line'),
    [
        (squeeze(), (3, 4, 1), 'x has 3 x 4 pixels; to squeeze them both must be even'),
        (factor_out(actnorm()), (3,), 'x has 3 channels; an even number has halves'),
        (
            coupling(nn.Dense(2), first_half),
            (4,),
            r'the network gives \(2, 2\); a coupling needs \(2, 8\)',
        ),
        (
            coupling(nn.Dense(2), first_half),
            (1,),
            r'the mask keeps 0 of the 1 entries of \(1,\)',
        ),
        (
            autoregressive_affine(nn.Dense(3)),
            TOKENS,
            r'the network gives \(2, 4, 3\); a flow needs \(2, 4, 6\)',
        ),
    ],
)
def test_examples_that_do_not_fit_are_refused(bijection, shape, line):
    def traced(key, x):
        return bijection.forward(bijection.init(key, x), x)

    with pytest.raises(ValueError, match=rf'^{line}(\n|$)'):
        jax.eval_shape(traced, jax.random.key(0), jnp.zeros((2, *shape)))
