"""The U-Net: against diffusers' of the same weights, and what must hold of any."""

import re
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.special import softmax

from genjax.networks.unet import Attention, Norm, UNet
from genjax.parallel import AXIS
from tests.marks import slow
from tests.trees import assert_trees_equal

SMALL = dict(width=16, multipliers=(1, 2), attend_at=(4,), dropout=0.5, blocks=1)
CIFAR = dict(width=128, multipliers=(1, 2, 2, 2), attend_at=(16,), dropout=0.1)


def shape(*sizes, dtype=jnp.float32):
    return jax.ShapeDtypeStruct(sizes, dtype)


def abstract_params(net, x):
    """The shapes of the parameters for images x."""
    return jax.eval_shape(lambda key: net.lazy_init(key, x, shape(x.shape[0])), jax.random.key(0))


def inputs_and_params(net, size=(8, 8, 8, 3)):
    """x, t, and parameters that are zero nowhere."""
    x = jax.random.normal(jax.random.key(1), size)
    t = jnp.arange(size[0]) * 100
    leaves, tree = jax.tree.flatten(abstract_params(net, x))

    def draw(i, leaf):
        return 0.1 * np.random.default_rng(i).normal(size=leaf.shape).astype('float32')

    params = tree.unflatten([draw(i, leaf) for i, leaf in enumerate(leaves)])
    return x, t, params


def test_the_cifar_network_has_the_parameters_of_the_paper():
    params = abstract_params(UNet(**CIFAR), shape(1, 32, 32, 3))
    assert sum(leaf.size for leaf in jax.tree.leaves(params)) == 35_746_307


@pytest.mark.slow
def test_it_begins_by_predicting_zero_in_the_shape_of_its_input():
    net = UNet(**SMALL)
    x = jnp.ones((2, 8, 8, 5))
    t = jnp.arange(2)
    params = net.lazy_init(jax.random.key(0), shape(*x.shape), shape(2))
    np.testing.assert_array_equal(jax.jit(net.apply)(params, x, t), jnp.zeros_like(x))


