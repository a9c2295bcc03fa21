"""The U-Net: against diffusers' of the same weights, and what must hold of any."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from genjax.networks.unet import Attention, Norm, UNet, dropout
from genjax.parallel import AXIS

SMALL = dict(width=16, multipliers=(1, 2), attend_at=(4,), dropout=0.5, blocks=1)
CIFAR = dict(width=128, multipliers=(1, 2, 2, 2), attend_at=(16,), dropout=0.1)


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def abstract_params(net, x):
    return jax.eval_shape(lambda key: net.lazy_init(key, x, shape(x.shape[0])), jax.random.key(0))


def drawn(net, sizes=(8, 8, 8, 3)):
    """Inputs, and weights that are zero nowhere."""
    x = jax.random.normal(jax.random.key(1), sizes)
    abstract = abstract_params(net, x)
    leaves, tree = jax.tree.flatten(abstract)

    def draw(i, leaf):
        return 0.1 * np.random.default_rng(i).normal(size=leaf.shape).astype('float32')

    return (
        x,
        jnp.arange(sizes[0]) * 100,
        tree.unflatten([draw(*pair) for pair in enumerate(leaves)]),
    )


def test_the_cifar_network_has_the_parameters_of_the_paper():
    params = abstract_params(UNet(**CIFAR), shape(1, 32, 32, 3))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 35_746_307


def test_it_begins_by_predicting_zero_in_the_shape_of_its_input():
    net = UNet(**SMALL)
    x, t = jnp.ones((2, 8, 8, 5)), jnp.arange(2)
    params = net.lazy_init(jax.random.key(0), shape(*x.shape), shape(2))
    np.testing.assert_array_equal(jax.jit(net.apply)(params, x, t), jnp.zeros_like(x))


def test_group_normalisation_gives_groups_of_mean_zero_and_variance_one():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (2, 6, 6, 24))
    y = Norm().apply({'params': {'scale': jnp.ones(24), 'bias': jnp.zeros(24)}}, x)
    groups = y.reshape(2, 36, 8, 3)  # gcd(32, 24) = 8
    np.testing.assert_allclose(jnp.mean(groups, (1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.var(groups, (1, 3)), 1, atol=1e-4)


def test_attention_is_the_formula():
    """softmax(q k^T / sqrt C) v of every pixel, beside a skip (Vaswani et al. 2017,
    arXiv:1706.03762, eq. 1)."""
    draw, C = np.random.default_rng(0), 8

    def dense():
        return {
            'kernel': draw.normal(size=(C, C)).astype('float32'),
            'bias': draw.normal(size=C).astype('float32'),
        }

    params = {name: dense() for name in ('query', 'key', 'value', 'out')}
    params['norm'] = {
        'scale': draw.normal(size=C).astype('float32'),
        'bias': draw.normal(size=C).astype('float32'),
    }
    x = draw.normal(size=(2, 3, 4, C)).astype('float32')
    rows = np.float64(Norm().apply({'params': params['norm']}, x)).reshape(2, 12, C)
    query, key, value = (
        rows @ params[name]['kernel'] + params[name]['bias'] for name in ('query', 'key', 'value')
    )
    seen = (
        softmax(query @ key.swapaxes(1, 2) / np.sqrt(C), -1) @ value @ params['out']['kernel']
        + params['out']['bias']
    )
    found = Attention().apply({'params': params}, x)
    np.testing.assert_allclose(found, x + seen.reshape(x.shape), rtol=1e-4, atol=1e-4)


def test_dropout_keeps_the_mean_and_drops_the_share():
    x = jnp.ones((64, 8, 8, 15))
    y = dropout(jax.random.key(0), x, 0.3)
    share = np.mean(np.asarray(y) == 0)
    deviation = (0.3 * 0.7 / x.size) ** 0.5
    assert abs(share - 0.3) < 5 * deviation
    np.testing.assert_allclose(np.unique(y), [0, 1 / 0.7], rtol=1e-4)
    lower, upper = (
        np.asarray(y).reshape(-1)[i::2] == 0 for i in (0, 1)
    )  # halves of one random number
    assert abs(np.corrcoef(lower, upper)[0, 1]) < 5 / lower.size**0.5


def test_dropout_is_active_exactly_with_its_key():
    net = UNet(**SMALL)
    x, t, params = drawn(net)
    run = jax.jit(lambda rngs: net.apply(params, x, t, rngs=rngs))
    plain, first, again, other = (
        run(rngs) for rngs in ({}, *({'dropout': jax.random.key(seed)} for seed in (0, 0, 1)))
    )
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(plain, first) and not np.allclose(first, other)


def test_dropout_does_not_depend_on_the_number_of_devices():
    net = UNet(**SMALL)
    x, t, params = drawn(net)

    def run(key, x, t):
        return net.apply(params, x, t, rngs={'dropout': key})

    key = jax.random.key(0)
    whole = jax.jit(run)(key, x, t)
    shares = jax.pmap(partial(run, key), axis_name=AXIS)(x[:, None], t[:, None])
    np.testing.assert_allclose(shares.reshape(whole.shape), whole, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize('dtype', [jnp.bfloat16, 'bfloat16'])
def test_bfloat16_computes_the_same_with_float32_parameters_and_output(dtype):
    full, half = UNet(**SMALL), UNet(**SMALL, dtype=dtype)
    x, t, params = drawn(full)
    assert jax.tree.map(lambda a: (a.shape, a.dtype), abstract_params(half, x)) == jax.tree.map(
        lambda a: (a.shape, a.dtype), abstract_params(full, x)
    )
    exact, rounded = (jax.jit(net.apply)(params, x, t) for net in (full, half))
    assert rounded.dtype == jnp.float32
    error = jnp.linalg.norm(rounded - exact) / jnp.linalg.norm(exact)
    assert 0 < error < 0.03


@pytest.mark.parametrize(
    ('fields', 'sizes', 'message'),
    [
        (dict(width=0), (1, 8, 8, 3), 'width is 0'),
        (dict(width=15), (1, 8, 8, 3), 'width is 15'),
        (dict(multipliers=()), (1, 8, 8, 3), 'multipliers are ()'),
        (dict(multipliers=(1, 0)), (1, 8, 8, 3), 'multipliers are (1, 0)'),
        (dict(blocks=0), (1, 8, 8, 3), 'blocks is 0'),
        (dict(dropout=1.0), (1, 8, 8, 3), 'dropout is 1.0'),
        (
            dict(dtype='float99'),
            (1, 8, 8, 3),
            'dtype is float99; it must be one of float32, bfloat16',
        ),
        (dict(dtype=jnp.int32), (1, 8, 8, 3), 'int32'),
        (
            dict(attend_at=(16,)),
            (1, 8, 8, 3),
            'attend_at is (16,); the levels have resolutions [8, 4]',
        ),
        (dict(), (1, 9, 9, 3), '2 levels need H, W divisible by 2'),
        (dict(), (1, 8, 8), 'x and t have shapes (1, 8, 8) and (1,)'),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(fields, sizes, message):
    with pytest.raises(ValueError, match=re.escape(message)) as error:
        abstract_params(UNet(**(SMALL | fields)), shape(*sizes))
    assert '\n' not in str(error.value)


PEER_NAMES = {  # diffusers' name of a layer, ours; the first that matches, in order
    r'down_blocks\.(\d)\.resnets\.(\d)\.': r'down\1_\2.',
    r'down_blocks\.(\d)\.attentions\.(\d)\.': r'down\1_\2_attend.',
    r'down_blocks\.(\d)\.downsamplers\.0\.conv': r'down\1_halve',
    r'mid_block\.resnets\.(\d)\.': r'middle_\1.',
    r'mid_block\.attentions\.0\.': 'middle_0_attend.',
    r'up_blocks\.(\d)\.resnets\.(\d)\.': r'up\1_\2.',
    r'up_blocks\.(\d)\.attentions\.(\d)\.': r'up\1_\2_attend.',
    r'up_blocks\.(\d)\.upsamplers\.0\.conv': r'up\1_double',
    r'time_embedding\.linear_': 'time',
    'conv_norm_out': 'leave_norm',
    'conv_in': 'enter',
    'conv_out': 'leave',
    'time_emb_proj': 'time',
    'conv_shortcut': 'skip',
    'group_norm': 'norm',
    r'to_out\.0': 'out',
    'to_q': 'query',
    'to_k': 'key',
    'to_v': 'value',
    r'^up(\d)': lambda found: (
        f'up{3 - int(found[1])}'
    ),  # diffusers counts the way up from its beginning
}


def from_diffusers(state: dict) -> dict:
    """The parameters of our network from the state_dict of a UNet2DModel of four levels."""
    params = {}
    for name, value in state.items():
        for theirs, ours in PEER_NAMES.items():
            name = re.sub(theirs, ours, name)
        *layers, kind = name.split('.')
        place, value = params, value.numpy()
        for layer in layers:
            place = place.setdefault(layer, {})
        if kind == 'bias' or value.ndim == 1:
            place['bias' if kind == 'bias' else 'scale'] = value
        else:  # [O, I, K, L] or [O, I]; a convolution over single pixels is a dense layer here
            kernel = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
            place['kernel'] = kernel[0, 0] if kernel.shape[:2] == (1, 1) else kernel
    return {'params': params}


@pytest.mark.peers
@pytest.mark.filterwarnings('ignore')
def test_it_is_the_function_that_diffusers_computes():
    torch = pytest.importorskip('torch')
    from benchmarks.unet import torch_network

    torch.manual_seed(0)
    peer, net = torch_network().eval(), UNet(**CIFAR)
    for value in peer.parameters():  # no weight is zero or one, as some are when a network begins
        value.data += 0.02 * torch.randn_like(value)
    x, t = torch.randn(2, 3, 32, 32, requires_grad=True), torch.tensor([7, 901])
    weights = torch.randn(2, 3, 32, 32)
    theirs = peer(x, t).sample
    (slope,) = torch.autograd.grad((theirs * weights).sum(), x)

    params = from_diffusers(peer.state_dict())

    def last(image):
        return jnp.asarray(image.detach().permute(0, 2, 3, 1).numpy())

    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, abstract_params(net, last(x)))
    ours, back = jax.vjp(lambda x: net.apply(params, x, jnp.asarray(t.numpy(), jnp.int32)), last(x))
    np.testing.assert_allclose(ours, last(theirs), atol=1e-4)
    np.testing.assert_allclose(back(last(weights))[0], last(slope), atol=1e-4)
