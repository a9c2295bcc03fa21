"""What a train step exchanges against the number of devices, on eight virtual ones.

Nothing runs: the program of one step, as the trainer compiles it, is read (`collectives`).
'exchanged' is what exchanges leave on a device, 'sent' what a device sends for that along a ring at
the least, 'state' what of the training state lies on a device. Of data parallelism the gradient has
to be summed once a step: its bytes, whatever the number of devices.

A loop whose length the text does not say counts as one turn: of word2vec that is the first block of
words and one of the loop over the others.
"""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
from jax.sharding import PartitionSpec

from benchmarks.growth.collectives import collectives, sent_bytes
from benchmarks.growth.subject import Measure, Options, Side, Subject
from benchmarks.growth.words import drawn_words, learner
from genjax.algorithms.diffusion.ddpm import ddpm
from genjax.algorithms.hmm import discrete, hmm
from genjax.algorithms.mixture import full, mixture
from genjax.algorithms.vae import Model, elbo, vae
from genjax.base import Algorithm, Resident
from genjax.networks.mlp import MLP
from genjax.networks.unet import UNet
from genjax.numerics.likelihoods import bernoulli
from genjax.training import make_mesh
from genjax.training.feed import feed_args, first_batch
from genjax.training.loop import fold_steps
from genjax.training.mesh import MODEL_AXIS, Rules, by_jit, placement, put

BATCH = 64
MOST = 8  # devices
OUTPUTS = (('kernel', PartitionSpec(None, MODEL_AXIS)),)
WORDS = (('table', PartitionSpec(MODEL_AXIS)),)  # as word2vec_file has it


def _serve(name: str, rows: np.ndarray) -> Resident:
    """The same batch at every step."""
    return Resident(jnp.asarray(rows), lambda rows, step: {name: rows})


def _vae() -> tuple[Algorithm, Resident]:
    model = Model(MLP((400,), (2, 20)), MLP((400,), (784,)), bernoulli, 20)
    images = np.random.default_rng(0).integers(0, 2, (BATCH, 784)).astype(np.float32)
    return vae(model, optax.adam(1e-3), objective=elbo()), _serve('x', images)


def _unet() -> tuple[Algorithm, Resident]:
    network = UNet(width=16, multipliers=(1, 2), attend_at=(4,), dropout=0.1, blocks=1)
    images = np.zeros((BATCH, 8, 8, 3), np.float32)
    return ddpm(network, optax.adam(1e-3), shape=(8, 8, 3)), _serve('image', images)


def _word2vec() -> tuple[Algorithm, Resident]:
    counts = np.maximum(10**5 // np.arange(1, 10_001), 1)
    words = drawn_words(BATCH * 250, len(counts)).reshape(BATCH, -1)
    return learner(counts, 100, 1e-3), _serve('words', words)


def _mixture() -> tuple[Algorithm, Resident]:
    rows = np.random.default_rng(0).normal(size=(BATCH * 100, 32)).astype(np.float32)
    return mixture(16, covariance=full, floor=1e-3), _serve('x', rows)


def _hmm() -> tuple[Algorithm, Resident]:
    symbols = np.random.default_rng(0).integers(0, 27, (BATCH, 100), np.int32)
    return hmm(16, discrete(27)), _serve('x', symbols)


def step_text(algorithm: Algorithm, feed: Resident, devices: int, rules: Rules) -> tuple[str, int]:
    """The compiled text of a step, and the bytes of the state on a device.

    Args:
      algorithm: whose update it is.
      feed: of its batches.
      devices: that batches are split over, and parameters by the rules.
      rules: for parts of the state.
    """
    model = devices if rules else 1
    mesh = make_mesh(jax.devices()[:devices], model=model)
    key = jax.random.key(0)
    with jax.set_mesh(mesh):
        state = algorithm.init(key, first_batch(feed))
        shardings = placement(mesh, rules, state)
        state = jax.tree.map(put, state, shardings)
        program = by_jit(fold_steps(algorithm, feed, 1), mesh, shardings)
        args = feed_args(feed, mesh, 1, 0)(1)
        text = program.lower(key, state, args, np.int32(0), np.int32(1)).compile().as_text()
    shards = [leaf.addressable_shards[0].data for leaf in jax.tree.leaves(state)]
    return text, sum(shard.nbytes for shard in shards)


def exchanges(case, rules: Rules, size: float, options: Options) -> dict[str, float]:
    """The bytes of a case."""
    text, state = step_text(*case(), int(size), rules)
    found = collectives(text)
    exchanged = sum(exchange.bytes * exchange.times for exchange in found)
    sent = sum(sent_bytes(exchange) for exchange in found)
    return {'exchanged': exchanged, 'sent': sent, 'state': state}


def _side(case, rules: Rules = ()) -> Side:
    return partial(exchanges, case, rules)


SUBJECT = Subject(
    varied='devices',
    sizes=(1, 2, 4, 8),
    small=(2, 4),
    sides={
        'VAE': _side(_vae),
        'U-Net': _side(_unet),
        'VAE, split': _side(_vae, OUTPUTS),
        'word2vec': _side(_word2vec),
        'word2vec, split': _side(_word2vec, WORDS),
        'mixture': _side(_mixture),
        'HMM': _side(_hmm),
    },
    measures={
        'exchanged': Measure('bytes', 0),
        'sent': Measure('bytes', None),
        'state': Measure('bytes', 0),
    },
    environment={'XLA_FLAGS': f'--xla_force_host_platform_device_count={MOST}'},
)
