"""Every fidelity score of features, and agreement with torch-fidelity on the same features."""

import numpy as np
import pytest

from genjax.metrics import fidelity as module
from genjax.metrics.fidelity import (
    Extractor,
    Features,
    features_of,
    features_of_batches,
    protocol_of,
    scores,
)
from genjax.metrics.frechet import frechet_distance
from genjax.metrics.kernel import kernel_distance, kernel_distances
from genjax.metrics.modes import classifier_score
from genjax.metrics.precision_recall import density_coverage, precision_recall
from genjax.metrics.protocol import Protocol, weights_digest

OTHER = Protocol('other', 'cd' * 8, 'bilinear', 101, 51, 'train', 'none', (0,))


def toy_extractor(name='toy'):
    """Pixels as features, and the first three of them as logits; and the shapes of its batches."""
    shapes = []

    def features(images):
        shapes.append(images.shape)
        flat = images.reshape(len(images), -1)
        return Features(flat, flat[:, :3])

    return Extractor(name, weights_digest([]), 'none', features), shapes


@pytest.mark.parametrize('n', [1, 8, 19])
def test_features_come_in_batches_of_one_shape(n):
    images = np.random.default_rng(0).uniform(-1, 1, (n, 2, 3, 1)).astype(np.float32)
    extractor, shapes = toy_extractor()
    found = features_of(extractor, images, batch=8)
    np.testing.assert_array_equal(found.pooled, images.reshape(n, 6))
    np.testing.assert_array_equal(found.logits, images.reshape(n, 6)[:, :3])
    assert set(shapes) == {(8, 2, 3, 1)}


def test_batches_of_any_length_are_filled_up():
    images = np.random.default_rng(0).uniform(-1, 1, (11, 2, 3, 1)).astype(np.float32)
    extractor, shapes = toy_extractor()
    batches = [images[:3], images[3:8], images[8:]]
    found = features_of_batches(extractor, iter(batches), batch=5)
    np.testing.assert_array_equal(found.pooled, images.reshape(11, 6))
    np.testing.assert_array_equal(found.logits, images.reshape(11, 6)[:, :3])
    assert set(shapes) == {(5, 2, 3, 1)}


def measured(name='toy', real=60, fake=40):
    draw = np.random.default_rng(0)
    extractor, _ = toy_extractor(name)
    x, y = (
        features_of(extractor, draw.normal(size=(n, 1, 5, 1)) * scale)
        for n, scale in [(real, 1), (fake, 1.2)]
    )
    protocol = protocol_of(extractor, x, y, split='test', average='decay 0.9', seeds=[3])
    return extractor, x, y, protocol


def test_scores_are_those_of_every_measure():
    extractor, x, y, protocol = measured()
    found = scores(extractor, x, y, protocol)
    assert found == scores(extractor, x, y, protocol)
    values = {score.name.removesuffix(' (toy)'): score.value for score in found}
    assert values == {
        'Frechet distance': frechet_distance(x.pooled, y.pooled),
        'kernel distance': pytest.approx(kernel_distance(x.pooled, y.pooled), rel=1e-12),
        'classifier score': classifier_score(y.logits).mean,
        **precision_recall(x.pooled, y.pooled)._asdict(),
        **density_coverage(x.pooled, y.pooled)._asdict(),
    }
    assert all(score.name.endswith(' (toy)') and score.protocol == protocol for score in found)
    frechet, kernel, classifier, *others = found
    assert frechet.limit < frechet.value
    assert classifier.limit > classifier.value
    assert kernel.limit == kernel.value
    assert kernel.deviation > 0 and classifier.deviation > 0
    assert all(score.limit is score.deviation is None for score in others)


@pytest.mark.parametrize('field', ['extractor', 'weights', 'resize', 'real', 'fake'])
def test_a_protocol_of_other_features_is_refused(field):
    extractor, x, y, protocol = measured()
    wrong = protocol._replace(**{field: getattr(OTHER, field)})
    with pytest.raises(ValueError, match=f'^the protocol says {field} .*; what is at hand has '):
        scores(extractor, x, y, wrong)


def test_scores_of_many_examples_are_not_extrapolated(monkeypatch):
    monkeypatch.setattr(module, 'LARGE_SAMPLE', 40)
    frechet, _, classifier, *_ = scores(*measured())
    assert frechet.limit is classifier.limit is None
    monkeypatch.setattr(module, 'LARGE_SAMPLE', 41)
    frechet, _, classifier, *_ = scores(*measured())
    assert frechet.limit is not None and classifier.limit is not None


# Agreement with torch-fidelity on the same features.


@pytest.fixture(scope='module')
def peer(whole_machine):
    pytest.importorskip('torch')
    from tests.programs import fidelity_peer

    return fidelity_peer


def both(width=24):
    draw = np.random.default_rng(7)
    mix = draw.normal(size=(width, width)) / np.sqrt(width)
    return np.maximum(draw.normal(size=(700, width)) @ mix, 0), np.maximum(
        draw.normal(size=(500, width)) @ mix + 0.1, 0
    )


@pytest.mark.peers
@pytest.mark.parametrize('width', [24, 600])
def test_the_frechet_distance_is_torch_fidelitys(peer, width):
    """Wider than one side has examples too, where its eigenvalues of a product are less exact than
    ours."""
    import torch

    x, y = both(width)
    statistics = [peer.metric_fid.fid_features_to_statistics(torch.tensor(each)) for each in (x, y)]
    expected = peer.metric_fid.fid_statistics_to_metric(*statistics, verbose=False)[
        'frechet_inception_distance'
    ]
    assert frechet_distance(x, y) == pytest.approx(expected, rel=1e-4)


@pytest.mark.peers
def test_the_kernel_distance_is_torch_fidelitys(peer):
    """On its very subsets, which its generator of random numbers draws for ours."""
    import torch

    x, y = both()
    expected = peer.metric_kid.kid_features_to_metric(
        torch.tensor(x),
        torch.tensor(y),
        kid_subsets=20,
        kid_subset_size=200,
        rng_seed=11,
        verbose=False,
    )
    _, found = kernel_distances(np.random.RandomState(11), x, y, subsets=20, size=200)  # noqa: NPY002
    assert tuple(found) == pytest.approx(tuple(expected.values()), rel=1e-9)
    whole = peer.metric_kid.kid_features_to_metric(
        torch.tensor(x[:500]), torch.tensor(y), kid_subsets=1, kid_subset_size=500, verbose=False
    )
    assert kernel_distance(x[:500], y) == pytest.approx(
        whole['kernel_inception_distance_mean'], rel=1e-9
    )


@pytest.mark.peers
def test_the_classifier_score_is_torch_fidelitys(peer):
    import torch

    logits = both()[0][:693] * 10
    expected = peer.metric_isc.isc_features_to_metric(
        torch.tensor(logits), splits=10, shuffle=False
    )
    assert tuple(classifier_score(logits)) == pytest.approx(tuple(expected.values()), rel=1e-9)


@pytest.mark.peers
@pytest.mark.parametrize('k', [3, 5])
def test_precision_and_recall_are_torch_fidelitys(peer, k):
    import torch

    real, fake = both()
    fake = fake * 0.8
    expected = peer.metric_prc.prc_features_to_metric(
        torch.tensor(fake),
        torch.tensor(real),
        prc_neighborhood=k,
        prc_batch_size=300,
        save_cpu_ram=False,
        verbose=False,
    )
    found = precision_recall(real, fake, k=k)
    assert tuple(found) == pytest.approx((expected['precision'], expected['recall']), abs=1e-6)
    assert 0.5 < found.recall < found.precision < 0.99
