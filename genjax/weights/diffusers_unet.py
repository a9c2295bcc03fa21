"""Our U-Net as the UNet2DModel of diffusers (the architecture of google/ddpm-cifar10-32), and back.

Both are the network of Ho et al. 2020 (arXiv:2006.11239), appendix B. What differs is notation:

    ours                               diffusers
    kernel [K, L, I, O]                weight [O, I, K, L]
    skip/kernel [I, O]                 conv_shortcut.weight [O, I, 1, 1]
    other kernels [I, O]               weight [O, I]
    sines, then cosines                flip_sin_to_cos false
    frequencies down to 1/10000        freq_shift 1
    halving pads the far sides alone   downsample_padding 0
    eps 1e-6 in norms                  norm_eps
    levels counted from the finest     up_blocks counted from the coarsest
    groups by the channels of a norm   norm_num_groups, one number for all
    heads, one number for all          attention_head_dim, channels of a head, one number for all
    the label added before the MLP     added behind it

So a U-Net with labels or augmentation labels is none of theirs, nor is one whose norms have several
numbers of groups or whose heads have several widths. Weights are float32.
"""

import math
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from genjax.networks.unet import UNet

VERSION = '0.42.1'  # of diffusers, whose settings these are
FIRST, LAST = 'conv_in.weight', 'conv_out.weight'  # by which their U-Net is known


class Pipeline(NamedTuple):
    """A trained denoiser with what samples from it, as DDPMPipeline holds them.

    Attributes:
      network: of eps, given t - 1.
      shape: of an image, (H, W, C), with H = W.
      process: a `Process`, by whose beta and model_variance samples are drawn.
      clip: of the predicted x_0.
    """

    network: UNet
    shape: tuple[int, int, int]
    process: Any
    clip: float = 1.0


# Diffusers' name of a layer -> ours, {level} and {block} by their numbers there.
LAYERS = {
    'conv_in': 'enter',
    'conv_norm_out': 'leave_norm',
    'conv_out': 'leave',
    'time_embedding.linear_1': 'time1',
    'time_embedding.linear_2': 'time2',
    'down_blocks.{level}.resnets.{block}': 'down{level}_{block}',
    'down_blocks.{level}.attentions.{block}': 'down{level}_{block}_attend',
    'down_blocks.{level}.downsamplers.0.conv': 'down{level}_halve',
    'mid_block.resnets.{block}': 'middle_{block}',
    'mid_block.attentions.{block}': 'middle_{block}_attend',
    'up_blocks.{level}.resnets.{block}': 'up{level}_{block}',
    'up_blocks.{level}.attentions.{block}': 'up{level}_{block}_attend',
    'up_blocks.{level}.upsamplers.0.conv': 'up{level}_double',
}
# The same of a layer within a block; diffusers had two names for those of attention.
INNER = {
    'norm1': 'norm1',
    'conv1': 'conv1',
    'time_emb_proj': 'time',
    'norm2': 'norm2',
    'conv2': 'conv2',
    'conv_shortcut': 'skip',
    'group_norm': 'norm',
    'to_q': 'query',
    'to_k': 'key',
    'to_v': 'value',
    'to_out.0': 'out',
}
FORMER = {'query': 'query', 'key': 'key', 'value': 'value', 'proj_attn': 'out'}


def is_diffusers(weights: Mapping[str, np.ndarray]) -> bool:
    """Whether these are the weights of a UNet2DModel."""
    return FIRST in weights and LAST in weights


