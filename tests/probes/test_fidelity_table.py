"""Fidelity scores as text."""

import numpy as np
import pytest

from genjax.metrics import fidelity
from genjax.metrics.fidelity import Extractor, Features, features_of, protocol_of, scores
from genjax.probes.fidelity_table import score_table


def toy_features(images):
    """Pixels as features, and the first three of them as logits."""
    flat = images.reshape(len(images), -1)
    return Features(flat, flat[:, :3])


def measured(name='toy', real=60, fake=40):
    """What `scores` takes, for normal pixels."""
    rng = np.random.default_rng(0)
    extractor = Extractor(name, '0' * 16, 'none', toy_features)
    x = features_of(extractor, rng.normal(size=(real, 1, 5, 1)))
    y = features_of(extractor, rng.normal(size=(fake, 1, 5, 1)) * 1.2)
    protocol = protocol_of(extractor, x, y, split='test', average='decay 0.9', seeds=[3])
    return extractor, x, y, protocol


def test_the_table_tells_how_scores_were_made_and_what_few_examples_do_to_them():
    extractor, x, y, protocol = measured('InceptionV3')
    found = scores(extractor, x, y, protocol)
    reference = [score._replace(value=0.125) for score in found[:2]]
    lines = score_table(found, reference).splitlines()
    assert lines[0] == f'extractor InceptionV3, weights {extractor.weights}, resize none'
    assert (
        lines[1]
        == '60 real examples of test, 40 fake ones, average of parameters: decay 0.9, seeds 3'
    )
    fid, kid, classifier, precision = lines[4:8]
    assert fid.split()[:4] == ['FID', f'{found[0].value:.5g}', f'{found[0].limit:.5g}', '0.125']
    assert fid.endswith(f'biased by {found[0].value - found[0].limit:+.3g} with 40')
    assert kid.split()[-2:] == ['0.125', 'unbiased']
    assert 'biased by -' in classifier
    assert precision.endswith('changes with the number of examples, 40')


def test_scores_of_many_examples_are_printed_without_remark(monkeypatch):
    monkeypatch.setattr(fidelity, 'LARGE_SAMPLE', 40)
    found = scores(*measured())
    assert found[0].limit is None
    assert 'biased' not in score_table(found) and 'changes' not in score_table(found)
    monkeypatch.setattr(fidelity, 'LARGE_SAMPLE', 41)
    assert 'biased by' in score_table(scores(*measured()))


def test_a_table_does_not_mix_numbers_of_examples():
    one, two = scores(*measured()), scores(*measured(fake=41))
    with pytest.raises(ValueError, match='^the protocol says fake 40; what is at hand has 41$'):
        score_table(one, two)
