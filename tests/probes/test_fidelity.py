"""Fidelity of samples whose distribution is known, through an extractor that shows the pixels
themselves."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from genjax.metrics.fidelity import Extractor, Features
from genjax.metrics.frechet import frechet_distance
from genjax.metrics.protocol import from_json
from genjax.probes.fidelity import comparison, fidelity_pictures, fidelity_scores
from genjax.probes.fidelity_figures import COLOURS, class_picture

KEY = jax.random.key(3)
CENTRES = np.array(
    [[-0.5, -0.5], [0.5, -0.5], [-0.5, 0.5], [0.5, 0.5]], np.float32
)  # of four classes
made = dict(split='train', average=True, seeds=(7, 8))


def images(rng, n):
    """Four classes of images [n, 1, 2, 1], equally common."""
    x = CENTRES[np.arange(n) % 4] + 0.05 * rng.normal(size=(n, 2))
    return x.reshape(n, 1, 2, 1).astype(np.float32)


def features(x):
    pixels = x.reshape(len(x), 2)
    return Features(pixels, -50 * jnp.sum((pixels[:, None] - CENTRES[None]) ** 2, -1))


def sample(key, state, n):
    """Rows in [0, 1], of which a share `state` is of the true distribution and the rest of class 0."""
    which, what, noise = jax.random.split(key, 3)
    label = jnp.where(
        jax.random.uniform(which, (n,)) < state, jax.random.randint(what, (n,), 0, 4), 0
    )
    return (jnp.asarray(CENTRES)[label] + 0.05 * jax.random.normal(noise, (n, 2)) + 1) / 2


view = lambda x: 2 * x.reshape(-1, 1, 2, 1) - 1
REAL, HELD_OUT = images(np.random.default_rng(0), 600), images(np.random.default_rng(1), 300)
KNOWN = Extractor('pixels', '0' * 16, 'none', jax.jit(features))


def judged(n=520, asked=None):
    def extractor():
        if asked is not None:
            asked.append(1)
        return KNOWN

    batches = [REAL[:250], REAL[250:500], REAL[500:]]
    return comparison(
        sample, extractor, batches, iter([HELD_OUT[:200], HELD_OUT[200:]]), n=n, view=view, **made
    )


def test_a_perfect_generator_scores_as_held_out_examples_do_and_a_collapsed_one_shows():
    measure = fidelity_scores(judged())
    perfect, collapsed = measure(KEY, jnp.float32(1.0)), measure(KEY, jnp.float32(0.0))
    assert (
        perfect['Frechet distance (pixels)'] < 0.02 < 0.3 < collapsed['Frechet distance (pixels)']
    )
    assert perfect['kernel distance (pixels)'] == pytest.approx(0, abs=5e-3)
    assert perfect['recall (pixels)'] > 0.9 > 0.3 > collapsed['recall (pixels)']
    assert collapsed['precision (pixels)'] > 0.9  # what there is is true
    assert (
        perfect['classifier score (pixels)'] > 3.7 and collapsed['classifier score (pixels)'] < 1.01
    )
    assert (collapsed['rarest'], collapsed['commonest']) == (0.0, 4.0)
    assert 0.8 < perfect['rarest'] <= 1 <= perfect['commonest'] < 1.2


def test_every_sample_is_drawn_viewed_and_counted_once():
    """520 samples come in three draws of 250, of which the last is cut."""
    comparison = judged()
    fake = comparison.fake(jnp.float32(1.0))
    keys = jax.random.split(jax.random.key(8), 3)
    rows = np.concatenate([jax.jit(sample, static_argnums=2)(key, 1.0, 250) for key in keys])[:520]
    np.testing.assert_allclose(fake.pooled, 2 * rows - 1, atol=1e-6)
    np.testing.assert_array_equal(comparison.real().pooled, REAL.reshape(600, 2))
    np.testing.assert_array_equal(comparison.held_out().pooled, HELD_OUT.reshape(300, 2))


def test_scores_say_how_they_were_made_beside_those_of_as_many_held_out_examples():
    seen = fidelity_scores(judged())(KEY, jnp.float32(1.0))
    whole, beside = seen['scores'].split('\n\nextractor ')
    assert whole.startswith(
        'extractor pixels, weights 0000000000000000, resize none\n600 real examples of train, 520 f'
    )
    assert '300 fake ones of averaged parameters, seeds 7, 8' in beside
    line = next(line for line in beside.splitlines() if line.startswith('Frechet distance'))
    assert f'{distance(REAL.reshape(-1, 2), HELD_OUT.reshape(-1, 2)):.5g}' in line.split()
    assert (
        len(fidelity_scores(judged(n=250))(KEY, jnp.float32(1.0))['scores'].split('\n\nextractor '))
        == 1
    )


def test_a_score_hangs_on_state_and_protocol_and_nothing_is_asked_before():
    asked = []
    known = judged(asked=asked)
    assert not asked
    first, second = (fidelity_scores(known)(key, jnp.float32(1.0)) for key in jax.random.split(KEY))
    assert asked and first == second
    values = fidelity_pictures(known)(KEY, jnp.float32(1.0))
    found = from_json(values['scores.json'].decode())
    assert {score.name: score.value for score in found} == {
        name: first[name] for name in (s.name for s in found)
    }
    assert (
        found[0].protocol.seeds == (7, 8)
        and json.loads(values['scores.json'])[0]['protocol']['fake'] == 520
    )
    assert values['classes'].shape == (500, 800, 3) and values['bias'].shape == (600, 800, 3)


def test_bars_are_as_high_as_the_shares():
    shares = np.array([0.1, 0.2, 0.7])
    pixels = class_picture({'a': shares, 'b': shares[::-1]})
    for colour, expected in zip(COLOURS, (shares, shares[::-1]), strict=False):
        rgb = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        found = (np.abs(pixels.astype(int) - rgb) < 8).all(-1)
        columns = np.flatnonzero(found.sum(0) > 30)  # the legend's patches are lower
        heights = [
            found[:, bar].sum(0).mean()
            for bar in np.split(columns, np.flatnonzero(np.diff(columns) > 1) + 1)
        ]
        np.testing.assert_allclose(np.array(heights) / sum(heights), expected, atol=0.02)


def test_too_few_samples_are_refused():
    with pytest.raises(ValueError, match='^n is 19; the measures need at least 20 samples'):
        judged(n=19)
