"""EM for Gaussian mixtures against scikit-learn: the time of an iteration on 60,000 x 64, 32
components.

    python -m benchmarks.mixture [--threads 1] [--rounds 3] [--structures full,diag,tied]

Both sides start from the same parameters with the same floor, and take turns. An iteration of
scikit-learn is what a longer `fit` costs more than a shorter one (tol=0), one of genjax the same of
two runs of the compiled step: starts, compiling and warming up fall out. scikit-learn is given
float64, its own default, and float32. With one thread the clock is the processor's own, which does
not count other programs.
"""

import argparse
import os
import statistics
import time
import warnings


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        '--threads', type=int, default=len(os.sched_getaffinity(0)), help='cores of either side'
    )
    parser.add_argument('--rounds', type=int, default=3)
    parser.add_argument('--structures', default='full,diag,tied')
    parser.add_argument('--examples', type=int, default=60_000)
    return parser.parse_args()


if __name__ == '__main__':
    FLAGS = arguments()
    # XLA and OpenBLAS take a thread for each core that the process has when they start: this comes
    # before the imports.
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[-FLAGS.threads :])
    os.environ['OPENBLAS_NUM_THREADS'] = os.environ['OMP_NUM_THREADS'] = str(FLAGS.threads)

import jax  # noqa: E402
import jax.numpy as jnp  # noqa: E402
import numpy as np  # noqa: E402
from sklearn.mixture import GaussianMixture  # noqa: E402

from genjax.algorithms.mixture.covariances import diagonal, full, tied  # noqa: E402
from genjax.algorithms.mixture.mixture import from_covariances, mixture  # noqa: E402

SIZE, COMPONENTS, FLOOR = 64, 32, 1e-3
STRUCTURES = {'full': full, 'diag': diagonal, 'tied': tied}
EXTRA = {'full': 2, 'diag': 20, 'tied': 2}  # iterations that the longer fit has more


def problem(name: str, examples: int):
    """Rows, and the weights, means and covariances to start from; float64."""
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(COMPONENTS, SIZE)) / 2
    x = centres[rng.integers(COMPONENTS, size=examples)] + rng.normal(size=(examples, SIZE))
    unit = {
        'full': np.stack([np.eye(SIZE)] * COMPONENTS),
        'diag': np.ones((COMPONENTS, SIZE)),
        'tied': np.eye(SIZE)[None],
    }
    return x, np.full(COMPONENTS, 1 / COMPONENTS), x[:COMPONENTS], unit[name]


def seconds(function, clock) -> float:
    began = clock()
    function()
    return clock() - began


def peer(name: str, dtype, values):
    """iterations -> a fit of scikit-learn; covariances are the identity, and so their own
    precisions."""
    x, weights, means, covariances = (value.astype(dtype) for value in values)
    start = dict(
        weights_init=weights,
        means_init=means,
        precisions_init=covariances[0] if name == 'tied' else covariances,
    )
    settings = dict(
        covariance_type=name, reg_covar=FLOOR, tol=0, init_params='random_from_data', random_state=0
    )
    return lambda n: GaussianMixture(COMPONENTS, max_iter=n, **settings, **start).fit(x)


def ours(name: str, values):
    """iterations -> the steps in one compiled loop, as the trainer runs them."""
    x, *start = (jnp.asarray(value, jnp.float32) for value in values)
    algorithm = mixture(
        COMPONENTS,
        covariance=STRUCTURES[name],
        floor=FLOOR,
        start=from_covariances(STRUCTURES[name], *start),
    )
    batch, key = {'x': x}, jax.random.key(0)
    step = lambda _, carry: algorithm.update(key, carry[0], batch)
    begun = algorithm.update(key, algorithm.init(key, batch), batch)
    loop = jax.jit(lambda n, carry: jax.lax.fori_loop(0, n, step, carry))
    return lambda n: jax.block_until_ready(loop(n, begun))


def compare(name: str, options: argparse.Namespace):
    """A line of medians, and of their ratios to ours."""
    values = problem(name, options.examples)
    fits = {
        'genjax': ours(name, values),
        **{d: peer(name, d, values) for d in ('float64', 'float32')},
    }
    clock = time.process_time if options.threads == 1 else time.perf_counter
    times = {side: [] for side in fits}
    fits['genjax'](1)
    for _ in range(options.rounds):
        for side, fit in fits.items():
            short, long = (
                seconds(lambda n=n, fit=fit: fit(n), clock) for n in (1, 1 + EXTRA[name])
            )
            times[side].append((long - short) / EXTRA[name])
    medians = {side: statistics.median(rows) for side, rows in times.items()}
    ratios = ' | '.join(
        f'{medians[d] * 1e3:,.0f} ms, {medians[d] / medians["genjax"]:.1f}'
        for d in ('float64', 'float32')
    )
    print(f'| {name} | {medians["genjax"] * 1e3:,.0f} ms | {ratios} |', flush=True)


if __name__ == '__main__':
    warnings.simplefilter('ignore')  # scikit-learn's, that it has not converged
    print(
        '| covariance | genjax | scikit-learn, float64 | scikit-learn, float32 |\n| --- | --- | --- | --- |'
    )
    for structure in FLAGS.structures.split(','):
        compare(structure, FLAGS)
