"""The page on how to add an algorithm is true: what it says is taken from it and run."""

import pathlib
import re
import sys
import types

import jax
import numpy as np
import pytest

from genjax.training import Every, make_mesh, train
from launch.cli.overrides import override
from tests.contracts import cases

PAGE = pathlib.Path(__file__).parents[2] / 'docs/adding.md'
ONE = make_mesh(jax.devices()[:1])


@pytest.fixture
def blocks(monkeypatch):
    """The page's files by name, those of genjax importable."""
    found = dict(re.findall(r'```python\n# (\S+)\n(.*?)```', PAGE.read_text('utf-8'), re.DOTALL))
    for file, text in found.items():
        if file.startswith('genjax/'):
            name = file.removesuffix('.py').replace('/', '.')
            module = types.ModuleType(name)
            exec(text, vars(module))
            monkeypatch.setitem(sys.modules, name, module)
    return found


def test_the_case_trains_alike_on_one_device_and_on_eight(blocks):
    names = vars(cases) | {'svm': sys.modules['genjax.algorithms.svm'].svm}
    exec(blocks['tests/contracts/cases.py'], names)
    states = [train(names['svm_case'](), seed=3, steps=4, mesh=mesh) for mesh in (ONE, make_mesh())]
    one, eight = (np.asarray(state.params) for state in states)
    np.testing.assert_allclose(eight, one, rtol=1e-5, atol=1e-7)


def test_its_own_test_passes(blocks):
    names = {}
    exec(blocks['tests/test_svm.py'], names)
    names['test_training_reaches_the_least_objective']()


def test_the_sampler_on_the_path_has_its_order(blocks):
    names = {}
    exec(blocks['tests/test_midpoint.py'], names)
    names['test_it_is_of_second_order']()


def test_the_experiment_runs_and_leaves_its_picture(blocks, tmp_path):
    names = {}
    exec(blocks['experiments/svm_digits.py'], names)
    config = override(names['get_config'](), {'steps': '4', 'batch': '20'})
    train(names['build'](config), seed=0, steps=4, mesh=ONE, every=Every(1, 2, 2), workdir=tmp_path)
    assert (tmp_path / 'samples/weights_grid_00000004.png').exists()
