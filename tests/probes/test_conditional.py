"""Whether samples are of their labels, on features that are their labels."""

import types

import numpy as np
import pytest

from genjax.metrics.fidelity import Features
from genjax.probes.conditional import label_accuracy, label_share
from genjax.probes.fidelity import CHUNK


def comparison_of(found, classes):
    """Samples that are found to be of these classes."""
    features = Features(np.zeros((len(found), 1)), np.eye(classes)[found])
    return types.SimpleNamespace(sample_features=lambda state: features)


@pytest.mark.parametrize('classes', [1, 7, 10, CHUNK])
@pytest.mark.parametrize('n', [20, 600])
def test_labels_begin_anew_with_each_chunk(classes, n):
    size = min(n, CHUNK)
    chunks = [np.arange(size) % classes for _ in range(-(-n // size))]
    in_turn = np.concatenate(chunks)[:n]
    assert label_share(comparison_of(in_turn, classes), None, classes) == 1
    measure = label_accuracy(comparison_of((in_turn + 1) % classes, classes), classes)
    assert measure(None, None) == {'label_accuracy': float(classes == 1)}


def test_more_classes_than_a_chunk_are_refused():
    with pytest.raises(ValueError, match='^classes is 251; labels in turn take at most 250$'):
        label_accuracy(comparison_of([0], 1), 251)
