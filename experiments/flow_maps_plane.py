"""Flow maps in the plane by six losses, beside the exact map of the mixture that they learn.

Run     python -m launch --exp flow_maps_plane
        and --config.shape=ring for eight modes in the place of two spirals
Smoke   python -m launch --exp flow_maps_plane --config.steps=4 --config.widths='(8,)'
        --config.batch=16 --config.fine=8 --config.draws=40 --config.warmup=2
Small   python -m launch --exp flow_maps_plane --config.steps=500 --config.fine=40
Source  MeanFlow: Geng et al. 2025, arXiv:2505.13447; Eulerian, Lagrangian and progressive
        self-distillation: Boffi et al. 2025, arXiv:2505.18825; consistency: Song et al. 2023,
        arXiv:2303.01469, by the schedule of Geng et al. 2024, arXiv:2406.14548, and continuous, Lu
        and Song 2024, arXiv:2410.11081. Here all have one small network, one batch and as many
        steps, and the two consistency models begin from nothing
Ours    10,000 steps of all six, seed 0, 8 min of training on 1 core (Intel Xeon, commit e498d3f,
        jax 0.10.2), on the spirals. One step lies from the exact map's end by this share of the
        data's deviation, and in brackets the energy distance of 2,000 such samples from as many of
        the data, where those of the exact map have 0.0005: Lagrangian 8.2 % (0.0011), MeanFlow 8.3
        % (0.0013), consistency 8.7 % (0.0014), Eulerian 8.8 % (0.0009), semigroup 11.1 % (0.0034),
        continuous consistency 17.3 % (0.0054), which is 84 % off after 2,000 steps, depends on
        rounding (11.7 % at commit 0646b88) and has straight edges in the picture. With its
        derivative in time stopped, as MeanFlow has it, the Eulerian loss jumped from step 2,500 on
        and one step ended 41 % off (0.082). With logit-normal times, of which few are near the end,
        MeanFlow had 16 % and semigroup 32 % in 6,000 steps. From its own ODE one step of Lagrangian
        lies by 3.6 %, of Eulerian 6.0 %, of MeanFlow 7.0 %, semigroup 9.6 %; eight steps 1.3, 3.3,
        2.4, 2.4 %. In one step points are left between the arms
"""

from functools import partial

import jax
import optax
from ml_collections import ConfigDict

from experiments._choose import choose
from experiments._plane import SHAPE, best_denoiser, points
from genjax.algorithms.diffusion import (
    heun,
    karras_times,
    log_normal,
    predictions,
    straight,
    trigonometric,
    uniform,
    variance_exploding,
)
from genjax.algorithms.diffusion.flow_maps import (
    Model,
    average_velocity,
    by_maps,
    by_velocity,
    consistency,
    consistency_form,
    continuous_consistency,
    draw_samples,
    eulerian,
    flow_maps,
    jump_times,
    lagrangian,
    mean_flow,
    per_duration,
    semigroup,
    sorted_pairs,
    tightening_pairs,
    to_data,
)
from genjax.base import Algorithm
from genjax.data.toys import ring, spirals
from genjax.networks.timed_mlp import TimedMLP
from genjax.probes.jumps import map_errors, step_errors
from genjax.probes.plane import clouds
from genjax.training import Experiment, Probe

SHAPES = {'ring': ring, 'spirals': spirals}
RADIUS = 1.8  # by which the data have a deviation of about 1
EXTENT = 2.6
END = 20.0  # of the noise, beside data of deviation 1
STEPS = (1, 2, 4, 8)
AVERAGES = {
    'mean_flow': mean_flow,
    'eulerian': eulerian,
    'lagrangian': lagrangian,
    'semigroup': semigroup(),
}


def get_config():
    config = dict(
        seed=0,
        steps=10_000,
        batch=512,
        shape='spirals',
        deviation=0.16,
        widths=(128, 128, 128),
        learning_rate=2e-3,  # in the beginning
        decay=0.995,
        diagonal=0.5,  # the share of r = t
        noise=dict(mean=-0.6, deviation=1.6),  # of log(sigma), for consistency
        stages=8,  # of consistency
        warmup=1000,  # updates, of continuous consistency
        fine=200,  # steps of the exact map
        draws=2000,  # by which maps are compared
        every=dict(log=100, evaluate=2000, save=2000),
    )
    return ConfigDict(config)


