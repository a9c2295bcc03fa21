"""Averages that are made after a run, from its files, against those that it kept."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from genjax.averages import Profile, combine, power, reconstruction
from genjax.base import Algorithm
from genjax.descent import descend
from genjax.probes.averages import from_safetensors, snapshots, to_safetensors
from genjax.training import Data, Every, Experiment, Probe, make_mesh, train
from tests.training.toy import gaussian_batches
from tests.trees import assert_trees_equal

STEPS = 320
GAMMAS = {'average': 6.94, 'long': 16.97, 'wished': 10.0}


def regression():
    """Linear regression by Adam on noise, whose parameters wander about their optimum."""

    def losses(key, params, batch):
        error = batch['x'] @ params['kernel'] + params['bias'][None] - batch['x'][:, :1]
        return {'loss': jnp.sum(error**2, -1)}

    others = {name: power(gamma) for name, gamma in GAMMAS.items() if name != 'average'}
    descent = descend(losses, optax.adam(0.05), decay=power(GAMMAS['average']), others=others)

    def init(key, batch):
        kernel = jax.random.normal(key, (3, 4))
        return descent.init({'kernel': kernel, 'bias': jnp.zeros(4)})

    def evaluate(key, state, batch):
        return losses(key, state.average, batch)

    return Algorithm(init, descent.update, evaluate)


@pytest.fixture(scope='module')
def run(tmp_path_factory):
    """(state, the folder of snapshots at 16 moments, the parameters after each step)."""
    workdir = tmp_path_factory.mktemp('run')
    path = []

    def keep(key, state):
        del key
        path.append(jax.device_get(state.params))
        return {}

    probes = {'path': Probe(1, keep), 'kept': Probe(STEPS // 16, snapshots(['average', 'long']))}
    state = train(
        Experiment(regression(), Data(gaussian_batches(), []), probes),
        seed=0,
        steps=STEPS,
        mesh=make_mesh(jax.devices()[:1]),
        every=Every(STEPS, STEPS, STEPS),
        workdir=workdir,
    )
    return jax.device_get(state), workdir / 'samples', path


def read(folder, like):
    """(profiles, averages) of every file."""
    profiles = []
    averages = []
    for name in ('average', 'long'):
        for file in sorted(folder.glob(f'kept_{name}_*.safetensors')):
            updates, average = from_safetensors(file.read_bytes(), like)
            assert file.stem == f'kept_{name}_{updates:08d}'
            profiles.append(Profile(updates, GAMMAS[name]))
            averages.append(average)
    return profiles, averages


def test_files_hold_what_the_run_kept_to_the_bit(run):
    state, folder, _ = run
    profiles, averages = read(folder, state.params)
    assert len(profiles) == 32
    last = dict(zip(profiles, averages, strict=True))
    assert_trees_equal(last[Profile(STEPS, 6.94)], state.average)
    assert_trees_equal(last[Profile(STEPS, 16.97)], state.others['long'])


def test_a_reconstruction_is_the_average_that_the_same_run_kept(run):
    """Within the misfit of the profiles times the spread of the parameters, by Cauchy and Schwarz.

    The difference of two averages is the integral of that of their profiles times the parameters
    less any constant, since weights sum to 1.
    """
    state, folder, path = run
    profiles, averages = read(folder, state.params)
    wished = Profile(STEPS, GAMMAS['wished'])
    weights, misfit = reconstruction(profiles, wished)
    made = combine(weights, averages)
    norm = np.sqrt((wished.gamma + 1) ** 2 / (2 * wished.gamma + 1) / STEPS)

    for name, leaf in made.items():
        thetas = np.stack([np.float64(params[name]) for params in path])
        spread = np.linalg.norm(thetas - thetas.mean(0), axis=0)
        rounding = 2e-6 * np.abs(thetas).max()
        error = np.abs(leaf - state.others['wished'][name])
        assert np.all(error <= misfit * norm * spread + rounding)
        # Which is far less than between the averages that it is made of.
        apart = np.abs(state.others['long'][name] - state.average[name])
        assert np.linalg.norm(error) < 0.02 * np.linalg.norm(apart)


def test_a_reconstruction_of_a_snapshot_is_that_snapshot(run):
    state, folder, _ = run
    profiles, averages = read(folder, state.params)
    weights, _ = reconstruction(profiles, Profile(STEPS, 6.94))
    made = combine(weights, averages)
    for name, leaf in made.items():
        np.testing.assert_allclose(leaf, state.average[name], rtol=2e-7, atol=1e-9)


def test_a_fit_may_lie_in_a_state():
    fit = descend(lambda *_: {}, optax.sgd(0.1), others={'slow': 0.9}).init({'a': jnp.arange(3.0)})
    measure = snapshots(['slow'], lambda state: state['player'])
    files = measure(jax.random.key(0), {'player': fit})
    assert list(files) == ['slow.safetensors']
    updates, average = from_safetensors(files['slow.safetensors'], fit.params)
    assert updates == 0
    assert_trees_equal(average, fit.params)


def test_what_is_no_snapshot_is_refused_in_one_line():
    fit = descend(lambda *_: {}, optax.sgd(0.1), others={'slow': 0.9}).init(jnp.zeros(()))
    with pytest.raises(
        ValueError, match=r"^no average 'fast' is kept; there are \['average', 'slow'\]$"
    ):
        snapshots(['fast'])(jax.random.key(0), fit)
    tree = {'a': np.zeros((2, 3), np.float32)}
    content = to_safetensors(tree, 5)
    with pytest.raises(
        ValueError,
        match=r'^average/a is float32 \[2, 3\] in the file; a snapshot of the tree has float32 '
        r'\[3, 2\]$',
    ):
        from_safetensors(content, {'a': np.zeros((3, 2), np.float32)})
    with pytest.raises(ValueError, match='^average/b is None in the file; a snapshot of the tree'):
        from_safetensors(content, tree | {'b': np.zeros(1, np.float32)})
    with pytest.raises(ValueError, match='^this is no safetensors file of numpy arrays: '):
        from_safetensors(b'nothing', tree)
