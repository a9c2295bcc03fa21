"""Scores that carry how they were made; and agreement with torch-fidelity on the same features."""

import numpy as np
import pytest

from genjax.metrics import fidelity as module
from genjax.metrics.fidelity import Extractor, Features, features_of, protocol_of, scores
from genjax.metrics.frechet import BiasCurve, default_sizes, frechet_distance
from genjax.metrics.kernel import kernel_distance, kernel_distances
from genjax.metrics.modes import classifier_score
from genjax.metrics.precision_recall import density_coverage, precision_recall
from genjax.metrics.protocol import (
    Protocol,
    Score,
    difference,
    from_json,
    score_name,
    to_json,
    weights_digest,
)
from genjax.probes.fidelity_figures import bias_picture
from genjax.probes.fidelity_table import score_table

PROTOCOL = Protocol('InceptionV3', 'ab' * 8, 'none', 100, 50, 'test', True, (0, 1))
OTHERS = Protocol('other', 'cd' * 8, 'bilinear', 101, 51, 'train', False, (0,))
SCORES = [Score('FID', 3.25, PROTOCOL, None, 1.0), Score('KID', 0.001, PROTOCOL, 0.0002, 0.001)]


@pytest.mark.parametrize('field', Protocol._fields)
def test_scores_made_otherwise_are_not_compared(field):
    left, right = getattr(PROTOCOL, field), getattr(OTHERS, field)
    other = Score('FID', 1.0, PROTOCOL._replace(**{field: right}))
    with pytest.raises(ValueError) as error:
        difference(SCORES[0], other)
    assert (
        str(error.value) == f'scores of unlike {field}, {left!r} and {right!r}, cannot be compared'
    )


def test_scores_made_alike_are():
    assert difference(SCORES[0], Score('FID', 1.0, PROTOCOL)) == 2.25
    with pytest.raises(
        ValueError, match="^scores of unlike name, 'FID' and 'KID', cannot be compared$"
    ):
        difference(*SCORES)


def test_scores_kept_next_to_a_run_come_back_the_same():
    text = to_json(SCORES)
    assert from_json(text) == SCORES
    assert difference(from_json(text)[1], SCORES[1]) == 0


def test_only_inceptions_scores_have_their_names():
    names = 'Frechet distance', 'kernel distance', 'classifier score', 'precision'
    assert [score_name(name, 'InceptionV3') for name in names] == ['FID', 'KID', 'IS', 'precision']
    assert [score_name(name, 'digits classifier') for name in names] == [
        f'{name} (digits classifier)' for name in names
    ]


def test_a_digest_tells_weights_apart():
    weights = {'a': np.arange(6.0), 'b': [np.ones(2, np.float32)]}
    changed = [
        weights | {'a': np.arange(6.0) + 1e-12},
        weights | {'a': np.arange(6.0).reshape(2, 3)},
        weights | {'b': [np.ones(2)]},
        {'a': weights['a'], 'c': weights['b']},
    ]
    found = {weights_digest(each) for each in [weights, *changed]}
    assert len(found) == 5 and all(len(each) == 16 and int(each, 16) >= 0 for each in found)
    assert weights_digest({'b': weights['b'], 'a': weights['a'].copy()}) == weights_digest(weights)


def toy_extractor(name='toy'):
    """Pixels as features, and the first three of them as logits."""
    seen = []

    def features(images):
        seen.append(images.shape)
        flat = images.reshape(len(images), -1)
        return Features(flat, flat[:, :3])

    return Extractor(name, weights_digest([]), 'none', features), seen


@pytest.mark.parametrize('n', [1, 8, 19])
def test_features_come_in_batches_of_one_shape(n):
    images = np.random.default_rng(0).uniform(-1, 1, (n, 2, 3, 1)).astype(np.float32)
    extractor, seen = toy_extractor()
    found = features_of(extractor, images, batch=8)
    np.testing.assert_array_equal(found.pooled, images.reshape(n, 6))
    np.testing.assert_array_equal(found.logits, images.reshape(n, 6)[:, :3])
    assert set(seen) == {(8, 2, 3, 1)}


