"""Weights of a run in files."""

import pathlib
import shutil

import jax
import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file

from genjax import load
from genjax.algorithms.diffusion.process import noise_like
from genjax.weights.states import weights_of
from launch.__main__ import _plan, main
from launch.export import main as export
from launch.run import rundir
from launch.run.plan import recipe
from launch.run.states import state_at
from tests.conftest import toy_experiments
from tests.folders import contents
from tests.trees import assert_trees_equal

PAGE = pathlib.Path(__file__).parents[2] / 'experiments/_fitted.py'
EXP = [f'--exp={PAGE}']


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    place = tmp_path_factory.mktemp('trained')
    with pytest.MonkeyPatch.context() as patch, toy_experiments(place, patch):
        assert main([*EXP, '--workdir=a']) == 0
    return place


@pytest.fixture
def run(folder, trained):
    shutil.copytree(trained / 'a', folder / 'a')
    return folder / 'a'


def test_parameters_and_average_are_named_by_their_paths(run, folder, capsys):
    before = contents(run)
    assert export(['a', '-o', 'out']) == 0
    assert contents(run) == before
    size = (folder / 'out/model.safetensors').stat().st_size
    size += (folder / 'out/config.json').stat().st_size
    said = f'out: _fitted at step 4, model.safetensors, config.json, {size / 1e6:.1f} MB\n'
    assert capsys.readouterr().out == said
    arrays = load_file('out/model.safetensors')
    layers = ('line/offset', 'line/slopes')
    assert set(arrays) == {f'{kind}/{layer}' for kind in ('params', 'average') for layer in layers}
    _, state = load('a')
    for name, x in weights_of(state).items():
        np.testing.assert_array_equal(arrays[name], x, strict=True)
    with safe_open('out/model.safetensors', 'numpy') as file:
        assert file.metadata() == {'experiment': '_fitted', 'step': '4', 'format': 'genjax'}
    assert rundir.read(folder / 'out/config.json') == rundir.read(run / 'config.json')


@pytest.mark.slow
def test_another_checkpoint_and_average_can_be_chosen(run, folder):
    assert export(['a:2', '-o', 'out', '--average=none']) == 0
    arrays = load_file('out/model.safetensors')
    _, state = load('a:2')
    for kind in ('params', 'average'):
        np.testing.assert_array_equal(arrays[f'{kind}/line/slopes'], state.params['line']['slopes'])
    assert export(['a', '--average', 'slow', '-o', 'out']) == 0  # over an earlier export
    expected = load('a')[1].others['slow']['line']['slopes']
    np.testing.assert_array_equal(
        load_file('out/model.safetensors')['average/line/slopes'], expected
    )


@pytest.mark.parametrize(
    ('line', 'message'),
    [
        ('-o out', 'RUN is missing; it takes a run directory'),
        ('a', '-o is missing; it takes a folder'),
        ('a -o', '-o needs a value'),
        ('a b -o out', 'RUN is a, b; it takes a run directory'),
        ('a -o out --size=3', '--size is no flag; there are: -o, --average, --format, --help'),
        ('a -o out --format=torch', '--format is torch; there are: safetensors, diffusers'),
        ('a -o out --format=difusers', '--format is difusers; did you mean diffusers?'),
        ('a -o a', '-o is a, which holds something else; it takes a new folder'),
        ('a -o a/config.json', '-o is a/config.json, which is no folder'),
        ('gone -o out', 'gone holds no run that was launched'),
        ('a:3 -o out', 'a has no checkpoint 3; there are: 2, 4'),
        ('a -o out --average=fast', "a: average is 'fast'; there are: none, average, slow"),
        (
            'a -o out --format=diffusers',
            '--format is diffusers, and _fitted describes no pipeline; '
            'a page does that in pipeline(config), as ddpm_cifar',
        ),
    ],
)
def test_what_cannot_be_is_refused_in_a_line_and_nothing_is_written(
    line, message, run, folder, capsys
):
    before = contents(folder)
    assert export(line.split()) == 2
    assert contents(folder) == before
    out, err = capsys.readouterr()
    assert out == '' and err.startswith(message) and err.count('\n') == 1


def test_a_run_without_parameters_is_refused(folder, capsys):
    assert main(['--exp=toy', '--workdir=b']) == 0
    capsys.readouterr()
    assert export(['b', '-o', 'out']) == 2
    assert capsys.readouterr().err == (
        'b is of toy, which has no parameters that gradient descent trains\n'
    )


DIGITS = (
    '--exp=ddpm_digits --config.steps=2 --config.size=8 --config.unet.attend_at=(4,) '
    '--config.ddpm.steps=8 --config.adam.learning_rate=0.02 --config.ddpm.decay=0.5'
)


@pytest.mark.peers
@pytest.mark.filterwarnings('ignore')
def test_diffusers_samples_what_we_sample_from_the_same_noise_and_back(tmp_path, monkeypatch):
    torch = pytest.importorskip('torch')
    diffusers = pytest.importorskip('diffusers')
    monkeypatch.chdir(tmp_path)
    assert main([*DIGITS.split(), '--workdir=a']) == 0
    assert export(['a', '-o', 'out', '--format=diffusers']) == 0
    experiment, state = load('a')

    key, n = jax.random.key(1), 3
    ours = experiment.algorithm.sample(key, state, n)
    start_key, chain_key = jax.random.split(key)
    noise = [jax.random.normal(start_key, (n, 8, 8, 1))]
    for t in range(8, 1, -1):
        noise.append(noise_like(jax.random.fold_in(chain_key, t), noise[0]))
    feed = iter(noise)

    def drawn(shape, **options):
        x = np.asarray(next(feed)).transpose(0, 3, 1, 2)
        assert x.shape == tuple(shape)
        return torch.tensor(x)

    for module in ('pipelines.ddpm.pipeline_ddpm', 'schedulers.scheduling_ddpm'):
        monkeypatch.setattr(f'diffusers.{module}.randn_tensor', drawn)
    pipe = diffusers.DDPMPipeline.from_pretrained('out')
    pipe.set_progress_bar_config(disable=True)
    theirs = pipe(batch_size=n, num_inference_steps=8, output_type='np').images
    assert next(feed, None) is None
    expected = np.clip(np.asarray(ours) / 2 + 0.5, 0, 1)
    assert expected.std() > 0.05
    np.testing.assert_allclose(theirs, expected, atol=1e-4)

    for place in ('out', 'out/unet', 'out/unet/diffusion_pytorch_model.safetensors'):
        plan = _plan([*DIGITS.split(), f'--init_from={place}', '--workdir=b'])
        begun, _ = state_at(plan.workdir, recipe(plan), 0)
        assert_trees_equal(begun.params, state.average)
        assert_trees_equal(begun.average, state.average)
