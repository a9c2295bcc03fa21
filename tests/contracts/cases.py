"""One small experiment for each algorithm, for the contracts that all must keep."""

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

from genjax.algorithms.autoencoder import Model as Autoencoder
from genjax.algorithms.autoencoder import autoencoder, masking
from genjax.algorithms.autoregressive import autoregressive
from genjax.algorithms.classifier import classifier
from genjax.algorithms.cooccurrence import (
    cooccurrence,
    dynamic,
    glove,
    power_weight,
    svd_vectors,
)
from genjax.algorithms.density import density, forward_kl, gaussian, gaussian_of, mixed, reverse_kl
from genjax.algorithms.diffusion.ddpm import ddpm
from genjax.algorithms.diffusion.denoiser import Guidance, denoiser
from genjax.algorithms.diffusion.denoiser import Model as Denoiser
from genjax.algorithms.diffusion.flow_maps import (
    InTarget,
    adaptive,
    average_velocity,
    flow_maps,
    mean_flow,
    sorted_pairs,
    swapped,
    with_noise,
)
from genjax.algorithms.diffusion.flow_maps import Model as FlowMap
from genjax.algorithms.diffusion.learned_variance import improved_ddpm
from genjax.algorithms.diffusion.paths import straight
from genjax.algorithms.diffusion.predictions import velocity
from genjax.algorithms.diffusion.samplers.second_order import heun
from genjax.algorithms.diffusion.times import even_times, uniform
from genjax.algorithms.diffusion.weights import flow
from genjax.algorithms.discrete_codes import Model as Codes
from genjax.algorithms.discrete_codes import discrete_codes, vq, with_prior
from genjax.algorithms.drifting import drifting
from genjax.algorithms.drifting import gaussian as gaussian_kernel
from genjax.algorithms.flow import (
    actnorm,
    autoregressive_affine,
    chain,
    coupling,
    factor_out,
    first_half,
    invertible_1x1,
    normalizing_flow,
    patches,
    reverse,
    squeeze,
    uniform_noise,
)
from genjax.algorithms.gan.games import hinge
from genjax.algorithms.gan.gan import Model as Players
from genjax.algorithms.gan.gan import gan
from genjax.algorithms.gan.penalties import gradient_penalty, r1
from genjax.algorithms.hmm.emissions import discrete
from genjax.algorithms.hmm.hmm import hmm
from genjax.algorithms.masked_diffusion import masked_diffusion, random_order
from genjax.algorithms.mixture.covariances import full
from genjax.algorithms.mixture.mixture import mixture
from genjax.algorithms.naive_bayes.gaussians import gaussian as gaussian_features
from genjax.algorithms.naive_bayes.naive_bayes import naive_bayes
from genjax.algorithms.ngram.ngram import ngram
from genjax.algorithms.pca.pca import pca
from genjax.algorithms.vae import Model, iwae, vae
from genjax.algorithms.word2vec import (
    add_clipped_steps,
    keep_probability,
    negative_sampling,
    skip_gram,
    word2vec,
)
from genjax.averages import gamma_of, half_life, power
from genjax.base import Data, Resident
from genjax.networks.causal import CausalTransformer
from genjax.networks.classifier import Classifier
from genjax.networks.mlp import MLP
from genjax.networks.norms import BatchNorm
from genjax.networks.spectral import Spectral
from genjax.networks.transformer import Transformer
from genjax.networks.unet import UNet
from genjax.numerics.likelihoods import bernoulli, squares
from genjax.training import Experiment

BATCH = 16


def cycle(arrays: dict[str, np.ndarray]) -> Data:
    """Batches of 16 of 40 rows, in turn: an epoch is 2.5 batches. The last test batch is short."""

    def make_batch(arrays, step):
        rows = (step * BATCH + jnp.arange(BATCH)) % 40
        return {name: array[rows] for name, array in arrays.items()}

    whole = {name: array[:BATCH] for name, array in arrays.items()}
    short = {name: array[BATCH:21] for name, array in arrays.items()}
    return Data(Resident(jax.tree.map(jnp.asarray, arrays), make_batch), [whole, short])


