"""A drifting model on Gaussians in the plane: one step from noise, trained along a field.

Run     python -m launch --exp drifting_toy
        and --config.shape=lattice for 25 Gaussians on a grid, or --config.kernel=gaussian
Smoke   python -m launch --exp drifting_toy --config.steps=4 --config.widths='(8,)'
        --config.batch=16
Small   python -m launch --exp drifting_toy --config.steps=300
Source  Deng et al. 2026, arXiv:2602.04770, whose toys are of this kind; their kernel is the
        Laplacian. Modes are counted as by Lin et al. 2018, arXiv:1712.04086, as in wgan_toy
Ours    3,000 steps, seed 0, 19 s of training on 2 CPU cores (Intel Xeon, commit a6c7295, jax
        0.10.2): all 8 modes, 68.1 % of samples within three deviations of one, where the data have
        98.9 %, and the rest on bridges between neighbours; the drift at samples is 0.037, that at
        as many of the data, which is noise alone, 0.010 (wgan_toy: 94.1 % in 30 s)
"""

import jax.numpy as jnp
import optax
from ml_collections import ConfigDict

from experiments._choose import choose
from experiments._plane import extent, modes
from genjax.algorithms.drifting import drifting, field, gaussian, laplacian
from genjax.data.toys import gaussian_mixture, lattice, ring, sampled
from genjax.networks.mlp import MLP
from genjax.probes.plane import clouds
from genjax.training import Experiment, Probe

SHAPES = {'ring': ring, 'lattice': lattice}
KERNELS = {'gaussian': gaussian, 'laplacian': laplacian}


def get_config():
    config = dict(
        seed=0,
        steps=3000,
        batch=512,
        shape='ring',
        deviation=0.05,
        kernel='laplacian',
        width=0.3,  # of the kernel
        widths=(128, 128, 128),
        latent=2,
        learning_rate=1e-3,  # in the beginning
        decay=0.99,
        every=dict(log=100, evaluate=1000, save=1000),
    )
    return ConfigDict(config)


def sweep():
    """Both kernels on both shapes."""
    for shape in SHAPES:
        for kernel in KERNELS:
            yield {'kernel': kernel, 'shape': shape}


def build(config):
    gaussians = choose(SHAPES, 'shape', config.shape)(deviation=config.deviation)
    kernel = choose(KERNELS, 'kernel', config.kernel)(config.width)
    data = sampled(gaussian_mixture(gaussians), batch=config.batch, seed=config.seed)
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    algorithm = drifting(
        MLP(config.widths, (2,)),
        optax.adam(rate),
        latent=config.latent,
        kernel=kernel,
        decay=config.decay,
    )
    real = data.test[0]['x']

    def drift(key, state):
        """The length of the field at samples, beside that at as many of the data."""
        samples = algorithm.sample(key, state, len(real))
        half = len(real) // 2
        own = jnp.arange(len(real))
        lengths = {
            'samples': field(kernel, samples, real, samples, own),
            'data': field(kernel, real[:half], real[half:], real[:half], own[:half]),
        }
        return {f'drift_of_{name}': jnp.sqrt(jnp.mean(x**2)) for name, x in lengths.items()}

    samples = clouds({'samples': algorithm.sample}, real, extent=extent(gaussians))
    probes = {
        'modes': Probe(200, modes(algorithm.sample, gaussians), scores=True),
        'drift': Probe(200, drift, scores=True),
        'samples': Probe(1000, samples),
    }
    return Experiment(algorithm, data, probes)
