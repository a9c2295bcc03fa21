"""EDM in the plane, on mixtures whose best denoiser is known: what is learnt, and how samplers err.

Run     python -m launch --exp diffusion_plane
        and --config.shape=ring for eight modes in the place of two spirals; or, without training
        again, --mode sample --config.sampler.name=unipc3 --config.sampler.steps=10
Smoke   python -m launch --exp diffusion_plane --config.steps=4 --config.widths='(8,)'
        --config.batch=16 --config.sampler.steps=2 --config.estimates='(4,8)' --config.fine=20
Small   python -m launch --exp diffusion_plane --config.steps=1000 --config.estimates='(40,80)'
        --config.fine=400
Source  Karras et al. 2022, arXiv:2206.00364, table 1, with a small network in the place of theirs;
        the orders are those of the samplers' own sources
Ours    8,000 steps, 78 s in all on 2 CPU cores (Intel Xeon) that did other work too (commit
        6705a3b, jax 0.10.2), on the spirals: test loss 0.8050 where the least possible is 0.8036;
        the mean squared difference from the best denoiser 1.2e-5, 1.7e-5, 2.7e-5, 3.7e-5 at noise
        of 0.05, 0.15, 0.4, 1; 98.88 % of samples within three deviations of one of the 32
        components. The error falls with the estimates from 80 to 320 to the power 0.86 (ddim and
        euler, which are the same on this path), 1.97 (heun, dpm2), 3.17 (dpm3), 3.01 (unipc2), 3.93
        (unipc3)
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments._choose import choose
from experiments._plane import SHAPE, best_denoiser, modes, points
from experiments._samplers import SAMPLERS, sampler_of
from genjax.algorithms.diffusion import (
    Model,
    denoise_with,
    denoiser,
    karras_times,
    log_normal,
    predictions,
    stratified,
    variance_exploding,
    weights,
)
from genjax.algorithms.diffusion.denoiser import losses
from genjax.data.toys import ring, spirals
from genjax.networks.timed_mlp import TimedMLP
from genjax.probes.convergence import convergence
from genjax.probes.plane import clouds, estimate_fields, ways
from genjax.training import Experiment, Probe

SHAPES = {'ring': ring, 'spirals': spirals}
RADIUS = 0.9
LEVELS = (0.05, 0.15, 0.4, 1.0)  # of noise, where denoisers are compared
EXTENT = 1.2
MOST_STEPS = 10**6
# The samplers that follow the probability-flow ODE, with the estimates that a step of each takes.
FLOWS = {'ddim': 1, 'euler': 1, 'heun': 2, 'dpm2': 1, 'dpm3': 1, 'unipc2': 1, 'unipc3': 1}


def get_config():
    config = dict(
        seed=0,
        steps=8000,
        batch=512,
        shape='spirals',
        deviation=0.08,
        widths=(128, 128, 128),
        learning_rate=3e-3,  # in the beginning
        decay=0.995,
        noise=dict(mean=-1.2, deviation=1.2),  # of log(sigma) in training
        data_deviation=0.5,
        sampler=dict(name='heun', steps=20, times='karras'),
        estimates=(10, 20, 40, 80, 160, 320),  # of the curves of errors
        fine=4000,  # steps of the solution that they are compared with
        every=dict(log=100, evaluate=2000, save=2000),
    )
    return ConfigDict(config)


def build(config):
    require_steps('fine', (config.fine,), 1)
    require_steps('estimates', config.estimates, 2)  # as a step of Heun's method takes two
    gaussians = choose(SHAPES, 'shape', config.shape)(radius=RADIUS, deviation=config.deviation)
    data = points(config, gaussians, test=2000)
    path = variance_exploding()
    network = TimedMLP(config.widths, SHAPE)
    model = Model(network, path, predictions.edm(config.data_deviation))
    settings = dict(
        law=log_normal(path, **config.noise),
        draw=stratified,
        weight=weights.edm_error(config.data_deviation),
    )
    algorithm = denoiser(
        model,
        optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps)),
        shape=SHAPE,
        **settings,
        sampler=sampler_of(path, config.sampler),
        decay=config.decay,
    )
    best = best_denoiser(path, gaussians)
    best_model = Model(network, path, predictions.x0())  # whose network is not asked

    def evaluate(key, state, batch):
        """The loss, and the least that is possible, of the same noise.

        There are no bits/dim of points that lie on no grey levels.
        """
        # As `denoiser` splits its key, so that both meet one noise.
        losses_key, _ = jax.random.split(jax.random.clone(key))
        least = losses(losses_key, best_model, best, batch['image'], **settings)
        return {'loss': algorithm.evaluate(key, state, batch)['loss'], 'least_loss': least}

    real = data.test[0]['image']
    errors = partial(flow_errors, path, best, config.estimates, config.fine)
    probes = {
        'modes': Probe(2000, modes(algorithm.sample, gaussians), scores=True),
        **comparison_probes(config, model, best, real),
        'orders': Probe(config.steps, convergence(errors, 'estimates')),
    }
    return Experiment(algorithm._replace(evaluate=evaluate), data, probes)


def comparison_probes(config, model, best, real):
    """Pictures of what is learnt beside what is best: estimates, samples, and ways to them.

    Args:
      config: of the page.
      model: that is trained.
      best: the exact denoiser.
      real: points of the data, [N, 2].
    """

    def exact(state):
        del state
        return best

    def learnt(state):
        return denoise_with(model, state.average)

    def estimates_of(denoise_of):
        def estimates(state, x, level):
            return denoise_of(state)(jnp.asarray(x), jnp.full(len(x), level))

        return estimates

    def noisy(key, level):
        return real + level * jax.random.normal(key, real.shape)

    trajectory = partial(scaled_trajectory, config, model.path)

    def samples_of(denoise_of):
        def sample(key, state, n):
            return trajectory(config.sampler.name, denoise_of, n)(key, state)[-1]

        return sample

    kinds = {'exact denoiser': exact, 'learnt denoiser': learnt}
    trajectories = {
        name: {kind: trajectory(name, of, 24 if name in FLOWS else 3) for kind, of in kinds.items()}
        for name in SAMPLERS
    }
    samples = {kind: samples_of(of) for kind, of in kinds.items()}
    fields = estimate_fields(
        estimates_of(exact), estimates_of(learnt), noisy, LEVELS, real, extent=EXTENT
    )
    return {
        'denoisers': Probe(2000, fields),
        'samples': Probe(2000, clouds(samples, real, extent=EXTENT)),
        'ways': Probe(config.steps, ways(trajectories, real, extent=EXTENT)),
    }


def scaled_trajectory(config, path, name, denoise_of, n):
    """(key, state) -> x_T and what a sampler makes of it, [S + 1, n, 2].

    Each is divided by its deviation over the data's, so that all of them are of one size.

    Args:
      config: of the page, whose sampler is taken but for its name.
      path: of x_t.
      name: of the sampler.
      denoise_of: state -> the denoiser.
      n: how many points.
    """
    steps = config.sampler.steps
    settings = ConfigDict(config.sampler.to_dict() | {'name': name})
    sampler = sampler_of(path, settings, steps)
    levels = karras_times(path, steps)
    scale = np.hypot(levels / config.data_deviation, 1).astype(np.float32)

    def trajectory(key, state):
        start_key, chain_key = jax.random.split(key)
        x_T = path.end * jax.random.normal(start_key, (n, *SHAPE))
        frames = sampler(chain_key, denoise_of(state), x_T)
        return jnp.concatenate([x_T[None], frames]) / scale[:, None, None]

    return trajectory


def flow_errors(path, denoise, estimates, fine):
    """The error of each ODE sampler by so many estimates: name -> estimates -> error.

    The root mean square over 64 points, in float64, from noise of the deviation 20 down to 0.05,
    where the step to the data, which no sampler takes by its order, would begin.
    """
    path = path._replace(start=0.05, end=20.0)

    def between(steps):
        return karras_times(path, steps + 1)[:-1]

    found = {}
    with jax.enable_x64(True):
        x = path.end * jnp.asarray(np.random.default_rng(0).normal(size=(64, 2)))
        key = jax.random.key(0)  # which none of them uses
        exact = SAMPLERS['unipc3'](path, between(fine))(key, denoise, x)
        for name, a_step in FLOWS.items():
            found[name] = {}
            for count in estimates:
                end = SAMPLERS[name](path, between(count // a_step))(key, denoise, x)
                found[name][count] = float(jnp.sqrt(jnp.mean((end - exact) ** 2)))
    return found


def require_steps(what, counts, least):
    """Sees that there are counts of steps, each of which can be taken."""
    if not counts or not least <= min(counts) <= max(counts) <= MOST_STEPS:
        said = ', '.join(map(str, counts))
        raise ValueError(f'{what} is ({said}); it takes {least} to {MOST_STEPS} steps')