def ddpm_case() -> Experiment:
    """A U-Net with every part, attention and dropout too, on images of noise."""
    images = np.random.default_rng(1).uniform(-1, 1, (40, 8, 8, 1)).astype(np.float32)
    network = UNet(width=8, multipliers=(1, 2), attend_at=(4,), dropout=0.1, blocks=1)
    algorithm = ddpm(network, optax.adam(1e-3), shape=(8, 8, 1), steps=20, decay=0.9)
    return Experiment(algorithm, cycle({'image': images}), {})


def denoiser_case() -> Experiment:
    """A flow with labels that training hides at times, guidance in its samples, three averages."""
    rng = np.random.default_rng(1)
    images = rng.uniform(-1, 1, (40, 4, 4, 1)).astype(np.float32)
    labels = rng.integers(0, 3, 40, np.int32)
    path = straight()
    others = {'power': power(gamma_of(0.1)), 'half': half_life(50, BATCH)}
    algorithm = denoiser(
        Denoiser(Labelled(), path, velocity(), classes=3),
        optax.adam(1e-3),
        shape=(4, 4, 1),
        weight=flow,
        law=uniform(path),
        sampler=heun(path, even_times(path, 3)),
        guidance=Guidance(2.0),
        label_dropout=0.2,
        decay=0.9,
        others=others,
    )
    return Experiment(algorithm, cycle({'image': images, 'label': labels}), {})


def flow_maps_case() -> Experiment:
    """MeanFlow both ways with guidance in its target, and samples with noise between the steps."""
    rng = np.random.default_rng(1)
    images = rng.uniform(-1, 1, (40, 4, 4, 1)).astype(np.float32)
    labels = rng.integers(0, 3, 40, np.int32)
    path = straight()
    algorithm = flow_maps(
        FlowMap(Labelled(), path, average_velocity(1000), classes=3),
        optax.adam(1e-3),
        shape=(4, 4, 1),
        objective=mean_flow,
        pairs=swapped(sorted_pairs(uniform(path))),
        jumps=with_noise(path, even_times(path, 3)),
        weight=adaptive(),
        guidance=InTarget(1.5, 0.2),
        label_dropout=0.2,
        reversible=True,
        decay=0.9,
        others={'half': half_life(50, BATCH)},
    )
    return Experiment(algorithm, cycle({'image': images, 'label': labels}), {})


class Labelled(nn.Module):
    """A network of images with a time, a label, 3 for none, and a duration for flow maps."""

    @nn.compact
    def __call__(self, x, condition, label, duration=None):
        given = jax.nn.one_hot(label, 4)
        h = nn.Dense(8)(x.reshape(len(x), -1)) + nn.Dense(8)(given)
        if duration is not None:
            h = h + nn.Dense(8)(duration[:, None] / 1000)
        h = nn.tanh(h + nn.Dense(8)(condition[:, None] / 1000))
        return nn.Dense(16)(h).reshape(x.shape)


class NoiseAndVariance(nn.Module):
    """Two convolutions that give twice the channels of their image."""

    @nn.compact
    def __call__(self, x, t):
        time = nn.Embed(20, 8)(t)
        h = nn.silu(nn.Conv(8, (3, 3))(x) + time[:, None, None])
        return nn.Conv(2 * x.shape[-1], (3, 3))(h)


def improved_ddpm_case() -> Experiment:
    """Learned variances."""
    images = np.random.default_rng(1).uniform(-1, 1, (40, 8, 8, 1)).astype(np.float32)
    optimizer = optax.adam(1e-3)
    algorithm = improved_ddpm(NoiseAndVariance(), optimizer, shape=(8, 8, 1), steps=20, decay=0.9)
    return Experiment(algorithm, cycle({'image': images}), {})


