"""An autoencoder of dense layers on MNIST, 784-512-128-32 and back.

Run     python -m launch --exp autoencoder_mnist
Smoke   python -m launch --exp autoencoder_mnist --config.steps=4 --config.batch=8 --config.known=8
        --config.widths='(16,)'
Source  Hinton and Salakhutdinov 2006, "Reducing the dimensionality of data with neural networks",
        whose codes for MNIST are of 30 numbers; MNIST as TFDS has it
Ours    72 s of processor time (commit d8e2f2a, jax 0.10.2): test loss 59.08 nats; of the 10,000
        test codes 95.5 % are labelled rightly by 5 neighbours and 90.3 % by a line; random codes
        decode to strokes, of which only some are digits
"""

import optax
from ml_collections import ConfigDict

from genjax.algorithms.autoencoder import Model, autoencoder
from genjax.data.derived import vectors
from genjax.data.images.sets import images
from genjax.networks.mlp import MLP
from genjax.numerics.likelihoods import bernoulli
from genjax.probes.codes import code_accuracy, scatter
from genjax.probes.decoded import interpolations, reconstructions, unit_images
from genjax.probes.figures import grid
from genjax.training import Experiment, Probe


def get_config():
    config = dict(
        seed=0,
        steps=6000,
        batch=200,
        data_dir='',
        widths=(512, 128),
        code=32,
        learning_rate=2e-3,  # at first; it falls to 0 as a cosine does
        decay=0.99,
        known=10_000,  # training examples that the accuracies learn from
        every=dict(log=100, evaluate=1500, save=1500),
    )
    return ConfigDict(config)


def build(config):
    data = vectors(images('mnist', batch=config.batch, seed=config.seed, data_dir=config.data_dir))
    model = Model(
        encoder=MLP(config.widths, (config.code,)),
        decoder=MLP(config.widths[::-1], (784,)),
        likelihood=bernoulli,
    )
    optimizer = optax.adam(optax.cosine_decay_schedule(config.learning_rate, config.steps))
    algorithm = autoencoder(model, optimizer, decay=config.decay)
    encode = algorithm.encode
    decode = algorithm.decode
    view = unit_images((28, 28, 1))
    examples = min(config.known, len(data.train.arrays['image']))
    train = [data.train[step] for step in range(examples // config.batch)]
    originals = {'x': data.test[0]['x'][:32]}
    pairs = {'x': data.test[0]['x'][:16]}

    def samples(key, state, n):
        return view(algorithm.sample(key, state, n))

    probes = {
        'codes': Probe(config.steps, code_accuracy(encode, train, data.test), scores=True),
        'reconstructed': Probe(1500, reconstructions(encode, decode, originals, view=view)),
        'between': Probe(config.steps, interpolations(encode, decode, pairs, view=view)),
        'plane': Probe(config.steps, scatter(encode, data.test[:10])),
        'drawn': Probe(1500, grid(samples, n=64)),
    }
    return Experiment(algorithm, data, probes, images=samples)
