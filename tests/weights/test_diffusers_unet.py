"""Our U-Net as that of diffusers: names there and back, settings, and the same function."""

import json
import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.algorithms.diffusion import cosine_schedule, fixed_small, linear_schedule, make_process
from genjax.networks.unet import UNet
from genjax.weights.diffusers_unet import (
    Pipeline,
    from_diffusers,
    model_config,
    pipeline_files,
    scheduler_config,
    to_diffusers,
)
from genjax.weights.files import read_weights, to_safetensors

CIFAR = dict(width=128, multipliers=(1, 2, 2, 2), attend_at=(16,), dropout=0.1)
SMALL = dict(width=32, multipliers=(1, 2), attend_at=(4,), dropout=0.1, blocks=1)


def parameters(fields, size, channels=3, seed=None):
    """Those of a U-Net by name; of zeros, or normal numbers of a seed."""
    x = jax.ShapeDtypeStruct((1, size, size, channels), jnp.float32)
    t = jax.ShapeDtypeStruct((1,), jnp.int32)
    tree = jax.eval_shape(UNet(**fields).init, jax.random.key(0), x, t)['params']
    named = {
        jax.tree_util.keystr(path, simple=True, separator='/'): leaf.shape
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
    if seed is None:
        return {name: np.zeros(shape, np.float32) for name, shape in named.items()}
    rng = np.random.default_rng(seed)
    return {
        name: (rng.normal(size=shape) / np.sqrt(np.prod(shape[:-1]) or 1)).astype(np.float32)
        for name, shape in named.items()
    }


def tree_of(named):
    tree = {}
    for name, x in named.items():
        *layers, kind = name.split('/')
        place = tree
        for layer in layers:
            place = place.setdefault(layer, {})
        place[kind] = x
    return {'params': tree}


@pytest.mark.parametrize(('fields', 'size'), [(SMALL, 8), (CIFAR, 32)], ids=['small', 'cifar'])
def test_names_and_numbers_come_back_to_the_bit(fields, size):
    params = parameters(fields, size, seed=3 if fields is SMALL else None)
    theirs = to_diffusers(params)
    assert len(theirs) == len(params)
    assert theirs['conv_in.weight'].shape == (fields['width'], 3, 3, 3)
    back = from_diffusers(theirs)
    assert back.keys() == params.keys()
    for name, x in params.items():
        np.testing.assert_array_equal(back[name], x, strict=True)


def test_the_names_are_those_of_the_published_checkpoint():
    """Some of google/ddpm-cifar10-32, with their shapes; its attention has former names."""
    theirs = to_diffusers(parameters(CIFAR, 32))
    shapes = {
        'time_embedding.linear_1.weight': (512, 128),
        'down_blocks.1.attentions.0.to_q.weight': (256, 256),
        'down_blocks.0.downsamplers.0.conv.weight': (128, 128, 3, 3),
        'up_blocks.0.resnets.0.conv_shortcut.weight': (256, 512, 1, 1),
        'up_blocks.3.resnets.2.norm1.weight': (256,),
        'mid_block.attentions.0.to_out.0.bias': (256,),
    }
    assert {name: theirs[name].shape for name in shapes} == shapes
    former = {'to_q': 'query', 'to_k': 'key', 'to_v': 'value', 'to_out.0': 'proj_attn'}
    pattern = re.compile('|'.join(map(re.escape, former)))
    older = {pattern.sub(lambda m: former[m[0]], name): x for name, x in theirs.items()}
    assert from_diffusers(older).keys() == from_diffusers(theirs).keys()


def test_a_file_of_theirs_is_read_by_our_names(tmp_path):
    params = parameters(SMALL, 8, seed=1)
    path = tmp_path / 'a.safetensors'
    path.write_bytes(to_safetensors(to_diffusers(params), {'format': 'pt'}))
    read = read_weights(path)
    assert read.keys() == {f'params/{name}' for name in params}
    np.testing.assert_array_equal(read['params/enter/kernel'], params['enter/kernel'])


def test_layers_of_another_network_are_named():
    theirs = to_diffusers(parameters(SMALL, 8))
    with pytest.raises(ValueError, match=r'^class_embedding\.weight of diffusers is of no layer'):
        from_diffusers(theirs | {'class_embedding.weight': np.zeros((3, 4))})
    with pytest.raises(ValueError, match=r'^conditions/label/kernel is of no layer'):
        to_diffusers({'conditions/label/kernel': np.zeros((3, 4))})


@pytest.mark.parametrize(
    ('fields', 'shape', 'message'),
    [
        (dict(classes=10), (8, 8, 3), 'classes is 10'),
        (dict(augmentation_labels=9), (8, 8, 3), 'augmentation_labels is 9'),
        (dict(), (8, 16, 3), 'shape is (8, 16, 3)'),
        (dict(width=16), (8, 8, 3), 'width is 16, channels_per_group 1: norms of [16, 32] groups'),
        (dict(heads=2, attend_at=(4, 8)), (8, 8, 3), 'heads is 2 and attention has [32, 64]'),
    ],
)
def test_what_diffusers_has_not_is_refused(fields, shape, message):
    with pytest.raises(ValueError, match=re.escape(message)):
        model_config(UNet(**(SMALL | fields)), shape)


def test_heads_are_said_by_their_width():
    assert model_config(UNet(**SMALL), (8, 8, 3))['attention_head_dim'] is None
    assert model_config(UNet(**SMALL, heads=2), (8, 8, 3))['attention_head_dim'] == 32


def test_a_schedule_is_said_by_its_ends_or_by_its_numbers():
    network = UNet(**SMALL)
    linear = scheduler_config(Pipeline(network, (8, 8, 3), make_process(linear_schedule(1000))))
    assert (linear['beta_start'], linear['beta_end'], linear['trained_betas']) == (1e-4, 0.02, None)
    assert linear['variance_type'] == 'fixed_large'
    betas = cosine_schedule(20)
    cosine = scheduler_config(Pipeline(network, (8, 8, 3), make_process(betas, fixed_small)))
    assert cosine['trained_betas'] == betas.tolist() and cosine['variance_type'] == 'fixed_small'
    odd = make_process(betas)._replace(model_variance=np.full(21, 0.5))
    with pytest.raises(ValueError, match='^model_variance is none of DDPM'):
        scheduler_config(Pipeline(network, (8, 8, 3), odd))


@pytest.mark.peers
@pytest.mark.filterwarnings('ignore')
@pytest.mark.parametrize(
    ('fields', 'size'),
    [
        (SMALL, 8),
        (SMALL | dict(heads=2), 8),
        (SMALL | dict(blocks=2, multipliers=(1, 1, 2), attend_at=(16, 4)), 16),
    ],
    ids=['one head', 'two heads', 'three levels'],
)
def test_diffusers_opens_it_and_computes_the_same(fields, size, tmp_path):
    torch = pytest.importorskip('torch')
    diffusers = pytest.importorskip('diffusers')
    shape = (size, size, 3)
    params = parameters(fields, size, seed=2)
    process = make_process(linear_schedule(10))
    for name, values in pipeline_files(Pipeline(UNet(**fields), shape, process)).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(json.dumps(values))
    content = to_safetensors(to_diffusers(params), {'format': 'pt'})
    (tmp_path / 'unet/diffusion_pytorch_model.safetensors').write_bytes(content)

    pipe = diffusers.DDPMPipeline.from_pretrained(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(2, *shape)).astype(np.float32)
    t = np.array([7, 3])
    with torch.no_grad():
        theirs = pipe.unet(torch.tensor(x.transpose(0, 3, 1, 2)), torch.tensor(t)).sample
    ours = UNet(**fields).apply(tree_of(params), jnp.asarray(x), jnp.asarray(t, jnp.int32))
    scale = float(jnp.std(ours))
    assert scale > 0.01
    np.testing.assert_allclose(theirs.numpy().transpose(0, 2, 3, 1), ours, atol=1e-4 * scale)