def text(length: int) -> Data:
    """Excerpts of `length` places of a random text of 20 words, in sentences of five."""
    rng = np.random.default_rng(2)
    words = np.minimum(rng.geometric(0.15, (40, length)) - 1, 19).astype(np.int32)
    words[:, ::6] = -1
    return cycle({'words': words})


def word2vec_case() -> Experiment:
    """Skip-gram with subsampling, three blocks to an excerpt."""
    counts = 1000 * 0.85 ** np.arange(20)
    output = negative_sampling(counts, negatives=5, shared=3)
    algorithm = word2vec(
        skip_gram(window=3, block=8),
        output,
        keep=keep_probability(counts, 0.05),
        dimension=6,
        rate=lambda step: 0.05 / (1 + 0.01 * step),
        add=add_clipped_steps(0.3),
    )
    return Experiment(algorithm, text(24), {})


def cooccurrence_case() -> Experiment:
    """Excerpts that overlap by the window of two places."""
    rng = np.random.default_rng(1)
    is_end = rng.random(600) < 0.2
    words = np.minimum(rng.geometric(0.2, 600) - 1, 11)
    ids = np.where(is_end, -1, words).astype(np.int32)

    def make_batch(ids, step):
        starts = (step * BATCH + jnp.arange(BATCH)) * 4
        places = starts[:, None] + jnp.arange(6)[None]
        return {'words': ids[places % 600]}

    algorithm = cooccurrence(
        12,
        window=2,
        capacity=78,
        margin=2,
        weight=dynamic(2),
        vectors=svd_vectors(12, dimension=3),
    )
    tests = [{'words': ids[:96].reshape(BATCH, 6)}, {'words': ids[96:126].reshape(5, 6)}]
    return Experiment(algorithm, Data(Resident(jnp.asarray(ids), make_batch), tests), {})


def glove_case() -> Experiment:
    """Entries of a matrix of twelve words, with AdaGrad."""
    rng = np.random.default_rng(3)
    row, column = rng.integers(0, 12, (2, 40), np.int32)
    count = rng.lognormal(1, 1, 40).astype(np.float32)
    optimizer = optax.adagrad(0.05, 0.0, 1e-30)
    algorithm = glove(12, optimizer, dimension=3, weight=power_weight(5.0))
    return Experiment(algorithm, cycle({'row': row, 'column': column, 'count': count}), {})


def ngram_case() -> Experiment:
    """Trigrams of text with ends of sentences."""
    return Experiment(ngram(20, order=3, capacity=(21, 500, 2000), length=5), text(12), {})


def rows(x: np.ndarray) -> Data:
    """Batches of rows without labels."""
    return cycle({'x': x.astype(np.float32)})


def autoregressive_case() -> Experiment:
    """A causal transformer of text with places that have no word."""
    network = Transformer(20, 8, 1, 2)
    algorithm = autoregressive(network, optax.adam(1e-3), length=5, decay=0.9)
    return Experiment(algorithm, text(12), {})


def masked_diffusion_case() -> Experiment:
    """Times and masks of each text, and a mean over two of them at evaluation."""
    network = Transformer(20, 8, 1, 2)
    algorithm = masked_diffusion(
        network,
        optax.adam(1e-3),
        length=5,
        sampler=random_order(3),
        evaluations=2,
        decay=0.9,
    )
    return Experiment(algorithm, text(12), {})


def pca_case() -> Experiment:
    """Two whitened components of five columns, one of them far from 0."""
    x = np.random.default_rng(4).normal(size=(40, 5)) * [4, 1, 3, 1, 1] + [0, 0, 0, 0, 1e3]
    return Experiment(pca(2, whiten=True), rows(x), {})


def autoencoder_case() -> Experiment:
    """Denoising and sparse."""
    model = Autoencoder(MLP((8,), (3,)), MLP((8,), (6,)), squares(1.0))
    algorithm = autoencoder(model, optax.adam(1e-3), corrupt=masking(0.2), sparsity=0.1, decay=0.9)
    return Experiment(algorithm, rows(np.random.default_rng(3).normal(size=(40, 6))), {})


