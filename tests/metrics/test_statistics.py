"""Statistics in files: ours, pytorch-fid's, and what is neither."""

import io

import numpy as np
import pytest

from genjax.metrics.frechet import Moments, frechet_distance, moment_distance, moments
from genjax.metrics.statistics import Statistics, from_npz, to_npz

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(30, 4)) @ RNG.normal(size=(4, 4))


def saved(**arrays):
    """A file as np.savez writes it."""
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


def peers_file(features, save=np.savez):
    """As pytorch-fid and EDM write it; the one compresses and the other does not."""
    file = io.BytesIO()
    save(file, mu=np.mean(features, axis=0), sigma=np.cov(features, rowvar=False))
    return file.getvalue()


def test_ours_come_back_the_same():
    statistics = Statistics(
        moments(FEATURES), 'digits classifier', 'ab' * 8, 'none', 'digits', 'cd' * 8
    )
    found = from_npz(to_npz(statistics))
    assert found[1:] == statistics[1:]
    assert found.moments.n == 30
    np.testing.assert_array_equal(found.moments.mean, statistics.moments.mean)
    np.testing.assert_array_equal(found.moments.covariance, statistics.moments.covariance)
    assert to_npz(statistics) == to_npz(found)


def test_ours_have_what_pytorch_fid_reads():
    with np.load(io.BytesIO(to_npz(Statistics(moments(FEATURES))))) as file:
        np.testing.assert_allclose(file['mu'][:], FEATURES.mean(0), rtol=1e-12)
        np.testing.assert_allclose(file['sigma'][:], np.cov(FEATURES, rowvar=False), rtol=1e-12)


@pytest.mark.parametrize('save', [np.savez, np.savez_compressed])
@pytest.mark.parametrize('n', [4, 30])
def test_those_of_pytorch_fid_and_edm_give_the_distance_of_the_features(n, save):
    """Of fewer examples than features too, whose number such a file does not say."""
    others = FEATURES[:n] * 1.3 + 0.2
    found = from_npz(peers_file(others, save))
    assert found.moments.n == np.inf and found[1:] == ('', '', '', '', '')
    distance = moment_distance(moments(FEATURES), found.moments)
    assert distance == pytest.approx(frechet_distance(FEATURES, others), rel=1e-6)


def test_a_file_of_float32_is_read():
    found = from_npz(saved(mu=np.zeros(2, np.float32), sigma=np.eye(2, dtype=np.float32)))
    assert found.moments.covariance.dtype == np.float64


@pytest.mark.parametrize(
    ('content', 'message'),
    [
        (b'', 'it is no .npz of arrays'),
        (peers_file(FEATURES)[:200], 'it is no .npz of arrays'),
        (saved(arr_0=np.zeros(3)), r"it has the arrays \['arr_0'\]; mu and sigma are needed"),
        (
            saved(mu=np.zeros(3), sigma=np.eye(2)),
            r'mu has shape \(3,\) and sigma \(2, 2\); \[D\] and \[D, D\] are wanted',
        ),
        (saved(mu=np.zeros(0), sigma=np.zeros((0, 0))), r'mu has shape \(0,\)'),
        (
            saved(mu=np.array([0, np.nan]), sigma=np.eye(2)),
            'mu is not of finite floating point numbers',
        ),
        (
            saved(mu=np.zeros(2), sigma=np.full((2, 2), 'x')),
            'sigma is not of finite floating point numbers',
        ),
        (
            saved(mu=np.zeros(2), sigma=np.array([[1.0, 0.5], [0.0, 1.0]])),
            'sigma is no covariance',
        ),
        (saved(mu=np.zeros(2), sigma=-np.eye(2)), 'sigma is no covariance'),
        (
            saved(mu=np.zeros(2), sigma=np.eye(2), n=np.float64(1)),
            r'n is 1\.0; a covariance needs at least 2 images',
        ),
        (saved(mu=np.zeros(2), sigma=np.eye(2), n=np.float64(np.nan)), 'n is nan'),
        (saved(mu=np.zeros(2), sigma=np.eye(2), n=np.array('many')), 'n is many'),
    ],
)
def test_another_file_is_refused_in_one_line(content, message):
    with pytest.raises(ValueError, match=f'^{message}') as error:
        from_npz(content)
    assert '\n' not in str(error.value)


def test_nothing_that_a_file_holds_is_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (tmp_path.joinpath('run').write_text, ('',))

    with pytest.raises(ValueError):
        from_npz(saved(mu=np.array([Trap()]), sigma=np.eye(1)))
    assert not list(tmp_path.iterdir())


def test_the_moments_of_a_population_need_no_count():
    wide = Moments(np.zeros(3), np.eye(3), np.inf)
    assert moment_distance(wide, wide) == pytest.approx(0, abs=1e-12)
