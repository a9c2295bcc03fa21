"""Image sets by name, decoded without TensorFlow and never with a loss.

sets        images: a set as `base.Data`
levels      grey levels as images: padded, mirrored, with noise, scaled
augment     DiffAugment: compose, brightness, saturation, contrast, translation, cutout
geometry    EDM's augmentation with its label: augment_geometry
splits      the splits of a prepared set: open_splits, Split
examples    a split's examples, decoded on access: Examples
cache       a split's arrays, decoded once: cached_arrays
pixels      an image file as an array: decode
prepare     sets as TFDS prepares them: open_set, open_records
files       a folder, a zip or an npz file of images of your own: open_files
npz         images in an npz file: read_npz
builders    MNIST, Fashion-MNIST and CIFAR-10 from their files: Mnist, FashionMnist, Cifar10

Only `images` is imported here: digits need neither Pillow nor tensorflow_datasets.
"""

from genjax.data.images.sets import images

__all__ = ['images']