def from_diffusers(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The parameters of our U-Net by name, 'down0_1/conv1/kernel', from those of a UNet2DModel.

    Raises:
      ValueError: one of them is of no layer that our U-Net has.
    """
    ups = [re.match(r'up_blocks\.(\d+)\.', name) for name in weights]
    levels = 1 + max((int(match[1]) for match in ups if match), default=0)
    ours = {}
    for name, weight in weights.items():
        layer, _, kind = name.rpartition('.')
        own = _our_layer(layer, levels)
        if own is None or kind not in ('weight', 'bias'):
            raise ValueError(f'{name} of diffusers is of no layer of the U-Net of genjax')
        ours[f'{own}/{_our_kind(kind, weight)}'] = np.ascontiguousarray(_our_array(own, weight))
    return ours


def to_diffusers(params: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The inverse of `from_diffusers`.

    Raises:
      ValueError: one of them is of no layer that a UNet2DModel has.
    """
    ups = [re.match(r'up(\d+)_', name) for name in params]
    levels = 1 + max((int(match[1]) for match in ups if match), default=0)
    theirs = {}
    for name, array in params.items():
        layer, _, kind = name.rpartition('/')
        own = _their_layer(layer, levels)
        if own is None:
            raise ValueError(f'{name} is of no layer of the UNet2DModel of diffusers')
        weight = 'bias' if kind == 'bias' else 'weight'
        theirs[f'{own}.{weight}'] = np.ascontiguousarray(_their_array(own, array))
    return theirs


def _our_layer(layer, levels):
    for theirs, ours in LAYERS.items():
        match = _matched(theirs, layer, r'\.')
        if match is None:
            continue
        numbers, inner = match
        if inner:
            inner = (INNER | FORMER).get(inner)
            if inner is None:
                return None
        return _named(ours, numbers, levels, 'up') + (f'/{inner}' if inner else '')
    return None


def _their_layer(layer, levels):
    names = {ours: theirs for theirs, ours in INNER.items()}
    for theirs, ours in LAYERS.items():
        match = _matched(ours, layer, '/')
        if match is None:
            continue
        numbers, inner = match
        if inner:
            inner = names.get(inner)
            if inner is None:
                return None
        return _named(theirs, numbers, levels, 'up') + (f'.{inner}' if inner else '')
    return None


def _matched(pattern, layer, separator):
    """(the numbers by name, the layer within) where a layer's name fits a pattern of LAYERS."""
    text = re.escape(pattern).replace(r'\{level\}', r'(?P<level>\d+)')
    text = text.replace(r'\{block\}', r'(?P<block>\d+)')
    match = re.fullmatch(f'{text}(?:{separator}(?P<inner>.+))?', layer)
    if match is None:
        return None
    numbers = {name: int(n) for name, n in match.groupdict().items() if name != 'inner'}
    return numbers, match['inner'] or ''


def _named(pattern, numbers, levels, counted_back):
    if pattern.startswith(counted_back):
        numbers = numbers | {'level': levels - 1 - numbers['level']}
    return pattern.format(**numbers)


def _our_kind(kind, weight):
    if kind == 'bias':
        return 'bias'
    return 'scale' if weight.ndim == 1 else 'kernel'


def _our_array(own, weight):
    if weight.ndim == 4:
        kernel = weight.transpose(2, 3, 1, 0)
        return kernel[0, 0] if own.endswith('/skip') else kernel
    return weight.T


def _their_array(own, array):
    if own.endswith('conv_shortcut') and array.ndim == 2:
        array = array[None, None]
    return array.transpose(3, 2, 0, 1) if array.ndim == 4 else array.T


def model_config(network: UNet, shape: tuple[int, int, int]) -> dict[str, Any]:
    """The settings of the UNet2DModel that computes what a U-Net does of images [H, W, C].

    Raises:
      ValueError: there is none.
    """
    height, width, channels = shape
    if height != width:
        raise ValueError(f'shape is {shape}; a pipeline of diffusers draws squares')
    if network.classes is not None:
        raise ValueError(
            f'classes is {network.classes}; the U-Net of diffusers adds labels elsewhere'
        )
    if network.augmentation_labels:
        labels = network.augmentation_labels
        raise ValueError(f'augmentation_labels is {labels}; the U-Net of diffusers takes none')
    widths = [network.width * multiplier for multiplier in network.multipliers]
    sizes = [height >> level for level in range(len(widths))]
    attends = [size in network.attend_at for size in sizes]
    down = ['AttnDownBlock2D' if attend else 'DownBlock2D' for attend in attends]
    up = ['AttnUpBlock2D' if attend else 'UpBlock2D' for attend in reversed(attends)]
    return {
        '_class_name': 'UNet2DModel',
        '_diffusers_version': VERSION,
        'sample_size': height,
        'in_channels': channels,
        'out_channels': channels,
        'block_out_channels': widths,
        'down_block_types': down,
        'up_block_types': up,
        'layers_per_block': network.blocks,
        'attention_head_dim': _head_width(network, widths, attends),
        'norm_num_groups': _groups(network, widths),
        'norm_eps': 1e-6,
        'act_fn': 'silu',
        'dropout': network.dropout,
        'center_input_sample': False,
        'time_embedding_type': 'positional',
        'flip_sin_to_cos': False,
        'freq_shift': 1,
        'downsample_padding': 0,
        'mid_block_scale_factor': 1,
    }


def _head_width(network, widths, attends):
    """The channels of a head of attention; None for one head of all channels."""
    if network.heads == 1:
        return None
    attending = {width for width, attend in zip(widths, attends, strict=True) if attend}
    attending.add(widths[-1])  # in the middle
    if len(attending) > 1:
        raise ValueError(
            f'heads is {network.heads} and attention has {sorted(attending)} channels; '
            f'diffusers has heads of one width'
        )
    return attending.pop() // network.heads


def _groups(network, widths):
    """The number of groups that all norms have."""
    channels = {*widths, network.width}
    # On the way up each block also sees what it is joined with.
    skips = [network.width]
    for level, width in enumerate(widths):
        skips += [width] * network.blocks
        if level < len(widths) - 1:
            skips.append(width)
    h = widths[-1]
    for width in reversed(widths):
        for _ in range(network.blocks + 1):
            channels.add(h + skips.pop())
            h = width
    groups = {math.gcd(32, C, max(1, C // network.channels_per_group)) for C in channels}
    if len(groups) > 1:
        raise ValueError(
            f'width is {network.width}, channels_per_group {network.channels_per_group}: norms of '
            f'{sorted(groups)} groups; diffusers has one number for all'
        )
    return groups.pop()


def scheduler_config(pipeline: Pipeline) -> dict[str, Any]:
    """The settings of the DDPMScheduler of a pipeline.

    Raises:
      ValueError: its model_variance is neither beta nor that of the posterior.
    """
    process = pipeline.process
    betas = np.asarray(process.beta[1:], np.float64)
    linear = np.linspace(betas[0], betas[-1], len(betas))
    is_linear = np.allclose(betas, linear, rtol=1e-9, atol=0)
    return {
        '_class_name': 'DDPMScheduler',
        '_diffusers_version': VERSION,
        'num_train_timesteps': len(betas),
        'beta_schedule': 'linear',
        'beta_start': float(betas[0]),
        'beta_end': float(betas[-1]),
        'trained_betas': None if is_linear else betas.tolist(),
        'variance_type': _variance_type(process),
        'prediction_type': 'epsilon',
        'clip_sample': bool(np.isfinite(pipeline.clip)),
        'clip_sample_range': pipeline.clip if np.isfinite(pipeline.clip) else 1.0,
        'timestep_spacing': 'leading',
        'steps_offset': 0,
    }


def _variance_type(process):
    known = {'fixed_large': process.beta, 'fixed_small': process.posterior_variance}
    for name, variance in known.items():
        if np.allclose(process.model_variance[2:], variance[2:], rtol=1e-9, atol=0):
            return name
    raise ValueError('model_variance is none of DDPM; diffusers knows fixed_large and fixed_small')


def pipeline_files(pipeline: Pipeline) -> dict[str, dict[str, Any]]:
    """The JSON files of a folder that DDPMPipeline opens, by their paths in it.

    Raises:
      ValueError: as `model_config` and `scheduler_config`.
    """
    index = {
        '_class_name': 'DDPMPipeline',
        '_diffusers_version': VERSION,
        'unet': ['diffusers', 'UNet2DModel'],
        'scheduler': ['diffusers', 'DDPMScheduler'],
    }
    return {
        'model_index.json': index,
        'unet/config.json': model_config(pipeline.network, pipeline.shape),
        'scheduler/scheduler_config.json': scheduler_config(pipeline),
    }
