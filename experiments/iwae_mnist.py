"""The importance weighted autoencoder of Burda et al. on binarised MNIST: one layer, k = 50.

Run     python -m launch --exp iwae_mnist
Fast    python -m launch --exp iwae_mnist --config.batch=400 --config.learning_rate=8e-3
          --config.steps=300000
        2,000 epochs on an accelerator; reckoned at 5 min of an H100, not run yet
        (benchmarks/RESULTS.md)
Smoke   python -m launch --exp iwae_mnist --config.steps=4 --config.batch=8 --config.importance=50
        --config.widths='(16,)' --config.samples=3
Source  Burda et al. 2016, arXiv:1509.00519, table 1, who report 84.78 nats by 5,000 importance
        samples for k = 50
Ours    not run to its end; 20,000 steps of batch 100 at a rate of 4e-3 (commit e215165, one core, 7
        min) come to 92.53 nats with k = 5, 94.26 with k = 1
"""

from ml_collections import ConfigDict

from experiments._vae_mnist import vae_experiment
from genjax.algorithms.vae import iwae


def get_config():
    config = dict(
        seed=0,
        steps=9_840_000,  # 3,280 epochs
        batch=20,
        data_dir='',
        samples=50,  # k
        latent=50,
        widths=(200, 200),
        learning_rate=1e-3,
        adam=dict(b1=0.9, b2=0.999, eps=1e-4),
        decay=0.999,
        importance=5000,  # samples an image of the test likelihood
        every=dict(log=5000, evaluate=100_000, save=100_000),
    )
    return ConfigDict(config)


def build(config):
    return vae_experiment(config, iwae(config.samples))
