"""Scores drawn as published ones: equal to torch-fidelity, and what few images or moments allow."""

import numpy as np
import pytest

from genjax.metrics import fidelity
from genjax.metrics.fidelity import Features
from genjax.metrics.frechet import frechet_distance, moments
from genjax.metrics.kernel import kernel_distance
from genjax.metrics.precision_recall import density_coverage, precision_recall
from genjax.metrics.protocol import Protocol
from genjax.metrics.published import Draws, published_scores, subset_size

PROTOCOL = Protocol('toy', 'ab' * 8, 'none', 60, 40, 'train', 'none', ())
SHARES = ('precision', 'recall', 'density', 'coverage')
KERNELS = ('kernel distance', 'kernel distance of subsets')


def features(n, seed, scale=1.0):
    draw = np.random.default_rng(seed)
    pooled = draw.normal(size=(n, 6)) * scale
    return Features(pooled, pooled[:, :3] * 2)


REAL = features(60, 0)
FAKE = features(40, 1, 1.2)


def compared(real=REAL, fake=FAKE, draws=Draws(), extractor='toy'):  # noqa: B008
    return published_scores(real, fake, PROTOCOL._replace(extractor=extractor), draws)


def values(comparison):
    return {score.name.removesuffix(' (toy)'): score.value for score in comparison.scores}


def test_every_measure_is_there_with_its_protocol():
    found = compared()
    by_measure = values(found)
    assert found.missing == {}
    assert list(by_measure) == ['Frechet distance', *KERNELS, 'classifier score', *SHARES]
    assert by_measure['Frechet distance'] == frechet_distance(REAL.pooled, FAKE.pooled)
    assert by_measure['kernel distance'] == pytest.approx(
        kernel_distance(REAL.pooled, FAKE.pooled), rel=1e-12
    )
    shares = precision_recall(REAL.pooled, FAKE.pooled)._asdict()
    shares |= density_coverage(REAL.pooled, FAKE.pooled)._asdict()
    assert {name: by_measure[name] for name in SHARES} == shares
    assert all(score.name.endswith(' (toy)') for score in found.scores)
    assert all(score.protocol.extractor == 'toy' for score in found.scores)
    assert compared() == found


def test_only_inceptions_have_its_names():
    names = [score.name for score in compared(extractor='InceptionV3').scores]
    assert names == ['FID', 'KID', 'KID of subsets', 'IS', *SHARES]


def test_the_seed_moves_only_what_is_drawn():
    first = compared()
    second = compared(draws=Draws(seed=1))
    a = values(first)
    b = values(second)
    moved = {name for name in a if a[name] != b[name]}
    assert moved == {'kernel distance of subsets', 'classifier score'}


def test_subsets_are_half_of_the_images_where_there_are_few():
    assert [subset_size(n, Draws()) for n in (2, 5, 999, 1000, 5000)] == [2, 2, 499, 1000, 1000]
    whole = compared(REAL, features(60, 1), Draws(size=60, subsets=3))
    by_measure = {score.name: score for score in whole.scores}
    subsets = by_measure['kernel distance of subsets (toy)']
    assert subsets.value == pytest.approx(by_measure['kernel distance (toy)'].value, rel=1e-9)
    assert subsets.deviation == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(('real', 'fake'), [(True, False), (False, True), (True, True)])
def test_of_moments_there_is_the_frechet_distance(real, fake):
    found = compared(moments(REAL.pooled) if real else REAL, moments(FAKE.pooled) if fake else FAKE)
    by_measure = values(found)
    missing = {name.removesuffix(' (toy)') for name in found.missing}
    assert by_measure['Frechet distance'] == frechet_distance(REAL.pooled, FAKE.pooled)
    expected = {*KERNELS, *SHARES} | ({'classifier score'} if fake else set())
    assert missing == expected
    assert set(by_measure) == {'Frechet distance', 'classifier score'} - missing
    assert set(found.missing.values()) == {'of statistics there is the Frechet distance alone'}
    frechet = found.scores[0]
    assert frechet.limit is None


@pytest.mark.parametrize(
    ('n', 'missing'),
    [
        (2, {'classifier score', *SHARES}),
        (3, {'classifier score', *SHARES}),
        (4, {'classifier score', 'density', 'coverage'}),
        (6, {'classifier score'}),
        (10, set()),
    ],
)
def test_of_few_images_there_is_what_they_allow(n, missing):
    found = compared(features(n, 0), features(n, 1))
    assert {name.removesuffix(' (toy)') for name in found.missing} == missing
    assert len(found.scores) + len(missing) == 8
    assert all(np.isfinite(score.value) for score in found.scores)


def test_one_image_is_refused():
    with pytest.raises(ValueError, match='^60 and 1 examples; a covariance needs at least 2$'):
        compared(fake=features(1, 0))


def test_only_few_images_are_extrapolated(monkeypatch):
    limits = {score.name.removesuffix(' (toy)'): score.limit for score in compared().scores}
    assert limits['Frechet distance'] < values(compared())['Frechet distance']
    assert limits['classifier score'] > values(compared())['classifier score']
    monkeypatch.setattr(fidelity, 'LARGE_SAMPLE', 40)
    limits = {score.name: score.limit for score in compared().scores if score.limit is not None}
    assert list(limits) == ['kernel distance (toy)']  # which is its own


# Agreement with torch-fidelity on the same features.


@pytest.fixture(scope='module')
def peer(whole_machine):
    pytest.importorskip('torch')
    from tests.programs import fidelity_peer

    return fidelity_peer


@pytest.mark.peers
def test_everything_is_torch_fidelitys_with_its_own_defaults(peer):
    """Of more images than a subset has, so that its seed draws 1,000 of them a hundred times."""
    import torch

    draw = np.random.default_rng(3)
    mix = draw.normal(size=(16, 16)) / 4
    pooled = [np.maximum(draw.normal(size=(n, 16)) @ mix, 0) for n in (1300, 1100)]
    logits = pooled[1][:, :8] * 5
    found = values(
        compared(Features(pooled[0], pooled[0]), Features(pooled[1], logits), Draws(), 'toy')
    )
    real, fake = (torch.tensor(each) for each in pooled)
    quiet = {'verbose': False}
    statistics = [peer.metric_fid.fid_features_to_statistics(each) for each in (fake, real)]
    fid = peer.metric_fid.fid_statistics_to_metric(*statistics, verbose=False)
    kid = peer.metric_kid.kid_features_to_metric(fake, real, **quiet)
    score = peer.metric_isc.isc_features_to_metric(torch.tensor(logits))
    shares = peer.metric_prc.prc_features_to_metric(fake, real, save_cpu_ram=False, **quiet)
    assert found['Frechet distance'] == pytest.approx(fid['frechet_inception_distance'], rel=1e-4)
    assert found['kernel distance of subsets'] == pytest.approx(
        kid['kernel_inception_distance_mean'], rel=1e-9
    )
    assert found['classifier score'] == pytest.approx(score['inception_score_mean'], rel=1e-9)
    assert found['precision'] == pytest.approx(shares['precision'], abs=1e-6)
    assert found['recall'] == pytest.approx(shares['recall'], abs=1e-6)
