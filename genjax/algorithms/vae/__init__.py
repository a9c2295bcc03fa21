"""Variational autoencoders, the importance weighted bound, learnt priors and layers of latents.

model      Model: p(x | z), q(z | x), with a flow or without, and p(z); draws and their weights
priors     vamp, a mixture of posteriors; hierarchical, a second layer of latent variables
bounds     elbo, iwae; log_likelihood by importance sampling
vae        vae: the algorithm
"""

from genjax.algorithms.vae.bounds import Objective, elbo, iwae, log_likelihood
from genjax.algorithms.vae.model import Model, Posterior, Prior, kl_terms, standard_normal
from genjax.algorithms.vae.priors import hierarchical, vamp
from genjax.algorithms.vae.vae import vae

__all__ = [
    'Model',
    'Objective',
    'Posterior',
    'Prior',
    'elbo',
    'hierarchical',
    'iwae',
    'kl_terms',
    'log_likelihood',
    'standard_normal',
    'vae',
    'vamp',
]
