"""Weights in files of safetensors."""

import pathlib
from collections.abc import Mapping

import numpy as np

from genjax.weights.diffusers_unet import from_diffusers, is_diffusers

DIFFUSERS = 'diffusion_pytorch_model.safetensors'  # of a model of diffusers, in its folder
NATIVE = 'model.safetensors'  # of an exported run, in its folder
FOLDERS = (NATIVE, DIFFUSERS, f'unet/{DIFFUSERS}')  # where a folder may have its weights


def find_weights(path: pathlib.Path) -> pathlib.Path | None:
    """The file of weights that a path names, itself or as the folder of one; None for none."""
    if path.suffix == '.safetensors':
        return path
    return next((path / name for name in FOLDERS if (path / name).is_file()), None)


def read_weights(path: pathlib.Path) -> dict[str, np.ndarray]:
    """The weights in a file by name; those of a UNet2DModel of diffusers by the names of our U-Net.

    Raises:
      OSError: there is no such file, or it cannot be read.
      ValueError: it is no safetensors file of numpy arrays, or of a UNet2DModel that ours is not.
    """
    import safetensors
    import safetensors.numpy

    try:
        weights = safetensors.numpy.load(path.read_bytes())
    except (safetensors.SafetensorError, KeyError) as error:
        # A KeyError is a type that numpy does not have.
        reason = ' '.join(str(error).split())
        raise ValueError(f'{path} is no safetensors file of numpy arrays: {reason}') from None
    if not is_diffusers(weights):
        return weights
    return {f'params/{name}': x for name, x in from_diffusers(weights).items()}


def to_safetensors(weights: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> bytes:
    """The content of a file of weights."""
    import safetensors.numpy

    # The bytes are taken as they lie in memory.
    arrays = {name: np.asarray(x, order='C') for name, x in weights.items()}
    return safetensors.numpy.save(arrays, dict(metadata))
