"""benchmarks.growth: slopes of known laws, exchanges of known programs, a subject end to end."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from jax.sharding import PartitionSpec
from PIL import Image

from benchmarks.growth import __main__ as growth
from benchmarks.growth.collectives import Collective, collectives, sent_bytes
from benchmarks.growth.devices import step_text
from benchmarks.growth.meters import training_seconds
from benchmarks.growth.slopes import fit_slope
from genjax.base import Algorithm, Resident
from genjax.descent import descend
from genjax.training import make_mesh

SIZES = (1, 2, 4, 8, 16)


def compiled_text(function, devices, x):
    """The text of a function of each device's rows of x."""
    mesh = make_mesh(jax.devices()[:devices])
    mapped = jax.shard_map(
        function, mesh=mesh, in_specs=PartitionSpec('data'), out_specs=PartitionSpec('data')
    )
    return jax.jit(mapped).lower(x).compile().as_text()


def test_the_slope_of_a_power_law_is_its_exponent():
    fit = fit_slope(SIZES, [3 * size**1.5 for size in SIZES])
    np.testing.assert_allclose([fit.slope, fit.factor, fit.last], [1.5, 3, 1.5], rtol=1e-12)
    assert fit.error < 1e-12


def test_the_error_of_a_slope_is_that_of_least_squares():
    costs = np.exp(np.random.default_rng(0).normal(size=len(SIZES))) * SIZES
    fit = fit_slope(SIZES, costs)
    (slope, _), covariance = np.polyfit(np.log(SIZES), np.log(costs), 1, cov=True)
    np.testing.assert_allclose([fit.slope, fit.error], [slope, covariance[0, 0] ** 0.5], rtol=1e-9)


def test_what_costs_nothing_has_no_part_in_a_slope():
    assert fit_slope([1, 2, 4], [0, 3, 6]).slope == pytest.approx(1)
    assert fit_slope([1, 2], [0, 3]) is None


def test_fixed_costs_flatten_the_slope_and_the_last_one_least():
    fit = fit_slope(SIZES, [5 + size for size in SIZES])
    assert fit.slope < fit.last < 1


@pytest.mark.parametrize('devices', [2, 8])
def test_a_sum_of_n_floats_is_4n_bytes_on_each_device(devices):
    n = 300

    def total(x):
        return jax.lax.psum(x, 'data') * x

    (found,) = collectives(compiled_text(total, devices, jnp.ones((devices, n))))
    assert found == Collective('all-reduce', 4 * n, devices, 1, True)
    assert sent_bytes(found) == pytest.approx(2 * (devices - 1) / devices * 4 * n)


def test_gathering_and_passing_on_are_told_apart():
    def exchange(x):
        whole = jax.lax.all_gather(x, 'data', tiled=True)
        return whole[:1] + jax.lax.ppermute(x, 'data', [(0, 1), (1, 2), (2, 3), (3, 0)])

    found = collectives(compiled_text(exchange, 4, jnp.ones((4, 100), jnp.bfloat16)))
    sizes = {exchange.kind: exchange.bytes for exchange in found}
    # A CPU may widen bfloat16 to float32, but not for one of the two alone.
    assert sizes['all-gather'] == 4 * sizes['collective-permute']


def test_what_is_in_a_loop_counts_once_a_turn():
    def loop(x):
        return jax.lax.fori_loop(0, 5, lambda i, y: jax.lax.psum(x * y, 'data') * x, x)

    (found,) = collectives(compiled_text(loop, 4, jnp.ones((4, 10))))
    assert found.times == 5
    assert found.counted


def test_a_loop_whose_length_the_data_decide_is_said_to_be_one():
    def loop(x):
        turns = x[0, 0].astype(jnp.int32)
        return jax.lax.fori_loop(0, turns, lambda i, y: jax.lax.psum(x * y, 'data') * x, x)

    found = collectives(compiled_text(loop, 4, jnp.ones((4, 10))))
    assert [(exchange.times, exchange.counted) for exchange in found] == [(1, False)]


