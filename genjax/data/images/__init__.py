"""Image sets by name, decoded without TensorFlow and never with a loss.

sets        images: a set as `base.Data`
levels      grey levels as images: padded, mirrored, with noise, scaled
augment     DiffAugment: compose, brightness, saturation, contrast, translation, cutout
geometry    EDM's augmentation with its label: augment_geometry
splits      the splits of a prepared set: open_splits, Split
examples    a split's examples, decoded on access: Examples
cache       a split's arrays, decoded once: cached_arrays
pixels      an image file as an array: decode, decode_grey_or_rgb
prepare     sets as TFDS prepares them: open_set, open_records
own         images of your own as splits, by folder:PATH or npz:FILE: open_own
files       a folder, a zip or an npz file as a sequence of named images: open_files
npz         images in an npz file: read_npz
decoded     images of your own brought to one size, once: decode_files
decoding    image files one after the other, by several processes: decode_in_order, to_square
builders    MNIST, Fashion-MNIST and CIFAR-10 from their files: Mnist, FashionMnist, Cifar10

Nothing is imported here: digits need neither Pillow nor tensorflow_datasets, and a process that
decodes does without jax.
"""
