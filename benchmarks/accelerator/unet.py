"""The U-Net of `ddpm_cifar` as the trainer runs it: its step, what is called at once, its kernels.

The data are noise in the shape of CIFAR-10 on the device, so that the stage needs no files. The
program is the trainer's own (`fold_steps`), with Adam, clipping and the average of the page.
"""

import time
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from ml_collections import ConfigDict

from benchmarks.accelerator import kernels
from benchmarks.accelerator.chip import product_name
from benchmarks.accelerator.clock import seconds_a_step, timed
from benchmarks.accelerator.flops import matrix_flops
from benchmarks.accelerator.report import value_of
from benchmarks.accelerator.setting import Add, Setting
from experiments._cifar import warmed_up_adam
from experiments._samplers import process_sampler
from experiments.ddpm_cifar import get_config
from genjax.algorithms.diffusion import ddpm, linear_schedule, make_process
from genjax.base import Algorithm, Resident
from genjax.networks.unet import UNet
from genjax.training import make_mesh
from genjax.training.feed import FeedArgs, feed_args
from genjax.training.loop import dispatch, fold_steps
from genjax.training.mesh import Mesh, by_jit, put, replicated

STEPS_PER_CALL = (1, 5, 20, 100)
PROFILED = 3  # steps


class Case(NamedTuple):
    """What is trained and sampled from."""

    config: ConfigDict
    network: UNet
    algorithm: Algorithm
    feed: Resident
    shape: tuple[int, int, int]
    mesh: Mesh
    key: jax.Array
    next_args: Callable[[int], FeedArgs]  # as the trainer's program is given them


def measure(setting: Setting, add: Add, dtype: str) -> None:
    """The stage, in one dtype."""
    case = make_case(dtype, setting.small)
    with jax.set_mesh(case.mesh):
        state = made_up_state(case)
        add('parameters', sum(x.size for x in jax.tree.leaves(state.params)))
        program, state = measure_training(setting, add, dtype, case, state)
        measure_kernels(setting, add, dtype, case, program, state)
        measure_sampling(setting, add, case)


def make_case(dtype: str, small: bool) -> Case:
    """The page's network and algorithm; DDIM of 50 steps draws the samples."""
    config = get_config()
    config.unet.dtype = dtype
    shape = (32, 32, 3)
    sampler_steps = 50
    if small:
        config.batch = 4
        config.unet.update(dict(width=8, multipliers=(1, 2), attend_at=(4,), blocks=1))
        shape = (8, 8, 3)
        sampler_steps = 2
    network = UNet(**config.unet)
    process = make_process(linear_schedule(config.ddpm.steps))
    settings = ConfigDict(dict(name='ddim', steps=sampler_steps, times='trailing'))
    algorithm = ddpm(
        network,
        warmed_up_adam(config),
        shape=shape,
        process=process,
        sampler=process_sampler(process, settings),
        decay=config.ddpm.decay,
    )
    config.sampler = settings
    feed = noise(shape, config.batch)
    mesh = make_mesh(jax.devices()[:1])
    key = put(jax.random.key(0), replicated(mesh))
    next_args = feed_args(feed, mesh, max(STEPS_PER_CALL), 0)
    return Case(config, network, algorithm, feed, shape, mesh, key, next_args)


def made_up_state(case: Case) -> Any:
    """A state of which the parameters are noise: their own beginnings take long to compile.

    They are not 0, with which a GPU needs less power and is faster.
    """
    batch = jax.eval_shape(case.feed.make_batch, case.feed.arrays, np.int32(0))
    shapes = jax.eval_shape(case.algorithm.init, jax.random.key(0), batch)
    state = jax.tree.map(lambda x: np.zeros(x.shape, x.dtype), shapes)
    rng = np.random.default_rng(0)

    def draw(x):
        return (0.05 * rng.standard_normal(x.shape, np.float32)).astype(x.dtype)

    params = jax.tree.map(draw, shapes.params)
    average = jax.tree.map(draw, shapes.average)
    made_up = state._replace(params=params, average=average)
    return jax.tree.map(lambda x: put(x, replicated(case.mesh)), made_up)


def noise(shape: tuple[int, ...], batch: int) -> Resident:
    """Images of uniform noise, on whose content the cost does not depend."""
    rng = np.random.default_rng(0)
    images = jnp.asarray(rng.uniform(-1, 1, (2048, *shape)), jnp.float32)

    def make_batch(images, step):
        rows = (step * batch + jnp.arange(batch)) % len(images)
        return {'image': images[rows]}

    return Resident(images, make_batch)