def test_exchanges_that_are_begun_and_awaited_count_once():
    """As XLA writes them for a GPU."""
    text = """HloModule m, num_partitions=8
ENTRY %main (x: f32[2,100]) -> f32[8,100] {
  %x = f32[2,100]{1,0} parameter(0)
  %g = (f32[2,100]{1,0}, f32[8,100]{1,0}) all-gather-start(%x), replica_groups=[2,4]<=[8]
  %d = f32[8,100]{1,0} all-gather-done(%g)
  %r = f32[8,100]{1,0} all-reduce-start(%d), replica_groups={}, to_apply=%add
  %p = (f32[2,100]{1,0}, f32[2,100]{1,0}, u32[], u32[]) collective-permute-start(%x)
  ROOT %s = f32[8,100]{1,0} all-reduce-done(%r)
}
"""
    assert collectives(text) == [
        Collective('all-gather', 3200, 4, 1, True),
        Collective('all-reduce', 3200, 8, 1, True),
        Collective('collective-permute', 800, 8, 1, True),
    ]


def test_a_text_that_is_no_program_is_refused():
    with pytest.raises(ValueError, match='no ENTRY'):
        collectives('nothing')


@pytest.mark.parametrize('devices', [2, 8])
def test_a_step_of_descent_exchanges_its_gradient_once_and_little_else(devices):
    """The loss and its checks beside it are a few scalars."""
    n = 1000

    def losses(key, params, batch):
        return {'loss': jnp.square(batch['x'] @ params)}

    descent = descend(losses, optax.adam(1e-3))

    def init(key, batch):
        return descent.init(jnp.ones(n))

    feed = Resident(jnp.ones((16, n)), lambda rows, step: {'x': rows})
    text, state = step_text(Algorithm(init, descent.update, None), feed, devices, ())
    exchanged = sum(exchange.bytes for exchange in collectives(text))
    assert 4 * n <= exchanged <= 4 * n + 100
    assert state >= 3 * 4 * n  # the parameters and the two moments of Adam, whole on each device


def test_training_takes_the_steps_that_it_is_asked_for_in_one_program():
    seen = []

    def update(key, state, batch):
        jax.debug.callback(lambda step: seen.append(int(step)), state)
        return state + 1, {'loss': jnp.mean(batch['x'])}

    def init(key, batch):
        return jnp.zeros((), jnp.int32)

    feed = Resident(jnp.ones((4, 2)), lambda rows, step: {'x': rows})
    compiling, training = training_seconds(Algorithm(init, update, None), feed, 25)
    jax.effects_barrier()
    assert sorted(seen) == list(range(25))
    assert compiling > 0
    assert training > 0


@pytest.mark.slow
def test_a_small_subject_from_end_to_end(tmp_path, capsys):
    """Points in processes of their own, in JSON, a table and a figure."""
    command = ['components', '--small', '--sides', 'genjax, diagonal', '--out', str(tmp_path)]
    growth.main(command)
    rows = json.loads((tmp_path / 'growth.json').read_text())
    assert [row['size'] for row in rows] == [2, 4]
    for row in rows:
        assert set(row['measures']) == {'step', 'memory', 'program'}
        assert all(cost > 0 for cost in row['measures'].values())
    assert rows[0]['measures']['program'] < rows[1]['measures']['program']
    assert (
        '| components of a mixture | 2 to 4 | genjax, diagonal | step |' in capsys.readouterr().out
    )
    with Image.open(tmp_path / 'growth.png') as picture:
        assert min(picture.size) > 300


def test_a_point_measured_again_takes_the_place_of_the_old_one():
    def row(side, step):
        return dict(subject='words', side=side, size=1.0, small=False, measures={'step': step})

    rows = [row('genjax', 1.0), row('gensim', 2.0)]
    assert growth.replace_row(rows, row('genjax', 3.0)) == [rows[1], row('genjax', 3.0)]


def test_a_peer_that_is_missing_is_said():
    row = dict(subject='words', side='gensim', size=2.0, skipped='gensim')
    assert growth.describe(row) == 'words, gensim, 2: skipped, gensim is not installed'


@pytest.mark.parametrize(
    'wrong', [['nothing'], ['words', '--sides', 'nobody'], ['--sizes', '1']], ids=' '.join
)
def test_what_is_no_subject_or_side_is_refused(wrong, capsys):
    with pytest.raises(SystemExit):
        growth.parse(wrong)
    assert 'error' in capsys.readouterr().err
