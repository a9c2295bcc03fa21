"""Fidelity of samples of a known distribution, by an extractor whose features are the pixels."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.metrics.fidelity import Extractor, Features
from genjax.metrics.frechet import frechet_distance
from genjax.metrics.protocol import from_json
from genjax.probes.fidelity import comparison, fidelity_pictures, fidelity_scores

KEY = jax.random.key(3)
# Of four classes.
CENTRES = np.array([[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]], np.float32)
PERFECT = jnp.float32(1.0)  # states of the generator `sample`
COLLAPSED = jnp.float32(0.0)


def images(rng, n):
    """Four classes of images [n, 1, 2, 1], equally common."""
    x = CENTRES[np.arange(n) % 4] + 0.05 * rng.normal(size=(n, 2))
    return x.reshape(n, 1, 2, 1).astype(np.float32)


def features(x):
    pixels = x.reshape(len(x), 2)
    return Features(pixels, -50 * jnp.sum((pixels[:, None] - CENTRES[None]) ** 2, -1))


def sample(key, state, n):
    """Rows in [0, 1]; a share `state` is of the true distribution and the rest of class 0."""
    mask_key, label_key, noise_key = jax.random.split(key, 3)
    label = jax.random.randint(label_key, (n,), 0, 4)
    label = jnp.where(jax.random.uniform(mask_key, (n,)) < state, label, 0)
    noise = jax.random.normal(noise_key, (n, 2))
    return (jnp.asarray(CENTRES)[label] + 0.05 * noise + 1) / 2


def view(x):
    return 2 * x.reshape(-1, 1, 2, 1) - 1


REAL = images(np.random.default_rng(0), 600)
HELD_OUT = images(np.random.default_rng(1), 300)
PIXELS = Extractor('pixels', '0' * 16, 'none', jax.jit(features))


def compared(n=520, calls=None):
    """The comparison of n samples; `calls` gets an entry for each use of the extractor."""

    def extractor():
        if calls is not None:
            calls.append(1)
        return PIXELS

    return comparison(
        sample,
        extractor,
        real=[REAL[:250], REAL[250:500], REAL[500:]],
        held_out=iter([HELD_OUT[:200], HELD_OUT[200:]]),
        n=n,
        split='train',
        average='decay 0.9',
        seeds=(7, 8),
        view=view,
    )


def test_a_perfect_generator_scores_as_held_out_examples_do_and_a_collapsed_one_shows():
    measure = fidelity_scores(compared())
    perfect = measure(KEY, PERFECT)
    collapsed = measure(KEY, COLLAPSED)
    assert perfect['Frechet distance (pixels)'] < 0.02
    assert collapsed['Frechet distance (pixels)'] > 0.3
    assert perfect['kernel distance (pixels)'] == pytest.approx(0, abs=5e-3)
    assert perfect['recall (pixels)'] > 0.9 > 0.3 > collapsed['recall (pixels)']
    assert collapsed['precision (pixels)'] > 0.9  # its few examples are true ones
    assert perfect['classifier score (pixels)'] > 3.7
    assert collapsed['classifier score (pixels)'] < 1.01
    assert (collapsed['rarest'], collapsed['commonest']) == (0.0, 4.0)
    assert 0.8 < perfect['rarest'] <= 1 <= perfect['commonest'] < 1.2


def test_every_sample_is_drawn_viewed_and_counted_once():
    """520 samples come in three draws of 250, of which the last is cut."""
    comparison = compared()
    fake = comparison.sample_features(PERFECT)
    draw = jax.jit(sample, static_argnums=2)
    keys = jax.random.split(jax.random.key(8), 3)
    rows = np.concatenate([draw(key, 1.0, 250) for key in keys])[:520]
    np.testing.assert_allclose(fake.pooled, 2 * rows - 1, atol=1e-6)
    real = comparison.real_features()
    np.testing.assert_array_equal(real.pooled, REAL.reshape(600, 2))
    held_out = comparison.held_out_features()
    np.testing.assert_array_equal(held_out.pooled, HELD_OUT.reshape(300, 2))


def test_scores_say_how_they_were_made_beside_those_of_as_many_held_out_examples():
    values = fidelity_scores(compared())(KEY, PERFECT)
    of_all, of_fewer = values['scores'].split('\n\nextractor ')
    assert of_all.startswith(
        'extractor pixels, weights 0000000000000000, resize none\n600 real examples of train, 520 f'
    )
    assert '300 fake ones, average of parameters: decay 0.9, seeds 7, 8' in of_fewer
    line = next(line for line in of_fewer.splitlines() if line.startswith('Frechet distance'))
    expected = frechet_distance(REAL.reshape(-1, 2), HELD_OUT.reshape(-1, 2))
    assert f'{expected:.5g}' in line.split()

    values = fidelity_scores(compared(n=250))(KEY, PERFECT)
    assert len(values['scores'].split('\n\nextractor ')) == 1


def test_a_score_depends_on_state_and_protocol_and_nothing_is_computed_before():
    calls = []
    comparison = compared(calls=calls)
    assert not calls
    first, second = (
        fidelity_scores(comparison)(key, jnp.float32(1.0)) for key in jax.random.split(KEY)
    )
    assert calls and first == second

    values = fidelity_pictures(comparison)(KEY, PERFECT)
    content = values['scores.json'].decode()
    scores = from_json(content)
    assert {score.name: score.value for score in scores} == {
        score.name: first[score.name] for score in scores
    }
    assert scores[0].protocol.seeds == (7, 8)
    assert json.loads(content)[0]['protocol']['fake'] == 520
    assert values['classes'].shape == (500, 800, 3)
    assert values['bias'].shape == (600, 800, 3)


def test_features_and_scores_of_a_state_are_computed_once():
    comparison = compared()
    fake = comparison.sample_features(PERFECT)
    assert comparison.sample_features(PERFECT) is fake
    assert comparison.score(fake) is comparison.score(fake)
    assert comparison.sample_features(COLLAPSED) is not fake


def test_the_first_of_many_samples_are_those_of_few():
    """What compares 300 of each draws 300, of which it draws the same ones as 520 begin with."""
    of_few = compared(n=300)
    of_first = compared().of_first(300)
    fake = of_first.sample_features(PERFECT)
    np.testing.assert_array_equal(fake.pooled, of_few.sample_features(PERFECT).pooled)
    np.testing.assert_array_equal(of_first.real_features().pooled, REAL[:300].reshape(300, 2))
    (distance, *_), (first, *_) = of_few.score(fake), of_first.score(fake)
    assert (distance.protocol.real, first.protocol.real) == (600, 300)
    expected = frechet_distance(REAL[:300].reshape(300, 2), fake.pooled)
    assert first.value == pytest.approx(expected, rel=1e-6)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match='^n is 19; the measures need at least 20 samples'):
        compared(n=19)
