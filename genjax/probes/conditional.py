"""Whether samples are of the class that was asked for, by the extractor that scores them.

The samples have the labels 0, 1, ..., C - 1, 0, ... in turn, which begin anew with each chunk of
samples that is drawn. N samples, C classes.
"""

from collections.abc import Mapping

import numpy as np

from genjax.base import State
from genjax.probes.fidelity import CHUNK, Comparison
from genjax.probes.figures import Measure


def label_share(comparison: Comparison, state: State, classes: int) -> float:
    """The share of samples that the extractor finds to be of their label.

    Args:
      comparison: of samples with labels in turn.
      state: whose samples they are.
      classes: C.
    """
    found = np.argmax(comparison.sample_features(state).logits, -1)
    return float(np.mean(found == np.arange(len(found)) % CHUNK % classes))


def label_accuracy(comparison: Comparison, classes: int) -> Measure:
    """The share of samples that are found to be of their label, 'label_accuracy'.

    Args:
      comparison: of samples with labels in turn.
      classes: C.

    Raises:
      ValueError: C is more than the samples that are drawn at a time.
    """
    if classes > CHUNK:
        raise ValueError(f'classes is {classes}; labels in turn take at most {CHUNK}')

    def measure(key, state):
        del key
        return {'label_accuracy': label_share(comparison, state, classes)}

    return measure


def guidance_table(comparisons: Mapping[float, Comparison], classes: int) -> Measure:
    """A row of scores for each scale of guidance, 'guidance'.

    Args:
      comparisons: scale -> comparison of samples with labels in turn.
      classes: C.
    """

    def measure(key, state):
        del key
        rows = []
        for scale, comparison in comparisons.items():
            row = {'guidance': scale}
            row['label accuracy'] = f'{label_share(comparison, state, classes):.4f}'
            features = comparison.sample_features(state)
            row |= {score.name: f'{score.value:.4g}' for score in comparison.score(features)}
            rows.append(row)
        return {'guidance': rows}

    return measure
