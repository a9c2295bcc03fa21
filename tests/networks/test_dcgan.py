"""DCGAN's networks: shapes, initialisation, and the function of PyTorch's example."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.networks.dcgan import Discriminator, Generator
from tests.networks.scale import assert_trees_close_to_scale


def parameters(network, *inputs):
    return jax.eval_shape(network.init, jax.random.key(0), *inputs)['params']


@pytest.mark.parametrize('size', [8, 16, 32, 64, 128])
def test_images_of_every_size_are_made_and_judged(size):
    z = jnp.linspace(-1, 1, 12).reshape(3, 4)

    def generate(key):
        return Generator(size, channels=2, width=2).init_with_output(key, z)[0]

    def discriminate(key, x):
        return Discriminator(width=2).init_with_output(key, x)[0]

    x = jax.eval_shape(generate, jax.random.key(0))
    logit = jax.eval_shape(discriminate, jax.random.key(0), x)
    assert x.shape == (3, size, size, 2)
    assert logit.shape == (3,) and logit.dtype == jnp.float32


def test_at_64_pixels_there_are_as_many_parameters_as_in_pytorchs_example():
    def count(params):
        return sum(leaf.size for leaf in jax.tree.leaves(params))

    assert count(parameters(Generator(), jnp.zeros((1, 100)))) == 3_576_704
    assert count(parameters(Discriminator(), jnp.zeros((1, 64, 64, 3)))) == 2_765_568


def test_it_begins_as_the_paper_says():
    params = Generator(16, width=32).init(jax.random.key(0), jnp.zeros((1, 50)))['params']
    for name in ('enter', 'double0', 'double1'):
        assert jnp.std(params[name]['kernel']) == pytest.approx(0.02, rel=0.05)
    scale = params['norm0']['scale']
    assert jnp.mean(scale) == pytest.approx(1, abs=0.02)
    assert jnp.std(scale) == pytest.approx(0.02, rel=0.3)
    assert not jnp.any(params['norm0']['bias'])


def test_labels_change_what_is_made():
    generator = Generator(8, 1, 4, classes=3)
    z = jnp.ones((3, 5))
    label = jnp.arange(3, dtype=jnp.int32)
    x = generator.apply(generator.init(jax.random.key(0), z, label), z, label)
    assert jnp.min(jnp.std(x, 0)) > 0


def test_labels_enter_the_discriminator_as_a_projection():
    """A label adds what is linear in its embedding, and a zero embedding adds nothing."""
    discriminator = Discriminator(4, classes=3)
    label = jnp.arange(3, dtype=jnp.int32)
    x = jnp.tile(jnp.linspace(-1, 1, 64).reshape(1, 8, 8, 1), (3, 1, 1, 1))
    variables = discriminator.init(jax.random.key(0), x, label)
    assert len({float(logit) for logit in discriminator.apply(variables, x, label)}) == 3

    params = dict(variables['params'])
    embedding = params.pop('embed')
    expected = Discriminator(4).apply({**variables, 'params': params}, x)
    zero = jax.tree.map(jnp.zeros_like, embedding)
    zero_variables = {**variables, 'params': {**params, 'embed': zero}}
    logits = discriminator.apply(zero_variables, x, label)
    np.testing.assert_allclose(logits, expected, atol=1e-6)


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
    torch_generator, torch_discriminator = torch_networks()
    torch_discriminator[-1] = torch.nn.Identity()  # the logit, not its sigmoid
    torch_z = torch.randn(4, 100, 1, 1)
    torch_x = torch_generator(torch_z)
    torch_x.retain_grad()
    torch_logit = torch_discriminator(torch_x).view(-1)
    weights = torch.randn(4)
    (torch_logit * weights).sum().backward()

    def weights_of(parameter):
        return parameter.detach().numpy()

    def gradients_of(parameter):
        return parameter.grad.numpy()

    def from_torch(read):
        return [
            generator_params(torch_generator, read),
            discriminator_params(torch_discriminator, read),
        ]

    generator = Generator()
    discriminator = Discriminator()
    z = jnp.asarray(torch_z.numpy()[:, :, 0, 0])
    key = jax.random.key(0)
    generator_stats = generator.init(key, z)['batch_stats']
    discriminator_stats = discriminator.init(key, jnp.zeros((1, 64, 64, 3)))['batch_stats']

    def run(network, params, stats, x):
        variables = {'params': params, 'batch_stats': stats}
        return network.apply(variables, x, mutable=['batch_stats'])[0]

    def loss(params):
        x = run(generator, params[0], generator_stats, z)
        logit = run(discriminator, params[1], discriminator_stats, x)
        return jnp.sum(logit * jnp.asarray(weights.numpy())), (x, logit)

    gradient, (x, logit) = jax.jit(jax.grad(loss, has_aux=True))(from_torch(weights_of))
    ours = (x, logit, gradient)
    theirs = (
        torch_x.detach().numpy().transpose(0, 2, 3, 1),
        torch_logit.detach().numpy(),
        from_torch(gradients_of),
    )
    assert_trees_close_to_scale(ours, theirs, rtol=1e-4, atol=1e-4)


def generator_params(module, read):
    """What `read` gives for the parameters of PyTorch's generator, as a tree of ours."""
    convs, params = convs_and_norms(module, read, first_norm=0)
    kernel = read(convs[0].weight).transpose(0, 2, 3, 1)  # [Z, 4, 4, O]
    params['enter'] = {'kernel': kernel.reshape(len(kernel), -1)}
    for i, conv in enumerate(convs[1:]):
        kernel = read(conv.weight)[:, :, ::-1, ::-1].transpose(2, 3, 0, 1)  # from [I, O, K, L]
        params[f'double{i}'] = {'kernel': np.ascontiguousarray(kernel)}
    return params


def discriminator_params(module, read):
    """What `read` gives for the parameters of PyTorch's discriminator, as a tree of ours."""
    convs, params = convs_and_norms(module, read, first_norm=1)
    for i, conv in enumerate(convs[:-1]):
        kernel = read(conv.weight).transpose(2, 3, 1, 0)  # from [O, I, K, L]
        params[f'halve{i}'] = {'kernel': np.ascontiguousarray(kernel)}
    kernel = read(convs[-1].weight)[0].transpose(1, 2, 0)  # [4, 4, I]
    params['leave'] = {'kernel': kernel.reshape(-1, 1)}
    return params


def convs_and_norms(module, read, first_norm):
    """The convolutions of a torch network, and the parameters of its norms."""
    convs = [layer for layer in module if hasattr(layer, 'stride')]
    norms = [layer for layer in module if hasattr(layer, 'running_mean')]
    params = {
        f'norm{i}': {'scale': read(norm.weight), 'bias': read(norm.bias)}
        for i, norm in enumerate(norms, first_norm)
    }
    return convs, params