def classifier_case() -> Experiment:
    """One hidden layer on images of noise."""
    rng = np.random.default_rng(7)
    images = rng.normal(size=(40, 4, 4, 1)).astype(np.float32)
    labels = rng.integers(0, 3, 40, np.int32)
    algorithm = classifier(Classifier((), 5, 3), optax.adam(1e-3), decay=0.9)
    return Experiment(algorithm, cycle({'x': images, 'label': labels}), {})


def vae_case() -> Experiment:
    """The importance weighted bound of three samples on binary rows."""
    model = Model(MLP((8,), (2, 2)), MLP((8,), (6,)), bernoulli, 2)
    algorithm = vae(model, optax.adam(1e-3), objective=iwae(3), decay=0.9)
    return Experiment(algorithm, rows(np.random.default_rng(5).random((40, 6)) < 0.5), {})


def density_case() -> Experiment:
    """Both divergences at once: from the rows to a Gaussian, and from that to a mixture."""
    means = jnp.array([[-1.0, 0.0, 2.0], [3.0, 1.0, 0.0]])
    covariances = jnp.stack([jnp.eye(3), jnp.eye(3)])
    log_p = mixed(gaussian, (0.3, 0.7), jax.vmap(gaussian_of)(means, covariances))
    forward = forward_kl(gaussian)
    reverse = reverse_kl(gaussian, log_p, samples=2)

    def losses(key, params, batch):
        return {'loss': forward(key, params, batch)['loss'] + reverse(key, params, batch)['loss']}

    x = np.random.default_rng(3).normal(0, [1, 2, 3], (40, 3))
    return Experiment(density(gaussian, losses, optax.adam(1e-2), decay=0.9), rows(x), {})


def discrete_codes_case() -> Experiment:
    """A learned codebook, whose two terms pull both ways."""
    model = Codes(MLP((8,), (3, 2)), MLP((8,), (6,)), vq(5, 2), squares(1.0))
    algorithm = discrete_codes(model, optax.adam(1e-3), decay=0.9)
    return Experiment(algorithm, rows(np.random.default_rng(3).normal(size=(40, 6))), {})


def with_prior_case() -> Experiment:
    """Two steps of a learned codebook, then counts of pairs of its codes."""
    model = Codes(MLP((8,), (3, 2)), MLP((8,), (6,)), vq(5, 2), squares(1.0))
    autoencoder = discrete_codes(model, optax.adam(1e-3), decay=0.9)
    prior = ngram(5, order=2, capacity=(6, 40), length=3)
    algorithm = with_prior(autoencoder, prior, steps=2, margin=1)
    return Experiment(algorithm, rows(np.random.default_rng(3).normal(size=(40, 6))), {})


def drifting_case() -> Experiment:
    """A generator of rows, moved by the whole batch."""
    algorithm = drifting(
        MLP((8,), (3,)), optax.adam(1e-3), latent=2, kernel=gaussian_kernel(1.0), decay=0.9
    )
    return Experiment(algorithm, rows(np.random.default_rng(3).normal(size=(40, 3))), {})


def normalizing_flow_case() -> Experiment:
    """Every kind of layer: statistics of the first batch, a half that leaves, noise, an average."""
    x = np.random.default_rng(1).uniform(-1, 1, (40, 4, 4, 1)).astype(np.float32)
    tokens = chain(patches(1, (2, 2, 2)), autoregressive_affine(CausalTransformer(4, 2, 8, 1, 2)))
    bijection = chain(
        squeeze(),
        actnorm(),
        invertible_1x1(0),
        coupling(nn.Dense(8), first_half),
        factor_out(chain(tokens, reverse())),
    )
    algorithm = normalizing_flow(
        bijection, optax.adam(1e-3), shape=(4, 4, 1), noise=uniform_noise(0.1), decay=0.9
    )
    return Experiment(algorithm, cycle({'x': x}), {})


