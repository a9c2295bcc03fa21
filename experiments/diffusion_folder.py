"""Flow matching on images of your own, by label where there are labels.

Run     python -m launch --exp diffusion_folder --config.images=folder:PATH
        where PATH is a folder or a zip file of PNG, JPEG or WebP files; folders within it are
        labels. npz:FILE and the name of a prepared set are taken too, see docs/running.md
Smoke   python -m launch --exp diffusion_folder --config.images=digits --config.size=8
        --config.steps=4 --config.batch=8 --config.unet.width=8 --config.unet.blocks=1
        --config.samples=20 --config.classifier=2 --config.sampler.steps=2
Source  Lipman et al. 2023, arXiv:2210.02747, and Ho and Salimans 2022, arXiv:2207.12598, as in
        flow_digits. Batch, width and steps for 50,000 images of 32 pixels are about those of
        torchcfm for CIFAR-10 (flow_cifar), and smaller for fewer images; the levels of the network
        for 64 and 128 pixels are those of Dhariwal and Nichol 2021, arXiv:2105.05233
Ours    not trained to the end yet, but for tests
"""

from ml_collections import ConfigDict, FieldReference

from experiments._flow import flow_experiment
from experiments._own import (
    Size,
    by_number,
    computed,
    label_counts,
    labels_by_share,
    open_images,
    own_comparison,
    own_extractor,
)

# By the number of images. They are a first guess, and none of them was tuned.
SIZES = (
    Size(100, steps=2_000, batch=8, width=32),
    Size(2_000, steps=10_000, batch=32, width=32),
    Size(20_000, steps=50_000, batch=64, width=64),
    Size(float('inf'), steps=200_000, batch=128, width=128),
)
# Channels of the levels, by the pixels of an image, up to the first of a pair.
LEVELS = ((15, (1, 2)), (31, (1, 2, 2)), (63, (1, 2, 2, 2)), (127, (1, 2, 3, 4)))
LARGE = (1, 1, 2, 3, 4)


def multipliers_of(size: int) -> tuple[int, ...]:
    """Channels of the levels for images of so many pixels, in units of the width."""
    return next((multipliers for most, multipliers in LEVELS if size <= most), LARGE)


def attend_at_of(size: int) -> tuple[int, ...]:
    """The finest level with 16 pixels or fewer, but not the first."""
    levels = len(multipliers_of(size))
    sides = [size >> level for level in range(1, levels)]
    return (next((side for side in sides if side <= 16), sides[-1]),)


def get_config():
    images = FieldReference('')
    size = FieldReference(32)
    config = dict(
        seed=0,
        steps=by_number(images, SIZES, 'steps'),
        batch=by_number(images, SIZES, 'batch'),
        images=images,  # folder:PATH, npz:FILE, or the name of a set
        size=size,  # pixels that images are brought to: 8, 16, 32, 48, 64, 96, 128
        held_out=0.1,  # the share of images to test on, unless folders say it
        skip_unreadable=False,
        flip=False,  # whether images are mirrored by the toss of a coin
        unet=dict(
            width=by_number(images, SIZES, 'width'),
            multipliers=computed(multipliers_of, size),
            attend_at=computed(attend_at_of, size),
            dropout=0.1,
            blocks=2,
            channels_per_group=4,
            dtype='float32',
        ),
        learning_rate=5e-4,  # in the beginning
        decay=0.9999,
        label_dropout=0.1,
        sampler=dict(name='dpm2', steps=20, times='even', guidance=1.0, interval=(0.0, 1e9)),
        samples=5_000,  # that are scored, or as many as there are images
        inception='',
        classifier=2_000,  # steps of the classifier whose features score them without
        data_dir='',
        every=dict(log=100, evaluate=5_000, save=1_000),
    )
    return ConfigDict(config)


def build(config):
    data = open_images(config, batch=config.batch, seed=config.seed, flip=config.flip)
    shape = data.test[0]['image'].shape[1:]
    counts = label_counts(data)
    extractor = own_extractor(config, data)
    return flow_experiment(
        config,
        shape,
        data,
        None if extractor is None else own_comparison(config, data, extractor),
        None if counts is None else len(counts),
        None if counts is None else labels_by_share(counts),
    )
