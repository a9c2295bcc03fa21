"""EM for Gaussian mixtures against scikit-learn: an iteration on 60,000 x 64, 32 components.

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
    """The settings."""
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

from genjax.algorithms.mixture import (  # noqa: E402
    diagonal,
    from_covariances,
    full,
    mixture,
    tied,
)

SIZE = 64
COMPONENTS = 32
FLOOR = 1e-3
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
    weights = np.full(COMPONENTS, 1 / COMPONENTS)
    return x, weights, x[:COMPONENTS], unit[name]


def seconds(function, argument, clock) -> float:
    """The time of a call."""
    start = clock()
    function(argument)
    return clock() - start


def peer(name: str, dtype, values):
    """iterations -> a fit of scikit-learn.

    Covariances are the identity, and so their own precisions.
    """
    x, weights, means, covariances = (value.astype(dtype) for value in values)
    start = dict(
        weights_init=weights,
        means_init=means,
        precisions_init=covariances[0] if name == 'tied' else covariances,
    )
    settings = dict(
        covariance_type=name, reg_covar=FLOOR, tol=0, init_params='random_from_data', random_state=0
    )

    def fit(n):
        return GaussianMixture(COMPONENTS, max_iter=n, **settings, **start).fit(x)

    return fit


def ours(name: str, values):
    """iterations -> the steps in one compiled loop, as the trainer runs them."""
    x, *parameters = (jnp.asarray(value, jnp.float32) for value in values)
    covariance = STRUCTURES[name]
    start = from_covariances(covariance, *parameters)
    algorithm = mixture(COMPONENTS, covariance=covariance, floor=FLOOR, start=start)
    batch = {'x': x}
    key = jax.random.key(0)

    def step(_, carry):
        state, _ = carry
        return algorithm.update(key, state, batch)

    @jax.jit
    def loop(n, carry):
        return jax.lax.fori_loop(0, n, step, carry)

    first = algorithm.update(key, algorithm.init(key, batch), batch)

    def fit(n):
        return jax.block_until_ready(loop(n, first))

    return fit


def compare(name: str, options: argparse.Namespace):
    """Prints a line of medians, and of their ratios to ours."""
    values = problem(name, options.examples)
    peers = ('float64', 'float32')
    fits = {'genjax': ours(name, values)}
    for dtype in peers:
        fits[dtype] = peer(name, dtype, values)

    clock = time.process_time if options.threads == 1 else time.perf_counter
    times = {side: [] for side in fits}
    fits['genjax'](1)
    for _ in range(options.rounds):
        for side, fit in fits.items():
            short = seconds(fit, 1, clock)
            long = seconds(fit, 1 + EXTRA[name], clock)
            times[side].append((long - short) / EXTRA[name])

    medians = {side: statistics.median(rows) for side, rows in times.items()}
    base = medians['genjax']
    ratios = ' | '.join(f'{medians[d] * 1e3:,.0f} ms, {medians[d] / base:.1f}' for d in peers)
    print(f'| {name} | {base * 1e3:,.0f} ms | {ratios} |', flush=True)


if __name__ == '__main__':
    warnings.simplefilter('ignore')  # scikit-learn's, that it has not converged
    print('| covariance | genjax | scikit-learn, float64 | scikit-learn, float32 |')
    print('| --- | --- | --- | --- |')
    for structure in FLAGS.structures.split(','):
        compare(structure, FLAGS)
