"""New 8 x 8 digits from discrete codes: an autoencoder by FSQ, and language models of its codes.

An image is eight symbols, each one of 25. When the autoencoder is trained, two models learn the
codes of the training images: one counts, an n-gram model in which each place has symbols of its
own, and one fills in, masked diffusion. What they draw is decoded.

Run     python -m launch --exp fsq_digits
        and with --config.quantiser=vq the same by a learned codebook
Smoke   python -m launch --exp fsq_digits --config.steps=4 --config.widths='(8,)'
        --config.prior.steps=2 --config.prior.width=8 --config.samples=40 --config.classifier=2
Source  Mentzer et al. 2023, arXiv:2309.15505; van den Oord et al. 2017, arXiv:1711.00937, whose
        prior over codes is autoregressive
Ours    (to be filled in)
"""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax
from ml_collections import ConfigDict

from experiments._extractor import digits_comparison
from genjax.algorithms.discrete_codes import Model, discrete_codes, fsq, vq
from genjax.algorithms.masked_diffusion import masked_diffusion, random_order
from genjax.algorithms.ngram import kneser_ney, margin, ngram
from genjax.data.derived import vectors
from genjax.data.images.sets import images
from genjax.networks.mlp import MLP
from genjax.networks.transformer import Transformer
from genjax.numerics.likelihoods import fixed_gaussian
from genjax.probes.codebook import codebook_probe
from genjax.probes.decoded import reconstructions, unit_images
from genjax.probes.fidelity import fidelity_pictures, fidelity_scores
from genjax.probes.figures import grid
from genjax.training import Experiment, Probe

LEVELS = (5, 5)
PLACES = 8  # symbols of an image


def get_config():
    config = dict(
        seed=0,
        steps=4000,
        batch=100,
        quantiser='fsq',  # or 'vq', of as many codes
        widths=(256, 256),
        scale=0.1,  # of p(x | codes), grey levels from 0 to 1
        learning_rate=1e-3,
        decay=0.995,
        order=3,  # of the n-gram model
        prior=dict(steps=1500, width=64, learning_rate=3e-3),  # of the masked model
        samples=1500,  # that are scored for their fidelity
        classifier=1000,  # steps of the classifier whose features score them
        every=dict(log=200, evaluate=1000, save=1000),
    )
    return ConfigDict(config)


def quantiser_of(name):
    """The quantiser of the config."""
    quantisers = {'fsq': fsq(LEVELS), 'vq': vq(int(np.prod(LEVELS)), len(LEVELS))}
    if name not in quantisers:
        raise ValueError(f'quantiser is {name!r}; known are {", ".join(quantisers)}')
    return quantisers[name]


def build(config):
    data = vectors(images('digits', batch=config.batch, size=8, seed=config.seed))
    quantiser = quantiser_of(config.quantiser)
    encoder = MLP(config.widths, (PLACES, quantiser.features), nn.gelu)
    decoder = MLP(config.widths, (64,), nn.gelu)
    model = Model(encoder, decoder, quantiser, fixed_gaussian(config.scale))
    rate = optax.cosine_decay_schedule(config.learning_rate, config.steps)
    algorithm = discrete_codes(model, optax.adam(rate), decay=config.decay)
    encode = algorithm.encode
    decode = algorithm.decode
    view = unit_images((8, 8, 1))
    train = [data.train[step] for step in range(1500 // config.batch)]

    def codes(key, state):
        """Those of all training images, int32 [N, PLACES]."""
        return jnp.concatenate([encode(key, state, batch) for batch in train])

    def drawn(prior):
        def sample(key, state, n):
            return view(decode(key, state, prior(key, codes(key, state), n)))

        return sample

    counted = drawn(ngram_prior(quantiser.size, config.order))
    filled = drawn(masked_prior(quantiser.size, **config.prior))
    fidelity = digits_comparison(
        filled, n=config.samples, seed=config.seed, steps=config.classifier, decay=config.decay
    )
    use = codebook_probe(encode, data.test, size=quantiser.size)
    probes = {
        'codebook': Probe(config.every.evaluate, use, scores=True),
        'reconstructions': Probe(1000, reconstructions(encode, decode, data.test[0], view=view)),
        'counted': Probe(config.steps, grid(counted, n=64)),
        'filled': Probe(config.steps, grid(filled, n=64)),
        'fidelity': Probe(config.steps, fidelity_scores(fidelity), scores=True),
        'shown': Probe(config.steps, fidelity_pictures(fidelity)),
    }
    return Experiment(algorithm, data, probes, images=filled)


def ngram_prior(size, order):
    """(key, codes [N, PLACES], n) -> codes drawn by Kneser-Ney, [n, PLACES].

    Symbol s at place i is the word i size + s, so that contexts say where they are.
    """
    words = PLACES * size
    capacity = [words + 1, *[20_000] * (order - 1)]
    algorithm = ngram(
        words, order=order, capacity=capacity, smoothing=kneser_ney(0.5), length=PLACES
    )
    first = jnp.arange(PLACES)[None] * size

    def draw(key, codes, n):
        train_key, draw_key = jax.random.split(key)
        pad = ((0, 0), (margin(order), 0))
        batch = {'words': jnp.pad(codes + first, pad, constant_values=-1)}
        state, _ = algorithm.update(train_key, algorithm.init(train_key, batch), batch)
        return jnp.maximum(algorithm.sample(draw_key, state, n), 0) % size

    return draw


def masked_prior(size, *, steps, width, learning_rate):
    """(key, codes [N, PLACES], n) -> codes drawn by masked diffusion, one symbol at a time."""
    network = Transformer(size, width, 2, 4, places=PLACES)
    adam = optax.adam(optax.cosine_decay_schedule(learning_rate, steps))
    algorithm = masked_diffusion(
        network, adam, length=PLACES, sampler=random_order(PLACES), decay=0.99
    )

    def draw(key, codes, n):
        init_key, train_key, draw_key = jax.random.split(key, 3)

        def step(state, i):
            rows_key, update_key = jax.random.split(jax.random.fold_in(train_key, i))
            rows = jax.random.randint(rows_key, (128,), 0, len(codes))
            state, _ = algorithm.update(update_key, state, {'words': codes[rows]})
            return state, None

        state = algorithm.init(init_key, {'words': codes})
        state, _ = jax.lax.scan(step, state, jnp.arange(steps))
        return algorithm.sample(draw_key, state, n)

    return draw