def test_group_normalisation_gives_groups_of_mean_zero_and_variance_one():
    x = 3 + 2 * jax.random.normal(jax.random.key(0), (2, 6, 6, 24))
    y = Norm().apply({'params': {'scale': jnp.ones(24), 'bias': jnp.zeros(24)}}, x)
    groups = y.reshape(2, 36, 8, 3)  # gcd(32, 24) = 8
    np.testing.assert_allclose(jnp.mean(groups, (1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.var(groups, (1, 3)), 1, atol=1e-4)


@pytest.mark.parametrize('heads', [1, 2, 4])
def test_attention_is_the_formula(heads):
    """softmax(q k^T / sqrt C) v of every pixel and head, beside a skip.

    Vaswani et al. 2017, arXiv:1706.03762, eq. 1.
    """
    rng = np.random.default_rng(0)
    C = 8

    def normal(*size):
        return rng.normal(size=size).astype('float32')

    names = ('query', 'key', 'value', 'out')
    params = {name: {'kernel': normal(C, C), 'bias': normal(C)} for name in names}
    params['norm'] = {'scale': normal(C), 'bias': normal(C)}
    x = normal(2, 3, 4, C)

    def dense(name, rows):
        return rows @ params[name]['kernel'] + params[name]['bias']

    rows = np.float64(Norm().apply({'params': params['norm']}, x)).reshape(2, 12, C)
    query = dense('query', rows)
    key = dense('key', rows)
    value = dense('value', rows)
    shares = [slice(i * C // heads, (i + 1) * C // heads) for i in range(heads)]
    attended = []
    for share in shares:
        logits = query[..., share] @ key[..., share].swapaxes(1, 2) / np.sqrt(C // heads)
        attended.append(softmax(logits, -1) @ value[..., share])
    expected = x + dense('out', np.concatenate(attended, -1)).reshape(x.shape)
    y = Attention(heads=heads).apply({'params': params}, x)
    np.testing.assert_allclose(y, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.slow
def test_labels_and_augmentation_are_felt_and_the_last_label_is_none():
    label = jnp.array([0, 1, 2, 3])
    done = jax.random.normal(jax.random.key(5), (4, 9))
    net = UNet(**SMALL, heads=2, classes=3, augmentation_labels=9, channels_per_group=4)
    x, t, plain = inputs_and_params(UNet(**SMALL), (4, 8, 8, 3))
    t = t.astype(jnp.float32)
    shapes = jax.eval_shape(
        lambda key: net.lazy_init(key, shape(*x.shape), shape(4), label, done), jax.random.key(0)
    )['params']
    # They add parameters and leave the others as they are.
    kernels = shapes.pop('conditions')
    assert jax.tree.map(np.shape, shapes) == jax.tree.map(np.shape, plain['params'])

    def filled(scale):
        def fill(p):
            return scale * jnp.cos(jnp.arange(p.size, dtype=p.dtype)).reshape(p.shape)

        return {'params': plain['params'] | {'conditions': jax.tree.map(fill, kernels)}}

    apply = jax.jit(net.apply)
    params = filled(1.0)
    y = np.asarray(apply(params, x, t, label, done))
    others = {
        'time': apply(params, x, t + 50, label, done),
        'label': apply(params, x, t, (label + 1) % 3, done),
        'augmentation': apply(params, x, t, label, done + jnp.arange(9.0)[None]),
    }
    for name, other in others.items():
        assert np.all(np.abs(other - y).max((1, 2, 3)) > 1e-3), name
    nothing = apply(params, x, t, jnp.full(4, 3), jnp.zeros_like(done))
    np.testing.assert_array_equal(nothing, apply(filled(0.0), x, t, label, done))


def test_a_norm_of_one_channel_a_group_takes_out_what_is_added_to_all_pixels():
    """The paper's widths have 4 channels and more a group; narrow networks have to ask for them."""
    x = jax.random.normal(jax.random.key(0), (2, 6, 6, 16))
    features = jax.random.normal(jax.random.key(1), (2, 1, 1, 16))
    params = {'params': {'scale': jnp.ones(16), 'bias': jnp.zeros(16)}}
    alone = Norm()
    np.testing.assert_allclose(alone.apply(params, x + features), alone.apply(params, x), atol=1e-5)
    fours = Norm(channels_per_group=4)
    y = fours.apply(params, x + features)
    assert np.abs(y - fours.apply(params, x)).max() > 0.5
    groups = y.reshape(2, 36, 4, 4)
    np.testing.assert_allclose(jnp.mean(groups, (1, 3)), 0, atol=1e-5)
    np.testing.assert_allclose(jnp.var(groups, (1, 3)), 1, atol=1e-4)


def test_dropout_is_active_exactly_with_its_key():
    net = UNet(**SMALL)
    x, t, params = inputs_and_params(net)

    @jax.jit
    def apply(rngs):
        return net.apply(params, x, t, rngs=rngs)

    without_key = apply({})
    first = apply({'dropout': jax.random.key(0)})
    again = apply({'dropout': jax.random.key(0)})
    other = apply({'dropout': jax.random.key(1)})
    np.testing.assert_array_equal(first, again)
    assert not np.allclose(without_key, first)
    assert not np.allclose(first, other)


@pytest.mark.slow
def test_dropout_does_not_depend_on_the_number_of_devices():
    net = UNet(**SMALL)
    x, t, params = inputs_and_params(net)

    def run(key, x, t):
        return net.apply(params, x, t, rngs={'dropout': key})

    key = jax.random.key(0)
    whole = jax.jit(run)(key, x, t)
    shares = jax.pmap(partial(run, key), axis_name=AXIS)(x[:, None], t[:, None])
    np.testing.assert_allclose(shares.reshape(whole.shape), whole, rtol=1e-4, atol=1e-4)


def in_float64(*trees):
    """The trees with their float32 leaves in float64."""

    def widen(leaf):
        leaf = np.asarray(leaf)
        return jnp.asarray(leaf.astype(np.float64) if leaf.dtype == np.float32 else leaf)

    return jax.tree.map(widen, trees)


def directions(*trees):
    """One direction in each tree, of no special value."""
    return jax.tree.map(
        lambda a: jnp.cos(jnp.arange(a.size, dtype=a.dtype)).reshape(a.shape), trees
    )


@pytest.mark.slow
def test_forward_mode_agrees_with_finite_differences_and_with_reverse_mode_in_float64():
    """By x, t and the parameters at once, through attention, norms, dropout and convolutions."""
    net = UNet(**SMALL, dtype='float64', channels_per_group=4)
    x, t, params = inputs_and_params(UNet(**SMALL), (2, 8, 8, 2))
    with jax.enable_x64(True):
        x, t, params = in_float64(x, t.astype(jnp.float32), params)
        tangents = directions(x, t, params)

        def predict(x, t, params):
            return net.apply(params, x, t, rngs={'dropout': jax.random.key(0)})

        def curve(step):
            return predict(*jax.tree.map(lambda a, d: a + step * d, (x, t, params), tangents))

        @jax.jit
        def both_modes(u):
            y, pull_back = jax.vjp(predict, x, t, params)
            _, forward = jax.jvp(curve, (jnp.zeros(()),), (jnp.ones(()),))
            reverse = jax.tree.map(jnp.vdot, pull_back(u), tangents)
            return y, forward, sum(jax.tree.leaves(reverse))

        u = jnp.sin(jnp.arange(x.size, dtype=x.dtype)).reshape(x.shape)
        y, forward, reverse = both_modes(u)
        assert y.dtype == jnp.float64
        h = 1e-6
        curve = jax.jit(curve)
        difference = (curve(jnp.float64(h)) - curve(jnp.float64(-h))) / (2 * h)
        scale = float(jnp.abs(forward).max())
        np.testing.assert_allclose(difference, forward, rtol=1e-5, atol=1e-6 * scale)
        assert float(jnp.vdot(u, forward)) == pytest.approx(float(reverse), rel=1e-11)


@pytest.mark.slow
def test_the_gradient_of_a_loss_with_a_forward_derivative_in_it():
    """As of a flow map: reverse mode over forward mode, against finite differences in float64."""
    net = UNet(**SMALL, dtype='float64', channels_per_group=4)
    x, t, params = inputs_and_params(UNet(**SMALL), (2, 8, 8, 2))
    with jax.enable_x64(True):
        x, t, params = in_float64(x, t.astype(jnp.float32), params)
        (direction,) = directions(params)

        def loss(params):
            def predict(x, t):
                return net.apply(params, x, t, rngs={'dropout': jax.random.key(0)})

            y, slope = jax.jvp(predict, (x, t), (jnp.cos(x), jnp.ones_like(t)))
            return jnp.sum(jnp.square(y + 3 * slope))

        def along(step):
            return loss(jax.tree.map(lambda p, d: p + step * d, params, direction))

        along_gradient = jax.jit(jax.value_and_grad(along))
        _, slope = along_gradient(jnp.zeros(()))
        h = 1e-6
        above, _ = along_gradient(jnp.float64(h))
        below, _ = along_gradient(jnp.float64(-h))
        assert float(slope) == pytest.approx(float((above - below) / (2 * h)), rel=1e-5)


@pytest.mark.slow
def test_a_duration_is_one_more_layer_and_all_others_are_the_same_to_the_bit():
    # In groups of one channel nothing would be left of what is told.
    fields = SMALL | dict(channels_per_group=4)
    plain, told = UNet(**fields), UNet(**fields, duration=True)
    x, t, params = inputs_and_params(plain)
    key = jax.random.key(3)
    of_plain = jax.jit(plain.init)(key, x, t)['params']
    of_told = dict(jax.jit(told.init)(key, x, t, duration=t)['params'])
    layer = of_told.pop('conditions')['duration']['kernel']
    assert layer.shape == (SMALL['width'], SMALL['width'])
    assert_trees_equal(of_told, of_plain)
    told_params = {'params': params['params'] | {'conditions': {'duration': {'kernel': layer}}}}
    apply = jax.jit(told.apply)
    without = jax.jit(plain.apply)(params, x, t)
    silent = jax.tree.map(jnp.zeros_like, layer)
    deaf = {'params': params['params'] | {'conditions': {'duration': {'kernel': silent}}}}
    np.testing.assert_allclose(apply(deaf, x, t, duration=t), without, rtol=1e-5, atol=1e-6)
    assert float(jnp.abs(apply(told_params, x, t, duration=2 * t) - without).max()) > 1e-4


@pytest.mark.parametrize('dtype', [jnp.bfloat16, slow('bfloat16')])
def test_bfloat16_computes_the_same_with_float32_parameters_and_output(dtype):
    full = UNet(**SMALL)
    half = UNet(**SMALL, dtype=dtype)
    x, t, params = inputs_and_params(full)

    def kinds(net):
        return jax.tree.map(lambda a: (a.shape, a.dtype), abstract_params(net, x))

    assert kinds(half) == kinds(full)
    exact = jax.jit(full.apply)(params, x, t)
    rounded = jax.jit(half.apply)(params, x, t)
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
        (dict(heads=3), (1, 8, 8, 3), 'heads is 3; they must divide the 32 channels'),
        (dict(heads=0), (1, 8, 8, 3), 'heads is 0'),
        (dict(channels_per_group=0), (1, 8, 8, 3), 'channels_per_group is 0; it is at least 1'),
        (dict(classes=3), (1, 8, 8, 3), 'classes is 3; labels are missing'),
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
    # Diffusers counts the way up from the coarsest level.
    r'^up(\d)': lambda match: f'up{3 - int(match[1])}',
}


def from_diffusers(state: dict) -> dict:
    """The parameters of our network from the state_dict of a UNet2DModel of four levels."""
    params = {}
    for name, value in state.items():
        for theirs, ours in PEER_NAMES.items():
            name = re.sub(theirs, ours, name)
        *layers, kind = name.split('.')
        value = value.numpy()
        layer_params = params
        for layer in layers:
            layer_params = layer_params.setdefault(layer, {})
        if kind == 'bias':
            layer_params['bias'] = value
        elif value.ndim == 1:
            layer_params['scale'] = value
        else:  # [O, I, K, L] or [O, I]; a convolution over single pixels is a dense layer here
            kernel = value.transpose(2, 3, 1, 0) if value.ndim == 4 else value.T
            layer_params['kernel'] = kernel[0, 0] if kernel.shape[:2] == (1, 1) else kernel
    return {'params': params}


@pytest.mark.peers
@pytest.mark.filterwarnings('ignore')
def test_it_is_the_function_that_diffusers_computes():
    torch = pytest.importorskip('torch')
    from benchmarks.unet import torch_network

    torch.manual_seed(0)
    peer = torch_network().eval()
    for value in peer.parameters():  # no weight is zero or one, as some are initially
        value.data += 0.02 * torch.randn_like(value)
    torch_x = torch.randn(2, 3, 32, 32, requires_grad=True)
    torch_t = torch.tensor([7, 901])
    torch_weights = torch.randn(2, 3, 32, 32)
    torch_y = peer(torch_x, torch_t).sample
    (torch_gradient,) = torch.autograd.grad((torch_y * torch_weights).sum(), torch_x)

    def channels_last(image):
        return jnp.asarray(image.detach().permute(0, 2, 3, 1).numpy())

    net = UNet(**CIFAR)
    params = from_diffusers(peer.state_dict())
    x = channels_last(torch_x)
    t = jnp.asarray(torch_t.numpy(), jnp.int32)
    assert jax.tree.map(np.shape, params) == jax.tree.map(np.shape, abstract_params(net, x))
    y, pull_back = jax.vjp(lambda x: net.apply(params, x, t), x)
    np.testing.assert_allclose(y, channels_last(torch_y), atol=1e-4)
    (gradient,) = pull_back(channels_last(torch_weights))
    np.testing.assert_allclose(gradient, channels_last(torch_gradient), atol=1e-4)
