"""What a denoiser is told besides an image and its time: a class, a duration, an augmentation.

Letters: B examples, C classes, A augmentation labels, F features.
"""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import Array

from genjax.networks.labels import require_labels


class Conditions(nn.Module):
    """Adds what a label and an augmentation say to the features of the time.

    A label is its one-hot vector times sqrt(C), whose entries have a mean square of 1, through a
    linear layer without bias; so the label C, which has no entry, says nothing. Augmentation labels
    go through another such layer, and are 0 where nothing was done.

    Source: Karras et al. 2022, arXiv:2206.00364, appendix F.2, and the authors' code for the scale.
    The features of a duration go through a third one, which adds how far an average velocity leads.

    Args:
      classes: C; None: there is no label.
      augmentation_labels: A; 0: there are none.
      kernel_init: of all layers.
      duration: whether there is one.
    """

    classes: int | None = None
    augmentation_labels: int = 0
    kernel_init: nn.initializers.Initializer = nn.initializers.xavier_uniform()
    duration: bool = False

    @nn.compact
    def __call__(
        self,
        features: Array,
        label: Array | None = None,
        augmentation: Array | None = None,
        duration: Array | None = None,
    ) -> Array:
        """The features of the time with those of the conditions.

        Args:
          features: float32 [B, F].
          label: int [B] in 0..C, where there are classes; C says that there is none.
          augmentation: float [B, A]; None for zeros.
          duration: float [B, F], its features, where there is one.

        Returns:
          [B, F].

        Raises:
          ValueError: classes or augmentation_labels is out of range, labels and classes do not go
            together, or a condition has another shape.
        """
        if self.classes is not None and self.classes < 1:
            raise ValueError(f'classes is {self.classes}; at least 1 is needed, or None')
        if self.augmentation_labels < 0:
            raise ValueError(f'augmentation_labels is {self.augmentation_labels}; it is at least 0')
        require_labels(self.classes, label)
        B, F = features.shape
        if label is not None and label.shape != (B,):
            raise ValueError(f'label has shape {label.shape}; {[B]} is needed')
        wanted = (B, self.augmentation_labels)
        if self.duration != (duration is not None):
            given = 'missing' if duration is None else 'given'
            raise ValueError(f'duration is {self.duration}; its features are {given}')
        if augmentation is not None and augmentation.shape != wanted:
            raise ValueError(
                f'augmentation_labels is {self.augmentation_labels}; '
                f'an augmentation of shape {augmentation.shape} is given'
            )

        def linear(name, x):
            layer = nn.Dense(F, use_bias=False, kernel_init=self.kernel_init, name=name)
            return layer(x)

        if label is not None:
            one_hot = jax.nn.one_hot(label, self.classes)
            features = features + linear('label', math.sqrt(self.classes) * one_hot)
        if self.augmentation_labels:
            if augmentation is None:
                augmentation = jnp.zeros(wanted)
            features = features + linear('augmentation', augmentation)
        if duration is not None:
            features = features + linear('duration', duration)
        return features