def hmm_case() -> Experiment:
    """Three states and six symbols, sequences of 4 to 10 of them, stepwise EM with a prior."""
    rng = np.random.default_rng(3)
    symbols = rng.integers(0, 6, (40, 10), np.int32)
    lengths = rng.integers(4, 11, 40).astype(np.int32)
    algorithm = hmm(
        3,
        discrete(6, pseudocount=0.5),
        stepsize=lambda step: (step + 1) ** -0.6,
        pseudocount=0.5,
        length=5,
    )
    return Experiment(algorithm, cycle({'x': symbols, 'length': lengths}), {})


def naive_bayes_case() -> Experiment:
    """Gaussian features of three classes."""
    rng = np.random.default_rng(3)
    labels = rng.integers(0, 3, 40).astype(np.int32)
    x = rng.normal(labels[:, None], 1, (40, 5)).astype(np.float32)
    algorithm = naive_bayes(3, gaussian_features(1e-2), alpha=1.0)
    return Experiment(algorithm, cycle({'x': x, 'label': labels}), {})


def mixture_case() -> Experiment:
    """Stepwise EM of three full covariances."""
    x = np.random.default_rng(6).normal(size=(40, 3)) + np.repeat(np.eye(3) * 4, 14, 0)[:40]
    algorithm = mixture(3, covariance=full, floor=1e-2, rate=lambda step: (step + 2) ** -0.6)
    return Experiment(algorithm, rows(x[np.argsort(x.sum(1) % 0.01)]), {})


class Normed(nn.Module):
    """A generator of rows with batch norm and labels."""

    @nn.compact
    def __call__(self, z, label):
        h = nn.tanh(BatchNorm(classes=3)(nn.Dense(8)(z), label))
        return nn.Dense(4)(h)


class Bounded(nn.Module):
    """A discriminator of rows with spectral norm and labels."""

    @nn.compact
    def __call__(self, x, label):
        x = jnp.concatenate([x, jax.nn.one_hot(label, 3)], -1)
        return Spectral(nn.Dense(1))(nn.tanh(Spectral(nn.Dense(8))(x)))[:, 0]


def gan_case() -> Experiment:
    """All that can be carried: statistics of norms, an average; labels, views, two critic steps."""
    rng = np.random.default_rng(7)
    x = rng.normal(size=(40, 4)).astype(np.float32)
    labels = rng.integers(0, 3, 40, np.int32)

    def add_noise(key, x):
        return x + 0.1 * jax.random.normal(key, x.shape)

    algorithm = gan(
        Players(Normed(), Bounded(), 2, 3),
        optax.sgd(1e-2),
        optax.adam(1e-3),
        game=hinge,
        penalties=(r1(0.1), gradient_penalty(0.1)),
        critic_steps=2,
        decay=0.9,
        augment=add_noise,
    )
    return Experiment(algorithm, cycle({'x': x, 'label': labels}), {})


ALGORITHMS = {
    'autoencoder': autoencoder_case,
    'autoregressive': autoregressive_case,
    'classifier': classifier_case,
    'cooccurrence': cooccurrence_case,
    'ddpm': ddpm_case,
    'denoiser': denoiser_case,
    'density': density_case,
    'discrete_codes': discrete_codes_case,
    'drifting': drifting_case,
    'flow_maps': flow_maps_case,
    'gan': gan_case,
    'glove': glove_case,
    'hmm': hmm_case,
    'improved_ddpm': improved_ddpm_case,
    'masked_diffusion': masked_diffusion_case,
    'mixture': mixture_case,
    'naive_bayes': naive_bayes_case,
    'ngram': ngram_case,
    'normalizing_flow': normalizing_flow_case,
    'pca': pca_case,
    'vae': vae_case,
    'with_prior': with_prior_case,
    'word2vec': word2vec_case,
}
