"""PCA of MNIST, 60,000 x 784, against scikit-learn's solvers: seconds, and angles of subspaces.

    python -m benchmarks.pca --data GENJAX_DATA [--dimension 50] [--batch 2000] [--rounds 5]
        [--peers full,randomized]

genjax fits as its trainer does: one pass over resident rows in random order, ten batches a compiled
call, and then the components by either solver. Cold has both programs compiled anew, warm runs them
again. scikit-learn has the same float32 rows on the host. All take turns in one process. Printed
are medians, the time of each side over genjax's by the exact solver, warm, and the largest angle
between its subspace and that of the float64 covariance.
"""

import argparse
import gzip
import pathlib
import statistics
import time
from functools import partial

import jax
import numpy as np
import scipy.linalg
from sklearn.decomposition import PCA

from genjax.algorithms.pca import exact, pca, principal_components, randomised
from genjax.base import Resident
from genjax.data.tables import table
from genjax.training import make_mesh
from genjax.training.feed import feed_args
from genjax.training.loop import fold_steps
from genjax.training.schedule import STEPS_PER_CALL

SOLVERS = {'exact': exact, 'randomised': randomised()}
PEERS = 'covariance_eigh,randomized,full'


def mnist(folder: pathlib.Path) -> np.ndarray:
    """The training images as rows of grey levels in [0, 1], float32 [60000, 784]."""
    compressed = (folder / 'train-images-idx3-ubyte.gz').read_bytes()
    levels = np.frombuffer(gzip.decompress(compressed), np.uint8, offset=16)
    return levels.reshape(-1, 784) / np.float32(255)


def genjax(feed: Resident, dimension: int, solver, steps: int):
    """A function without arguments that fits, its programs not compiled yet."""
    algorithm = pca(dimension)
    key = jax.random.key(0)
    call = STEPS_PER_CALL['cpu']
    fold = jax.jit(fold_steps(algorithm, feed, call), donate_argnums=1)
    derived = jax.jit(lambda state: principal_components(state, dimension, solver))
    first = feed[0]
    held = feed_args(feed, make_mesh(), call, 0)(call)

    def fit():
        state = algorithm.init(key, first)
        for step in range(0, steps, call):
            state, _ = fold(key, state, held, np.int32(step), np.int32(min(call, steps - step)))
        return np.asarray(derived(state).directions)

    return fit


def sides(x, dimension, batch, peers):
    """name -> a function that makes another, which fits and returns the directions."""
    feed = table(x, batch=batch, constant=True).train

    def peer(solver):
        return PCA(dimension, svd_solver=solver, random_state=0).fit(x).components_

    def make_peer(solver):
        return partial(peer, solver)

    makers = {}
    for name, solver in SOLVERS.items():
        makers[f'genjax {name}'] = partial(genjax, feed, dimension, solver, len(x) // batch)
    for solver in peers:
        makers[f'scikit-learn {solver}'] = partial(make_peer, solver)
    return makers


def timed(function):
    """The seconds that a function takes, and what it returns."""
    start = time.perf_counter()
    value = function()
    return time.perf_counter() - start, value


def compare(x, dimension, batch, rounds, peers):
    """Prints a line for each side."""
    makers = sides(x, dimension, batch, peers)
    cold = {name: [] for name in makers}
    warm = {name: [] for name in makers}
    directions = {}
    for _ in range(rounds):
        for name, make in makers.items():
            jax.clear_caches()
            fit = make()
            seconds, _ = timed(fit)
            cold[name].append(seconds)
            seconds, directions[name] = timed(fit)
            warm[name].append(seconds)

    _, vectors = np.linalg.eigh(np.cov(x, rowvar=False, dtype=np.float64))
    truth = vectors[:, -dimension:]
    base = statistics.median(warm['genjax exact'])
    for name in makers:
        angle = scipy.linalg.subspace_angles(truth, np.float64(directions[name]).T).max()
        first = statistics.median(cold[name])
        again = statistics.median(warm[name])
        times = f'cold {first:6.2f} s, warm {again:6.2f} s, x {again / base:5.2f}'
        print(f'{name:30} {times}, angle {angle:.1e}', flush=True)


def main():
    """Reads the settings and compares."""
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument(
        '--data', type=pathlib.Path, required=True, help='folder of data sets, with mnist/ in it'
    )
    parser.add_argument('--dimension', type=int, default=50)
    parser.add_argument('--batch', type=int, default=2000)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--peers', default=PEERS, help='solvers of scikit-learn')
    args = parser.parse_args()
    x = mnist(args.data / 'mnist')
    compare(x, args.dimension, args.batch, args.rounds, args.peers.split(','))


if __name__ == '__main__':
    main()