def measured(name='toy', real=60, fake=40):
    draw = np.random.default_rng(0)
    extractor, _ = toy_extractor(name)
    x, y = (
        features_of(extractor, draw.normal(size=(n, 1, 5, 1)) * scale)
        for n, scale in [(real, 1), (fake, 1.2)]
    )
    protocol = protocol_of(extractor, x, y, split='test', average=True, seeds=[3])
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
    frechet, kernel, sure, *others = found
    assert (
        frechet.limit < frechet.value and sure.limit > sure.value and kernel.limit == kernel.value
    )
    assert kernel.deviation > 0 and sure.deviation > 0
    assert all(score.limit is score.deviation is None for score in others)


@pytest.mark.parametrize('field', ['extractor', 'weights', 'resize', 'real', 'fake'])
def test_a_protocol_of_other_features_is_refused(field):
    extractor, x, y, protocol = measured()
    wrong = protocol._replace(**{field: getattr(OTHERS, field)})
    with pytest.raises(ValueError, match=f'^the protocol says {field} .*; what is at hand has '):
        scores(extractor, x, y, wrong)


def test_the_table_tells_how_scores_were_made_and_what_few_examples_do_to_them():
    extractor, x, y, protocol = measured('InceptionV3')
    found = scores(extractor, x, y, protocol)
    lines = score_table(
        found, reference=[score._replace(value=0.125) for score in found[:2]]
    ).splitlines()
    assert lines[0] == f'extractor InceptionV3, weights {extractor.weights}, resize none'
    assert lines[1] == '60 real examples of test, 40 fake ones of averaged parameters, seeds 3'
    fid, kid, sure, precision = lines[4:8]
    assert fid.split()[:4] == ['FID', f'{found[0].value:.5g}', f'{found[0].limit:.5g}', '0.125']
    assert fid.endswith(f'biased by {found[0].value - found[0].limit:+.3g} with 40')
    assert kid.split()[-2:] == ['0.125', 'unbiased'] and 'biased by -' in sure
    assert precision.endswith('changes with the number of examples, 40')


def test_scores_of_many_examples_are_printed_without_remark(monkeypatch):
    monkeypatch.setattr(module, 'ENOUGH', 40)
    found = scores(*measured())
    assert found[0].limit is None
    assert 'biased' not in score_table(found) and 'changes' not in score_table(found)
    monkeypatch.setattr(module, 'ENOUGH', 41)
    assert 'biased by' in score_table(scores(*measured()))


def test_a_table_does_not_mix_numbers_of_examples():
    one, two = scores(*measured()), scores(*measured(fake=41))
    with pytest.raises(ValueError, match='^the protocol says fake 40; what is at hand has 41$'):
        score_table(one, two)


def test_the_picture_shows_every_curve_and_where_it_goes():
    curve = lambda limit, slope: BiasCurve(
        default_sizes(400), limit + slope / default_sizes(400), limit
    )
    picture = bias_picture(
        {'generated': curve(2.0, 100), 'real': curve(0.0, 100)}, 'Frechet distance (toy)'
    )
    assert picture.dtype == np.uint8 and picture.shape == (600, 800, 3)
    blue, orange = ((picture == colour).all(-1) for colour in [(0, 0x72, 0xB2), (0xD5, 0x5E, 0)])
    right = slice(180, 800)  # of the open marks at 0; the legend is upper left
    rows = [np.nonzero(each[120:, right])[0].mean() for each in (blue, orange)]
    assert rows[0] < rows[1]  # the generated examples' distances lie higher
    assert all(each[:, 80:140].any() for each in (blue, orange))


# Agreement with torch-fidelity on the same features.


@pytest.fixture(scope='module')
def peer():
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