def measure_training(
    setting: Setting, add: Add, dtype: str, case: Case, state: Any
) -> tuple[Any, Any]:
    """Steps in calls of several sizes; returns the program and the last state."""
    run = fold_steps(case.algorithm, case.feed, max(STEPS_PER_CALL))
    shardings = jax.tree.map(lambda x: x.sharding, state)
    lowered = by_jit(run, case.mesh, shardings).lower(
        case.key, state, case.next_args(1), np.int32(0), np.int32(1)
    )
    program, seconds = timed(lowered.compile)
    add('train step, compiling', seconds, 's')
    memory = program.memory_analysis()
    if memory is not None:
        add('train step, temporaries', memory.temp_size_in_bytes / 2**30, 'GiB')

    work = training_flops(case)
    add('train step, work of the model', work / 1e12, 'TFLOP', f'batch {case.config.batch}')
    for count in sorted(STEPS_PER_CALL, key=lambda count: count != 20):
        calls = 2 if setting.small else max(3, 100 // count)
        seconds, state = call_seconds(program, state, case, count, calls)
        rate = f'{case.config.batch / seconds:,.0f} images/s'
        add(f'train step, {count} in a call', 1e3 * seconds, 'ms', rate)
        if count == 20:
            add(
                'train step, rate',
                work / seconds / 1e12,
                'TFLOP/s',
                share(setting, dtype, work, seconds),
            )
    return program, state


def share(setting: Setting, dtype: str, work: float, seconds: float) -> str:
    """The rate of some work as a share of that of a large product; '' where none was measured."""
    product = value_of(setting.out, 'chip', product_name(dtype))
    return f"{work / seconds / 1e12 / product:.0%} of a large product's" if product else ''


def training_flops(case: Case) -> int:
    """Three times the forward pass: as much again for the gradient of activations as of weights."""
    batch = case.config.batch
    x = jax.ShapeDtypeStruct((batch, *case.shape), jnp.float32)
    t = jax.ShapeDtypeStruct((batch,), jnp.int32)
    params = jax.eval_shape(case.network.init, jax.random.key(0), x, t)
    return 3 * matrix_flops(case.network.apply, params, x, t)


def call_seconds(program: Any, state: Any, case: Case, count: int, calls: int) -> tuple[float, Any]:
    """Seconds a step in calls of `count`, as the trainer makes them, and the last state.

    Metrics are fetched one call late, as there. A call before these does not count.
    """

    def go(state, calls):
        spans = [(i * count, count) for i in range(calls)]
        end = calls * count
        made = dispatch(program, case.key, state, case.next_args, spans, lambda step: step == end)
        return jax.block_until_ready(list(made)[-1].state)

    state = go(state, 1)
    start = time.perf_counter()
    state = go(state, calls)
    return (time.perf_counter() - start) / (calls * count), state


def measure_kernels(
    setting: Setting, add: Add, dtype: str, case: Case, program: Any, state: Any
) -> None:
    """Kernels of a few steps, into files of their own, and their sums."""

    def call():
        args = case.next_args(PROFILED)
        done = program(case.key, state, args, np.int32(0), np.int32(PROFILED))
        jax.block_until_ready(done)

    found = kernels.profile(call)
    kernels.write(found, PROFILED, setting.out / f'kernels_{dtype}.json')
    matrix = [kernel for kernel in found if kernels.is_matrix_work(kernel)]
    ms = 1e3 / PROFILED
    add('kernels, all', ms * kernels.total(found), 'ms a step', f'{len(found)} kinds')
    note = f'products and convolutions, {len(matrix)} kinds'
    add('kernels, matrix work', ms * kernels.total(matrix), 'ms a step', note)


def measure_sampling(setting: Setting, add: Add, case: Case) -> None:
    """Steps of the sampler, with the average of the parameters."""
    state = made_up_state(case)
    steps = case.config.sampler.steps
    batch = case.config.batch
    sample = jax.jit(case.algorithm.sample, static_argnums=2)
    program, seconds = timed(sample.lower(case.key, state, batch).compile)
    add('sampling, compiling', seconds, 's')

    def call(_):
        jax.block_until_ready(program(case.key, state))

    seconds = seconds_a_step(call, steps)
    rate = f'{case.config.sampler.name}, batch {batch}'
    add('sampling step', 1e3 * seconds, 'ms', rate)