def build(config):
    gaussians = choose(SHAPES, 'shape', config.shape)(radius=RADIUS, deviation=config.deviation)
    data = points(config, gaussians, test=config.draws)
    averages = average_methods(config)
    methods = averages | consistency_methods(config)
    algorithms = {name: algorithm_of(config, **settings) for name, settings in methods.items()}

    def by_steps(name, steps):
        path = methods[name]['model'].path
        return samples_of(name, methods[name]['model'], by_maps(jump_times(path, steps)))

    def chain(name, steps):
        path = methods[name]['model'].path
        jumps = by_maps(jump_times(path, steps), frames=steps)
        return samples_of(name, methods[name]['model'], jumps)

    def way(name):
        times = jump_times(methods[name]['model'].path, config.fine)
        jumps = by_velocity(times, frames=max(STEPS))
        return samples_of(name, methods[name]['model'], jumps)

    # A consistency function knows no way but that to the data.
    jumps = {name: {k: by_steps(name, k) for k in STEPS} for name in averages}
    jumps |= {name: {1: by_steps(name, 1)} for name in methods if name not in averages}
    exact = exact_samples(config, gaussians)
    real = data.test[0]['image']
    errors = partial(map_errors, n=config.draws, real=real)
    chains = {name: {k: chain(name, k) for k in STEPS} for name in averages}
    ways = {name: way(name) for name in averages}
    panels = {'exact map': exact} | {f'{name}, one step': jumps[name][1] for name in methods}
    probes = {
        'exact': Probe(2000, errors(jumps, dict.fromkeys(methods, exact)), scores=True),
        'own_ode': Probe(config.steps, step_errors(chains, ways, n=config.draws)),
        'samples': Probe(2000, clouds(panels, real, extent=EXTENT, columns=4)),
    }
    return Experiment(together(algorithms), data, probes)


def average_methods(config):
    """The losses of an average velocity, on the straight line."""
    path = straight()
    model = Model(TimedMLP(config.widths, SHAPE), path, average_velocity())
    # Uniform up to the end, where one step begins.
    pairs = sorted_pairs(uniform(path._replace(start=0.0)), diagonal=config.diagonal)
    return {
        name: dict(model=model, pairs=pairs, objective=objective)
        for name, objective in AVERAGES.items()
    }


def consistency_methods(config):
    """The losses of a consistency function, each on the path of its source."""
    network = TimedMLP(config.widths, SHAPE)
    exploding = variance_exploding(end=END)
    by_pairs = dict(
        model=Model(network, exploding, consistency_form(exploding, predictions.edm(1.0))),
        objective=consistency(exploding),
        pairs=tightening_pairs(
            log_normal(exploding, **config.noise), max(1, config.steps // config.stages)
        ),
        weight=per_duration(),
    )
    angle = trigonometric()
    # Told the angle itself, which is small enough for the network's sines.
    prediction = predictions.v()._replace(condition=lambda path, t: t)
    continuous = dict(
        model=Model(network, angle, consistency_form(angle, prediction)),
        objective=continuous_consistency(config.warmup),
        pairs=to_data(log_normal(angle, **config.noise)),
    )
    return {'consistency': by_pairs, 'continuous': continuous}


def algorithm_of(config, model, **settings):
    """One method, whose samples take one step."""
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    return flow_maps(
        model,
        optax.adam(rate),
        shape=SHAPE,
        jumps=by_maps(jump_times(model.path, 1)),
        decay=config.decay,
        **settings,
    )


def samples_of(name, model, jumps):
    """Samples of one of the methods, by the state of all."""
    draw = draw_samples(model, jumps, SHAPE)

    def sample(key, state, n):
        return draw(key, state[name], n)

    return sample


def exact_samples(config, gaussians):
    """Where the ODE of the mixture ends, by Heun's method: that of all the paths.

    What noise becomes depends on the signal-to-noise ratios alone, which all paths go through.
    """
    path = variance_exploding()
    denoise = best_denoiser(path, gaussians)
    solve = heun(path, karras_times(path, config.fine))

    def sample(key, state, n):
        del state
        # The noise that `draw_samples` begins with.
        start_key, _, chain_key = jax.random.split(key, 3)
        return solve(chain_key, denoise, path.end * jax.random.normal(start_key, (n, *SHAPE)))

    return sample


def together(algorithms):
    """Several algorithms of one batch as one, whose state has theirs by name.

    The loss is the mean of all, and each has its own beside it; samples are the first's.
    """
    names = list(algorithms)
    keys_of = partial(jax.random.split, num=len(names))

    def merged(found):
        losses = {f'loss_{name}': metrics['loss'] for name, metrics in found.items()}
        return {'loss': sum(losses.values()) / len(losses)} | losses

    def init(key, batch):
        keys = keys_of(key)
        return {name: algorithms[name].init(keys[i], batch) for i, name in enumerate(names)}

    def update(key, state, batch):
        keys = keys_of(key)
        found = {
            name: algorithms[name].update(keys[i], state[name], batch)
            for i, name in enumerate(names)
        }
        metrics = merged({name: metrics for name, (_, metrics) in found.items()})
        return {name: fit for name, (fit, _) in found.items()}, metrics

    def evaluate(key, state, batch):
        keys = keys_of(key)
        return merged(
            {
                name: algorithms[name].evaluate(keys[i], state[name], batch)
                for i, name in enumerate(names)
            }
        )

    def sample(key, state, n):
        return algorithms[names[0]].sample(key, state[names[0]], n)

    return Algorithm(init, update, evaluate, sample)
