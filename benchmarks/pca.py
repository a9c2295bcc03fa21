"""PCA of MNIST, 60,000 x 784, against scikit-learn's solvers: seconds to fit, and whether the
subspaces agree.

    python -m benchmarks.pca --data GENJAX_DATA [--dimension 50] [--batch 2000] [--rounds 5] [--peers full,randomized]

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

import jax
import numpy as np
import scipy.linalg
from sklearn.decomposition import PCA

from genjax.algorithms.pca.pca import components, exact, pca, randomised
from genjax.base import Resident
from genjax.data.tables import table
from genjax.training.loop import STEPS_A_CALL, feeder, folded
from genjax.training.mesh import make_mesh

SOLVERS = {'exact': exact, 'randomised': randomised()}
PEERS = 'covariance_eigh,randomized,full'


def mnist(folder: pathlib.Path) -> np.ndarray:
    """The training images as rows of grey levels in [0, 1], float32 [60000, 784]."""
    levels = np.frombuffer(
        gzip.decompress((folder / 'train-images-idx3-ubyte.gz').read_bytes()), np.uint8, offset=16
    )
    return levels.reshape(-1, 784) / np.float32(255)


def genjax(feed: Resident, dimension: int, solver, steps: int):
    """A function without arguments that fits, its programs not compiled yet."""
    algorithm, key = pca(dimension), jax.random.key(0)
    call = STEPS_A_CALL['cpu']
    fold = jax.jit(folded(algorithm, feed, call), donate_argnums=1)
    derived = jax.jit(lambda state: components(state, dimension, solver))
    first, held = feed[0], feeder(feed, make_mesh(), call, 0)(call)

    def fit():
        state = algorithm.init(key, first)
        for step in range(0, steps, call):
            state, _ = fold(key, state, held, np.int32(step), np.int32(min(call, steps - step)))
        return np.asarray(derived(state).directions)

    return fit


def sides(x, dimension, batch, peers):
    """name -> a function that gives another, which fits."""
    feed = table(x, batch=batch, constant=True).train
    ours = {
        f'genjax {name}': lambda solver=solver: genjax(feed, dimension, solver, len(x) // batch)
        for name, solver in SOLVERS.items()
    }
    peer = lambda solver: PCA(dimension, svd_solver=solver, random_state=0).fit(x).components_
    return ours | {
        f'scikit-learn {solver}': lambda solver=solver: lambda: peer(solver) for solver in peers
    }


def timed(function):
    began = time.perf_counter()
    found = function()
    return time.perf_counter() - began, found


def compare(x, dimension, batch, rounds, peers):
    makers = sides(x, dimension, batch, peers)
    cold, warm, found = ({name: [] for name in makers} for _ in range(3))
    for _ in range(rounds):
        for name, make in makers.items():
            jax.clear_caches()
            fit = make()
            cold[name].append(timed(fit)[0])
            seconds, found[name] = timed(fit)
            warm[name].append(seconds)
    truth = np.linalg.eigh(np.cov(x, rowvar=False, dtype=np.float64))[1][:, -dimension:]
    base = statistics.median(warm['genjax exact'])
    for name in makers:
        angle = scipy.linalg.subspace_angles(truth, np.float64(found[name]).T).max()
        first, again = (statistics.median(seconds[name]) for seconds in (cold, warm))
        print(
            f'{name:30} cold {first:6.2f} s, warm {again:6.2f} s, x {again / base:5.2f}, angle {angle:.1e}',
            flush=True,
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition('\n')[0])
    parser.add_argument(
        '--data', type=pathlib.Path, required=True, help='folder of data sets, with mnist/ in it'
    )
    parser.add_argument('--dimension', type=int, default=50)
    parser.add_argument('--batch', type=int, default=2000)
    parser.add_argument('--rounds', type=int, default=5)
    parser.add_argument('--peers', default=PEERS, help='solvers of scikit-learn')
    args = parser.parse_args()
    compare(
        mnist(args.data / 'mnist'), args.dimension, args.batch, args.rounds, args.peers.split(',')
    )


if __name__ == '__main__':
    main()
