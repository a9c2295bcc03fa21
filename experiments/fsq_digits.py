"""Digits as 16 discrete codes, by FSQ or VQ-VAE, and new ones by a language model of these codes.

Run     python -m launch --exp fsq_digits
        and with --config.quantiser=vq, --config.prior.name=causal or ngram the others
Smoke   python -m launch --exp fsq_digits --config.steps=4 --config.codes.steps=2
        --config.codes.widths='(4,8)' --config.prior.network.width=8
        --config.prior.network.depth=1 --config.samples=40 --config.classifier=2
Small   python -m launch --exp fsq_digits --config.steps=500 --config.codes.steps=300
        --config.codes.widths='(8,16)' --config.prior.network.width=16
        --config.prior.network.depth=1 --config.samples=100 --config.classifier=100
Source  Mentzer et al. 2023, arXiv:2309.15505 (FSQ); van den Oord et al. 2017, arXiv:1711.00937
        (VQ-VAE, and the prior that is trained after it); priors: Shi et al. 2024, arXiv:2406.04329,
        a causal transformer, Kneser-Ney
Ours    3 min 2 s in all on 2 cores of an Intel Xeon that did other work too, nothing compiled
        before (commit 15ed176, jax 0.10.2). FSQ uses all 16 codes, at a perplexity of 14.7; on 297
        test digits -log p(x | codes) is -37.5 nats and the masked prior has 26.3 of the 16 codes:
        -log p is at most -11.2 (vae_digits: at most -12.3). Of 1,500 samples: Frechet distance
        (digits classifier) 14.3, precision 0.57, recall 0.84, the rarest class 0.75 times as common
        as uniform. Priors of the same codes, to the bit: each by itself hidden, in place of a
        number, 26.3 nats and 18.2; Kneser-Ney's 6-grams in raster order 35.3 nats and 103; the
        causal transformer, also of 4,000 steps, learns the 1,500 digits by heart: 60.1 nats of test
        codes and 3.6, which is that of copies. Fewer codes give the better bound and blurred
        digits: 4 of them, --config.fsq.levels=(4,), in 3,500 steps -30.0 + 14.6 = -15.4 nats and
        35.2. VQ of 16 codes (--config.quantiser=vq, commit 0757193) uses all, at a perplexity of
        12.7: -34.3 + 21.8 = -12.5 nats, Frechet distance 18.7, precision 0.60, recall 0.78
"""

import optax
from ml_collections import ConfigDict

from experiments._choose import choose
from experiments._extractor import digits_comparison
from genjax.algorithms.autoregressive import autoregressive
from genjax.algorithms.discrete_codes import Model, discrete_codes, fsq, vq, with_prior
from genjax.algorithms.masked_diffusion import by_number, masked_diffusion, random_order
from genjax.algorithms.ngram import kneser_ney, margin, ngram
from genjax.data.derived import derived
from genjax.data.images.sets import images
from genjax.networks.grids import GridDecoder, GridEncoder
from genjax.networks.transformer import Transformer
from genjax.numerics.likelihoods import fixed_gaussian
from genjax.probes.codebook import codebook_probe
from genjax.probes.decoded import reconstructions
from genjax.probes.fidelity import fidelity_pictures, fidelity_scores
from genjax.probes.figures import grid
from genjax.training import Experiment, Probe

SIZE = 8  # of the images


def get_config():
    config = dict(
        seed=0,
        steps=5000,
        batch=100,
        quantiser='fsq',  # or 'vq'
        fsq=dict(levels=(4, 4)),
        vq=dict(size=16, features=8, commitment=0.25),
        codes=dict(
            steps=1000,  # the first, which train the autoencoder
            widths=(32, 64),  # of its convolutions; each but the first halves the sides
            scale=0.2,  # of p(x | codes), grey levels from 0 to 1
            learning_rate=2e-3,
        ),
        prior=dict(
            name='masked',  # or 'causal', 'ngram'
            network=dict(width=64, depth=2, heads=4),
            adamw=dict(learning_rate=2e-3, weight_decay=0.1),
            ngram=dict(order=6, discount=0.8),
        ),
        decay=0.995,
        samples=1500,  # that are scored for their fidelity
        classifier=1000,  # steps of the classifier whose features score them
        every=dict(log=50, evaluate=1000, save=1000),
    )
    return ConfigDict(config)


