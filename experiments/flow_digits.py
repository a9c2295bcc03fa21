"""Flow matching on the 8 x 8 digits of scikit-learn, by label, within minutes on two CPU cores.

Run     make run
        and then, without training again, python -m launch --exp flow_digits --mode sample
        --config.sampler.name=ddim --config.sampler.steps=5 --config.sampler.guidance=2.0
Smoke   python -m launch --exp flow_digits --config.steps=4 --config.unet.width=8
        --config.samples=20 --config.classifier=2 --config.sampler.steps=2
Small   python -m launch --exp flow_digits --config.steps=200 --config.unet.width=16
        --config.samples=100 --config.classifier=100 --config.sampler.steps=4
Source  Lipman et al. 2023, arXiv:2210.02747: the straight line of their example II, with noise and
        images that are independent; guidance after Ho and Salimans 2022, arXiv:2207.12598
Ours    1,000 steps, seed 0, on 2 CPU cores (Intel Xeon), 3 min 56 s in all with nothing compiled
        before, 99 s of them training (commit 05682d8, jax 0.10.2); the picture of step 200, after
        17 s of training, shows digits: test loss 0.352, bound 6.54 bits/dim, by the ODE 5.95 on 64
        test images. Of 1,500 samples by 20 estimates: Frechet distance (digits classifier) 2.6
        (gan_digits: 3.1 to 4.0, ddpm_digits by 500 estimates: 5.4), precision 0.78, recall 0.88,
        and 94.6 % are found to be of their label. Of 500 samples at guidance 1, 2 and 4: distance
        6.2, 20.2 and 63, of their label 94.0, 100 and 100 %, recall 0.87, 0.54 and 0.14: guidance
        trades variety for likeness. benchmarks/RESULTS.md has samplers beside each other
"""

from ml_collections import ConfigDict

from experiments._digits import SHAPE, UNET
from experiments._extractor import digits_comparison
from experiments._flow import flow_experiment
from genjax.data.images.sets import images

PICTURES = 200  # steps between two of them: the first after half a minute


def get_config():
    config = dict(
        seed=0,
        steps=1000,
        batch=64,
        unet=UNET | dict(dropout=0.1),
        learning_rate=2e-3,  # in the beginning
        decay=0.995,
        label_dropout=0.1,
        sampler=dict(name='dpm2', steps=20, times='even', guidance=1.0, interval=(0.0, 1e9)),
        samples=1500,  # that are scored
        classifier=1000,  # steps of the classifier whose features score them
        every=dict(log=50, evaluate=500, save=500),
    )
    return ConfigDict(config)


def sweep():
    """How often training hides the label, with three seeds each."""
    for dropout in (0.0, 0.1, 0.3):
        for seed in range(3):
            yield {'label_dropout': dropout, 'seed': seed}


def build(config):
    data = images('digits', batch=config.batch, size=8, seed=config.seed)
    return flow_experiment(config, SHAPE, data, digits_comparison, pictures=PICTURES)
