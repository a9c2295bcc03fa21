"""What is there: versions, the device, and the rates of its products and copies alone."""

import importlib.metadata
import platform
import subprocess

import jax
import jax.numpy as jnp

from benchmarks.accelerator.boxes import ROOT
from benchmarks.accelerator.clock import seconds_a_step
from benchmarks.accelerator.setting import Add, Setting
from launch.run.provenance import devices, source

PACKAGES = ('jax', 'jaxlib', 'flax', 'optax', 'orbax-checkpoint', 'numpy')


def measure(setting: Setting, add: Add) -> None:
    """The stage. Its small size is chosen on a CPU, whatever the setting."""
    device = devices()
    add('platform', device['platform'])
    add('device', device['kind'], note=f'{device["count"]} of them')
    for name in PACKAGES:
        add(name, importlib.metadata.version(name))
    add('Python', platform.python_version())
    driver = nvidia_smi()
    if driver:
        add('nvidia-smi', driver)
    commit = source(ROOT)
    add('commit', commit['commit'] or 'unknown', note='changed since' if commit['dirty'] else '')

    small = setting.small or device['platform'] == 'cpu'
    n = 512 if small else 8192
    for dtype, precision in (('bfloat16', None), ('float32', None), ('float32', 'highest')):
        rate = product_rate(n, jnp.dtype(dtype), precision, steps=4 if small else 40)
        add(product_name(dtype, precision), rate / 1e12, 'TFLOP/s', f'{n} x {n} by {n} x {n}')
    size = 2**22 if small else 2**30
    rate = copy_rate(size, steps=4 if small else 40)
    add('copy', rate / 1e12, 'TB/s', f'{size / 2**20:,.0f} MiB read, and as much written')


def product_name(dtype: str, precision: str | None = None) -> str:
    """The row of a rate of products."""
    return f'product, {dtype}' + (f', precision {precision}' if precision else '')


def product_flops(n: int) -> int:
    """Multiplications and additions of a product of two n x n matrices."""
    return 2 * n**3


def product_rate(n: int, dtype: jnp.dtype, precision: str | None, steps: int) -> float:
    """FLOP/s of products of n x n matrices, one after another."""
    x = jax.random.normal(jax.random.key(0), (n, n), dtype)
    weights = (x / n**0.5).astype(dtype)  # under which the entries keep their size

    def multiply(_, x):
        return jnp.matmul(x, weights, precision=precision)

    @jax.jit
    def loop(steps, x):
        return jax.lax.fori_loop(0, steps, multiply, x)

    return product_flops(n) / seconds_a_step(lambda k: loop(k, x).block_until_ready(), steps)


def copy_rate(size: int, steps: int) -> float:
    """Bytes a second, read and written, of passes over an array of so many bytes."""
    x = jnp.zeros(size // 4, jnp.float32)

    def add_one(_, x):
        return x + 1

    @jax.jit
    def loop(steps, x):
        return jax.lax.fori_loop(0, steps, add_one, x)

    return 2 * size / seconds_a_step(lambda k: loop(k, x).block_until_ready(), steps)


def nvidia_smi() -> str:
    """Name, driver, memory and power limit of the GPUs; '' where there is no such program."""
    query = '--query-gpu=name,driver_version,memory.total,power.limit'
    command = ['nvidia-smi', query, '--format=csv,noheader']
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=20)
    except (OSError, subprocess.SubprocessError):
        return ''
    return '; '.join(done.stdout.strip().splitlines())