def sweep():
    """Both quantisers with each prior."""
    for quantiser in ('fsq', 'vq'):
        for prior in ('masked', 'causal', 'ngram'):
            yield {'quantiser': quantiser, 'prior.name': prior}


def build(config):
    data = derived(images('digits', batch=config.batch, size=SIZE, seed=config.seed), unit)
    quantiser = choose(
        {'fsq': fsq(config.fsq.levels), 'vq': vq(**config.vq)}, 'quantiser', config.quantiser
    )
    autoencoder = autoencoder_of(config, quantiser)
    algorithm = prior_of(config, autoencoder, quantiser.size)
    encode = algorithm.encode
    train = [data.train[step] for step in range(1500 // config.batch)]

    def samples(key, state, n):
        return view(algorithm.sample(key, state, n))

    fidelity = digits_comparison(
        samples,
        n=config.samples,
        seed=config.seed,
        steps=config.classifier,
        decay=config.decay,
    )
    originals = {'x': data.test[0]['x'][:32]}
    probes = {
        'samples': Probe(config.steps, grid(samples, n=64)),
        'reconstructions': Probe(
            config.every.evaluate, reconstructions(encode, algorithm.decode, originals, view=view)
        ),
        'codebook': Probe(
            config.every.evaluate,
            codebook_probe(encode, train, size=quantiser.size),
            scores=True,
        ),
        'fidelity': Probe(config.steps, fidelity_scores(fidelity), scores=True),
        'shown': Probe(config.steps, fidelity_pictures(fidelity)),
    }
    return Experiment(algorithm, data, probes, images=samples)


def unit(batch, step):
    """Grey levels from 0 to 1, as vae_digits has them: nats of both can be compared."""
    return {'x': (batch['image'] + 1) / 2}


def view(x):
    """Grey levels as images in [-1, 1]."""
    return 2 * x - 1


def autoencoder_of(config, quantiser):
    """The autoencoder of the config."""
    widths = tuple(config.codes.widths)
    model = Model(
        GridEncoder(widths, quantiser.features),
        GridDecoder(widths[::-1], 1),
        quantiser,
        fixed_gaussian(config.codes.scale),
    )
    rate = optax.cosine_decay_schedule(config.codes.learning_rate, max(1, config.codes.steps))
    return discrete_codes(model, optax.adam(rate), decay=config.decay)


def prior_of(config, autoencoder, symbols):
    """The autoencoder with the prior of the config, of so many symbols."""
    length = (SIZE >> (len(config.codes.widths) - 1)) ** 2
    steps = config.steps - config.codes.steps
    if not (config.codes.steps >= 0 and steps >= 1):
        raise ValueError(
            f'codes.steps is {config.codes.steps}; 0 to {config.steps - 1} are allowed'
        )
    network = Transformer(symbols, **config.prior.network, places=length)
    adamw = config.prior.adamw
    optimizer = optax.adamw(
        optax.warmup_cosine_decay_schedule(0.0, adamw.learning_rate, max(1, steps // 10), steps),
        weight_decay=adamw.weight_decay,
    )
    order = config.prior.ngram.order
    # No more m-grams than there are, nor than the training set has.
    capacity = [min((symbols + 2) ** m, 1500 * length) for m in range(1, order + 1)]
    options = dict(length=length)
    priors = {
        'masked': masked_diffusion(
            network,
            optimizer,
            sampler=random_order(length),
            hiding=by_number,
            evaluations=8,
            decay=config.decay,
            **options,
        ),
        'causal': autoregressive(network, optimizer, decay=config.decay, **options),
        'ngram': ngram(
            symbols,
            order=order,
            capacity=capacity,
            smoothing=kneser_ney(config.prior.ngram.discount),
            **options,
        ),
    }
    name = config.prior.name
    prior = choose(priors, 'prior.name', name)
    places = margin(order) if name == 'ngram' else 0
    return with_prior(autoencoder, prior, steps=config.codes.steps, margin=places)
