"""DCGAN's networks: shapes, what they begin with, and the function that PyTorch's example computes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.dcgan import Discriminator, Generator


def parameters(network, *inputs):
    return jax.eval_shape(network.init, jax.random.key(0), *inputs)['params']


def test_images_of_every_size_are_made_and_judged():
    z = jnp.linspace(-1, 1, 12).reshape(3, 4)
    for size in (8, 16, 32, 64, 128):
        made = lambda key, size=size: Generator(size, channels=2, width=2).init_with_output(key, z)[
            0
        ]
        judged = lambda key, x: Discriminator(width=2).init_with_output(key, x)[0]
        x = jax.eval_shape(made, jax.random.key(0))
        logit = jax.eval_shape(judged, jax.random.key(0), x)
        assert x.shape == (3, size, size, 2) and logit.shape == (3,) and logit.dtype == jnp.float32


def test_at_64_pixels_there_are_as_many_parameters_as_in_pytorchs_example():
    count = lambda params: sum(leaf.size for leaf in jax.tree.leaves(params))
    assert count(parameters(Generator(), jnp.zeros((1, 100)))) == 3_576_704
    assert count(parameters(Discriminator(), jnp.zeros((1, 64, 64, 3)))) == 2_765_568


def test_it_begins_as_the_paper_says():
    params = Generator(16, width=32).init(jax.random.key(0), jnp.zeros((1, 50)))['params']
    for name in ('enter', 'double0', 'double1'):
        assert jnp.std(params[name]['kernel']) == pytest.approx(0.02, rel=0.05)
    scale = params['norm0']['scale']
    assert jnp.mean(scale) == pytest.approx(1, abs=0.02) and jnp.std(scale) == pytest.approx(
        0.02, rel=0.3
    )
    assert not jnp.any(params['norm0']['bias'])


def test_labels_change_what_is_made_and_judged():
    generator, discriminator = Generator(8, 1, 4, classes=3), Discriminator(4, classes=3)
    z, label = jnp.ones((3, 5)), jnp.arange(3, dtype=jnp.int32)
    x = generator.apply(generator.init(jax.random.key(0), z, label), z, label)
    assert jnp.min(jnp.std(x, 0)) > 0
    x = jnp.tile(jnp.linspace(-1, 1, 64).reshape(1, 8, 8, 1), (3, 1, 1, 1))
    variables = discriminator.init(jax.random.key(0), x, label)
    assert len({float(logit) for logit in discriminator.apply(variables, x, label)}) == 3
    # The projection: what a label adds is linear in its vector, and a vector of nought adds
    # nothing.
    plain = {**variables, 'params': {k: v for k, v in variables['params'].items() if k != 'embed'}}
    blank = {
        **plain,
        'params': plain['params']
        | {'embed': jax.tree.map(jnp.zeros_like, variables['params']['embed'])},
    }
    expected = Discriminator(4).apply(plain, x)
    np.testing.assert_allclose(discriminator.apply(blank, x, label), expected, atol=1e-6)


@pytest.mark.parametrize(
    ('network', 'inputs', 'message'),
    [
        (
            Generator(12),
            [(1, 4)],
            'width is 64, size 12; needed: width >= 1 and a size of 8, 16, 32, 64',
        ),
        (Generator(8, width=0), [(1, 4)], 'width is 0, size 8'),
        (Generator(8, classes=2), [(1, 4)], 'classes is 2; labels are missing'),
        (Discriminator(), [(1, 28, 28, 1)], 'size 28'),
        (
            Discriminator(),
            [(1, 8, 16, 1)],
            r'x has shape \(1, 8, 16, 1\); the discriminator needs squares',
        ),
        (Discriminator(), [(1, 8, 8, 1), (1,)], 'classes is None; labels are given'),
    ],
)
def test_what_is_refused(network, inputs, message):
    with pytest.raises(ValueError, match=message):
        parameters(network, *map(jnp.zeros, inputs))


@pytest.mark.peers
@pytest.mark.filterwarnings('ignore')
def test_it_is_the_function_that_pytorchs_example_computes():
    torch = pytest.importorskip('torch')
    from benchmarks.gan import torch_networks

    torch.manual_seed(0)
    peers, z = torch_networks(), torch.randn(4, 100, 1, 1)
    peers[1][-1] = torch.nn.Identity()  # the logit, not its sigmoid
    x = peers[0](z)
    x.retain_grad()
    logit = peers[1](x).view(-1)
    weights = torch.randn(4)
    (logit * weights).sum().backward()

    ours = [
        translated(net, side, lambda p: p.detach()) for net, side in zip(peers, SIDES, strict=True)
    ]
    expected = [
        translated(net, side, lambda p: p.grad) for net, side in zip(peers, SIDES, strict=True)
    ]
    nets, z = (Generator(), Discriminator()), jnp.asarray(z.numpy()[:, :, 0, 0])
    stats = [
        net.init(jax.random.key(0), a)['batch_stats']
        for net, a in zip(nets, (z, jnp.zeros((1, 64, 64, 3))), strict=True)
    ]

    def run(net, params, stats, x):
        return net.apply({'params': params, 'batch_stats': stats}, x, mutable=['batch_stats'])[0]

    def whole(params):
        made = run(nets[0], params[0], stats[0], z)
        judged = run(nets[1], params[1], stats[1], made)
        return jnp.sum(judged * jnp.asarray(weights.numpy())), (made, judged)

    gradient, (made, judged) = jax.jit(jax.grad(whole, has_aux=True))(ours)
    close = lambda a, b: np.testing.assert_allclose(a, b, atol=1e-4 * np.abs(b).max(), rtol=1e-4)
    close(made, x.detach().numpy().transpose(0, 2, 3, 1))
    close(judged, logit.detach().numpy())
    jax.tree.map(close, gradient, expected)


SIDES = ('double', 'halve')


def translated(module, side, read):
    """The weights of a torch network, or what `read` finds of them, as ours; `side` names its inner
    layers."""
    convs = [layer for layer in module if hasattr(layer, 'stride')]
    norms = [layer for layer in module if hasattr(layer, 'running_mean')]
    first = side == 'double'
    params = {}
    for i, norm in enumerate(norms):
        params[f'norm{i + (not first)}'] = {
            'scale': read(norm.weight).numpy(),
            'bias': read(norm.bias).numpy(),
        }
    for i, conv in enumerate(convs[first : len(convs) - (not first)]):
        kernel = read(conv.weight).numpy()  # [I, O, K, L] of a transposed one, else [O, I, K, L]
        kernel = (
            kernel[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)
            if first
            else kernel.transpose(2, 3, 1, 0)
        )
        params[f'{side}{i}'] = {'kernel': np.ascontiguousarray(kernel)}
    if first:
        kernel = read(convs[0].weight).numpy().transpose(0, 2, 3, 1)  # [Z, 4, 4, O]
        params['enter'] = {'kernel': kernel.reshape(len(kernel), -1)}
    else:
        params['leave'] = {
            'kernel': read(convs[-1].weight).numpy()[0].transpose(1, 2, 0).reshape(-1, 1)
        }
    return params
